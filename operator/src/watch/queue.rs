//! Keys that wait for work, and a bounded number of workers that take them.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pnyx_backbone::shutdown::Shutdown;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::warn;

use super::schedule::Schedule;

/// How long what is in hand may take to end: a broker that is half dead holds a look for much longer, and a process that is
/// asked to end has some ten seconds. What is abandoned was written or not, and the next look sees which.
const IN_HAND_LIMIT: Duration = Duration::from_secs(5);

/// Keys that wait for work. A key that is added again while it waits is there once; one that is added while it is worked
/// on is worked on again afterwards; each may wait for its own time. Clones share it.
///
/// Of kube's runtime this would be `applier`, which comes with its controller's streams and one back-off over all of them.
#[derive(Debug, Clone)]
pub struct WorkQueue<K> {
    inner: Arc<Inner<K>>,
}

#[derive(Debug)]
struct Inner<K> {
    schedule: Mutex<Schedule<K>>,
    changed: Notify,
    started: Instant,
}

impl<K: Ord + Clone + Send + 'static> WorkQueue<K> {
    /// Nothing to do.
    pub fn new() -> Self {
        let inner = Inner { schedule: Mutex::default(), changed: Notify::new(), started: Instant::now() };
        Self { inner: Arc::new(inner) }
    }

    /// There is something to do about it now.
    pub fn add(&self, key: K) {
        let now = self.now();
        self.schedule().add(key, now);
        self.inner.changed.notify_one();
    }

    /// How many keys are due and not worked on.
    pub fn overdue(&self) -> usize {
        self.schedule().overdue(self.now())
    }

    /// Works on keys as they are due, at most `workers` at once, until the shutdown; then waits a while for those in hand, and
    /// abandons the rest. `work` says after what time its key is due again, if at all. A panic in it is passed on.
    pub async fn run<W, F>(&self, workers: usize, shutdown: &Shutdown, work: W)
    where
        W: Fn(K) -> F,
        F: Future<Output = Option<Duration>> + Send + 'static,
    {
        let mut running = JoinSet::new();
        loop {
            while running.len() < workers && !shutdown.is_requested() {
                let Some(key) = self.schedule().take(self.now()) else { break };
                let worked = work(key.clone());
                running.spawn(async move { (key, worked.await) });
            }
            // What waits for a worker is not waited for by the clock.
            let due = if running.len() < workers { self.schedule().next_due() } else { None };
            tokio::select! {
                () = shutdown.requested() => break,
                () = self.inner.changed.notified() => {}
                () = sleep_until(due.map(|due| self.inner.started + due)) => {}
                Some(ended) = running.join_next() => self.note_end(ended),
            }
        }
        let ending = async {
            while let Some(ended) = running.join_next().await {
                self.note_end(ended);
            }
        };
        if timeout(IN_HAND_LIMIT, ending).await.is_err() {
            warn!(abandoned = running.len(), "what was in hand took too long to end");
            running.shutdown().await;
        }
    }

    fn note_end(&self, ended: Result<(K, Option<Duration>), tokio::task::JoinError>) {
        match ended {
            Ok((key, again)) => {
                let again = again.map(|pause| self.now().saturating_add(pause));
                self.schedule().done(key, again);
            }
            // The other way to end so is to be cancelled, which is done once nobody waits for it any more.
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.inner.started.elapsed()
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule<K>> {
        self.inner.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Clone + Send + 'static> Default for WorkQueue<K> {
    fn default() -> Self {
        Self::new()
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn workers_are_bounded_and_keys_come_again() {
        let (queue, shutdown) = (WorkQueue::new(), Shutdown::new());
        (0..10).for_each(|key| queue.add(key));
        queue.add(3);
        assert_eq!(queue.overdue(), 10);
        let (at_once, most, runs) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let came_again = Arc::new(AtomicBool::new(false));
        let work = |key: u8| {
            let (at_once, most, runs) = (Arc::clone(&at_once), Arc::clone(&most), Arc::clone(&runs));
            let came_again = Arc::clone(&came_again);
            async move {
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                at_once.fetch_sub(1, Ordering::SeqCst);
                runs.fetch_add(1, Ordering::SeqCst);
                (key == 7 && !came_again.swap(true, Ordering::SeqCst)).then_some(Duration::from_millis(50))
            }
        };
        let ending = async {
            while runs.load(Ordering::SeqCst) < 11 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            queue.add(8);
            tokio::time::sleep(Duration::from_millis(10)).await;
            shutdown.trigger();
        };
        tokio::join!(queue.run(4, &shutdown, work), ending);
        assert_eq!((most.load(Ordering::SeqCst), runs.load(Ordering::SeqCst)), (4, 12));
        assert_eq!(at_once.load(Ordering::SeqCst), 0, "those in hand ended first");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_abandoned() {
        let (queue, shutdown) = (WorkQueue::new(), Shutdown::new());
        let begun = Arc::new(Notify::new());
        let work = |(): ()| {
            let begun = Arc::clone(&begun);
            async move {
                begun.notify_one();
                std::future::pending().await
            }
        };
        queue.add(());
        let ending = async {
            begun.notified().await;
            shutdown.trigger();
        };
        let run = async { tokio::join!(queue.run(1, &shutdown, work), ending) };
        timeout(IN_HAND_LIMIT * 2, run).await.expect("it ends");
    }
}
