//! One list and watch after the other, for as long as the process lives.

use std::{future::Future, time::Duration};

use futures_util::{StreamExt as _, pin_mut};
use kube::{
    Api,
    api::{ListParams, WatchParams},
    core::{DynamicObject, WatchEvent},
};
use pnyx_backbone::{health::Pulse, shutdown::Shutdown, telemetry};
use thiserror::Error;
use tokio::{sync::watch, time::timeout};
use tracing::{debug, warn};

use super::{Backoff, Cache, Change};
use crate::metrics::WatchMetrics;

/// Objects of one page of a list: some megabytes at most.
const PAGE_OBJECTS: u32 = 500;

/// Longest that one page of a list may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest that a watch takes to begin.
const WATCH_START_TIMEOUT: Duration = Duration::from_secs(10);

/// After this the server ends a watch and a new one goes on where it was: a connection that died unnoticed costs no more.
const WATCH_TIMEOUT_S: u32 = 60;

/// Longest silence on a watch: it should have ended regularly before.
const SILENCE_MAX: Duration = Duration::from_secs(WATCH_TIMEOUT_S as u64 + 10);

/// A watch that makes no progress for this long is dead, and so is the process: several silences, lists and pauses.
pub const PROGRESS_LIMIT: Duration = Duration::from_secs(300);

/// First pause after a failure.
const PAUSE_FIRST: Duration = Duration::from_millis(500);

/// Longest pause after a failure: a server that comes back is seen soon.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// A watch that lasted shorter than this before the server ended it is followed by a pause, so that two machines that
/// misunderstand each other do not spin.
const WATCH_MIN: Duration = Duration::from_secs(1);

/// Status of a version that the server no longer has.
const GONE: u16 = 410;

/// Why a watch begins again.
#[derive(Debug, Error)]
enum WatchError {
    #[error("no answer in time to {0}")]
    TimedOut(&'static str),
    #[error("the API server refused to list")]
    List(#[source] kube::Error),
    #[error("the API server refused to watch")]
    Start(#[source] kube::Error),
    #[error("the watch broke off")]
    Broken(#[source] kube::Error),
    #[error("the API server ended the watch: {} {}", .0.code, .0.message)]
    Ended(Box<kube::core::Status>),
    #[error("the version that was seen last is gone")]
    Gone,
    #[error("the list has no version")]
    NoVersion,
}

/// A watch of all objects of a kind in one namespace or all of them.
pub struct Watch {
    /// Where they are.
    pub api: Api<DynamicObject>,
    /// What they are, for people.
    pub kind: &'static str,
    /// Only those in it; all without it.
    pub namespace: Option<String>,
    /// Only those that have these labels.
    pub labels: Option<String>,
    /// Where they go.
    pub cache: Cache,
    /// Says that it lives.
    pub pulse: Pulse,
    /// Becomes true once everything was listed.
    pub synced: watch::Sender<bool>,
    /// Counts its failures.
    pub metrics: WatchMetrics,
}

impl Watch {
    /// Watches until the shutdown, and tells `noted` of every change.
    pub async fn run(self, shutdown: Shutdown, noted: impl Fn(&Change)) {
        let place = self.namespace.clone().unwrap_or_default();
        let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_MAX, (self.kind, place));
        let mut version = None;
        loop {
            let began = tokio::time::Instant::now();
            let ended = tokio::select! {
                () = shutdown.requested() => return,
                ended = self.once(&mut version, &noted) => ended,
            };
            if let Err(error) = &ended {
                self.note_failure(error);
                if matches!(error, WatchError::Gone | WatchError::NoVersion) {
                    version = None;
                }
            }
            if began.elapsed() >= WATCH_MIN {
                backoff.reset();
                if ended.is_ok() {
                    continue;
                }
            }
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(backoff.next_pause()) => {}
            }
        }
    }

    /// One watch from `version`, after a list if there is none. Ends when the server ends it.
    async fn once(&self, version: &mut Option<String>, noted: &impl Fn(&Change)) -> Result<(), WatchError> {
        let from = match version.clone() {
            Some(version) => version,
            None => version.insert(self.list(noted).await?).clone(),
        };
        let mut params = WatchParams::default().timeout(WATCH_TIMEOUT_S);
        params.label_selector = self.labels.clone();
        let events = within(WATCH_START_TIMEOUT, "watch", self.api.watch(&params, &from)).await?;
        let events = events.map_err(start_error)?;
        pin_mut!(events);
        loop {
            let Some(event) = within(SILENCE_MAX, "the watch", events.next()).await? else { break };
            match event.map_err(WatchError::Broken)? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    version.clone_from(&object.metadata.resource_version);
                    self.cache.apply(object).iter().for_each(noted);
                }
                WatchEvent::Deleted(object) => {
                    version.clone_from(&object.metadata.resource_version);
                    self.cache.delete(&object).iter().for_each(noted);
                }
                WatchEvent::Bookmark(bookmark) => *version = Some(bookmark.metadata.resource_version),
                WatchEvent::Error(status) if status.code == GONE => return Err(WatchError::Gone),
                WatchEvent::Error(status) => return Err(WatchError::Ended(status)),
            }
            self.pulse.beat();
        }
        // It ended as it should, perhaps without a word.
        self.pulse.beat();
        Ok(())
    }

    /// Lists everything into the cache and says of which version it is.
    async fn list(&self, noted: &impl Fn(&Change)) -> Result<String, WatchError> {
        let mut params = ListParams::default().limit(PAGE_OBJECTS);
        params.label_selector = self.labels.clone();
        let mut objects = Vec::new();
        let version = loop {
            let page = within(LIST_TIMEOUT, "list", self.api.list(&params)).await?.map_err(list_error)?;
            self.pulse.beat();
            objects.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => break page.metadata.resource_version.filter(|version| !version.is_empty()),
            }
        };
        let version = version.ok_or(WatchError::NoVersion)?;
        debug!(kind = self.kind, objects = objects.len(), "listed");
        self.cache.replace(self.namespace.as_deref(), objects).iter().for_each(noted);
        self.synced.send_replace(true);
        Ok(version)
    }

    fn note_failure(&self, error: &WatchError) {
        // A refusal is an answer: a right or a resource is missing, which no restart mends.
        if matches!(
            error,
            WatchError::List(kube::Error::Api(_)) | WatchError::Start(kube::Error::Api(_)) | WatchError::Gone
        ) {
            self.pulse.beat();
        }
        self.metrics.failed(self.kind);
        let namespace = self.namespace.as_deref();
        warn!(kind = self.kind, namespace, error = telemetry::chain(error), "watch interrupted");
    }
}

fn list_error(error: kube::Error) -> WatchError {
    if is_gone(&error) { WatchError::Gone } else { WatchError::List(error) }
}

fn start_error(error: kube::Error) -> WatchError {
    if is_gone(&error) { WatchError::Gone } else { WatchError::Start(error) }
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == GONE)
}

async fn within<T>(limit: Duration, what: &'static str, call: impl Future<Output = T>) -> Result<T, WatchError> {
    timeout(limit, call).await.map_err(|_| WatchError::TimedOut(what))
}
