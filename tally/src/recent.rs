//! A value that is read from somewhere else and shared: however many ask, one read runs at a time, and whoever asks waits
//! for a bounded time and then gets the last value with its age.

use std::{sync::Arc, time::Duration};

use pnyx_backbone::{clock, shutdown::Shutdown};
use pnyx_core::time::TimestampMs;
use tokio::{
    sync::watch,
    time::{self, Instant},
};

use crate::ReadError;

/// Longest that a reader waits for a newer value than there is: a read takes milliseconds, and a page that shows a
/// second-old figure is better than one that hangs. Nor does anybody with a value wait for a read that has taken so long
/// already: else everyone would wait in turn for what is silent, until it is known to be down.
const WAIT_FOR_NEWER_MAX: Duration = Duration::from_secs(1);

/// Longest that a reader waits where there is no value yet: the first count of a large vote takes seconds.
const WAIT_FOR_FIRST_MAX: Duration = Duration::from_secs(10);

/// Longest that one read may take: above the largest count, so that only one that hangs is given up.
const READ_MAX: Duration = Duration::from_secs(60);

/// Least time between the starts of two reads after one failed, so that readers do not flood what is down.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The last value and the read that may replace it.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    state: watch::Sender<State<T>>,
    /// Least time between the starts of two reads.
    interval: Duration,
    shutdown: Shutdown,
}

/// What was read.
#[derive(Debug, Clone)]
pub(crate) struct Read<T> {
    /// The value.
    pub(crate) value: T,
    /// When the read began: the value was true then or later.
    pub(crate) started: Instant,
    /// The same by the wall clock.
    pub(crate) as_of: TimestampMs,
}

#[derive(Debug)]
struct State<T> {
    last: Option<Read<T>>,
    /// Why the newest read failed, if it did.
    problem: Option<ReadError>,
    /// When the newest read began, or will begin.
    started: Option<Instant>,
    is_running: bool,
}

/// Says that the read has ended, also when it panicked.
struct Running<T: Send + Sync + 'static>(Arc<Recent<T>>);

impl<T> Read<T> {
    /// How old the value may be.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }
}

impl<T: Clone + Send + Sync + 'static> Recent<T> {
    /// Nothing read yet; later reads begin at least `interval` apart.
    pub(crate) fn new(interval: Duration, shutdown: Shutdown) -> Arc<Self> {
        let state = State { last: None, problem: None, started: None, is_running: false };
        Arc::new(Self { state: watch::Sender::new(state), interval, shutdown })
    }

    /// The last value, if it is acceptable or no newer one comes in time, else the value of a read that begins now or
    /// later. `read` is given the last value.
    pub(crate) async fn get<F>(
        self: &Arc<Self>,
        is_acceptable: impl Fn(&Read<T>) -> bool,
        read: impl Fn(Option<T>) -> F,
    ) -> Result<Read<T>, ReadError>
    where
        F: Future<Output = Result<T, ReadError>> + Send + 'static,
    {
        let asked = Instant::now();
        let mut changes = self.state.subscribe();
        let mut has_tried = false;
        loop {
            let (last, problem) = {
                let state = changes.borrow_and_update();
                (state.last.clone(), state.problem.clone())
            };
            if let Some(last) = &last
                && (last.started >= asked || is_acceptable(last))
            {
                return Ok(last.clone());
            }
            self.begin(&read);
            match (last, problem) {
                // What is down is asked again in the background.
                (Some(last), Some(_)) => return Ok(last),
                (None, Some(problem)) if has_tried => return Err(problem),
                (last, _) => {
                    has_tried = true;
                    let wait_until = if last.is_some() { self.newer_until(asked) } else { asked + WAIT_FOR_FIRST_MAX };
                    if time::timeout_at(wait_until, changes.changed()).await.is_err() {
                        return last.ok_or(ReadError::Slow);
                    }
                }
            }
        }
    }

    /// Until when somebody who asked then waits for a newer value.
    fn newer_until(&self, asked: Instant) -> Instant {
        let state = self.state.borrow();
        let running_since = state.started.filter(|_| state.is_running);
        running_since.map_or(asked, |since| since.min(asked)) + WAIT_FOR_NEWER_MAX
    }

    /// The last value whatever its age; a newer one is read in the background if this is older than `age_max`.
    pub(crate) fn peek<F>(self: &Arc<Self>, age_max: Duration, read: impl Fn(Option<T>) -> F) -> Option<Read<T>>
    where
        F: Future<Output = Result<T, ReadError>> + Send + 'static,
    {
        let last = self.state.borrow().last.clone();
        if last.as_ref().is_none_or(|last| last.age() > age_max) {
            self.begin(&read);
        }
        last
    }

    /// Starts a read unless one is running.
    fn begin<F>(self: &Arc<Self>, read: &impl Fn(Option<T>) -> F)
    where
        F: Future<Output = Result<T, ReadError>> + Send + 'static,
    {
        let mut begins = None;
        self.state.send_if_modified(|state| {
            if !state.is_running {
                state.is_running = true;
                let pause = if state.problem.is_some() { self.interval.max(RETRY_INTERVAL) } else { self.interval };
                let now = Instant::now();
                let not_before = state.started.map_or(now, |started| now.max(started + pause));
                state.started = Some(not_before);
                begins = Some((not_before, state.last.clone()));
            }
            // Who waits waits for the end of the read.
            false
        });
        let Some((not_before, last)) = begins else { return };
        let (running, reading) = (Running(self.clone()), read(last.map(|last| last.value)));
        self.shutdown.spawn("tally read", async move {
            // The timer would add up to a millisecond where there is nothing to wait for.
            if not_before > Instant::now() {
                time::sleep_until(not_before).await;
            }
            let (started, as_of) = (Instant::now(), clock::now());
            running.0.state.send_modify(|state| state.started = Some(started));
            let answer = time::timeout(READ_MAX, reading).await.unwrap_or(Err(ReadError::Slow));
            running.end(answer.map(|value| Read { value, started, as_of }));
        });
    }
}

impl<T: Send + Sync + 'static> Running<T> {
    fn end(&self, answer: Result<Read<T>, ReadError>) {
        self.0.state.send_modify(|state| {
            state.is_running = false;
            match answer {
                Ok(read) => (state.last, state.problem) = (Some(read), None),
                Err(problem) => state.problem = Some(problem),
            }
        });
    }
}

impl<T: Send + Sync + 'static> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.state.send_if_modified(|state| std::mem::take(&mut state.is_running));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use futures_util::future::join_all;

    use super::*;

    /// A source that counts its reads and may hang.
    #[derive(Clone, Default)]
    struct Source {
        reads: Arc<AtomicU64>,
        fails: Arc<AtomicBool>,
        hangs: Arc<AtomicBool>,
    }

    impl Source {
        fn reader(&self) -> impl Fn(Option<u64>) -> futures_util::future::BoxFuture<'static, Result<u64, ReadError>> {
            let source = self.clone();
            move |_| {
                let source = source.clone();
                Box::pin(async move {
                    let number = source.reads.fetch_add(1, Ordering::SeqCst) + 1;
                    if source.hangs.load(Ordering::SeqCst) {
                        std::future::pending::<()>().await;
                    }
                    if source.fails.load(Ordering::SeqCst) { Err(ReadError::Slow) } else { Ok(number) }
                })
            }
        }
    }

    const YOUNG: Duration = Duration::from_secs(1);

    fn is_young(read: &Read<u64>) -> bool {
        read.age() <= YOUNG
    }

    #[tokio::test(start_paused = true)]
    async fn many_readers_are_one_read() {
        let (recent, source) = (Recent::new(Duration::ZERO, Shutdown::new()), Source::default());
        for second in 1..=3 {
            let answers = join_all((0..1_000).map(|_| recent.get(is_young, source.reader()))).await;
            assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|read| read.value == second)));
            time::sleep(YOUNG * 2).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_accepts_nothing_older_gets_a_read_that_began_later_and_not_too_many() {
        let interval = Duration::from_millis(250);
        let (recent, source) = (Recent::new(interval, Shutdown::new()), Source::default());
        let begun = Instant::now();
        for _ in 0..8 {
            time::sleep(Duration::from_millis(1)).await;
            let asked = Instant::now();
            assert!(recent.get(|_| false, source.reader()).await.unwrap().started >= asked);
        }
        assert_eq!(source.reads.load(Ordering::SeqCst), 8);
        assert!(begun.elapsed() >= interval * 7);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_down_is_served_as_it_was_last_and_asked_again_in_the_background() {
        let (recent, source) = (Recent::new(Duration::ZERO, Shutdown::new()), Source::default());
        let first = recent.get(is_young, source.reader()).await.unwrap();
        time::sleep(YOUNG * 10).await;
        source.hangs.store(true, Ordering::SeqCst);
        let asked = Instant::now();
        let served = recent.get(is_young, source.reader()).await.unwrap();
        assert_eq!((served.value, served.started), (first.value, first.started));
        assert_eq!(asked.elapsed(), WAIT_FOR_NEWER_MAX);
        for _ in 0..1_000 {
            recent.get(|_| false, source.reader()).await.unwrap();
        }
        assert_eq!(asked.elapsed(), WAIT_FOR_NEWER_MAX, "nobody waits for a read that others waited for in vain");

        // The hanging read is given up, and then it fails at once.
        source.hangs.store(false, Ordering::SeqCst);
        source.fails.store(true, Ordering::SeqCst);
        time::sleep(READ_MAX * 2).await;
        let (asked, reads) = (Instant::now(), source.reads.load(Ordering::SeqCst));
        for _ in 0..1_000 {
            assert_eq!(recent.get(is_young, source.reader()).await.unwrap().value, first.value);
        }
        assert_eq!(asked.elapsed(), Duration::ZERO, "nobody waits for what is known to be down");
        time::sleep(RETRY_INTERVAL * 2).await;
        assert_eq!(source.reads.load(Ordering::SeqCst), reads + 1);

        source.fails.store(false, Ordering::SeqCst);
        recent.get(is_young, source.reader()).await.unwrap();
        time::sleep(RETRY_INTERVAL).await;
        assert!(recent.get(is_young, source.reader()).await.unwrap().value > reads);
    }

    #[tokio::test(start_paused = true)]
    async fn without_any_value_the_problem_is_told() {
        let (recent, source) = (Recent::new(Duration::ZERO, Shutdown::new()), Source::default());
        source.fails.store(true, Ordering::SeqCst);
        recent.get(is_young, source.reader()).await.unwrap_err();
        source.hangs.store(true, Ordering::SeqCst);
        let asked = Instant::now();
        recent.get(is_young, source.reader()).await.unwrap_err();
        assert!(asked.elapsed() <= WAIT_FOR_FIRST_MAX);
    }
}
