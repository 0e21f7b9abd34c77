//! Ballots that wait for a chain that is dead, and ballots that name contract wallets with garbage for a signature: the
//! verifier's memory stays under a bound that does not depend on how many there are, other proposals are counted as if
//! nothing were, and once the chain is back every ballot gets its verdict.
//!
//! `PNYX_WAITING_BALLOTS` sets how many there are of each; it is printed what memory and waiting were.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails says where, and its figures are shown"
)]

#[path = "../common/mod.rs"]
mod common;

mod bed;
mod flood;
mod memory;
mod others;

use std::{
    env,
    time::{Duration, Instant},
};

use serde_json::json;

use bed::Bed;
use common::http;
use flood::{Flood, Signed};
use memory::{HELD_BYTES_MAX, Memory, mebibytes};
use others::Others;

/// How many ballots wait, and how many name contract wallets.
const BALLOTS_VARIABLE: &str = "PNYX_WAITING_BALLOTS";

/// As many unless it is set: enough, at their size, that they could not all be held.
const BALLOTS_DEFAULT: u64 = 50_000;

/// What each of the two floods has at least: a quarter more than may be held, so that a verifier that held one would be
/// found out.
const FLOOD_BYTES_MIN: u64 = HELD_BYTES_MAX / 4 * 5;

/// Longest time from the `POST` of a ballot of another proposal until the tally has counted it. Nearly all of it is the
/// machine's: brokers, node and processes share its cores with the flood.
const OTHERS_WAIT_MAX: Duration = Duration::from_secs(10);

/// How many ballots of others there must be at least in each part, so that something was seen.
const OTHERS_MIN: usize = 5;

/// Ballots that keys sign for the proposal that is flooded with garbage, behind the flood.
const PLAIN: u64 = 20;

/// How long anything may take beside what the ballots take.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// How long a ballot may take in the mean, at any of its steps, on a busy machine: a question to a contract takes longest.
const BALLOT_WAIT_MAX: Duration = Duration::from_millis(5);

/// How long the dead chain is waited for once all of its ballots lie in the log: pauses between questions are 2 s at most.
const DEAD_FOR: Duration = Duration::from_secs(5);

#[test]
fn memory_does_not_follow_what_waits_and_others_go_on() {
    let ballots: u64 = env::var(BALLOTS_VARIABLE).map_or(BALLOTS_DEFAULT, |text| text.parse().unwrap());
    let mut bed = Bed::start();
    let memory = Memory::of(bed.verifier());
    println!("{ballots} ballots each, {:.0} MiB at rest", mebibytes(memory.at_rest()));
    let table = [dead(&bed, &memory, ballots), garbage(&bed, &memory, ballots), healed(&bed, &memory, ballots)];
    for part in &table {
        println!("{part}");
    }
    bed.assert_nobody_ended();
    let most = table.iter().map(|part| part.held_bytes).max().unwrap();
    assert!(most <= HELD_BYTES_MAX, "{:.0} MiB were held, at most {:.0}", mebibytes(most), mebibytes(HELD_BYTES_MAX));
    for Part { name, others, .. } in table.iter().filter(|part| part.name != "healed") {
        assert!(others.len() >= OTHERS_MIN, "{name}: {others:?}");
        assert!(others.iter().all(|took| *took < OTHERS_WAIT_MAX), "{name}: {others:?}");
    }
}

/// What was seen in a part of the test.
struct Part {
    name: &'static str,
    took: Duration,
    flood_bytes: u64,
    /// Memory at its most above that at rest.
    held_bytes: u64,
    /// How long ballots of other proposals took.
    others: Vec<Duration>,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, took, flood_bytes, held_bytes, others } = self;
        let (flood, held, bound) = (mebibytes(*flood_bytes), mebibytes(*held_bytes), mebibytes(HELD_BYTES_MAX));
        let mut others = others.clone();
        others.sort_unstable();
        let (middle, most) = (others[others.len() / 2], others[others.len() - 1]);
        write!(
            f,
            "{name:<8} {took:>7.1?}: flood {flood:>6.0} MiB, held above rest {held:>5.1} MiB (bound {bound:.0}); {} ballots \
             of others took {middle:.2?}, at most {most:.2?}",
            others.len()
        )
    }
}

/// Runs a part with ballots of other proposals beside it.
fn part(name: &'static str, bed: &Bed, memory: &Memory, run: impl FnOnce() -> u64) -> Part {
    memory.reset_peak();
    let (began, others) = (Instant::now(), Others::start(bed));
    let flood_bytes = run();
    let others = others.finish();
    Part { name, took: began.elapsed(), flood_bytes, held_bytes: memory.peak_above_rest(), others }
}

fn limit(ballots: u64) -> Duration {
    WAIT_MAX + BALLOT_WAIT_MAX * u32::try_from(ballots).unwrap()
}

/// The chain answers nothing, and ballots that need it come.
fn dead(bed: &Bed, memory: &Memory, ballots: u64) -> Part {
    part("dead", bed, memory, || {
        bed.kill_chain();
        let flood = Flood { target: &bed.waiting, ballots, bytes: FLOOD_BYTES_MIN, signed: Signed::ByKeys };
        let bytes = flood.append(bed);
        assert!(bytes >= FLOOD_BYTES_MIN, "{bytes}");
        http::poll("ballots that all wait in the log", WAIT_MAX, || {
            http::metric(bed.verifier_url(), "pnyx_verifier_lag_records").filter(|lag| *lag >= ballots as f64)
        });
        std::thread::sleep(DEAD_FOR);
        let progress = bed.progress(&bed.waiting);
        assert_eq!((&progress["counted"], &progress["rejected"]), (&json!(bed::WARMING), &json!({})), "{progress}");
        bytes
    })
}

/// Ballots of contract wallets with garbage come, and behind them some that keys signed.
fn garbage(bed: &Bed, memory: &Memory, ballots: u64) -> Part {
    part("garbage", bed, memory, || {
        let signed = Signed::Garbage(&bed.wallets);
        let flood = Flood { target: &bed.flooded, ballots, bytes: FLOOD_BYTES_MIN, signed };
        let bytes = flood.append(bed);
        assert!(bytes >= FLOOD_BYTES_MIN, "{bytes}");
        let plain = Flood { target: &bed.flooded, ballots: PLAIN, bytes: 0, signed: Signed::ByKeys };
        plain.append(bed);
        http::poll("ballots that keys signed behind the flood", limit(ballots), || {
            (bed.tally(&bed.flooded)["ballots"] == bed::WARMING + PLAIN).then_some(())
        });
        let waiting = http::metric(bed.verifier_url(), "pnyx_verifier_deferred_lag_records").unwrap();
        println!("{waiting} records waited for contracts when all that keys signed were counted");
        assert!(waiting > 0.0, "nothing waited for contracts any more, so nothing was shown");
        let all = bed::WARMING + ballots + PLAIN;
        http::poll("verdicts on all of the flood", limit(ballots), || {
            (bed.progress(&bed.flooded)["counted"] == all).then_some(())
        });
        assert_eq!(bed.tally(&bed.flooded)["rejected"], json!({ "contractRefused": ballots }));
        bytes
    })
}

/// The chain is back: what waited is counted, whatever came meanwhile.
fn healed(bed: &Bed, memory: &Memory, ballots: u64) -> Part {
    part("healed", bed, memory, || {
        assert_eq!(bed.progress(&bed.waiting)["counted"], bed::WARMING, "the chain is dead all the time");
        bed.heal_chain();
        http::poll("counting of all that waited", limit(ballots), || {
            (bed.progress(&bed.waiting)["counted"] == bed::WARMING + ballots).then_some(())
        });
        let tally = bed.tally(&bed.waiting);
        assert_eq!((&tally["ballots"], &tally["rejected"]), (&json!(bed::WARMING + ballots), &json!({})), "{tally}");
        assert_eq!(tally["scores"][0], (bed::WARMING + ballots).to_string(), "{tally}");
        0
    })
}
