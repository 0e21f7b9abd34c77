//! What readers of the event stream cost one replica: memory and processor time a reader, and how often the store is read,
//! with one reader and with thousands, while the same trickle of ballots changes the tally.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
};

use crate::{client, platform::Platform, say};

/// Readers.
const READERS: u64 = 5_000;

/// Readers that connect at once: below what a listener lets wait.
const CONNECT_TOGETHER: u64 = 100;

/// Ballots a second: one for each state that the stream shows at most.
const RATE: u32 = 20;

/// Ballots of each of the two measurements: twenty seconds.
const EACH: usize = 400;

/// Ballots of both.
pub(crate) const BALLOTS: usize = 2 * EACH;

/// How long readers may take to be connected, all of them.
const CONNECTED_LIMIT: Duration = Duration::from_secs(60);

/// A pause after which what connecting costs is over.
const SETTLE: Duration = Duration::from_secs(3);

/// Commands of Redis that read.
const READ_COMMANDS: [&str; 11] =
    ["get", "mget", "getrange", "hget", "hmget", "hgetall", "hscan", "hlen", "zcard", "zrangebylex", "exec"];

/// What a measurement gave.
struct Measured {
    cpu: Duration,
    took: Duration,
    events: u64,
    store_reads: u64,
    store_writes: u64,
}

/// Measures and prints.
pub(crate) fn measure(platform: &mut Platform, ballots: usize) -> anyhow::Result<()> {
    ensure!(ballots == BALLOTS, "both measurements have the same number of ballots");
    let (runtime, events) = (Runtime::new()?, Arc::new(AtomicU64::new(0)));
    connect(&runtime, platform, 1, &events)?;
    let (one, bytes_before) = (trickle(platform, &events)?, platform.tally_bytes()?);
    connect(&runtime, platform, READERS, &events)?;
    let bytes = platform.tally_bytes()?.saturating_sub(bytes_before);
    let many = trickle(platform, &events)?;
    say(&format!("\nreaders of one replica's event stream, {RATE} ballots/s for {:.0} s", many.took.as_secs_f64()))?;
    say("readers   CPU of the tally, s   events   store reads   applied batches   reads a batch")?;
    for (readers, measured) in [(1, &one), (1 + READERS, &many)] {
        let Measured { cpu, took: _, events, store_reads, store_writes } = measured;
        say(&format!(
            "{readers:<9} {:>19.2} {events:>8} {store_reads:>13} {store_writes:>17} {:>15.2}",
            cpu.as_secs_f64(),
            *store_reads as f64 / *store_writes as f64
        ))?;
    }
    let more = many.cpu.saturating_sub(one.cpu).as_secs_f64();
    say(&format!(
        "a reader: {:.1} KB of memory, {:.1} µs of CPU an event, {:.4} % of a core",
        bytes as f64 / READERS as f64 / 1e3,
        more * 1e6 / many.events as f64,
        more * 100.0 / many.took.as_secs_f64() / READERS as f64
    ))?;
    // Readers end with the runtime.
    drop(runtime);
    Ok(())
}

/// Sends ballots at the rate until all are counted.
fn trickle(platform: &mut Platform, events: &AtomicU64) -> anyhow::Result<Measured> {
    thread::sleep(SETTLE);
    let (before, events_before, started) = (Counts::of(platform)?, events.load(Ordering::Relaxed), Instant::now());
    let edge = platform.edge;
    client::send(edge, platform.next_ballots(EACH), Some(RATE), client::CONNECTIONS)?;
    thread::sleep(SETTLE);
    let after = Counts::of(platform)?;
    Ok(Measured {
        cpu: after.cpu - before.cpu,
        took: started.elapsed(),
        events: events.load(Ordering::Relaxed) - events_before,
        store_reads: after.reads - before.reads,
        store_writes: after.writes - before.writes,
    })
}

/// What the tally and its Redis have done so far.
struct Counts {
    cpu: Duration,
    reads: u64,
    writes: u64,
}

impl Counts {
    fn of(platform: &Platform) -> anyhow::Result<Self> {
        let [_, _, _, cpu, _] = platform.cpu_times()?;
        let stats = platform.redis.command(&["INFO", "commandstats"])?;
        let calls = |command: &str| -> u64 {
            let start = format!("cmdstat_{command}:calls=");
            let line = stats.lines().find_map(|line| line.trim().strip_prefix(start.as_str()));
            line.and_then(|rest| rest.split(',').next()).and_then(|calls| calls.parse().ok()).unwrap_or(0)
        };
        Ok(Self { cpu, reads: READ_COMMANDS.into_iter().map(calls).sum(), writes: calls("fcall") })
    }
}

/// Connects readers and waits until each has its first event.
fn connect(runtime: &Runtime, platform: &Platform, readers: u64, events: &Arc<AtomicU64>) -> anyhow::Result<()> {
    let request = format!("GET /v1/proposals/{}/events HTTP/1.1\r\nhost: localhost\r\n\r\n", platform.proposal);
    let (address, before, started) = (platform.reads, events.load(Ordering::Relaxed), Instant::now());
    let mut connected = 0;
    while connected < readers {
        let more = CONNECT_TOGETHER.min(readers - connected);
        for _ in 0..more {
            let (request, events) = (request.clone(), Arc::clone(events));
            runtime.spawn(async move {
                // A reader that fails is missing in the count below.
                if let Ok(mut stream) = TcpStream::connect(address).await
                    && stream.write_all(request.as_bytes()).await.is_ok()
                {
                    read(stream, &events).await;
                }
            });
        }
        connected += more;
        while events.load(Ordering::Relaxed) < before + connected {
            ensure!(started.elapsed() < CONNECTED_LIMIT, "not all {readers} readers got an event");
            thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// Counts events until the stream ends: each has one field `data`.
async fn read(mut stream: TcpStream, events: &AtomicU64) {
    const FIELD: &[u8] = b"\ndata: ";
    let (mut buffer, mut kept) = (vec![0; 4_096], 0);
    while let Ok(read) = stream.read(&mut buffer[kept..]).await {
        if read == 0 {
            return;
        }
        let end = kept + read;
        let found = buffer[..end].windows(FIELD.len()).filter(|window| *window == FIELD).count();
        events.fetch_add(found as u64, Ordering::Relaxed);
        // What may be the beginning of a field is kept; it is too short to hold a whole one.
        kept = end.min(FIELD.len() - 1);
        buffer.copy_within(end - kept..end, 0);
    }
}
