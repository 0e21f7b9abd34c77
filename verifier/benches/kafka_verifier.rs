//! What a verdict costs on Kafka: records that lie in a topic are consumed, verified, their verdicts produced and the
//! progress committed, beside the same records verified in memory, batch by batch, with nothing else. Everything of this
//! process runs on one core, the broker on another; the two take turns.
//!
//! `cargo bench --profile dev -p pnyx-verifier --bench kafka_verifier`

use std::{
    error::Error,
    hint::black_box,
    io::{self, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use pnyx_backbone::{
    clock,
    log::{KafkaConfig, KafkaLog, Log, Topic, VERIFIER_GROUP},
    proposals::Proposals,
    shutdown::Shutdown,
    telemetry::Metrics,
};
use pnyx_bench_support::{ballot, cpu_time, load_average, median, single_choice};
use pnyx_core::{
    ballot::HashMemo,
    decisions::Decision,
    id::Place,
    power::Power,
    proposal::{Definition, Strategy},
    time::TimestampMs,
    wire,
};
use pnyx_testbed::{KafkaCluster, KafkaOptions};
use pnyx_verification::{BallotRecord, ListedPower, ProposalVerifier};
use pnyx_verifier::VerifierConfig;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::runtime::Runtime;

/// Ballots of a turn: more than a second of one core, so that joining the group weighs little.
const BALLOTS: u32 = 40_960;

/// Turns of each, after one that warms up; the median counts.
const TURNS: usize = 5;

/// Ballots that are verified together in memory, as many as a shard takes at most.
const BATCH: usize = 256;

const PARTITIONS: u32 = 4;
const LANES: u16 = 4;

/// How often to look whether everything is committed: seldom enough to cost nothing.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long a turn may take before the run is given up.
const TURN_LIMIT: Duration = Duration::from_secs(120);

/// The goal for the rate on Kafka relative to the one in memory.
const GOAL: f64 = 0.90;

fn main() -> Result<(), Box<dyn Error>> {
    let all = sched_getaffinity(None)?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).collect();
    // Whatever is started from here on stays on the core of whoever starts it.
    pin(*cores.last().ok_or("no core")?)?;
    let cluster = KafkaCluster::start(KafkaOptions::one().for_load())?;
    pin(cores[0])?;
    let runtime = Runtime::new()?;

    let opens_at = TimestampMs(clock::now().0 - 60_000);
    let proposal = single_choice(opens_at, vec![Strategy::Ticket(Power::ONE)]);
    let definition = Arc::new(Definition::new(proposal, LANES, PARTITIONS)?);
    let (id, signed_at_s) = (definition.proposal().id(), clock::now().0 / 1_000);
    let records: Vec<Vec<u8>> =
        (1..=BALLOTS).map(|voter| wire::record::encode(&ballot(id, voter.into(), signed_at_s))).collect();
    let (mut in_memory, mut on_kafka) = (Vec::new(), Vec::new());
    for turn in 0..=TURNS {
        let memory = verify_in_memory(&definition, &records);
        let kafka = runtime.block_on(verify_on_kafka(&cluster.bootstrap(), turn, &definition, &records))?;
        // The first round warms up.
        if turn > 0 {
            in_memory.push(memory);
            on_kafka.push(kafka);
        }
    }

    let mut out = io::stdout().lock();
    let bytes = records.iter().map(Vec::len).sum::<usize>() / records.len();
    writeln!(
        out,
        "{BALLOTS} records of {bytes} bytes a turn, median of {TURNS} turns, one core, load {}",
        load_average()?
    )?;
    writeln!(out, "µs a record                        CPU     whole   turns of CPU")?;
    let [memory, kafka] = [("record to verdict, in memory", &in_memory), ("the same from and to Kafka", &on_kafka)]
        .map(|(name, turns)| tell(&mut out, name, turns));
    let (memory, kafka) = (memory?, kafka?);
    writeln!(out, "rate on Kafka / in memory, by CPU  {:.3}   goal: at least {GOAL}", memory[0] / kafka[0])?;
    writeln!(out, "the same by the clock              {:.3}", memory[1] / kafka[1])?;
    Ok(())
}

/// Processor time and whole time of a turn.
type Took = [Duration; 2];

fn tell(out: &mut impl io::Write, name: &str, turns: &[Took]) -> io::Result<[f64; 2]> {
    let micros = |which: usize| -> Vec<f64> {
        turns.iter().map(|took| took[which].as_secs_f64() * 1e6 / f64::from(BALLOTS)).collect()
    };
    let [cpu, whole] = [0, 1].map(|which| median(micros(which)));
    let shown: Vec<String> = micros(0).iter().map(|one| format!("{one:.2}")).collect();
    writeln!(out, "{name:<30} {cpu:>8.2} {whole:>8.2}   {}", shown.join("  "))?;
    Ok([cpu, whole])
}

fn verify_in_memory(definition: &Arc<Definition>, records: &[Vec<u8>]) -> Took {
    let verifier = ProposalVerifier::new(Arc::clone(definition));
    let listed = ListedPower::of(definition.proposal());
    let appended_at = clock::now();
    let mut memo = HashMemo::default();
    let (cpu, started) = (cpu_time(), Instant::now());
    for (batch, offset) in records.chunks(BATCH).zip((0_u64..).step_by(BATCH)) {
        let batch = batch.iter().zip(offset..).map(|(bytes, offset)| BallotRecord {
            place: Place { partition: 0, offset },
            appended_at,
            bytes,
        });
        for record in batch {
            let judged = verifier.judge(record, &mut memo);
            let verdict = judged.weigh(record, |voter| pnyx_core::power::VoterPower::Known(listed.power(voter)));
            black_box(wire::verdict::encode(&verdict));
        }
    }
    [cpu_time() - cpu, started.elapsed()]
}

/// With topics of the turn's own.
async fn verify_on_kafka(
    bootstrap: &str,
    turn: usize,
    definition: &Arc<Definition>,
    records: &[Vec<u8>],
) -> Result<Took, Box<dyn Error>> {
    let config = KafkaConfig {
        topic_prefix: format!("turn-{turn}"),
        replication_factor: 1,
        min_insync_replicas: 1,
        allow_unsafe_durability: true,
        ..KafkaConfig::new(bootstrap)
    };
    let log = Log::Kafka(KafkaLog::open(config).await?);
    let shutdown = Shutdown::new();
    let proposals = Proposals::start(log.clone(), &shutdown).await?;
    let id = definition.proposal().id();
    let (ballots, verdicts) = (Topic::ballots(id), Topic::verdicts(id));
    log.ensure_topic(&ballots, PARTITIONS).await?;
    log.ensure_topic(&verdicts, LANES.into()).await?;
    for batch in records.chunks(BATCH) {
        let batch = batch.iter().zip((0..PARTITIONS).cycle()).map(|(record, to)| (to, record.clone()));
        log.append_batch(&ballots, batch.collect()).await?;
    }
    proposals.decide(Decision::Definition(Box::new(Definition::clone(definition)))).await?;

    let (cpu, started) = (cpu_time(), Instant::now());
    let (config, metrics) = (VerifierConfig::default(), Metrics::new());
    let verifier = {
        let (log, proposals, shutdown) = (log.clone(), proposals.clone(), shutdown.clone());
        tokio::spawn(async move {
            pnyx_verifier::run(config, log, pnyx_chains::Chains::none(), proposals, shutdown, &metrics).await
        })
    };
    while log.committed(&ballots, VERIFIER_GROUP).await?.iter().sum::<u64>() < u64::from(BALLOTS) {
        if started.elapsed() > TURN_LIMIT {
            return Err("not verified in time".into());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let took = [cpu_time() - cpu, started.elapsed()];
    let written: u64 = log.ends(&verdicts).await?.iter().sum();
    if written != u64::from(BALLOTS) {
        return Err(format!("{written} verdicts of {BALLOTS} records").into());
    }
    shutdown.trigger();
    verifier.await??;
    shutdown.drained(TURN_LIMIT).await?;
    log.close().await;
    Ok(took)
}

/// Keeps this thread, and those that it starts from now on, on one core.
fn pin(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}
