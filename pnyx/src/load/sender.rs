//! Sends the shots, at a fixed rate whether or not answers come back (open loop), or as fast as answers come, and
//! measures each from the moment it was meant to be sent.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::plan::{Expected, Shot};
use crate::client::{Platform, Refused};

/// How often the pacing thread looks at the clock: well below the latencies of interest.
const PACE_INTERVAL: Duration = Duration::from_micros(200);
/// Longest pause before an unacknowledged ballot is sent again.
const RESEND_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How many unexpected answers are kept to be shown.
const UNEXPECTED_SHOWN_MAX: usize = 10;
/// Latencies are recorded up to this many microseconds (ten minutes).
const LATENCY_US_MAX: u64 = 600_000_000;

/// How to send.
pub(super) struct Pace {
    /// Ballots a second; `None` for as fast as answers come.
    pub(super) rate: Option<u32>,
    /// Requests in flight at once.
    pub(super) connections: u16,
    /// For how long an unacknowledged ballot is sent again.
    pub(super) resend_for: Option<Duration>,
}

/// What came back.
pub(super) struct Sent {
    /// Whether each shot was acknowledged, by its index.
    pub(super) acknowledged: Vec<bool>,
    /// Refused at the edge as intended.
    pub(super) refused_as_intended: u64,
    /// How often something was sent again.
    pub(super) resent: u64,
    /// How many answers were not as intended.
    pub(super) unexpected: u64,
    /// The first of them.
    pub(super) unexpected_shown: Vec<String>,
    /// Signed receipts, as JSON.
    pub(super) receipts: Vec<String>,
    /// Microseconds from the intended send time to the whole answer.
    pub(super) latency_us: Histogram<u64>,
    /// From the first intended send to the last answer.
    pub(super) elapsed: Duration,
}

struct Shared {
    shots: Vec<Shot>,
    platform: Platform,
    pace: Pace,
    start: Instant,
    next: AtomicUsize,
    released: Semaphore,
    done: AtomicBool,
    sent: Mutex<Sent>,
    progress: ProgressBar,
}

/// Sends all shots and collects the answers.
pub(super) async fn send(
    platform: Platform,
    shots: Vec<Shot>,
    pace: Pace,
    progress: ProgressBar,
) -> anyhow::Result<(Vec<Shot>, Sent)> {
    let sent = Sent {
        acknowledged: vec![false; shots.len()],
        refused_as_intended: 0,
        resent: 0,
        unexpected: 0,
        unexpected_shown: Vec::new(),
        receipts: Vec::new(),
        latency_us: Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).context("making the histogram")?,
        elapsed: Duration::ZERO,
    };
    let connections = pace.connections.max(1);
    let shared = Arc::new(Shared {
        shots,
        platform,
        pace,
        start: Instant::now(),
        next: AtomicUsize::new(0),
        released: Semaphore::new(0),
        done: AtomicBool::new(false),
        sent: Mutex::new(sent),
        progress,
    });
    let pacer = start_pacer(&shared);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..connections {
        workers.spawn(work(Arc::clone(&shared)));
    }
    while let Some(worker) = workers.join_next().await {
        worker.context("a sending task ended badly")?;
    }
    shared.done.store(true, Ordering::Relaxed);
    if let Some(pacer) = pacer {
        pacer.join().ok().context("the pacing thread ended badly")?;
    }
    let elapsed = shared.start.elapsed();
    let Shared { shots, sent, .. } = Arc::into_inner(shared).context("a sending task is still running")?;
    let mut sent = sent.into_inner().expect("no worker panicked");
    sent.elapsed = elapsed;
    Ok((shots, sent))
}

/// Releases permits at the rate, from a thread of its own: timers of the runtime are too coarse for 5,000 a second.
fn start_pacer(shared: &Arc<Shared>) -> Option<std::thread::JoinHandle<()>> {
    let rate = u128::from(shared.pace.rate?);
    let shared = Arc::clone(shared);
    Some(std::thread::spawn(move || {
        let mut released = 0;
        while released < shared.shots.len() && !shared.done.load(Ordering::Relaxed) {
            let due = usize::try_from(shared.start.elapsed().as_micros() * rate / 1_000_000).unwrap_or(usize::MAX);
            let due = due.saturating_add(1).min(shared.shots.len());
            if due > released {
                shared.released.add_permits(due - released);
                released = due;
            }
            std::thread::sleep(PACE_INTERVAL);
        }
    }))
}

async fn work(shared: Arc<Shared>) {
    loop {
        let index = shared.next.fetch_add(1, Ordering::Relaxed);
        let Some(shot) = shared.shots.get(index) else { return };
        if shared.pace.rate.is_some() {
            shared.released.acquire().await.expect("the semaphore is never closed").forget();
        }
        let intended = match shared.pace.rate {
            Some(rate) => {
                let offset_us = u64::try_from(index).unwrap_or(u64::MAX).saturating_mul(1_000_000) / u64::from(rate);
                shared.start + Duration::from_micros(offset_us)
            }
            None => Instant::now(),
        };
        shoot(&shared, index, shot, intended).await;
        shared.progress.inc(1);
    }
}

async fn shoot(shared: &Shared, index: usize, shot: &Shot, intended: Instant) {
    let mut pause = Duration::from_millis(50);
    let mut resent = 0;
    loop {
        let answer = shared.platform.cast(shot.body.clone()).await;
        if let Some(resend_for) = shared.pace.resend_for
            && is_to_be_resent(&answer)
            && intended.elapsed() < resend_for
        {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RESEND_PAUSE_MAX);
            resent += 1;
            continue;
        }
        let latency_us =
            u64::try_from(intended.elapsed().as_micros()).unwrap_or(LATENCY_US_MAX).clamp(1, LATENCY_US_MAX);
        let mut sent = shared.sent.lock().expect("no worker panicked");
        sent.resent += resent;
        sent.latency_us.record(latency_us).expect("clamped to the histogram's bounds");
        note(&mut sent, index, shot, answer);
        return;
    }
}

/// A connection that failed or an answer that asks for another try; a ballot may be in the log all the same, and
/// sending it again is harmless.
fn is_to_be_resent(answer: &anyhow::Result<Result<Value, Refused>>) -> bool {
    match answer {
        Err(_) => true,
        Ok(Err(refused)) => refused.status.is_server_error(),
        Ok(Ok(_)) => false,
    }
}

fn note(sent: &mut Sent, index: usize, shot: &Shot, answer: anyhow::Result<Result<Value, Refused>>) {
    let problem = match (&shot.expected, answer) {
        (Expected::Counts(honest), Ok(Ok(answer))) => {
            sent.acknowledged[index] = true;
            keep_receipt(sent, &answer);
            let id = answer.get("id").and_then(Value::as_str).unwrap_or_default();
            (id != honest.digest).then(|| format!("answered id {id:?} for ballot {}", honest.digest))
        }
        (Expected::RejectedLater { .. }, Ok(Ok(answer))) => {
            sent.acknowledged[index] = true;
            keep_receipt(sent, &answer);
            None
        }
        (Expected::RefusedAtEdge { fault }, Ok(Err(refused))) if refused.description == fault.edge_text() => {
            sent.refused_as_intended += 1;
            None
        }
        (Expected::RefusedAtEdge { fault }, Ok(Ok(_))) => {
            sent.acknowledged[index] = true;
            Some(format!("a ballot with fault {} was acknowledged", fault.name()))
        }
        (Expected::RefusedAtEdge { fault }, Ok(Err(refused))) => {
            Some(format!("a ballot with fault {} was refused as: {refused}", fault.name()))
        }
        (Expected::Counts(honest), Ok(Err(refused))) => Some(format!("ballot {}: {refused}", honest.digest)),
        (Expected::RejectedLater { fault }, Ok(Err(refused))) => {
            Some(format!("a ballot with fault {} (for the verifier to find) was refused: {refused}", fault.name()))
        }
        (_, Err(error)) => Some(format!("{error:#}")),
    };
    if let Some(problem) = problem {
        sent.unexpected += 1;
        if sent.unexpected_shown.len() < UNEXPECTED_SHOWN_MAX {
            sent.unexpected_shown.push(problem);
        }
    }
}

fn keep_receipt(sent: &mut Sent, answer: &Value) {
    if let Some(receipt) = answer.get("receipt") {
        sent.receipts.push(receipt.to_string());
    }
}
