//! The loop that holds the lease, or waits for it.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, api::PostParams};
use pnyx_backbone::{shutdown::Shutdown, telemetry};
use thiserror::Error;
use tracing::{debug, info, warn};

use super::{Action, LEASE_CALL_TIMEOUT, Leadership, LeaseRecord, Observation, RETRY_PERIOD, evaluate};

/// Which part of the operator writes the lease, as the API server notes it.
const FIELD_MANAGER: &str = "pnyx-operator/lease";

/// Why this process must end at once.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// No renewal succeeded in time, so another may lead from here on.
    #[error("{identity} could not renew the lease within its deadline")]
    NotRenewed {
        /// This process.
        identity: String,
    },
    /// Somebody else has it.
    #[error("{identity} held the lease, and now {holder} has it")]
    Taken {
        /// This process.
        identity: String,
        /// Who has it now.
        holder: String,
    },
}

/// Why one question or write about the lease came to nothing.
#[derive(Debug, Error)]
enum CallError {
    #[error("no answer within {} s", LEASE_CALL_TIMEOUT.as_secs())]
    TimedOut,
    #[error("the API server refused")]
    Refused(#[source] kube::Error),
}

/// A candidate for the lease.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    leadership: Leadership,
    observation: Observation,
    /// The lease as last seen or written.
    lease: Option<Lease>,
    started: Instant,
}

impl Elector {
    /// A candidate for the lease `name` in `namespace`.
    pub fn new(client: Client, namespace: &str, name: impl Into<String>, leadership: Leadership) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.into(),
            leadership,
            observation: Observation::default(),
            lease: None,
            started: Instant::now(),
        }
    }

    /// Holds the lease or waits for it, until the shutdown; who holds it then has to [`Self::release`] it.
    ///
    /// # Errors
    /// If this process led and no longer does. It must end then, because others lead.
    pub async fn run(&mut self, shutdown: &Shutdown) -> Result<(), LeaseError> {
        info!(holder = self.leadership.identity(), lease = self.name, "waits for the lease");
        loop {
            let pause = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                turned = self.turn() => turned?,
            };
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Keeps the lease while what is in flight ends, for as long as `ending` takes.
    ///
    /// # Errors
    /// If the lease was lost meanwhile.
    pub async fn hold_while<T>(&mut self, ending: impl Future<Output = T>) -> Result<T, LeaseError> {
        let mut ending = std::pin::pin!(ending);
        loop {
            let turn = async {
                let pause = if self.leadership.is_begun() { self.turn().await? } else { RETRY_PERIOD };
                tokio::time::sleep(pause).await;
                Ok(())
            };
            tokio::select! {
                ended = &mut ending => return Ok(ended),
                turned = turn => turned?,
            }
        }
    }

    /// Gives the lease back, so that nobody waits for it to expire. Whoever could write must have ended before.
    pub async fn release(self) {
        let holds = self.leadership.check().is_ok();
        self.leadership.end();
        if !holds {
            return;
        }
        // The last renewal may have been cut off, so nobody here knows how the lease is.
        let released = async {
            let Some(seen) = within(self.api.get_opt(&self.name)).await? else { return Ok(()) };
            let record = LeaseRecord::of(&seen);
            if record.holder.as_deref() != Some(self.leadership.identity()) {
                return Ok(());
            }
            self.replace(seen, record.released(Timestamp::now())).await.map(|_| ())
        };
        let identity = self.leadership.identity();
        match released.await {
            Ok(()) => info!(holder = identity, lease = self.name, "lease released"),
            Err(error) => {
                let error: CallError = error;
                warn!(
                    holder = identity,
                    error = telemetry::chain(&error),
                    "lease not released, others wait for it to expire"
                );
            }
        }
    }

    /// One look or renewal. Says how long to wait for the next.
    async fn turn(&mut self) -> Result<Duration, LeaseError> {
        // One that was stopped beyond its time does not write even the lease: somebody else has it, or may take it.
        self.refuse_expired()?;
        let retry = match self.try_turn().await {
            Ok(pause) => pause,
            Err(error) => {
                warn!(holder = self.leadership.identity(), error = telemetry::chain(&error), "lease out of reach");
                // What is known of it may be old.
                self.lease = None;
                RETRY_PERIOD
            }
        };
        self.refuse_expired()?;
        let identity = self.leadership.identity();
        if let Some(holder) = self.lease.as_ref().and_then(|lease| LeaseRecord::of(lease).holder)
            && holder != identity
            && self.leadership.is_begun()
        {
            return Err(LeaseError::Taken { identity: identity.to_owned(), holder });
        }
        Ok(retry)
    }

    fn refuse_expired(&self) -> Result<(), LeaseError> {
        if self.leadership.is_expired(Instant::now()) {
            return Err(LeaseError::NotRenewed { identity: self.leadership.identity().to_owned() });
        }
        Ok(())
    }

    async fn try_turn(&mut self) -> Result<Duration, CallError> {
        // A holder knows the lease from its own last write; anybody else has to look.
        if !self.leadership.is_begun() || self.lease.is_none() {
            self.lease = within(self.api.get_opt(&self.name)).await?;
        }
        let record = self.lease.as_ref().map(LeaseRecord::of);
        let now = self.started.elapsed();
        self.observation.note(record.as_ref(), now);
        let identity = self.leadership.identity();
        // One that led makes its lost lease again at once; others wait as long as it may lead.
        let action = match evaluate(record.as_ref(), identity, &self.observation, now) {
            Action::Wait { .. } if record.is_none() && self.leadership.check().is_ok() => Action::Create,
            action => action,
        };
        let (wall, sent_at) = (Timestamp::now(), Instant::now());
        let written = match (action, self.lease.clone(), record) {
            (Action::Wait { until }, _, _) => return Ok(until.saturating_sub(now).min(RETRY_PERIOD)),
            (Action::Renew, Some(seen), Some(record)) => self.replace(seen, record.renewed(wall)).await,
            (_, Some(seen), Some(record)) => self.replace(seen, record.taken(identity, wall)).await,
            (_, _, _) => self.create(LeaseRecord::first(identity, wall)).await,
        };
        match written {
            Ok(lease) => {
                if !self.leadership.is_begun() {
                    info!(holder = identity, lease = self.name, "leads");
                }
                self.leadership.extend(sent_at, Instant::now());
                self.lease = Some(lease);
                Ok(RETRY_PERIOD)
            }
            // Somebody else was faster, or touched it: look again soon.
            Err(CallError::Refused(kube::Error::Api(status))) if status.is_conflict() => {
                debug!(holder = identity, lease = self.name, "lease changed meanwhile");
                self.lease = None;
                Ok(CONFLICT_PAUSE)
            }
            Err(error) => Err(error),
        }
    }

    async fn replace(&self, seen: Lease, record: LeaseRecord) -> Result<Lease, CallError> {
        // With the version that was seen: a lease that changed meanwhile is not written.
        let lease = Lease { spec: Some(record.into_spec()), ..seen };
        within(self.api.replace(&self.name, &post(), &lease)).await
    }

    async fn create(&self, record: LeaseRecord) -> Result<Lease, CallError> {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(record.into_spec()) };
        within(self.api.create(&post(), &lease)).await
    }
}

/// After a write that somebody else was faster than: soon, because a holder has little time, and not at once, so that two
/// do not chase each other.
const CONFLICT_PAUSE: Duration = Duration::from_millis(200);

fn post() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(LEASE_CALL_TIMEOUT, call).await {
        Ok(answer) => answer.map_err(CallError::Refused),
        Err(_) => Err(CallError::TimedOut),
    }
}
