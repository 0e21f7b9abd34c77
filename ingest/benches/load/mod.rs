//! Load for the benchmarks of the edge: signed ballots, sent at a fixed rate whatever the answers do, and their latencies
//! from the intended time of sending.

use std::{
    error::Error,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use pnyx_backbone::clock;
use pnyx_bench_support::{ballot, single_choice};
use pnyx_core::{
    id::ProposalId,
    power::Power,
    proposal::{Proposal, Strategy},
    time::TimestampMs,
};
use serde::{Deserialize, Serialize};

/// How long a turn lasts.
pub(crate) const TURN: Duration = Duration::from_secs(2);

/// How often each candidate has its turn: short and many, so that a noisy machine disturbs all alike.
pub(crate) const TURNS: usize = 11;

/// Signed ballots that are sent over and over: resending makes new records.
const BALLOTS: u64 = 2_048;

/// Does one request: the intended number of it in, whether it succeeded out.
pub(crate) type Requester = Box<dyn FnMut(usize) -> io::Result<bool> + Send>;

/// Something to be measured: makes a requester for each connection.
pub(crate) struct Candidate {
    /// What tables call it.
    pub(crate) name: &'static str,
    /// Makes a connection's requester.
    pub(crate) connect: Box<dyn Fn() -> io::Result<Requester>>,
}

/// A ballot as the floors parse it.
#[derive(Deserialize)]
pub(crate) struct BareEnvelope {
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

/// What the floors answer.
#[derive(Serialize)]
pub(crate) struct BareAnswer {
    id: String,
    bytes: usize,
}

impl From<BareEnvelope> for BareAnswer {
    fn from(envelope: BareEnvelope) -> Self {
        let BareEnvelope { address, sig, data: BareData { message: BareMessage { proposal, timestamp } } } = envelope;
        Self { bytes: address.len() + sig.len(), id: format!("{proposal}-{timestamp}") }
    }
}

/// Latencies of one turn in µs, and how many requests failed.
pub(crate) struct Turn {
    /// One of each request.
    pub(crate) latencies: Histogram<u64>,
    /// Requests without a 200.
    pub(crate) failed: u64,
}

/// Sends at the rate, whatever the answers do: a request that must wait for its connection is late from the start. Each
/// connection is a thread with one request at a time.
pub(crate) fn run(candidate: &Candidate, connections: u32, rate: u32) -> Result<Turn, Box<dyn Error>> {
    let requesters = (0..connections).map(|_| (candidate.connect)()).collect::<io::Result<Vec<_>>>()?;
    let interval = Duration::from_secs(1) / rate;
    let each = rate * u32::try_from(TURN.as_secs())? / connections;
    let start = Instant::now() + Duration::from_millis(50);
    let threads: Vec<_> = (0..connections)
        .zip(requesters)
        .map(|(connection, mut request)| {
            thread::spawn(move || -> io::Result<_> {
                let (mut latencies, mut failed) = (histogram(), 0);
                for turn in 0..each {
                    let number = turn * connections + connection;
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
    let mut turn = Turn { latencies: histogram(), failed: 0 };
    for thread in threads {
        let (of_thread, failed_of_thread) = thread.join().expect("a thread that sends does not panic")?;
        turn.latencies.add(of_thread)?;
        turn.failed += failed_of_thread;
    }
    Ok(turn)
}

/// Microseconds up to a minute, three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds that a histogram takes")
}

#[expect(clippy::cast_precision_loss, reason = "a minute of microseconds is far below 2^53")]
pub(crate) fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

/// A server's `POST /`.
pub(crate) fn http(name: &'static str, address: SocketAddr, bodies: &Arc<Vec<Vec<u8>>>) -> Candidate {
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

/// Ballots of as many voters.
pub(crate) fn ballots(id: ProposalId) -> Arc<Vec<Vec<u8>>> {
    let signed_at_s = clock::now().0 / 1_000;
    Arc::new((1..=BALLOTS).map(|voter| ballot(id, voter, signed_at_s)).collect())
}

/// A single-choice proposal with a vote for every wallet, open since a minute.
pub(crate) fn proposal() -> Proposal {
    single_choice(TimestampMs(clock::now().0 - 60_000), vec![Strategy::Ticket(Power::ONE)])
}
