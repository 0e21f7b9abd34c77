//! Ballots of our own that show how soon after a fault a ballot is acknowledged and counted again.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::common::{
    ballots::{Ballot, Target, now_s},
    http,
    pipeline::Pipeline,
};

/// Ballots a probe: they fall into different partitions and lanes.
const BALLOTS: usize = 8;
/// How long a probe may take: above every session, rebuild and back-off together.
const RECOVERY_WAIT_MAX: Duration = Duration::from_secs(90);
/// Pause before an unacknowledged probe is sent again.
const RESEND_PAUSE: Duration = Duration::from_millis(50);

/// The proposal that probes are cast for.
pub(crate) struct Probe {
    pub(crate) target: Target,
    wallets: u64,
    /// What was cast before the first probe, to see how much this machine takes.
    pub(crate) paced: Paced,
    /// Digests of every acknowledged probe by voter.
    pub(crate) acknowledged: BTreeMap<String, String>,
}

/// A short load without a pace.
pub(crate) struct Paced {
    pub(crate) acknowledged: u64,
    pub(crate) standing: u64,
    /// A receipt for each acknowledgement.
    pub(crate) receipts: PathBuf,
    /// Ballots a second that the platform acknowledged.
    pub(crate) per_second: f64,
}

/// What a probe found, from the end of the fault on.
pub(crate) struct Recovery {
    /// Until all its ballots were acknowledged.
    pub(crate) acknowledged: Duration,
    /// Until all replicas that are up showed all of them.
    pub(crate) counted: Duration,
}

impl Probe {
    /// Probes of this proposal, on which these ballots were cast before.
    pub(crate) const fn new(target: Target, paced: Paced) -> Self {
        Self { target, wallets: 0, paced, acknowledged: BTreeMap::new() }
    }

    /// Casts ballots and waits until they are counted.
    pub(crate) fn measure(&mut self, pipeline: &Pipeline, since: Instant) -> Recovery {
        let ballots: Vec<Ballot> = (0..BALLOTS).map(|_| self.next_ballot()).collect();
        let edge = pipeline.edge().to_owned();
        let posted = http::block_on(async {
            let mut posts = tokio::task::JoinSet::new();
            for ballot in &ballots {
                posts.spawn(post_until_acknowledged(edge.clone(), ballot.body.clone()));
            }
            posts.join_all().await
        });
        assert!(posted.into_iter().all(|acknowledged| acknowledged), "a probe was not acknowledged");
        let acknowledged = since.elapsed();
        for ballot in &ballots {
            self.acknowledged.insert(ballot.voter.clone(), ballot.digest.clone());
        }
        for url in pipeline.reads() {
            for ballot in &ballots {
                self.wait_until_counted(&url, ballot);
            }
        }
        Recovery { acknowledged, counted: since.elapsed() }
    }

    fn next_ballot(&mut self) -> Ballot {
        self.wallets += 1;
        let wallet = format!("probe {} {}", self.target.id, self.wallets);
        self.target.ballot(&wallet, now_s(), 1)
    }

    fn wait_until_counted(&self, url: &str, ballot: &Ballot) {
        let url = format!("{url}/v1/proposals/{}/voters/{}", self.target.id, ballot.voter);
        http::poll(&format!("counting of a probe at {url}"), RECOVERY_WAIT_MAX, || {
            http::try_json(&url).filter(|voter| voter["ballot"]["digest"] == ballot.digest.as_str())
        });
    }
}

async fn post_until_acknowledged(edge: String, body: Vec<u8>) -> bool {
    let client = http::client();
    let start = Instant::now();
    while start.elapsed() < RECOVERY_WAIT_MAX {
        if http::post_with(&client, &edge, body.clone()).await.is_some_and(|answer| answer.is_success()) {
            return true;
        }
        tokio::time::sleep(RESEND_PAUSE).await;
    }
    false
}
