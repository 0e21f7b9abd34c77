//! The logs of platforms: who leads opens them, follows what is decided in them, looks at how far topics are written and
//! verified, and writes what an operator writes there: definitions, partitions, and that counted topics go.
//!
//! ```text
//! platform, Secrets ──▶ target ──▶ follow ──▶ Books, and what the last look at each topic showed
//!                                    └─▶ sampling
//! effects of a plan ──▶ writing ──▶ the log
//! ```
//!
//! What stands in a log is acted upon only as it was read back. A log that is away delays what is new and takes nothing back.

mod follow;
mod sampling;
mod state;
mod target;
mod writing;

pub use state::LogState;
pub use target::{LogTarget, SecretValues};
pub use writing::{LogWrite, LogWriteError};

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pnyx_backbone::shutdown::Shutdown;
use pnyx_core::id::ProposalId;
use tokio::task::JoinHandle;
use tracing::warn;

use self::state::PlatformLog;
use crate::{
    kinds::{Key, ObjectKey},
    observe::{Books, TopicsSeen},
    watch::WorkQueue,
};

/// The log of each platform. Clones share them.
#[derive(Clone)]
pub struct Logs {
    inner: Arc<Inner>,
}

struct Inner {
    books: Books,
    /// Where credentials lie as files; nobody else may read it.
    folder: PathBuf,
    /// Whose resources are worth a look when something changed.
    queue: WorkQueue<Key>,
    /// Nothing once they were let go: a look that is still in hand opens none anew.
    logs: Mutex<Option<BTreeMap<ObjectKey, Followed>>>,
}

/// A log that is followed.
struct Followed {
    target: LogTarget,
    /// Its platform keeps archives outside the log.
    keeps_archives: bool,
    log: Arc<PlatformLog>,
    stop: Shutdown,
    task: JoinHandle<()>,
}

impl Logs {
    /// None yet. What is read goes to `books`; credentials are kept in `folder`.
    pub fn new(books: Books, folder: PathBuf, queue: WorkQueue<Key>) -> Self {
        Self { inner: Arc::new(Inner { books, folder, queue, logs: Mutex::new(Some(BTreeMap::new())) }) }
    }

    /// Follows the log of a platform where this says. Where it says so already, nothing changes but credentials, which the
    /// client takes over by itself, and whether the platform keeps archives elsewhere: that is remembered for when it is gone.
    pub fn follow(&self, platform: &ObjectKey, target: LogTarget, keeps_archives: bool) {
        let mut logs = self.logs();
        let Some(logs) = logs.as_mut() else { return };
        let folder = target::folder_of(&self.inner.folder, platform);
        if let Err(error) = target.write_credentials(&folder) {
            warn!(%platform, error = pnyx_backbone::telemetry::chain(&error), "credentials for the log cannot be kept");
            return;
        }
        if let Some(followed) = logs.get_mut(platform) {
            if followed.target.is_same_log(&target) {
                followed.target = target;
                followed.keeps_archives = keeps_archives;
                return;
            }
            // What another log said is nothing about this one.
            followed.stop.trigger();
            self.inner.books.remove(platform);
        }
        let (log, stop) = (Arc::new(PlatformLog::default()), Shutdown::new());
        let config = target.config(&folder);
        let following = follow::Following {
            platform: platform.clone(),
            log: Arc::clone(&log),
            books: self.inner.books.writer(platform.clone()),
            queue: self.inner.queue.clone(),
            stop: stop.clone(),
        };
        let task = tokio::spawn(following.run(config));
        logs.insert(platform.clone(), Followed { target, keeps_archives, log, stop, task });
    }

    /// Forgets the log of a platform that is gone.
    pub fn forget(&self, platform: &ObjectKey) {
        let Some(followed) = self.logs().as_mut().and_then(|logs| logs.remove(platform)) else { return };
        followed.stop.trigger();
        self.inner.books.remove(platform);
        target::remove_credentials(&target::folder_of(&self.inner.folder, platform));
    }

    /// How the log of a platform is; nothing if it is not followed.
    pub fn state(&self, platform: &ObjectKey) -> Option<LogState> {
        self.log(platform).map(|log| log.state())
    }

    /// What the log shows of a proposal's topics.
    pub fn topics(&self, platform: &ObjectKey, proposal: ProposalId) -> TopicsSeen {
        let followed = |followed: &Followed| (Arc::clone(&followed.log), followed.keeps_archives);
        let Some((log, keeps_archives)) = self.logs().as_ref().and_then(|logs| logs.get(platform).map(followed)) else {
            return TopicsSeen::default();
        };
        let book = self.inner.books.get(platform);
        let decisions = book.as_ref().and_then(|book| book.get(proposal));
        TopicsSeen { keeps_archives: Some(keeps_archives), ..log.topics(proposal, decisions) }
    }

    /// Lets go of them all at once, for good: whoever does not lead has nothing to do with them, nor with what opens them.
    pub fn abandon(&self) {
        drop(self.let_go());
    }

    /// Ends them all, and waits until they ended.
    pub async fn close(&self) {
        for task in self.let_go() {
            drop(task.await);
        }
    }

    fn let_go(&self) -> Vec<JoinHandle<()>> {
        let let_go = |(platform, followed): (ObjectKey, Followed)| {
            followed.stop.trigger();
            target::remove_credentials(&target::folder_of(&self.inner.folder, &platform));
            followed.task
        };
        self.logs().take().unwrap_or_default().into_iter().map(let_go).collect()
    }

    fn log(&self, platform: &ObjectKey) -> Option<Arc<PlatformLog>> {
        self.logs().as_ref()?.get(platform).map(|followed| Arc::clone(&followed.log))
    }

    fn logs(&self) -> MutexGuard<'_, Option<BTreeMap<ObjectKey, Followed>>> {
        self.inner.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
