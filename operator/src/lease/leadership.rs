//! Who asks before each write whether this process still leads.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::sync::watch;
use tracing::{error, info};

use super::RENEW_DEADLINE;

/// This process does not lead, so it starts no write.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotLeading {
    /// It waits for its turn, or gave the lease back.
    #[error("{identity} does not hold the lease")]
    Standby {
        /// This process.
        identity: String,
    },
    /// It led, and was not heard in time: perhaps it was stopped for a while.
    #[error("{identity} last renewed the lease {} ms beyond its deadline", late.as_millis())]
    Expired {
        /// This process.
        identity: String,
        /// How long its time has been over.
        late: Duration,
    },
}

/// Whether this process leads, on its own clock. Clones share it.
#[derive(Debug, Clone)]
pub struct Leadership {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    identity: String,
    term: Mutex<Term>,
    leads: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Term {
    /// Until when this process leads; nothing while it does not.
    until: Option<Instant>,
    /// Whether it was said that this process noticed late.
    is_late_said: bool,
}

impl Leadership {
    /// Of a process that does not lead yet.
    pub fn new(identity: impl Into<String>) -> Self {
        let inner = Inner { identity: identity.into(), term: Mutex::default(), leads: watch::Sender::new(false) };
        Self { inner: Arc::new(inner) }
    }

    /// By which name this process holds the lease.
    pub fn identity(&self) -> &str {
        &self.inner.identity
    }

    /// Asked right before each write, and by whom it is begun stands in the log: neither a process that waits for its turn nor one that was stopped beyond its lease
    /// and goes on may start one. What was in flight is harmless: it names the version it saw, or says what another
    /// leader would say too.
    ///
    /// # Errors
    /// Unless this process leads at this moment.
    pub fn begin(&self, write: &impl fmt::Display) -> Result<(), NotLeading> {
        self.check()?;
        info!(holder = self.inner.identity, %write, "begins a write");
        Ok(())
    }

    /// Whether it leads at this moment.
    ///
    /// # Errors
    /// If it does not.
    pub fn check(&self) -> Result<(), NotLeading> {
        self.check_at(Instant::now())
    }

    fn check_at(&self, now: Instant) -> Result<(), NotLeading> {
        let identity = || self.inner.identity.clone();
        let mut term = self.term();
        let Some(until) = term.until else { return Err(NotLeading::Standby { identity: identity() }) };
        if now < until {
            return Ok(());
        }
        let late = now.duration_since(until);
        if !term.is_late_said {
            term.is_late_said = true;
            error!(holder = self.inner.identity, late_ms = late.as_millis(), "lease expired, no write is started");
        }
        Err(NotLeading::Expired { identity: identity(), late })
    }

    /// Resolves once this process leads.
    pub async fn gained(&self) {
        let mut leads = self.inner.leads.subscribe();
        // The sender lives as long as this.
        drop(leads.wait_for(|leads| *leads).await);
    }

    /// Whether this process led and its time is over.
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        matches!(self.check_at(now), Err(NotLeading::Expired { .. }))
    }

    /// Whether this process leads or led, and has not given the lease back.
    pub(super) fn is_begun(&self) -> bool {
        self.term().until.is_some()
    }

    /// A write of the lease that was sent then is known to have succeeded. A term that is over stays over.
    pub(super) fn extend(&self, sent_at: Instant, now: Instant) {
        let mut term = self.term();
        if term.until.is_some_and(|until| now >= until) {
            return;
        }
        term.until = Some(sent_at + RENEW_DEADLINE);
        drop(term);
        self.inner.leads.send_replace(true);
    }

    /// From here on this process does not lead.
    pub(super) fn end(&self) {
        self.term().until = None;
        self.inner.leads.send_replace(false);
    }

    fn term(&self) -> MutexGuard<'_, Term> {
        self.inner.term.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_for_as_long_as_its_renewals_last() {
        let leadership = Leadership::new("a");
        let start = Instant::now();
        assert_eq!(leadership.check_at(start), Err(NotLeading::Standby { identity: "a".to_owned() }));
        leadership.extend(start, start);
        let second = Duration::from_secs(1);
        leadership.extend(start + second, start + second * 2);
        let until = start + second + RENEW_DEADLINE;
        assert_eq!(leadership.check_at(until - Duration::from_nanos(1)), Ok(()));
        assert!(!leadership.is_expired(until - Duration::from_nanos(1)));
        let expired = NotLeading::Expired { identity: "a".to_owned(), late: Duration::ZERO };
        assert_eq!(leadership.check_at(until), Err(expired));
    }

    #[test]
    fn an_answer_that_comes_too_late_brings_nothing_back() {
        let leadership = Leadership::new("a");
        let start = Instant::now();
        leadership.extend(start, start);
        let late = start + RENEW_DEADLINE;
        leadership.extend(late - Duration::from_millis(1), late);
        assert!(leadership.is_expired(late));
        leadership.end();
        assert!(!leadership.is_expired(late) && leadership.check_at(start).is_err());
    }
}
