//! Shutdown: one signal that every task hears, and a bounded drain. It may be announced a while before, so that whoever
//! sends requests here learns to send them elsewhere while they are still answered.
//!
//! A task that fails or panics brings the whole process down, loudly: half a pipeline is worse than none.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    error::Error,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use thiserror::Error;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info};

use crate::telemetry;

/// What a task may fail with.
pub type TaskError = Box<dyn Error + Send + Sync>;

/// How a task ends: nothing, or a result.
pub trait TaskOutput: Send + 'static {
    /// The error, if it failed.
    fn into_result(self) -> Result<(), TaskError>;
}

impl TaskOutput for () {
    fn into_result(self) -> Result<(), TaskError> {
        Ok(())
    }
}

impl TaskOutput for Infallible {
    fn into_result(self) -> Result<(), TaskError> {
        match self {}
    }
}

impl<E: Into<TaskError> + Send + 'static> TaskOutput for Result<(), E> {
    fn into_result(self) -> Result<(), TaskError> {
        self.map_err(Into::into)
    }
}

/// Why a process did not end well.
#[derive(Debug, Error)]
pub enum DrainError {
    /// A task failed or panicked, which is why the process ends.
    #[error("{task} failed: {problem}")]
    TaskFailed {
        /// The task's name.
        task: &'static str,
        /// The error and everything behind it, on one line.
        problem: String,
    },
    /// Tasks were still running when the time was over.
    #[error("still running after {} s: {}", limit.as_secs(), tasks.join(", "))]
    TimedOut {
        /// How long was waited.
        limit: Duration,
        /// Their names.
        tasks: Vec<&'static str>,
    },
}

/// The signal and the tasks that hear it. Clones share both.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    announced: CancellationToken,
    signal: CancellationToken,
    tracker: TaskTracker,
    tasks: Mutex<Tasks>,
}

#[derive(Debug, Default)]
struct Tasks {
    running: BTreeMap<u64, &'static str>,
    next: u64,
    failed: Option<(&'static str, String)>,
}

impl Shutdown {
    /// Nothing requested, nothing running.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task that must end soon after [`Shutdown::requested`]. If it fails or panics the shutdown is requested.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future + Send + 'static,
        F::Output: TaskOutput,
    {
        let number = self.note_start(name);
        // A task of its own, so that a panic in it is heard here.
        let task = tokio::spawn(future);
        let shutdown = self.clone();
        self.inner.tracker.spawn(async move {
            let problem = match task.await {
                Ok(output) => output.into_result().err().map(|source| telemetry::chain(&*source)),
                Err(error) => Some(panic_text(error)),
            };
            shutdown.note_end(number, problem);
        });
    }

    /// Resolves once shutdown was requested; at once if it was before.
    pub async fn requested(&self) {
        self.inner.signal.cancelled().await;
    }

    /// Whether the process will end soon: from here on it is not ready.
    pub fn is_announced(&self) -> bool {
        self.inner.announced.is_cancelled() || self.is_requested()
    }

    /// Says that the process will end soon; everything goes on until [`Self::trigger`].
    pub fn announce(&self) {
        self.inner.announced.cancel();
    }

    /// Whether shutdown was requested.
    pub fn is_requested(&self) -> bool {
        self.inner.signal.is_cancelled()
    }

    /// The signal as a token, for libraries that take one.
    pub fn token(&self) -> CancellationToken {
        self.inner.signal.clone()
    }

    /// Requests shutdown.
    pub fn trigger(&self) {
        self.inner.signal.cancel();
    }

    /// Announces the shutdown at the first Ctrl-C or SIGTERM and requests it `notice` later, or at a second signal.
    ///
    /// # Errors
    /// If the operating system refuses the signal handlers.
    pub fn listen_for_signals(&self, notice: Duration) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};

        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => info!("interrupted, shutting down"),
                _ = terminate.recv() => info!("asked to terminate, shutting down"),
                () = shutdown.requested() => return,
            }
            shutdown.announce();
            tokio::select! {
                () = tokio::time::sleep(notice) => {}
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = shutdown.requested() => {}
            }
            shutdown.trigger();
        });
        Ok(())
    }

    /// Waits until shutdown was requested and then, at most `limit`, until every task has ended.
    ///
    /// # Errors
    /// If a task failed, or some are still running.
    pub async fn drained(&self, limit: Duration) -> Result<(), DrainError> {
        self.requested().await;
        self.inner.tracker.close();
        let ended = tokio::time::timeout(limit, self.inner.tracker.wait()).await;
        let tasks = self.tasks();
        if let Some((task, problem)) = tasks.failed.clone() {
            return Err(DrainError::TaskFailed { task, problem });
        }
        match ended {
            Ok(()) => Ok(()),
            Err(_) => Err(DrainError::TimedOut { limit, tasks: tasks.running.values().copied().collect() }),
        }
    }

    fn note_start(&self, name: &'static str) -> u64 {
        let mut tasks = self.tasks();
        let number = tasks.next;
        tasks.next += 1;
        tasks.running.insert(number, name);
        number
    }

    fn note_end(&self, number: u64, problem: Option<String>) {
        let mut tasks = self.tasks();
        let name = tasks.running.remove(&number).expect("every task is noted when it starts");
        if let Some(problem) = problem {
            error!(task = name, error = problem, "a task failed, shutting down");
            tasks.failed.get_or_insert((name, problem));
            drop(tasks);
            self.trigger();
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "cancelled".to_owned();
    };
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.as_deref().unwrap_or("without a text"))
}
