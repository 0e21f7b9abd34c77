//! Ballots of proposals that a flood does not concern, one after another as voters send them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    bed::Bed,
    common::{
        ballots::{Target, now_s},
        http,
    },
};

/// Longest wait for one of them: far above what the test asserts of all.
const COUNTED_WAIT_MAX: Duration = Duration::from_secs(120);

/// Between two ballots.
const PAUSE: Duration = Duration::from_millis(250);

/// A thread that votes, on the proposal that needs no chain and on the one whose chain is sound in turn.
pub(crate) struct Others {
    is_over: Arc<AtomicBool>,
    thread: thread::JoinHandle<Vec<Duration>>,
}

impl Others {
    pub(crate) fn start(bed: &Bed) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let edge = bed.edge().to_owned();
        let proposals = [&bed.plain, &bed.sound].map(|target| (target.clone(), bed.reads(target)));
        let ends = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut took = Vec::new();
            for (target, reads) in proposals.iter().cycle() {
                if ends.load(Ordering::Relaxed) {
                    break;
                }
                took.push(vote(&edge, target, reads, took.len()));
                thread::sleep(PAUSE);
            }
            took
        });
        Self { is_over, thread }
    }

    /// How long each took from its `POST` until the tally had counted it.
    pub(crate) fn finish(self) -> Vec<Duration> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn vote(edge: &str, target: &Target, reads: &str, number: usize) -> Duration {
    let ballot = target.ballot(&format!("other {number} at {}", now_s()), now_s(), 1);
    let began = Instant::now();
    let answer = http::post(edge, ballot.body).unwrap();
    assert!(answer.is_success(), "{answer:?}");
    let voter = format!("{reads}/voters/{}", ballot.voter);
    http::poll(&format!("counting of a ballot of {}", target.name), COUNTED_WAIT_MAX, || {
        http::try_json(&voter).filter(|voter| voter["ballot"]["power"].is_string())
    });
    began.elapsed()
}
