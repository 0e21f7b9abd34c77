//! A voter's two ballots, 0, 5 and 20 ms apart and from two connections: the one signed later stands, every time and
//! whichever comes first.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod common;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use common::{
    ballots::{Ballot, Target, now_s},
    http,
    pipeline::{Pipeline, Shape},
    proposals::{Window, write_plain},
};

/// Pairs of each distance.
const PAIRS: usize = 1_000;
/// Milliseconds between a pair's two ballots.
const APART_MS: [u64; 3] = [0, 5, 20];
/// Pairs under way at once.
const PAIRS_AT_ONCE: usize = 32;
/// How long all ballots may take to be counted.
const COUNTED_WAIT_MAX: Duration = Duration::from_secs(300);

/// A voter's two ballots in the order in which they are sent.
struct Pair {
    first: Ballot,
    second: Ballot,
    apart: Duration,
}

#[test]
fn of_two_ballots_the_later_signed_stands_every_time() {
    let pipeline = Pipeline::start(Shape::usual());
    let file = write_plain("pairs", Window::around_now(600, 600), pipeline.folder());
    let target = pipeline.propose(&[file], &[]).remove(0);
    let mut standing: BTreeMap<String, String> = BTreeMap::new();
    let mut pairs = Vec::new();
    for apart_ms in APART_MS {
        for number in 0..PAIRS {
            let pair = pair(&target, apart_ms, number);
            let stands = if pair.first.order() > pair.second.order() { &pair.first } else { &pair.second };
            standing.insert(stands.voter.clone(), stands.digest.clone());
            pairs.push(pair);
        }
    }
    cast(pipeline.edge(), pairs);
    for url in pipeline.reads() {
        let served = wait_for_ballots(&url, &target);
        let wrong: Vec<&String> = standing
            .iter()
            .filter(|(voter, digest)| served.get(*voter) != Some(digest))
            .map(|(voter, _)| voter)
            .collect();
        assert!(wrong.is_empty(), "the older stands for {} of {}: {wrong:?}", wrong.len(), standing.len());
        assert_eq!(served.len(), standing.len());
    }
    println!("{PAIRS} pairs each at {APART_MS:?} ms: the later signed stands in all of them");
}

/// In turns: signed in the order of sending, against it, and in the same second, where the digest decides.
fn pair(target: &Target, apart_ms: u64, number: usize) -> Pair {
    let now = now_s();
    let (first_at, second_at) = [(now - 1, now), (now, now - 1), (now, now), (now, now)][number % 4];
    let wallet = format!("pair {apart_ms} {number}");
    Pair {
        first: target.ballot(&wallet, first_at, 1),
        second: target.ballot(&wallet, second_at, 2),
        apart: Duration::from_millis(apart_ms),
    }
}

/// Sends each pair over two connections.
fn cast(edge: &str, pairs: Vec<Pair>) {
    let clients = [http::client(), http::client()];
    let edge = edge.to_owned();
    http::block_on(async move {
        let mut under_way = tokio::task::JoinSet::new();
        for pair in pairs {
            if under_way.len() >= PAIRS_AT_ONCE {
                under_way.join_next().await.unwrap().unwrap();
            }
            let (clients, edge) = (clients.clone(), edge.clone());
            under_way.spawn(async move {
                let [one, two] = &clients;
                let first = post_until_acknowledged(one, &edge, pair.first.body);
                let second = async {
                    if !pair.apart.is_zero() {
                        tokio::time::sleep(pair.apart).await;
                    }
                    post_until_acknowledged(two, &edge, pair.second.body).await
                };
                tokio::join!(first, second);
            });
        }
        while let Some(done) = under_way.join_next().await {
            done.unwrap();
        }
    });
}

/// As a voter's client does: a machine that stands still for a moment may have it sent again.
async fn post_until_acknowledged(client: &reqwest::Client, edge: &str, body: Vec<u8>) {
    let start = Instant::now();
    loop {
        let answer = http::post_with(client, edge, body.clone()).await.expect("the edge answers");
        if answer.is_success() {
            return;
        }
        assert!(answer.status == 503 && start.elapsed() < COUNTED_WAIT_MAX, "{answer:?}");
        tokio::time::sleep(Duration::from_secs(answer.retry_after_s.unwrap_or(1))).await;
    }
}

/// Every standing ballot's digest by voter, once everything is counted.
fn wait_for_ballots(url: &str, target: &Target) -> BTreeMap<String, String> {
    let progress = format!("{url}/v1/proposals/{}/progress", target.id);
    // More where a ballot was sent again.
    let records = u64::try_from(2 * PAIRS * APART_MS.len()).unwrap();
    http::poll("counting of all pairs", COUNTED_WAIT_MAX, || {
        http::try_json(&progress)
            .filter(|progress| progress["counted"].as_u64() >= Some(records) && progress["lag"] == 0)
    });
    let start = Instant::now();
    let mut served = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        assert!(start.elapsed() < COUNTED_WAIT_MAX, "the list of ballots does not end");
        let page = common::get_json(&format!("{url}/v1/proposals/{}/ballots?limit=1000{cursor}", target.id));
        for ballot in page["ballots"].as_array().unwrap() {
            let text = |field: &str| ballot[field].as_str().unwrap().to_owned();
            served.insert(text("voter").to_lowercase(), text("digest"));
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return served,
        }
    }
}
