//! What an acknowledgement costs: `POST /` beside its two floors of the same run, a bare axum handler and the log's own
//! append, at fixed rates from the intended time of sending.

use std::{
    error::Error,
    io::{self, BufRead as _, BufReader, Read as _, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use axum::{Json, Router, routing::post};
use hdrhistogram::Histogram;
use pnyx_backbone::{
    clock,
    log::{AppendTo, EmbeddedLog, Log, Topic},
    proposals::Proposals,
    shutdown::Shutdown,
    telemetry::Metrics,
};
use pnyx_core::{
    ballot::compose,
    decisions::Decision,
    id::ProposalId,
    power::Power,
    proposal::{Abstentions, Definition, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
    signing::SigningKey,
    time::{TimestampMs, Window},
    wire,
};
use pnyx_ingest::{Ingest, IngestConfig, PlatformKey};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, runtime::Runtime};

/// Requests a second.
const RATES: [u32; 2] = [1_000, 5_000];

/// Connections, each a thread with one request at a time.
const CONNECTIONS: u32 = 32;

/// How long a turn lasts.
const TURN: Duration = Duration::from_secs(2);

/// How often each candidate has its turn: short and many, so that a noisy machine disturbs all alike.
const TURNS: usize = 11;

/// Signed ballots that are sent over and over: resending makes new records.
const BALLOTS: u64 = 2_048;

const PARTITIONS: u32 = 4;
const SPACE: &str = "grants.example.eth";

/// Does one request: the intended number of it in, whether it succeeded out.
type Requester = Box<dyn FnMut(usize) -> io::Result<bool> + Send>;

/// Something to be measured: makes a requester for each connection.
struct Candidate {
    name: &'static str,
    connect: Box<dyn Fn() -> io::Result<Requester>>,
}

#[derive(Deserialize)]
struct BareEnvelope {
    address: String,
    sig: String,
    data: BareData,
}

#[derive(Deserialize)]
struct BareData {
    message: BareMessage,
}

#[derive(Deserialize)]
struct BareMessage {
    proposal: String,
    timestamp: u64,
}

#[derive(Serialize)]
struct BareAnswer {
    id: String,
    bytes: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    // On the disk of the build, where a sync costs what it costs.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let runtime = Runtime::new()?;
    let log = Log::Embedded(EmbeddedLog::open(dir.path())?);
    let (edge, id) = runtime.block_on(serve_edge(log.clone(), dir.path()))?;
    let bare = runtime.block_on(serve(Router::new().route("/", post(bare_handler))))?;
    let bodies: Arc<Vec<Vec<u8>>> = Arc::new((1..=BALLOTS).map(|number| ballot(id, number)).collect());
    let candidates =
        [http("bare axum handler", bare, &bodies), append(&runtime, &log, id, &bodies)?, http("POST /", edge, &bodies)];

    let mut out = io::stdout().lock();
    let bytes = bodies.iter().map(Vec::len).sum::<usize>() / bodies.len();
    writeln!(out, "{CONNECTIONS} connections, ballots of {bytes} bytes, {TURNS} turns of {} s;", TURN.as_secs())?;
    writeln!(out, "ms from the intended time of sending: medians over the turns, and the worst of all\n")?;
    writeln!(out, "rate/s  candidate                 p50      p99    worst  failed")?;
    for rate in RATES {
        let mut cells = candidates.each_ref().map(|_| Cell::default());
        for _ in 0..TURNS {
            for (candidate, cell) in candidates.iter().zip(&mut cells) {
                cell.note(&run(candidate, rate)?);
            }
        }
        for (candidate, cell) in candidates.iter().zip(&mut cells) {
            let [p50, p99] = [&mut cell.p50, &mut cell.p99].map(|turns| median(turns));
            let name = candidate.name;
            writeln!(out, "{rate:6}  {name:<20} {p50:8.2} {p99:8.2} {:8.2} {:7}", cell.worst, cell.failed)?;
        }
        let [bare, append, edge] = cells.each_mut().map(|cell| median(&mut cell.p99));
        writeln!(
            out,
            "{rate:6}  p99 of POST / {edge:.2}   goal: at most {:.2} = both floors + 1\n",
            bare + append + 1.0
        )?;
    }
    Ok(())
}

/// One candidate at one rate, in milliseconds by turn.
#[derive(Default)]
struct Cell {
    p50: Vec<f64>,
    p99: Vec<f64>,
    worst: f64,
    failed: u64,
}

impl Cell {
    fn note(&mut self, (latencies, failed): &(Histogram<u64>, u64)) {
        self.p50.push(millis(latencies.value_at_quantile(0.5)));
        self.p99.push(millis(latencies.value_at_quantile(0.99)));
        self.worst = self.worst.max(millis(latencies.max()));
        self.failed += failed;
    }
}

fn median(turns: &mut [f64]) -> f64 {
    turns.sort_unstable_by(f64::total_cmp);
    turns[turns.len() / 2]
}

/// Sends at the rate, whatever the answers do: a request that must wait for its connection is late from the start.
fn run(candidate: &Candidate, rate: u32) -> Result<(Histogram<u64>, u64), Box<dyn Error>> {
    let requesters = (0..CONNECTIONS).map(|_| (candidate.connect)()).collect::<io::Result<Vec<_>>>()?;
    let interval = Duration::from_secs(1) / rate;
    let each = rate * u32::try_from(TURN.as_secs())? / CONNECTIONS;
    let start = Instant::now() + Duration::from_millis(50);
    let threads: Vec<_> = (0..CONNECTIONS)
        .zip(requesters)
        .map(|(connection, mut request)| {
            thread::spawn(move || -> io::Result<_> {
                let (mut latencies, mut failed) = (histogram(), 0);
                for turn in 0..each {
                    let number = turn * CONNECTIONS + connection;
                    let intended = start + interval * number;
                    thread::sleep(intended.saturating_duration_since(Instant::now()));
                    failed += u64::from(!request(number as usize)?);
                    let micros = u64::try_from(intended.elapsed().as_micros()).unwrap_or(u64::MAX);
                    latencies.saturating_record(micros);
                }
                Ok((latencies, failed))
            })
        })
        .collect();
    let (mut latencies, mut failed) = (histogram(), 0);
    for thread in threads {
        let (of_thread, failed_of_thread) = thread.join().expect("a thread that sends does not panic")?;
        latencies.add(of_thread)?;
        failed += failed_of_thread;
    }
    Ok((latencies, failed))
}

/// Microseconds up to a minute, three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds that a histogram takes")
}

#[expect(clippy::cast_precision_loss, reason = "a minute of microseconds is far below 2^53")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

async fn serve_edge(log: Log, dir: &std::path::Path) -> Result<(SocketAddr, ProposalId), Box<dyn Error>> {
    let shutdown = Shutdown::new();
    let proposals = Proposals::start(log.clone(), &shutdown).await?;
    let key = PlatformKey::load_or_create(dir)?;
    let ingest =
        Ingest::start(IngestConfig::default(), log.clone(), &proposals, key, &shutdown, &Metrics::new()).await?;
    let definition = Definition::new(proposal(), 4, PARTITIONS)?;
    let id = definition.proposal().id();
    proposals.decide(Decision::Definition(Box::new(definition))).await?;
    log.ensure_topic(&Topic::ballots(id), PARTITIONS).await?;
    Ok((serve(pnyx_ingest::router(ingest)).await?, id))
}

async fn serve(router: Router) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(address)
}

async fn bare_handler(Json(envelope): Json<BareEnvelope>) -> Json<BareAnswer> {
    let BareEnvelope { address, sig, data: BareData { message: BareMessage { proposal, timestamp } } } = envelope;
    Json(BareAnswer { bytes: address.len() + sig.len(), id: format!("{proposal}-{timestamp}") })
}

fn http(name: &'static str, address: SocketAddr, bodies: &Arc<Vec<Vec<u8>>>) -> Candidate {
    let bodies = Arc::clone(bodies);
    let connect = move || -> io::Result<Requester> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (mut answers, bodies) = (BufReader::new(stream.try_clone()?), Arc::clone(&bodies));
        let (mut request, mut answer) = (Vec::new(), Vec::new());
        Ok(Box::new(move |number| {
            let body = &bodies[number % bodies.len()];
            request.clear();
            write!(request, "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n")?;
            write!(request, "content-length: {}\r\n\r\n", body.len())?;
            request.extend_from_slice(body);
            stream.write_all(&request)?;
            read_answer(&mut answers, &mut answer)
        }))
    };
    Candidate { name, connect: Box::new(connect) }
}

/// Reads one answer whole; whether it is a 200.
fn read_answer(answers: &mut BufReader<TcpStream>, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    let success = line.starts_with("HTTP/1.1 200 ");
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        if answers.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim_end().parse().map_err(io::Error::other)?;
        }
    }
    buffer.resize(length, 0);
    answers.read_exact(buffer)?;
    Ok(success)
}

/// The log alone, in a topic of its own.
fn append(
    runtime: &Runtime,
    log: &Log,
    id: ProposalId,
    bodies: &Arc<Vec<Vec<u8>>>,
) -> Result<Candidate, Box<dyn Error>> {
    let mut other = *id.as_bytes();
    other[0] ^= 1;
    let topic = Topic::ballots(ProposalId::new(other));
    runtime.block_on(log.ensure_topic(&topic, PARTITIONS))?;
    let (log, bodies, handle) = (log.clone(), Arc::clone(bodies), runtime.handle().clone());
    let connect = move || -> io::Result<Requester> {
        let (log, topic, bodies, handle) = (log.clone(), topic.clone(), Arc::clone(&bodies), handle.clone());
        Ok(Box::new(move |number| {
            let record = wire::record::encode(&bodies[number % bodies.len()]);
            Ok(handle.block_on(log.append(&topic, AppendTo::Any, record)).is_ok())
        }))
    };
    Ok(Candidate { name: "the log's append", connect: Box::new(connect) })
}

fn ballot(id: ProposalId, number: u64) -> Vec<u8> {
    let mut bytes = [0x11; 32];
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    let key = SigningKey::from_bytes(bytes).expect("a key");
    let signed_at_s = clock::now().0 / 1_000;
    let unsigned = compose(key.address(), SPACE, signed_at_s, id, "1", "", "snapshot-v2").expect("a choice");
    unsigned.body_with(&key.sign_digest(*unsigned.digest().as_bytes()))
}

fn proposal() -> Proposal {
    let now = clock::now();
    Proposal::new(ProposalParts {
        platform: "dev".to_owned(),
        namespace: "default".to_owned(),
        name: "grants-round".to_owned(),
        space: SPACE.to_owned(),
        title: "Grants round".to_owned(),
        body: String::new(),
        discussion: String::new(),
        author: String::new(),
        choices: ["For", "Against", "Abstain"].map(str::to_owned).to_vec(),
        voting: Voting {
            system: VotingSystem::SingleChoice,
            quorum: None,
            approval_threshold: None,
            abstentions: Abstentions::default(),
        },
        window: Window::new(TimestampMs(now.0 - 60_000), now.saturating_add_ms(86_400_000)).expect("a window"),
        strategies: vec![Strategy::Ticket(Power::ONE)],
        clock_skew_s: 300,
    })
    .expect("a proposal")
}
