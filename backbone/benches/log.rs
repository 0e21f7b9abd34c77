//! What a durable append costs beside what the disk costs: the embedded log and a raw append with fdatasync, batches
//! of the same records, taken in turns in one run, so that both see the same disk and the same neighbours. Then how
//! long it takes to open that log again and to read all of it.
//!
//! Times and ratios are medians over blocks of rounds: a neighbour that is busy for a second spoils a block, not the
//! run. `cargo bench --profile dev -p pnyx-backbone --bench log`

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use pnyx_backbone::log::{AppendTo, EmbeddedLog, Log, Topic};
use pnyx_core::id::ProposalId;

/// A ballot record of Snapshot's shape has about this many bytes.
const RECORD_BYTES: usize = 600;

/// Batch sizes, and how many blocks of each.
const BLOCKS: [(usize, usize); 4] = [(1, 11), (8, 11), (64, 11), (512, 3)];

/// Rounds of a block: its p99 is the fourth largest time.
const BLOCK_ROUNDS: usize = 400;

/// How many candidates take turns.
const CANDIDATES: usize = 3;

/// Names of the candidates, in the order of their turns. Appends that come one by one need two syncs: while the first
/// is being synced the others gather.
const NAMES: [&str; CANDIDATES] = ["raw append + fdatasync", "log, one batch", "log, one by one"];

/// p50 and p99 in milliseconds.
type Quantiles = [f64; 2];

struct Candidates {
    raw: File,
    log: Log,
    topic: Topic,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(run()).expect("the measurement runs");
}

async fn run() -> io::Result<()> {
    // Beside the build's other output, because a system's folder for temporary files may lie in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let log_dir = dir.path().join("log");
    let log = Log::Embedded(EmbeddedLog::open(&log_dir).map_err(io::Error::other)?);
    let topic = Topic::ballots(ProposalId::new([1; 32]));
    log.ensure_topic(&topic, 1).await.map_err(io::Error::other)?;
    let mut candidates = Candidates { raw: raw_file(dir.path())?, log, topic };
    let mut out = io::stdout().lock();
    writeln!(out, "{RECORD_BYTES}-byte records; milliseconds until durable; ratio to raw of the same batch size\n")?;
    writeln!(out, "{:>6}  {:<22} {:>8} {:>8} {:>10} {:>10}", "batch", "", "p50", "p99", "p50 ratio", "p99 ratio")?;
    for (batch, block_count) in BLOCKS {
        // The first block warms up.
        candidates.measure_block(batch).await?;
        let mut blocks = Vec::with_capacity(block_count);
        for _ in 0..block_count {
            blocks.push(candidates.measure_block(batch).await?);
        }
        for (candidate, name) in NAMES.iter().enumerate() {
            let [p50, p99] = [0, 1].map(|q| median(blocks.iter().map(|block| block[candidate][q])));
            let [ratio50, ratio99] = [0, 1].map(|q| median(blocks.iter().map(|b| b[candidate][q] / b[0][q])));
            writeln!(out, "{batch:>6}  {name:<22} {p50:>8.3} {p99:>8.3} {ratio50:>10.2} {ratio99:>10.2}")?;
        }
    }
    let Candidates { raw: _, log, topic } = candidates;
    log.close().await;
    drop(log);
    measure_replay(&log_dir, &topic, &mut out).await
}

impl Candidates {
    /// The quantiles of each candidate over a block of rounds.
    async fn measure_block(&mut self, batch: usize) -> io::Result<[Quantiles; CANDIDATES]> {
        let mut took: [Vec<Duration>; CANDIDATES] = Default::default();
        for round in 0..BLOCK_ROUNDS {
            for turn in 0..CANDIDATES {
                // Each candidate goes first, second and last equally often.
                let candidate = (round + turn) % CANDIDATES;
                took[candidate].push(match candidate {
                    0 => self.append_raw(batch)?,
                    1 => self.append_batch(batch).await,
                    _ => self.append_one_by_one(batch).await,
                });
            }
        }
        Ok(took.map(quantiles))
    }

    fn append_raw(&mut self, batch: usize) -> io::Result<Duration> {
        let bytes = vec![0x5a; RECORD_BYTES * batch];
        let started = Instant::now();
        self.raw.write_all(&bytes)?;
        self.raw.sync_data()?;
        Ok(started.elapsed())
    }

    async fn append_batch(&self, batch: usize) -> Duration {
        let records = (0..batch).map(|_| (0, vec![0x5a; RECORD_BYTES])).collect();
        let started = Instant::now();
        self.log.append_batch(&self.topic, records).await.expect("the log takes the batch");
        started.elapsed()
    }

    /// As ballots come in: each its own append, all at the same time; until the last one is durable.
    async fn append_one_by_one(&self, batch: usize) -> Duration {
        let records: Vec<_> = (0..batch).map(|_| vec![0x5a; RECORD_BYTES]).collect();
        let started = Instant::now();
        let appends = records.into_iter().map(|record| {
            let (log, topic) = (self.log.clone(), self.topic.clone());
            tokio::spawn(async move { log.append(&topic, AppendTo::Any, record).await })
        });
        let appends: Vec<_> = appends.collect();
        for append in appends {
            append.await.expect("the append runs").expect("the log takes the record");
        }
        started.elapsed()
    }
}

fn raw_file(dir: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(dir.join("raw"))
}

/// Opens the log again and reads it from its beginning.
async fn measure_replay(dir: &Path, topic: &Topic, out: &mut impl io::Write) -> io::Result<()> {
    let started = Instant::now();
    let log = Log::Embedded(EmbeddedLog::open(dir).map_err(io::Error::other)?);
    let opened = started.elapsed();
    let end = log.ends(topic).await.map_err(io::Error::other)?[0];
    let mut reader = log.reader(topic, 0, 0).map_err(io::Error::other)?;
    let started = Instant::now();
    while reader.position() < end {
        reader.next_batch(4_096, usize::MAX).await.map_err(io::Error::other)?;
    }
    let read = started.elapsed();
    writeln!(
        out,
        "\nopened again in {:.0} ms; read {end} records in {:.0} ms",
        milliseconds(opened),
        milliseconds(read)
    )
}

fn quantiles(mut times: Vec<Duration>) -> Quantiles {
    times.sort_unstable();
    [50, 99].map(|hundredths| milliseconds(times[times.len() * hundredths / 100]))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
