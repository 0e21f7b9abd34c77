//! What a durable append costs beside what the disk costs: the embedded log and a raw append with fdatasync, batches
//! of the same records, taken in turns in one run, so that both see the same disk and the same neighbours.
//!
//! `cargo bench --profile dev -p pnyx-backbone --bench log`

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use pnyx_backbone::log::{EmbeddedLog, Log, Topic};
use pnyx_core::id::ProposalId;

/// A ballot record of Snapshot's shape has about this many bytes.
const RECORD_BYTES: usize = 600;

/// Batch sizes, and how many rounds of each.
const ROUNDS: [(usize, usize); 4] = [(1, 4_000), (8, 4_000), (64, 2_000), (512, 400)];

/// Rounds before the measured ones: both files are there and warm.
const WARM_UP_ROUNDS: usize = 50;

/// How many candidates take turns.
const CANDIDATES: usize = 3;

/// Names of the candidates, in the order of their turns.
const NAMES: [&str; CANDIDATES] = ["raw append + fdatasync", "log, one batch", "log, single appends at once"];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(run()).expect("the measurement runs");
}

async fn run() -> io::Result<()> {
    // Beside the build's other output, because a system's folder for temporary files may lie in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let log = Log::Embedded(EmbeddedLog::open(&dir.path().join("log")).map_err(io::Error::other)?);
    let topic = Topic::ballots(ProposalId::new([1; 32]));
    log.ensure_topic(&topic, 1).await.map_err(io::Error::other)?;
    let mut raw = raw_file(dir.path())?;
    let mut out = io::stdout().lock();
    writeln!(out, "{RECORD_BYTES}-byte records; milliseconds until durable; ratio to raw of the same batch size\n")?;
    writeln!(out, "{:>6}  {:<28} {:>8} {:>8} {:>10} {:>10}", "batch", "", "p50", "p99", "p50 ratio", "p99 ratio")?;
    for (batch, rounds) in ROUNDS {
        let mut took: [Vec<Duration>; CANDIDATES] = Default::default();
        for round in 0..WARM_UP_ROUNDS + rounds {
            for turn in 0..CANDIDATES {
                // Each candidate goes first, second and last equally often.
                let candidate = (round + turn) % CANDIDATES;
                let elapsed = match candidate {
                    0 => append_raw(&mut raw, batch)?,
                    1 => append_batch(&log, &topic, batch).await,
                    _ => append_singly(&log, &topic, batch).await,
                };
                if round >= WARM_UP_ROUNDS {
                    took[candidate].push(elapsed);
                }
            }
        }
        let raw_times = quantiles(&mut took[0]);
        for (name, times) in NAMES.iter().zip(&mut took) {
            let (p50, p99) = quantiles(times);
            let (ratio50, ratio99) = (p50 / raw_times.0, p99 / raw_times.1);
            writeln!(out, "{batch:>6}  {name:<28} {p50:>8.3} {p99:>8.3} {ratio50:>10.2} {ratio99:>10.2}")?;
        }
    }
    Ok(())
}

fn raw_file(dir: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(dir.join("raw"))
}

fn append_raw(file: &mut File, batch: usize) -> io::Result<Duration> {
    let bytes = vec![0x5a; RECORD_BYTES * batch];
    let started = Instant::now();
    file.write_all(&bytes)?;
    file.sync_data()?;
    Ok(started.elapsed())
}

async fn append_batch(log: &Log, topic: &Topic, batch: usize) -> Duration {
    let records = (0..batch).map(|_| (0, vec![0x5a; RECORD_BYTES])).collect();
    let started = Instant::now();
    log.append_batch(topic, records).await.expect("the log takes the batch");
    started.elapsed()
}

/// As ballots come in: each its own append, all at the same time; until the last one is durable.
async fn append_singly(log: &Log, topic: &Topic, batch: usize) -> Duration {
    let records: Vec<_> = (0..batch).map(|_| vec![0x5a; RECORD_BYTES]).collect();
    let started = Instant::now();
    let appends = records.into_iter().map(|record| {
        let (log, topic) = (log.clone(), topic.clone());
        tokio::spawn(async move { log.append(&topic, pnyx_backbone::log::AppendTo::Any, record).await })
    });
    let appends: Vec<_> = appends.collect();
    for append in appends {
        append.await.expect("the append runs").expect("the log takes the record");
    }
    started.elapsed()
}

/// p50 and p99 in milliseconds.
fn quantiles(times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let at = |hundredths: usize| times[(times.len() * hundredths / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    (at(50), at(99))
}
