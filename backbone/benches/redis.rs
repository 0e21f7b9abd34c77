//! What a vote costs in Redis: time of a batch with the totals alone and with the per-voter view beside their floors,
//! memory, and how long a lane takes to be handed over.
//!
//! `cargo bench --profile dev -p pnyx-backbone --bench redis`

use std::{
    error::Error,
    io::{self, Write as _},
    str::FromStr as _,
    time::Instant,
};

use alloy_primitives::U256;
use pnyx_backbone::{
    log::LogIdentity,
    store::{
        ApplyOutcome, HostPort, LaneBatch, LaneCounters, PLACE_BLOCK_OFFSETS, PLACE_BLOCK_WORDS, PlaceBlock,
        RedisAddress, RedisConfig, RedisStore, Store,
    },
};
use pnyx_core::{
    choice::Choice,
    counting::{CountingRules, TotalsDelta},
    id::{Digest, Lane, Place, ProposalId, Voter},
    power::Power,
    proposal::VotingSystem,
    tally::StandingBallot,
};
use pnyx_testbed::{RedisOptions, RedisServer};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Votes of a line of the first table, at most; small batches send fewer.
const VOTES: u64 = 200_000;

/// Calls of a line, at most.
const CALLS_MAX: u64 = 4_000;

/// Voters of the second table.
const VOTERS: u64 = 1_000_000;

/// Lanes the voters of the second table are spread over.
const LANES: u16 = 8;

const MICROSECONDS: u64 = 1_000_000;

const VOTERS_BATCH: usize = 1_024;

const RULES: CountingRules = CountingRules { system: VotingSystem::SingleChoice, choice_count: 4 };

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> Result<()> {
    let server = RedisServer::start(RedisOptions::new())?;
    let config = RedisConfig::new(RedisAddress::Single(HostPort::from_str(&server.address())?));
    let store = Store::Redis(RedisStore::connect(config).await?);
    print(format_args!("us a vote             totals alone              with the per-voter view"))?;
    print(format_args!("batch                 wall    Redis's CPU       wall    Redis's CPU"))?;
    let (wall, cpu) = measure_ping(&server).await?;
    print(format_args!("PING            {wall:>10.2} {cpu:>14.2}"))?;
    for (number, batch) in (1_u8..).zip([1, 64, 256, 1_024, 4_096]) {
        let totals = measure(&store, &server, ProposalId::new([number; 32]), batch, Kind::Totals).await?;
        let view = measure(&store, &server, ProposalId::new([number + 100; 32]), batch, Kind::View).await?;
        print(format_args!("{batch:<15} {:>10.2} {:>14.2} {:>10.2} {:>14.2}", totals.0, totals.1, view.0, view.1))?;
    }
    measure_lanes(&store, &server).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Totals,
    View,
}

/// A call that does nothing: what a call costs.
async fn measure_ping(server: &RedisServer) -> Result<(f64, f64)> {
    let client = redis::Client::open(server.url())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let (started, cpu) = (Instant::now(), cpu_us(server)?);
    for _ in 0..CALLS_MAX {
        redis::cmd("PING").query_async::<()>(&mut connection).await?;
    }
    per_vote(server, started, cpu, CALLS_MAX)
}

/// Wall time and Redis's processor time of a vote, µs.
async fn measure(
    store: &Store,
    server: &RedisServer,
    proposal: ProposalId,
    batch_votes: u64,
    kind: Kind,
) -> Result<(f64, f64)> {
    store.register(proposal, RULES, 1).await?;
    let votes = VOTES.min(batch_votes * CALLS_MAX) / batch_votes * batch_votes;
    // Made before the clock runs: this measures the store, not the tally.
    let batches: Vec<_> =
        (0..votes).step_by(usize::try_from(batch_votes)?).map(|first| batch(first, batch_votes, first, kind)).collect();
    let (started, cpu) = (Instant::now(), cpu_us(server)?);
    for batch in batches {
        apply(store, proposal, Lane(0), batch).await?;
    }
    per_vote(server, started, cpu, votes)
}

async fn measure_lanes(store: &Store, server: &RedisServer) -> Result<()> {
    server.flush_all()?;
    let (spread, handed) = (ProposalId::new([201; 32]), ProposalId::new([202; 32]));
    store.register(spread, RULES, LANES).await?;
    let before = memory(server)?;
    let mut next = [0; LANES as usize];
    for (turn, first) in (0..VOTERS).step_by(VOTERS_BATCH).enumerate() {
        // All of a batch go to one lane here, whoever they are: the store does not ask.
        let lane = turn % usize::from(LANES);
        let batch = batch(first, (VOTERS_BATCH as u64).min(VOTERS - first), next[lane], Kind::View);
        next[lane] = batch.next_offset;
        apply(store, spread, Lane(u16::try_from(lane)?), batch).await?;
    }
    print(format_args!("\n{VOTERS} single-choice voters"))?;
    print(format_args!("memory, {LANES} lanes         {:>8} bytes a voter", (memory(server)? - before) / VOTERS))?;
    let position = store.lane_position(spread, Lane(0)).await?;
    let view = time(async || store.view(spread).await.map(|_| ())).await?;
    let leaders = time(async || store.leaderboard(spread, None, 100).await.map(|_| ())).await?;
    print(format_args!("view                    {:>8.0} us", view * 1e6))?;
    print(format_args!("100 leaders             {:>8.0} us", leaders * 1e6))?;
    assert!(position.is_some(), "the lane was written");
    server.flush_all()?;

    store.register(handed, RULES, 1).await?;
    for first in (0..VOTERS).step_by(VOTERS_BATCH) {
        let count = (VOTERS_BATCH as u64).min(VOTERS - first);
        apply(store, handed, Lane(0), batch(first, count, first, Kind::View)).await?;
    }
    let (started, cpu) = (Instant::now(), cpu_us(server)?);
    let state = store.load_lane(handed, Lane(0)).await?.ok_or("the lane is lost")?;
    let (wall, cpu) = per_vote(server, started, cpu, MICROSECONDS)?;
    print(format_args!("load_lane, one lane     {wall:>8.2} s, of which Redis {cpu:.2} s"))?;
    let seen = Some(state.position);
    let (started, cpu) = (Instant::now(), cpu_us(server)?);
    let outcome = store.replace(handed, Lane(0), seen, state).await?;
    let (wall, cpu) = per_vote(server, started, cpu, MICROSECONDS)?;
    print(format_args!("replace, one lane       {wall:>8.2} s, of which Redis {cpu:.2} s"))?;
    if outcome == ApplyOutcome::Applied { Ok(()) } else { Err("fenced by nobody".into()) }
}

async fn apply(store: &Store, proposal: ProposalId, lane: Lane, batch: LaneBatch) -> Result<()> {
    match store.apply(proposal, lane, batch).await? {
        ApplyOutcome::Applied => Ok(()),
        ApplyOutcome::Fenced { .. } => Err("fenced by nobody".into()),
    }
}

/// First ballots of `count` voters, from number `first` on.
fn batch(first: u64, count: u64, from_offset: u64, kind: Kind) -> LaneBatch {
    let mut delta = TotalsDelta::empty(RULES);
    let mut standing: Vec<_> = (first..first + count).map(standing).collect();
    for (_, ballot) in &standing {
        delta.added.add(&RULES.contribution(&ballot.choice, ballot.power));
    }
    let mut places = Vec::new();
    if kind == Kind::Totals {
        standing.clear();
    } else {
        let blocks = first / PLACE_BLOCK_OFFSETS..=(first + count - 1) / PLACE_BLOCK_OFFSETS;
        places.extend(blocks.map(|block| PlaceBlock { partition: 0, block, bits: [block; PLACE_BLOCK_WORDS] }));
    }
    let counters = LaneCounters { counting: count, ..LaneCounters::default() };
    let (log, next_offset) = (LogIdentity([0; 16]), from_offset + count);
    LaneBatch { log, from_offset, next_offset, below_cut: false, delta, counters, standing, places }
}

/// A voter whose address, digest and power look random and differ from every other's.
fn standing(number: u64) -> (Voter, StandingBallot) {
    // Odd, so that multiplication permutes the 64-bit numbers.
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut address = [0; 20];
    address[..8].copy_from_slice(&scattered.to_be_bytes());
    let power = Power::from_units(U256::from(scattered) + U256::from(1)).expect("64 bits are a power");
    let choice = Choice::Single(u8::try_from(scattered % 4 + 1).expect("1 to 4"));
    let place = Place { partition: 0, offset: number };
    let ballot = StandingBallot { digest: Digest::new([7; 32]), signed_at_s: number, choice, power, place };
    (Voter::new(address), ballot)
}

fn per_vote(server: &RedisServer, started: Instant, cpu_before_us: f64, votes: u64) -> Result<(f64, f64)> {
    let wall_us = started.elapsed().as_secs_f64() * 1e6;
    Ok((wall_us / votes as f64, (cpu_us(server)? - cpu_before_us) / votes as f64))
}

/// The mean time of a read, s.
async fn time<E: Error + 'static>(mut read: impl AsyncFnMut() -> std::result::Result<(), E>) -> Result<f64> {
    const READS: u32 = 200;
    let started = Instant::now();
    for _ in 0..READS {
        read().await?;
    }
    Ok(started.elapsed().as_secs_f64() / f64::from(READS))
}

/// Redis's processor time so far, µs, of its own main thread.
fn cpu_us(server: &RedisServer) -> Result<f64> {
    let user = info(server, "cpu", "used_cpu_user_main_thread")?.parse::<f64>()?;
    let system = info(server, "cpu", "used_cpu_sys_main_thread")?.parse::<f64>()?;
    Ok((user + system) * 1e6)
}

fn memory(server: &RedisServer) -> Result<u64> {
    Ok(info(server, "memory", "used_memory")?.parse()?)
}

fn info(server: &RedisServer, section: &str, field: &str) -> Result<String> {
    let text = server.command(&["INFO", section])?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.map(|value| value.trim().to_owned()).ok_or_else(|| format!("Redis does not say {field}").into())
}

fn print(line: std::fmt::Arguments<'_>) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}
