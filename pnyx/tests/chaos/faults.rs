//! The faults that are injected while ballots are sent.

use std::{
    thread,
    time::{Duration, Instant},
};

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use crate::common::{
    pipeline::{Pipeline, Role},
    raw,
};

/// Longer than the sessions of a group's member and of a broker, which end after 2 s in these tests, and than a copy may
/// stay behind, 3 s: the work goes to another.
const LONGER_THAN_SESSION_MS: std::ops::Range<u64> = 4_000..6_000;
/// How long something stays down or cut off.
const DOWN_MS: std::ops::Range<u64> = 200..2_500;
/// How long a network stays cut or silent.
const CUT_MS: std::ops::Range<u64> = 1_000..5_000;
/// How old the snapshot is from which Redis comes back.
const SNAPSHOT_AGE_MS: std::ops::Range<u64> = 1_500..4_000;
/// Partitions of the ballots topics after growing.
const PARTITIONS_GROWN: usize = 12;

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    KillIngest,
    KillVerifier,
    KillTally,
    KillRecount,
    KillBroker,
    KillRedis,
    /// A tally is stopped for longer than its session, then goes on: for a moment two own the same lanes.
    PauseTally,
    FlushRedis,
    OldRedis,
    GrowPartitions,
    /// A process is cut off from the brokers.
    CutKafka,
    /// As before, but nothing is refused: packets vanish.
    SilenceKafka,
    /// A process is cut off from Redis.
    CutRedis,
    /// A process is cut off from one of three brokers.
    CutOneBroker,
    /// One of three brokers is cut off from the others; clients reach all of them.
    IsolateBroker,
}

/// An injected fault.
pub(crate) struct Injected {
    /// What was hit, and for how long.
    pub(crate) detail: String,
    /// When it was over: from here recovery is measured.
    pub(crate) over_at: Instant,
    /// The process that was hit, if it was one.
    pub(crate) member: Option<usize>,
}

impl Fault {
    /// Every fault that there is with so many brokers.
    pub(crate) fn all(brokers: usize) -> Vec<Self> {
        let mut all = Self::ALWAYS.to_vec();
        if brokers > 1 {
            all.extend([Self::CutOneBroker, Self::IsolateBroker]);
        }
        all
    }

    const ALWAYS: [Self; 13] = [
        Self::KillIngest,
        Self::KillVerifier,
        Self::KillTally,
        Self::KillRecount,
        Self::KillBroker,
        Self::KillRedis,
        Self::PauseTally,
        Self::FlushRedis,
        Self::OldRedis,
        Self::GrowPartitions,
        Self::CutKafka,
        Self::SilenceKafka,
        Self::CutRedis,
    ];

    /// Its name in reports.
    pub(crate) const fn name(self, brokers: usize) -> &'static str {
        match self {
            Self::KillIngest => "kill -9 ingest",
            Self::KillVerifier => "kill -9 verifier",
            Self::KillTally => "kill -9 tally",
            Self::KillRecount => "kill -9 recount",
            Self::KillBroker if brokers == 1 => "kill -9 the broker",
            Self::KillBroker => "kill -9 one of three brokers",
            Self::KillRedis => "kill -9 Redis",
            Self::PauseTally => "tally paused beyond its session",
            Self::FlushRedis => "FLUSHALL",
            Self::OldRedis => "Redis from an old snapshot",
            Self::GrowPartitions => "partitions 2 to 12",
            Self::CutKafka => "process cut off from Kafka",
            Self::SilenceKafka => "Kafka silent for a process",
            Self::CutRedis => "process cut off from Redis",
            Self::CutOneBroker => "process cut off from one broker",
            Self::IsolateBroker => "broker cut off from the others",
        }
    }

    /// Injects it, and ends it.
    pub(crate) fn inject(self, pipeline: &mut Pipeline, topics: &[String], random: &mut ChaCha8Rng) -> Injected {
        match self {
            Self::KillIngest => kill(pipeline, Role::Ingest, random),
            Self::KillVerifier => kill(pipeline, Role::Verifier, random),
            Self::KillTally => kill(pipeline, Role::Tally, random),
            Self::KillRecount => kill(pipeline, Role::Recount, random),
            Self::KillBroker => kill_broker(pipeline, random),
            Self::KillRedis => {
                pipeline.redis.kill().unwrap();
                let down = pause(random, DOWN_MS);
                pipeline.redis.restart().unwrap();
                over(format!("down for {down:?}"), None)
            }
            Self::PauseTally => {
                let index = one_of(pipeline, Role::Tally, random);
                pipeline.process(index).sigstop().unwrap();
                let stopped = pause(random, LONGER_THAN_SESSION_MS);
                pipeline.process(index).sigcont().unwrap();
                over(format!("{} for {stopped:?}", pipeline.members[index].name), Some(index))
            }
            Self::FlushRedis => {
                pipeline.redis.flush_all().unwrap();
                over("with its functions".to_owned(), None)
            }
            Self::OldRedis => {
                let snapshot = pipeline.redis.snapshot().unwrap();
                let age = pause(random, SNAPSHOT_AGE_MS);
                pipeline.redis.restart_from(&snapshot).unwrap();
                over(format!("{age:?} old"), None)
            }
            Self::GrowPartitions => {
                let bootstrap = pipeline.kafka.bootstrap();
                topics.iter().for_each(|topic| raw::grow(&bootstrap, topic, PARTITIONS_GROWN));
                over(format!("of {} proposals", topics.len()), None)
            }
            Self::CutKafka | Self::SilenceKafka => cut_kafka(self, pipeline, random),
            Self::CutRedis => cut_redis(pipeline, random),
            Self::CutOneBroker => cut_one_broker(pipeline, random),
            Self::IsolateBroker => isolate_broker(pipeline, random),
        }
    }
}

fn over(detail: String, member: Option<usize>) -> Injected {
    Injected { detail, over_at: Instant::now(), member }
}

/// Lets a seeded time pass: the length of the fault is its point.
fn pause(random: &mut ChaCha8Rng, range_ms: std::ops::Range<u64>) -> Duration {
    let length = Duration::from_millis(random.random_range(range_ms));
    thread::sleep(length);
    length
}

fn one_of(pipeline: &Pipeline, role: Role, random: &mut ChaCha8Rng) -> usize {
    let members: Vec<usize> = pipeline.of(role).into_iter().filter(|index| pipeline.is_up(*index)).collect();
    members[random.random_range(0..members.len())]
}

fn kill(pipeline: &mut Pipeline, role: Role, random: &mut ChaCha8Rng) -> Injected {
    let index = one_of(pipeline, role, random);
    pipeline.kill(index);
    let down = pause(random, DOWN_MS);
    pipeline.spawn(index);
    over(format!("{} down for {down:?}", pipeline.members[index].name), Some(index))
}

fn kill_broker(pipeline: &Pipeline, random: &mut ChaCha8Rng) -> Injected {
    let node = random.random_range(1..=pipeline.shape.brokers);
    pipeline.kafka.kill(node).unwrap();
    let down = pause(random, DOWN_MS);
    pipeline.kafka.restart(node).unwrap();
    over(format!("node {node} down for {down:?} and its start"), None)
}

fn cut_kafka(fault: Fault, pipeline: &Pipeline, random: &mut ChaCha8Rng) -> Injected {
    let index = random.random_range(0..pipeline.shape.roles.len());
    let route = pipeline.kafka.route(index);
    if fault == Fault::CutKafka {
        route.cut()
    } else {
        route.stall().unwrap()
    }
    let cut = pause(random, CUT_MS);
    route.restore().unwrap();
    over(format!("{} for {cut:?}", pipeline.members[index].name), Some(index))
}

fn cut_one_broker(pipeline: &Pipeline, random: &mut ChaCha8Rng) -> Injected {
    let index = random.random_range(0..pipeline.shape.roles.len());
    let node = random.random_range(1..=pipeline.shape.brokers);
    let proxy = pipeline.kafka.route(index).proxy(node);
    let is_silent = random.random_bool(0.5);
    if is_silent {
        proxy.stall().unwrap()
    } else {
        proxy.cut()
    }
    let cut = pause(random, CUT_MS);
    proxy.restore().unwrap();
    let how = if is_silent { "silent" } else { "refused" };
    over(format!("node {node} {how} for {} for {cut:?}", pipeline.members[index].name), Some(index))
}

fn isolate_broker(pipeline: &Pipeline, random: &mut ChaCha8Rng) -> Injected {
    let node = random.random_range(1..=pipeline.shape.brokers);
    let is_silent = random.random_bool(0.5);
    if is_silent {
        pipeline.kafka.silence(node).unwrap();
    } else {
        pipeline.kafka.cut_off(node).unwrap();
    }
    let cut = pause(random, LONGER_THAN_SESSION_MS);
    pipeline.kafka.rejoin(node).unwrap();
    let how = if is_silent { "silent" } else { "refused" };
    over(format!("node {node} {how} for {cut:?}"), None)
}

fn cut_redis(pipeline: &Pipeline, random: &mut ChaCha8Rng) -> Injected {
    let with_redis: Vec<usize> = (0..pipeline.members.len())
        .filter(|index| pipeline.is_up(*index) && pipeline.members[*index].redis.is_some())
        .collect();
    let index = with_redis[random.random_range(0..with_redis.len())];
    let proxy = pipeline.members[index].redis.as_ref().unwrap();
    if random.random_bool(0.5) {
        proxy.cut()
    } else {
        proxy.stall().unwrap()
    }
    let cut = pause(random, CUT_MS);
    proxy.restore().unwrap();
    over(format!("{} for {cut:?}", pipeline.members[index].name), Some(index))
}
