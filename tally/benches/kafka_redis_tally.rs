//! What a verdict costs the tally on Kafka and Redis, until the store has it: verdicts that another process appends as fast
//! as it can, which the owners of the lanes consume, fold and apply batch by batch; and verdicts that lie in the topic
//! before the owners come, which are folded first and written as whole lanes. Told are processor time of the tally's
//! process and of Redis, both in user and kernel mode, and the whole time. Every turn has a log and keys of its own.
//!
//! `cargo bench --profile dev -p pnyx-tally --bench kafka_redis_tally`

use std::{
    env,
    error::Error,
    io::{self, Write as _},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use pnyx_backbone::{
    clock,
    log::{KafkaConfig, KafkaLog, Log, Topic},
    proposals::Proposals,
    shutdown::Shutdown,
    store::{RedisAddress, RedisConfig, RedisStore, Store},
    telemetry::Metrics,
};
use pnyx_bench_support::{cpu_time, cpu_time_of, load_average, median, single_choice};
use pnyx_chains::Chains;
use pnyx_core::{
    choice::Choice,
    decisions::Decision,
    id::{Digest, Lane, Place, Voter},
    power::Power,
    proposal::{Definition, Strategy},
    time::TimestampMs,
    verdict::{CountingBallot, Ruling, Verdict},
    wire,
};
use pnyx_testbed::{KafkaCluster, KafkaOptions, RedisOptions, RedisServer};
use tokio::runtime::Runtime;

/// Verdicts of a turn, each of another voter, which is the costlier kind: everything grows.
const VERDICTS: u64 = 400_000;

/// Turns, after one that warms up; the median counts.
const TURNS: usize = 5;

/// Verdicts that are appended at once.
const APPEND_BATCH: usize = 4_096;

const LANES: u16 = 4;
const PARTITIONS: u32 = 4;

/// How often to look whether everything is in the store: seldom enough to cost nothing.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long a turn may take before the run is given up.
const TURN_LIMIT: Duration = Duration::from_secs(120);

/// The goal: verdicts a second of one core.
const GOAL: f64 = 200_000.0;

/// The first argument of a process that appends; the addresses of the brokers and the prefix of the topics follow.
const APPEND: &str = "--append";

/// How long owners take up their lanes, before anything is appended: joining a group takes a second or two.
const OWNED_WAIT: Duration = Duration::from_secs(4);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, bootstrap, prefix] = arguments.as_slice()
        && first == APPEND
    {
        return Runtime::new()?.block_on(append(kafka_config(bootstrap, prefix)));
    }
    let cluster = KafkaCluster::start(KafkaOptions::one().for_load())?;
    let redis = RedisServer::start(RedisOptions::new())?;
    let runtime = Runtime::new()?;
    let mut out = io::stdout().lock();
    writeln!(out, "{VERDICTS} verdicts of as many voters in {LANES} lanes, {TURNS} turns, load {}", load_average()?)?;
    for (is_preloaded, name) in [(false, "appended while they are counted"), (true, "appended before they are counted")]
    {
        let mut turns = Vec::new();
        for turn in 0..=TURNS {
            let prefix = format!("turn-{turn}-{is_preloaded}");
            let took = runtime.block_on(count(&cluster.bootstrap(), &redis, &prefix, is_preloaded))?;
            // The first round warms up.
            if turn > 0 {
                turns.push(took);
            }
        }
        writeln!(out, "\n{name}; µs a verdict\n                              median   turns")?;
        let tally = tell(&mut out, "processor time of the tally", &turns, |took| took.tally)?;
        tell(&mut out, "processor time of Redis", &turns, |took| took.redis)?;
        tell(&mut out, "whole time", &turns, |took| took.whole)?;
        writeln!(out, "verdicts/s a core of the tally  {:.0}   goal: at least {GOAL}", 1e6 / tally)?;
    }
    writeln!(out, "load after the run {}", load_average()?)?;
    Ok(())
}

fn kafka_config(bootstrap: &str, prefix: &str) -> KafkaConfig {
    KafkaConfig {
        topic_prefix: prefix.to_owned(),
        replication_factor: 1,
        min_insync_replicas: 1,
        allow_unsafe_durability: true,
        ..KafkaConfig::new(bootstrap)
    }
}

/// What a turn took.
struct Took {
    tally: Duration,
    redis: Duration,
    whole: Duration,
}

fn tell(out: &mut impl io::Write, name: &str, turns: &[Took], value: impl Fn(&Took) -> Duration) -> io::Result<f64> {
    let micros: Vec<f64> = turns.iter().map(|took| value(took).as_secs_f64() * 1e6 / VERDICTS as f64).collect();
    let shown: Vec<String> = micros.iter().map(|one| format!("{one:.2}")).collect();
    let median = median(micros);
    writeln!(out, "{name:<28} {median:>7.2}   {}", shown.join("  "))?;
    Ok(median)
}

async fn count(bootstrap: &str, redis: &RedisServer, prefix: &str, is_preloaded: bool) -> Result<Took, Box<dyn Error>> {
    redis.command(&["FLUSHALL"])?;
    let strategy = Strategy::Ticket(Power::parse("1250.5").expect("a power"));
    let proposal = single_choice(TimestampMs(clock::now().0 - 60_000), vec![strategy]);
    let definition = Definition::new(proposal, LANES, PARTITIONS)?;
    let id = definition.proposal().id();
    let log = Log::Kafka(KafkaLog::open(kafka_config(bootstrap, prefix)).await?);
    let address = RedisAddress::Single(redis.address().parse()?);
    let store = Store::Redis(RedisStore::connect(RedisConfig::new(address)).await?);
    let shutdown = Shutdown::new();
    let proposals = Proposals::start(log.clone(), &shutdown).await?;
    log.ensure_topic(&Topic::ballots(id), PARTITIONS).await?;
    log.ensure_topic(&Topic::verdicts(id), LANES.into()).await?;
    proposals.decide(Decision::Definition(Box::new(definition))).await?;
    let run = || {
        let config = pnyx_tally::Config::default();
        pnyx_tally::run(
            config,
            log.clone(),
            store.clone(),
            Chains::none(),
            proposals.clone(),
            &shutdown,
            &Metrics::new(),
        )
    };
    let tally = if is_preloaded {
        appender(bootstrap, prefix).await?;
        None
    } else {
        let tally = run();
        tokio::time::sleep(OWNED_WAIT).await;
        Some(tally)
    };
    let (before, redis_before, started) = (cpu_time(), redis_cpu_time(redis)?, Instant::now());
    let appending = (!is_preloaded).then(|| appender(bootstrap, prefix));
    let tally = tally.unwrap_or_else(run);
    if let Some(appending) = appending {
        appending.await?;
    }
    loop {
        let view = store.view(id).await.ok().flatten();
        let counted = view.map_or(0, |view| view.counters.counting);
        if counted == VERDICTS {
            break;
        }
        if started.elapsed() > TURN_LIMIT {
            return Err(format!("{counted} counted in time").into());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let whole = started.elapsed();
    let took = Took { tally: cpu_time() - before, redis: redis_cpu_time(redis)? - redis_before, whole };
    shutdown.trigger();
    shutdown.drained(TURN_LIMIT).await?;
    drop(tally);
    log.close().await;
    Ok(took)
}

/// Runs a process that appends all verdicts.
async fn appender(bootstrap: &str, prefix: &str) -> Result<(), Box<dyn Error>> {
    let mut command = Command::new(env::current_exe()?);
    command.args([APPEND, bootstrap, prefix]);
    let status: ExitStatus = tokio::task::spawn_blocking(move || command.status()).await??;
    if status.success() { Ok(()) } else { Err(format!("appending ended with {status}").into()) }
}

/// Appends all verdicts for the one proposal that the log has.
async fn append(config: KafkaConfig) -> Result<(), Box<dyn Error>> {
    let log = Log::Kafka(KafkaLog::open(config).await?);
    let shutdown = Shutdown::new();
    let proposals = Proposals::start(log.clone(), &shutdown).await?;
    let id = *proposals.book().proposals().keys().next().ok_or("the log has no proposal")?;
    let topic = Topic::verdicts(id);
    let mut batch = Vec::with_capacity(APPEND_BATCH);
    for number in 0..VERDICTS {
        let verdict = verdict(number);
        let Lane(lane) = verdict.lane(LANES);
        batch.push((u32::from(lane), wire::verdict::encode(&verdict)));
        if batch.len() == APPEND_BATCH || number + 1 == VERDICTS {
            log.append_batch(&topic, std::mem::take(&mut batch)).await?;
        }
    }
    shutdown.trigger();
    shutdown.drained(TURN_LIMIT).await?;
    log.close().await;
    Ok(())
}

/// On the ballot that lies where it would if ballots were spread evenly.
fn verdict(number: u64) -> Verdict {
    let (mut address, mut digest) = ([0; 20], [0; 32]);
    address[..8].copy_from_slice(&mix(number).to_be_bytes());
    digest[..8].copy_from_slice(&mix(number ^ 1 << 40).to_be_bytes());
    let choice = Choice::Single(u8::try_from(mix(number + 1) % 3).expect("below 3") + 1);
    let partition = u32::try_from(number % u64::from(PARTITIONS)).expect("few partitions");
    Verdict {
        place: Place { partition, offset: number / u64::from(PARTITIONS) },
        appended_at: clock::now(),
        ruling: Ruling::Counts(CountingBallot {
            voter: Voter::new(address),
            digest: Digest::new(digest),
            signed_at_s: clock::now().0 / 1_000,
            choice,
            power: Power::parse("1250.5").expect("a power"),
        }),
    }
}

/// SplitMix64's finaliser: spreads numbers evenly, the same in every run.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn redis_cpu_time(redis: &RedisServer) -> Result<Duration, Box<dyn Error>> {
    let id = redis.process_id().ok_or("the Redis is not ours, so its processor time is not known")?;
    Ok(cpu_time_of(id)?)
}
