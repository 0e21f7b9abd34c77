//! What an acknowledgement costs on Kafka: `POST /` beside the least that any handler would do, which parses the ballot,
//! hands it to a librdkafka producer and answers when the delivery callback says so. Both are servers in processes of
//! their own with the same producer settings; they take turns, so that broker, disk and neighbours are the same for both.
//! Latencies count from the intended time of sending, processor time is that of the server's process alone.
//!
//! `cargo bench --profile dev -p pnyx-ingest --bench edge_kafka -- one` measures with one broker only, `three` with three.

mod load;

use std::{
    env,
    error::Error,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::post,
};
use pnyx_backbone::{
    log::{KafkaConfig, KafkaLog, Log, Topic},
    proposals::Proposals,
    shutdown::Shutdown,
    telemetry::Metrics,
};
use pnyx_bench_support::{cpu_time_of, load_average, median};
use pnyx_core::{decisions::Decision, id::ProposalId, proposal::Definition};
use pnyx_ingest::{Ingest, IngestConfig, PlatformKey};
use pnyx_testbed::{KafkaCluster, KafkaOptions};
use rdkafka::{
    ClientConfig, ClientContext,
    message::{DeliveryResult, Message as _},
    producer::{BaseRecord, ProducerContext, ThreadedProducer},
};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};

use load::{BareAnswer, BareEnvelope, Candidate, TURN, TURNS, Turn, ballots, http, millis, proposal, run};

/// Requests a second.
const RATES: [u32; 3] = [1_000, 2_000, 5_000];

/// Connections, each a thread with one request at a time: enough for 5,000 requests a second of 12 ms each.
const CONNECTIONS: u32 = 64;

const PARTITIONS: u32 = 4;

/// Goals for `POST /` relative to the bare handler: p99 and processor time.
const GOALS: [f64; 2] = [1.3, 1.25];

/// Names of the two servers, which are also their arguments.
const SERVERS: [&str; 2] = ["bare handler", "POST /"];

/// The first argument of a process that serves.
const SERVE: &str = "--serve";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, server, bootstrap, brokers, rest @ ..] = arguments.as_slice()
        && first == SERVE
    {
        return serve(server, bootstrap, brokers.parse()?, rest);
    }
    let wanted = |name: &str| arguments.iter().all(|it| it.starts_with('-')) || arguments.iter().any(|it| it == name);
    if wanted("one") {
        measure(KafkaOptions::one(), 1)?;
    }
    if wanted("three") {
        measure(KafkaOptions::three(), 3)?;
    }
    Ok(())
}

fn measure(options: KafkaOptions, brokers: u16) -> Result<(), Box<dyn Error>> {
    let cluster = KafkaCluster::start(options.for_load())?;
    let (edge, id) = Server::start(SERVERS[1], &cluster.bootstrap(), brokers, None)?;
    let (bare, _) = Server::start(SERVERS[0], &cluster.bootstrap(), brokers, Some(&id))?;
    let bodies = ballots(id.parse()?);
    let servers = [bare, edge];
    let candidates = [0, 1].map(|server| http(SERVERS[server], servers[server].address, &bodies));
    let mut out = io::stdout().lock();
    let bytes = bodies.iter().map(Vec::len).sum::<usize>() / bodies.len();
    writeln!(
        out,
        "{brokers} broker(s), {CONNECTIONS} connections, ballots of {bytes} bytes, medians of {TURNS} turns"
    )?;
    writeln!(out, "of {} s after one that warms up; ms from the intended time of sending\n", TURN.as_secs())?;
    writeln!(out, "rate/s  server            p50      p99    p99.9    worst   µs of CPU  failed   load")?;
    for rate in RATES {
        let mut cells = SERVERS.map(|_| Cell::default());
        for round in 0..=TURNS {
            for (server, cell) in cells.iter_mut().enumerate() {
                let before = servers[server].cpu_time()?;
                let turn = run(&candidates[server], CONNECTIONS, rate)?;
                // The first round warms up.
                if round > 0 {
                    cell.note(&turn, servers[server].cpu_time()?.saturating_sub(before));
                }
            }
        }
        tell(&mut out, rate, &candidates, &cells)?;
    }
    Ok(())
}

fn tell(
    out: &mut impl io::Write,
    rate: u32,
    candidates: &[Candidate; SERVERS.len()],
    cells: &[Cell; SERVERS.len()],
) -> io::Result<()> {
    let load = load_average()?;
    let medians = cells.each_ref().map(|cell| cell.quantiles.each_ref().map(|turns| median(turns.clone())));
    let cpus = cells.each_ref().map(Cell::cpu_micros);
    for (((candidate, cell), [p50, p99, p999]), cpu) in candidates.iter().zip(cells).zip(medians).zip(cpus) {
        let name = candidate.name;
        let (worst, failed) = (cell.worst, cell.failed);
        writeln!(
            out,
            "{rate:6}  {name:<12} {p50:8.2} {p99:8.2} {p999:8.2} {worst:8.2} {cpu:11.1} {failed:7}   {load}"
        )?;
    }
    let ratios = [medians[1][1] / medians[0][1], cpus[1] / cpus[0]];
    writeln!(
        out,
        "{rate:6}  p99 ratio {:.2} (goal: at most {}), CPU ratio {:.2} (goal: at most {})\n",
        ratios[0], GOALS[0], ratios[1], GOALS[1]
    )
}

/// One server at one rate: p50, p99 and p99.9 in milliseconds by turn.
#[derive(Default)]
struct Cell {
    quantiles: [Vec<f64>; 3],
    worst: f64,
    failed: u64,
    requests: u64,
    cpu: Duration,
}

impl Cell {
    fn note(&mut self, turn: &Turn, cpu: Duration) {
        for (turns, quantile) in self.quantiles.iter_mut().zip([0.5, 0.99, 0.999]) {
            turns.push(millis(turn.latencies.value_at_quantile(quantile)));
        }
        self.worst = self.worst.max(millis(turn.latencies.max()));
        self.failed += turn.failed;
        self.requests += turn.latencies.len();
        self.cpu += cpu;
    }

    /// Over all turns, since the kernel counts in hundredths of a second.
    #[expect(clippy::cast_precision_loss, reason = "requests of a few minutes")]
    fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }
}

/// A server in a process of its own, which ends when its standard input does.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts one and waits until it says where it listens and what its ballots are for.
    fn start(
        name: &str,
        bootstrap: &str,
        brokers: u16,
        proposal: Option<&str>,
    ) -> Result<(Self, String), Box<dyn Error>> {
        let mut command = Command::new(env::current_exe()?);
        command.args([SERVE, name, bootstrap, &brokers.to_string()]).args(proposal);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().expect("its output is a pipe");
        // Made first, so that the process ends with it whatever comes next.
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let (address, id) = line.trim().split_once(' ').ok_or_else(|| format!("{name} said {line:?}"))?;
        server.address = address.parse()?;
        Ok((server, id.to_owned()))
    }

    /// Processor time that it has used.
    fn cpu_time(&self) -> io::Result<Duration> {
        cpu_time_of(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves in this process until standard input ends.
fn serve(server: &str, bootstrap: &str, brokers: u16, proposal: &[String]) -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new()?;
    let directory = tempfile::tempdir()?;
    let config = kafka_config(bootstrap, brokers);
    let (router, id) = match proposal {
        [] if server == SERVERS[1] => runtime.block_on(edge(config, directory.path()))?,
        [id] => (bare(&config, id)?, id.clone()),
        _ => return Err(format!("no server {server:?}").into()),
    };
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    writeln!(io::stdout().lock(), "{} {id}", listener.local_addr()?)?;
    runtime.spawn(axum::serve(listener, router).into_future());
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// The settings of production, as far as the number of brokers lets them.
fn kafka_config(bootstrap: &str, brokers: u16) -> KafkaConfig {
    let config = KafkaConfig::new(bootstrap);
    if brokers >= config.replication_factor {
        return config;
    }
    KafkaConfig { replication_factor: brokers, min_insync_replicas: 1, allow_unsafe_durability: true, ..config }
}

async fn edge(config: KafkaConfig, directory: &std::path::Path) -> Result<(Router, String), Box<dyn Error>> {
    let log = Log::Kafka(KafkaLog::open(config).await?);
    let shutdown = Shutdown::new();
    let proposals = Proposals::start(log.clone(), &shutdown).await?;
    let key = PlatformKey::load_or_create(directory)?;
    let ingest =
        Ingest::start(IngestConfig::default(), log.clone(), &proposals, key, &shutdown, &Metrics::new()).await?;
    let definition = Definition::new(proposal(), 4, PARTITIONS)?;
    let id = definition.proposal().id();
    proposals.decide(Decision::Definition(Box::new(definition))).await?;
    log.ensure_topic(&Topic::ballots(id), PARTITIONS).await?;
    log.ensure_topic(&bare_topic(id), PARTITIONS).await?;
    Ok((pnyx_ingest::router(ingest), id.to_string()))
}

/// A topic of the same shape, so that the two servers do not share one.
fn bare_topic(id: ProposalId) -> Topic {
    let mut other = *id.as_bytes();
    other[0] ^= 1;
    Topic::ballots(ProposalId::new(other))
}

fn bare(config: &KafkaConfig, id: &str) -> Result<Router, Box<dyn Error>> {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.bootstrap_servers)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", (config.linger.as_secs_f64() * 1e3).to_string());
    let producer = client.create_with_context(Waking)?;
    let topic = bare_topic(id.parse()?);
    let bare = Bare { producer: Arc::new(producer), topic: topic.name().into() };
    Ok(Router::new().route("/", post(bare_handler)).with_state(bare))
}

/// What the bare handler needs.
#[derive(Clone)]
struct Bare {
    producer: Arc<ThreadedProducer<Waking>>,
    topic: Arc<str>,
}

async fn bare_handler(State(bare): State<Bare>, body: Bytes) -> Response {
    let Ok(envelope) = serde_json::from_slice::<BareEnvelope>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let (sender, delivered) = oneshot::channel();
    let record = BaseRecord::<(), [u8], _>::with_opaque_to(&bare.topic, Box::new(sender)).payload(&*body);
    if bare.producer.send(record).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match delivered.await {
        Ok(Some(_)) => axum::Json(BareAnswer::from(envelope)).into_response(),
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Wakes the request whose record was delivered.
struct Waking;

impl ClientContext for Waking {}

impl ProducerContext for Waking {
    type DeliveryOpaque = Box<oneshot::Sender<Option<i64>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, request: Self::DeliveryOpaque) {
        let offset = result.as_ref().ok().map(|message| message.offset());
        // A client that has gone needs no answer.
        let _ = request.send(offset);
    }
}
