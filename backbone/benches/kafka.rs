//! What it costs this process to have a record appended to Kafka: `Log::append` beside rdkafka's `FutureProducer` and
//! beside the least that librdkafka asks for, a bare producer whose callback counts. Processor time of the whole
//! process in user and kernel mode, librdkafka's threads included, the broker not. The candidates take turns, so that
//! a broker that gets warm or a machine that is busy changes all alike.
//!
//! `cargo bench --profile dev -p pnyx-backbone --bench kafka`

use std::{
    error::Error,
    future,
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use pnyx_backbone::log::{AppendTo, KafkaConfig, KafkaLog, Log, Topic};
use pnyx_bench_support::{cpu_time, load_average, median};
use pnyx_core::id::ProposalId;
use pnyx_testbed::{KafkaCluster, KafkaOptions};
use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseRecord, FutureProducer, FutureRecord, Producer as _, ProducerContext, ThreadedProducer},
    util::AsyncRuntime,
};
use tokio::runtime::Runtime;

/// A ballot record of Snapshot's shape has about this many bytes.
const RECORD_BYTES: usize = 600;

/// Partitions of each topic.
const PARTITIONS: u32 = 4;

/// Records of a turn as fast as they go.
const TURN_RECORDS: u64 = 100_000;

/// Seconds of a turn at a fixed rate.
const PACED_TURN_S: u64 = 2;

/// Rates a second of the paced turns.
const RATES: [u64; 2] = [1_000, 5_000];

/// Turns of each candidate, after one that warms up; the median counts.
const TURNS: usize = 7;

/// Appends that wait for their acknowledgement at the same time, as requests at an edge do.
const IN_FLIGHT: u64 = 2_000;

/// Sends to a full queue are tried again after this time.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(1);

/// How long a producer may take to deliver the rest.
const FLUSH_LIMIT: Duration = Duration::from_secs(30);

/// The goal for `Log::append` relative to `FutureProducer`.
const GOAL: f64 = 0.4;

/// Names, in the order of the turns.
const NAMES: [&str; 3] = ["bare producer, callback counts", "FutureProducer", "Log::append"];

fn main() -> Result<(), Box<dyn Error>> {
    let cluster = KafkaCluster::start(KafkaOptions::one().for_load())?;
    let runtime = Runtime::new()?;
    let candidates = Candidates::start(&runtime, &cluster.bootstrap())?;
    let mut out = io::stdout().lock();
    writeln!(out, "load before the run {}", load_average()?)?;
    writeln!(
        out,
        "records of {RECORD_BYTES} bytes, one broker, acks=all, idempotent; processor time of this process\n"
    )?;
    writeln!(out, "µs a record, median of {TURNS} turns of {TURN_RECORDS}, {IN_FLIGHT} in flight, as fast as they go")?;
    let times = compete(|candidate| candidates.burst(&runtime, candidate))?;
    let [_, future, ours] = tell(&mut out, &times)?;
    writeln!(out, "Log::append / FutureProducer    {:>8.2}   goal: at most {GOAL}\n", ours / future)?;
    for rate in RATES {
        writeln!(out, "µs a record, median of {TURNS} turns of {PACED_TURN_S} s, {rate} records/s")?;
        let times = compete(|candidate| candidates.paced(&runtime, candidate, rate))?;
        let [_, future, ours] = tell(&mut out, &times)?;
        writeln!(out, "Log::append / FutureProducer    {:>8.2}\n", ours / future)?;
    }
    writeln!(out, "load after the run {}", load_average()?)?;
    drop(candidates);
    Ok(())
}

/// Processor time and whole time a record in µs, of each candidate and turn.
type Times = [Vec<[f64; 2]>; NAMES.len()];

/// Gives each candidate its turns.
fn compete(mut turn: impl FnMut(usize) -> Result<u64, Box<dyn Error>>) -> Result<Times, Box<dyn Error>> {
    let mut times = Times::default();
    for round in 0..=TURNS {
        for (candidate, times) in times.iter_mut().enumerate() {
            let (cpu, started) = (cpu_time(), Instant::now());
            let records = turn(candidate)? as f64;
            let took = [cpu_time() - cpu, started.elapsed()].map(|time| time.as_secs_f64() * 1e6 / records);
            // The first round warms up.
            if round > 0 {
                times.push(took);
            }
        }
    }
    Ok(times)
}

/// Prints the medians; gives those of the processor time.
fn tell(out: &mut impl io::Write, times: &Times) -> io::Result<[f64; NAMES.len()]> {
    let mut medians = [0.0; NAMES.len()];
    for ((name, turns), of_cpu) in NAMES.iter().zip(times).zip(&mut medians) {
        let [cpu, whole] = [0, 1].map(|which| median(turns.iter().map(|turn| turn[which]).collect()));
        *of_cpu = cpu;
        let shown: Vec<String> = turns.iter().map(|turn| format!("{:.2}", turn[0])).collect();
        writeln!(out, "{name:<31} {cpu:>8.2}   records/s {:>8.0}   turns {}", 1e6 / whole, shown.join("  "))?;
    }
    Ok(medians)
}

struct Candidates {
    record: Arc<[u8]>,
    topic: Topic,
    bare: ThreadedProducer<Counting>,
    future: FutureProducer<rdkafka::client::DefaultClientContext, NoRuntime>,
    log: Log,
}

impl Candidates {
    fn start(runtime: &Runtime, bootstrap: &str) -> Result<Self, Box<dyn Error>> {
        let config = KafkaConfig {
            replication_factor: 1,
            min_insync_replicas: 1,
            allow_unsafe_durability: true,
            ..KafkaConfig::new(bootstrap)
        };
        let linger_ms = config.linger.as_secs_f64() * 1e3;
        let topic = Topic::ballots(ProposalId::new([1; 32]));
        let log = runtime.block_on(async {
            let log = Log::Kafka(KafkaLog::open(config).await?);
            log.ensure_topic(&topic, PARTITIONS).await?;
            Ok::<_, Box<dyn Error>>(log)
        })?;
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", bootstrap)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", linger_ms.to_string())
            .set("queue.buffering.max.messages", "1000000");
        // Every byte differs from its neighbours, so that compression does not make one candidate cheap.
        let record = (0..251_u8).cycle().step_by(167).take(RECORD_BYTES).collect();
        let bare = client.create_with_context(Counting::default())?;
        Ok(Self { record, topic, bare, future: client.create()?, log })
    }

    /// As many as a turn has, as fast as they go; how many that were.
    fn burst(&self, runtime: &Runtime, candidate: usize) -> Result<u64, Box<dyn Error>> {
        if candidate == 0 {
            return self.burst_bare();
        }
        let appends = TURN_RECORDS / IN_FLIGHT;
        let tasks: Vec<_> = (0..IN_FLIGHT)
            .map(|_| {
                let appender = self.appender(candidate);
                runtime.spawn(async move {
                    for _ in 0..appends {
                        appender.append().await;
                    }
                })
            })
            .collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.expect("appends do not panic");
            }
        });
        Ok(appends * IN_FLIGHT)
    }

    fn burst_bare(&self) -> Result<u64, Box<dyn Error>> {
        for _ in 0..TURN_RECORDS {
            while !self.send_bare()? {
                thread::sleep(QUEUE_FULL_PAUSE);
            }
        }
        self.wait_bare()?;
        Ok(TURN_RECORDS)
    }

    /// Each append a task of its own that is started when its time has come.
    fn paced(&self, runtime: &Runtime, candidate: usize, rate: u64) -> Result<u64, Box<dyn Error>> {
        let records = rate * PACED_TURN_S;
        // Sleeps are rounded up to a millisecond, after which what has come due is sent.
        let (tick, started) = (Duration::from_millis(1), Instant::now());
        let (mut sent, mut tasks) = (0, Vec::new());
        while sent < records {
            let due =
                records.min(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX) * rate / 1_000_000 + 1);
            while sent < due {
                sent += 1;
                if candidate == 0 {
                    self.send_bare()?;
                } else {
                    let appender = self.appender(candidate);
                    tasks.push(runtime.spawn(async move { appender.append().await }));
                }
            }
            thread::sleep(tick);
        }
        self.wait_bare()?;
        runtime.block_on(async {
            for task in tasks {
                task.await.expect("appends do not panic");
            }
        });
        Ok(records)
    }

    fn appender(&self, candidate: usize) -> Appender {
        let (record, topic) = (Arc::clone(&self.record), self.topic.clone());
        let through =
            if candidate == 1 { Through::Future(self.future.clone()) } else { Through::Log(self.log.clone()) };
        Appender { record, topic, through }
    }

    /// Sends one record; `false` if the queue is full.
    fn send_bare(&self) -> Result<bool, KafkaError> {
        let record = BaseRecord::<(), [u8]>::to(self.topic.name()).payload(&self.record);
        match self.bare.send(record) {
            Ok(()) => Ok(true),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((error, _)) => Err(error),
        }
    }

    fn wait_bare(&self) -> Result<(), Box<dyn Error>> {
        self.bare.flush(FLUSH_LIMIT)?;
        let failed = self.bare.context().failed.load(Ordering::Relaxed);
        if failed == 0 { Ok(()) } else { Err(format!("{failed} records were not delivered").into()) }
    }
}

/// One task's way to Kafka.
struct Appender {
    record: Arc<[u8]>,
    topic: Topic,
    through: Through,
}

enum Through {
    Future(FutureProducer<rdkafka::client::DefaultClientContext, NoRuntime>),
    Log(Log),
}

impl Appender {
    async fn append(&self) {
        match &self.through {
            Through::Future(producer) => {
                let record = FutureRecord::<(), [u8]>::to(self.topic.name()).payload(&self.record);
                let sent = producer.send_result(record).map_err(|(error, _)| error).expect("the queue has room");
                sent.await.expect("the producer stays").map_err(|(error, _)| error).expect("it is delivered");
            }
            Through::Log(log) => {
                let appended = log.append(&self.topic, AppendTo::Any, self.record.to_vec()).await;
                appended.expect("it is durable");
            }
        }
    }
}

/// Counts what could not be delivered, and does nothing else.
#[derive(Default)]
struct Counting {
    failed: AtomicU64,
}

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// `FutureProducer` asks for a runtime only to wait when its queue is full, which never happens here.
struct NoRuntime;

impl AsyncRuntime for NoRuntime {
    type Delay = future::Ready<()>;

    fn spawn<T: Future<Output = ()> + Send + 'static>(_: T) {
        unreachable!("a producer spawns nothing");
    }

    fn delay_for(_: Duration) -> Self::Delay {
        future::ready(())
    }
}
