//! What a million voters cost the store in memory: bytes a voter, and how long the reads take that pages are made of.
//!
//! `cargo bench --profile dev -p pnyx-backbone --bench store`

use std::{
    io::{self, Write as _},
    process,
    time::{Duration, Instant},
};

use alloy_primitives::U256;
use pnyx_backbone::{
    log::LogIdentity,
    store::{LaneBatch, LaneCounters, MemoryStore, Store},
};
use pnyx_bench_support::resident_bytes;
use pnyx_core::{
    choice::Choice,
    counting::{CountingRules, TotalsDelta},
    id::{Digest, Lane, Place, ProposalId, Voter},
    power::Power,
    proposal::VotingSystem,
    tally::StandingBallot,
};

const VOTERS: u64 = 1_000_000;
const BATCH: u64 = 512;
const LANES: u16 = 8;
const PAGE: usize = 100;
const READS: usize = 200;
const PROPOSAL: ProposalId = ProposalId::new([1; 32]);
const RULES: CountingRules = CountingRules { system: VotingSystem::SingleChoice, choice_count: 3 };

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    runtime.block_on(run()).expect("the measurement runs");
}

async fn run() -> io::Result<()> {
    let store = Store::Memory(MemoryStore::new());
    store.register(PROPOSAL, RULES, LANES).await.map_err(io::Error::other)?;
    let before = resident_bytes(process::id())?;
    let started = Instant::now();
    let mut next_offsets = [0; LANES as usize];
    for first in (0..VOTERS).step_by(usize::try_from(BATCH).expect("a batch fits in memory")) {
        // All of a batch go to one lane here, whoever they are: the store does not ask.
        let lane = Lane(u16::try_from(first / BATCH % u64::from(LANES)).expect("below the number of lanes"));
        let next = &mut next_offsets[usize::from(lane.0)];
        let batch = batch(first, *next);
        *next = batch.next_offset;
        store.apply(PROPOSAL, lane, batch).await.map_err(io::Error::other)?;
    }
    let applied = started.elapsed();
    let bytes = resident_bytes(process::id())?.saturating_sub(before);
    let view = time(async || store.view(PROPOSAL).await.map(|_| ())).await;
    let leaders = time(async || store.leaderboard(PROPOSAL, None, PAGE).await.map(|_| ())).await;
    let ballots = time(async || store.standing_after(PROPOSAL, None, PAGE).await.map(|_| ())).await;
    let mut out = io::stdout().lock();
    writeln!(out, "{VOTERS} voters in {LANES} lanes, batches of {BATCH}")?;
    writeln!(out, "memory         {:>8} bytes a voter", bytes / VOTERS)?;
    writeln!(out, "apply          {:>8.2} us a voter", applied.as_secs_f64() * 1e6 / VOTERS as f64)?;
    writeln!(out, "view           {:>8.2} us", view.as_secs_f64() * 1e6)?;
    writeln!(out, "leaders, {PAGE}   {:>8.2} us", leaders.as_secs_f64() * 1e6)?;
    writeln!(out, "ballots, {PAGE}   {:>8.2} us", ballots.as_secs_f64() * 1e6)
}

fn batch(first: u64, from_offset: u64) -> LaneBatch {
    let mut delta = TotalsDelta::empty(RULES);
    let standing: Vec<_> = (first..(first + BATCH).min(VOTERS)).map(standing).collect();
    for (_, ballot) in &standing {
        delta.added.add(&RULES.contribution(&ballot.choice, ballot.power));
    }
    let next_offset = from_offset + standing.len() as u64;
    let counters = LaneCounters { counting: standing.len() as u64, ..LaneCounters::default() };
    let log = LogIdentity([0; 16]);
    LaneBatch { log, from_offset, next_offset, below_cut: false, delta, counters, standing, places: Vec::new() }
}

/// A voter whose address and power look random and differ from every other's.
fn standing(number: u64) -> (Voter, StandingBallot) {
    // Odd, so that multiplication permutes the 64-bit numbers.
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut address = [0; 20];
    address[..8].copy_from_slice(&scattered.to_be_bytes());
    let power = Power::from_units(U256::from(scattered) + U256::from(1)).expect("64 bits are a power");
    let choice = Choice::Single(u8::try_from(scattered % 3 + 1).expect("1 to 3"));
    let place = Place { partition: 0, offset: number };
    let ballot = StandingBallot { digest: Digest::new([7; 32]), signed_at_s: number, choice, power, place };
    (Voter::new(address), ballot)
}

/// The mean time of a read.
async fn time<E: std::fmt::Debug>(mut read: impl AsyncFnMut() -> Result<(), E>) -> Duration {
    let started = Instant::now();
    for _ in 0..READS {
        read().await.expect("the proposal is registered");
    }
    started.elapsed() / u32::try_from(READS).expect("a small number")
}
