//! How long after its acknowledgement a ballot is seen in the event stream, at a steady rate.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{client::Connection, platform::Platform, quantiles, say};

/// Ballots a second.
const RATE: u32 = 2_000;

/// Ballots that are sent: twenty seconds.
pub(crate) const BALLOTS: usize = 40_000;

/// Connections, each a thread with one ballot at a time.
const CONNECTIONS: usize = 64;

/// How long the stream may say nothing before the run is given up.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// The goal for the p99, in milliseconds.
const GOAL_MS: f64 = 1_000.0;

/// When the stream showed how many ballots.
type Seen = Vec<(Instant, u64)>;

/// Measures and prints.
pub(crate) fn measure(platform: &mut Platform, ballots: usize) -> anyhow::Result<()> {
    let before = platform.sent() as u64;
    let until = before + ballots as u64;
    let mut stream = TcpStream::connect(platform.reads)?;
    write!(stream, "GET /v1/proposals/{}/events HTTP/1.1\r\nhost: localhost\r\n\r\n", platform.proposal)?;
    stream.set_read_timeout(Some(READ_LIMIT))?;
    let reader = thread::spawn(move || read(stream, until));
    let accepted = send(platform, ballots)?;
    let seen = reader.join().expect("reading does not panic")?;
    let mut events = seen.iter().peekable();
    let mut delays = Vec::with_capacity(accepted.len());
    // The first n that were acknowledged are taken to be the first n that are counted.
    for (accepted, number) in accepted.iter().zip(before + 1..) {
        while events.peek().is_some_and(|(_, counting)| *counting < number) {
            events.next();
        }
        let (at, _) = events.peek().context("the stream ended early")?;
        delays.push(at.saturating_duration_since(*accepted).as_secs_f64());
    }
    let [p50, p99, worst] = quantiles(delays);
    say(&format!("\n{ballots} ballots at {RATE}/s, {} events", seen.len()))?;
    say("ms from the acknowledgement until the event stream shows it       p50      p99    worst")?;
    say(&format!("{:<60} {p50:>8.0} {p99:>8.0} {worst:>8.0}", ""))?;
    say(&format!("goal for the p99: below {GOAL_MS}"))?;
    Ok(())
}

/// Reads events until one shows all ballots.
fn read(stream: TcpStream, until: u64) -> anyhow::Result<Seen> {
    let mut seen = Seen::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let at = Instant::now();
        let event: Value = serde_json::from_str(data)?;
        let counting = event["tally"]["counting"].as_u64().context("no counting in an event")?;
        seen.push((at, counting));
        if counting >= until {
            return Ok(seen);
        }
    }
    anyhow::bail!("the stream ended")
}

/// Sends at the rate; when each was acknowledged, ascending.
fn send(platform: &mut Platform, ballots: usize) -> anyhow::Result<Vec<Instant>> {
    let edge = platform.edge;
    let ballots = platform.next_ballots(ballots);
    let (next, started, interval) = (AtomicUsize::new(0), Instant::now(), Duration::from_secs(1) / RATE);
    let work = || -> anyhow::Result<Vec<Instant>> {
        let (mut connection, mut accepted) = (Connection::open(edge)?, Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(ballot) = ballots.get(number) else { return Ok(accepted) };
            let intended = started + interval * u32::try_from(number)?;
            thread::sleep(intended.saturating_duration_since(Instant::now()));
            connection.post(&ballot.body)?;
            accepted.push(Instant::now());
        }
    };
    let accepted: anyhow::Result<Vec<Vec<Instant>>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread that sends does not panic")).collect()
    });
    let mut accepted = accepted?.concat();
    accepted.sort_unstable();
    ensure!(accepted.len() == ballots.len(), "not all ballots were acknowledged");
    Ok(accepted)
}
