//! What an acknowledgement costs: `POST /` beside its two floors of the same run, a bare axum handler and the log's own
//! append, at fixed rates from the intended time of sending.

mod load;

use std::{
    error::Error,
    io::{self, Write},
    net::SocketAddr,
    sync::Arc,
};

use axum::{Json, Router, routing::post};
use pnyx_backbone::{
    log::{AppendTo, EmbeddedLog, Log, Topic},
    proposals::Proposals,
    shutdown::Shutdown,
    telemetry::Metrics,
};
use pnyx_bench_support::median;
use pnyx_core::{decisions::Decision, id::ProposalId, proposal::Definition, wire};
use pnyx_ingest::{Ingest, IngestConfig, PlatformKey};
use tokio::{net::TcpListener, runtime::Runtime};

use load::{BareAnswer, BareEnvelope, Candidate, Requester, TURN, TURNS, Turn, ballots, http, millis, proposal, run};

/// Requests a second.
const RATES: [u32; 2] = [1_000, 5_000];

/// Connections, each a thread with one request at a time.
const CONNECTIONS: u32 = 32;

const PARTITIONS: u32 = 4;

fn main() -> Result<(), Box<dyn Error>> {
    // On the disk of the build, where a sync costs what it costs.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let runtime = Runtime::new()?;
    let log = Log::Embedded(EmbeddedLog::open(dir.path())?);
    let (edge, id) = runtime.block_on(serve_edge(log.clone(), dir.path()))?;
    let bare = runtime.block_on(serve(Router::new().route("/", post(bare_handler))))?;
    let bodies = ballots(id);
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
                cell.note(&run(candidate, CONNECTIONS, rate)?);
            }
        }
        for (candidate, cell) in candidates.iter().zip(&cells) {
            let [p50, p99] = [&cell.p50, &cell.p99].map(|turns| median(turns.clone()));
            let name = candidate.name;
            writeln!(out, "{rate:6}  {name:<20} {p50:8.2} {p99:8.2} {:8.2} {:7}", cell.worst, cell.failed)?;
        }
        let [bare, append, edge] = cells.map(|cell| median(cell.p99));
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
    fn note(&mut self, Turn { latencies, failed }: &Turn) {
        self.p50.push(millis(latencies.value_at_quantile(0.5)));
        self.p99.push(millis(latencies.value_at_quantile(0.99)));
        self.worst = self.worst.max(millis(latencies.max()));
        self.failed += failed;
    }
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
    Json(envelope.into())
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
