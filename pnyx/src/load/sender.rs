//! Sends the shots, at a fixed rate whether or not answers come back (open loop), or as fast as answers come, and
//! measures each from the moment it was meant to be sent. What is not acknowledged is sent again, the same bytes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{
    faults::Fault,
    plan::{Expected, Shot},
};
use crate::client::{Platform, Refused};

/// How often the pacing thread looks at the clock: well below the latencies of interest.
const PACE_INTERVAL: Duration = Duration::from_micros(200);
/// First pause before an unacknowledged ballot is sent again; doubled each time.
const RESEND_PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause before an unacknowledged ballot is sent again, unless the answer asks for a longer one.
const RESEND_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How many kinds of errors are counted apart: there are about ten, and a platform that invents more is not worth memory.
const ERROR_KINDS_MAX: usize = 64;
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
    /// For how long an unacknowledged ballot is sent again, at most until its window is over.
    pub(super) resend_for: Option<Duration>,
    /// When the window of each target closes, in seconds since the epoch.
    pub(super) closes_at_s: Vec<u64>,
}

/// What came back.
pub(super) struct Sent {
    /// Whether each shot was acknowledged, by its index.
    pub(super) acknowledged: Vec<bool>,
    /// Refused at the edge as intended.
    pub(super) refused_as_intended: u64,
    /// How often something was sent again.
    pub(super) resent: u64,
    /// What was not acknowledged before its window or the time to send it again was over.
    pub(super) given_up: u64,
    /// How often each error was the answer, those after which the ballot was sent again included.
    pub(super) errors: BTreeMap<String, u64>,
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
        given_up: 0,
        errors: BTreeMap::new(),
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

/// The answer to a posted ballot: the outer error is the network's, the inner one the platform's.
type Answer = anyhow::Result<Result<Value, Refused>>;

async fn shoot(shared: &Shared, index: usize, shot: &Shot, intended: Instant) {
    let mut pause = RESEND_PAUSE_MIN;
    let mut resent = 0;
    loop {
        let answer = shared.platform.cast(shot.body.clone()).await;
        if let Some(error) = error_kind(shot, &answer) {
            let mut sent = shared.sent.lock().expect("no worker panicked");
            if sent.errors.len() < ERROR_KINDS_MAX || sent.errors.contains_key(&error) {
                *sent.errors.entry(error).or_default() += 1;
            }
        }
        let left = time_left(&shared.pace, shot, intended);
        if is_to_be_resent(shot, &answer) && !left.is_zero() {
            // However many ballots wait, the platform sees no more requests at once than there are connections.
            tokio::time::sleep(pause.max(asked_pause(&answer)).min(left)).await;
            pause = (pause * 2).min(RESEND_PAUSE_MAX);
            resent += 1;
            continue;
        }
        let latency_us =
            u64::try_from(intended.elapsed().as_micros()).unwrap_or(LATENCY_US_MAX).clamp(1, LATENCY_US_MAX);
        let mut sent = shared.sent.lock().expect("no worker panicked");
        sent.resent += resent;
        sent.latency_us.record(latency_us).expect("clamped to the histogram's bounds");
        let may_be_late = resent > 0 || window_left(&shared.pace, shot).is_zero();
        if is_to_be_resent(shot, &answer) || (may_be_late && is_too_late(shot, &answer)) {
            sent.given_up += 1;
        } else {
            note(&mut sent, index, shot, answer);
        }
        return;
    }
}

/// How long the ballot may still be sent again.
fn time_left(pace: &Pace, shot: &Shot, intended: Instant) -> Duration {
    let open = window_left(pace, shot);
    pace.resend_for.map_or(open, |resend_for| open.min(resend_for.saturating_sub(intended.elapsed())))
}

/// How long the ballot's window is still open.
fn window_left(pace: &Pace, shot: &Shot) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(pace.closes_at_s[shot.target]).saturating_sub(now)
}

/// A connection that failed or an answer that asks for another try; a ballot may be in the log all the same, and
/// sending it again is harmless.
fn is_to_be_resent(shot: &Shot, answer: &Answer) -> bool {
    match answer {
        Err(_) => true,
        Ok(Err(refused)) => {
            let waits = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&refused.status);
            (refused.status.is_server_error() || waits) && !is_intended(shot, refused)
        }
        Ok(Ok(_)) => false,
    }
}

fn is_intended(shot: &Shot, refused: &Refused) -> bool {
    matches!(shot.expected, Expected::RefusedAtEdge { fault } if refused.description == fault.edge_text())
}

/// A load that falls behind sends its last ballots after the close: that they do not count is as it should be.
fn is_too_late(shot: &Shot, answer: &Answer) -> bool {
    let Ok(Err(refused)) = answer else { return false };
    refused.description == Fault::OutsideWindow.edge_text() && !is_intended(shot, refused)
}

/// What `Retry-After` asks for.
fn asked_pause(answer: &Answer) -> Duration {
    let asked_s = answer.as_ref().ok().and_then(|answer| answer.as_ref().err()?.retry_after_s);
    Duration::from_secs(asked_s.unwrap_or_default())
}

/// The name under which an answer is counted, if it is an error that was not meant to come.
fn error_kind(shot: &Shot, answer: &Answer) -> Option<String> {
    match answer {
        Err(_) => Some("connection".to_owned()),
        Ok(Err(refused)) if is_intended(shot, refused) => None,
        Ok(Err(refused)) => Some(format!("{} {}", refused.status.as_u16(), refused.description)),
        Ok(Ok(_)) => None,
    }
}

fn note(sent: &mut Sent, index: usize, shot: &Shot, answer: Answer) {
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
        (Expected::RefusedAtEdge { .. }, Ok(Err(refused))) if is_intended(shot, &refused) => {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A ballot and what the edge says to it once its window is over.
    fn after_the_close(expected: Expected) -> (Shot, Answer) {
        let refused = Refused {
            status: StatusCode::BAD_REQUEST,
            description: Fault::OutsideWindow.edge_text().to_owned(),
            detail: None,
            retry_after_s: None,
        };
        (Shot { target: 0, body: Vec::new(), expected }, Ok(Err(refused)))
    }

    #[test]
    fn a_ballot_that_could_be_sent_only_after_the_close_is_given_up() {
        let (shot, answer) = after_the_close(Expected::RejectedLater { fault: Fault::HighS });
        assert!(is_too_late(&shot, &answer) && !is_to_be_resent(&shot, &answer));
    }

    #[test]
    fn a_ballot_whose_fault_is_to_be_outside_the_window_is_never_too_late() {
        let (shot, answer) = after_the_close(Expected::RefusedAtEdge { fault: Fault::OutsideWindow });
        assert!(!is_too_late(&shot, &answer) && !is_to_be_resent(&shot, &answer));
    }
}
