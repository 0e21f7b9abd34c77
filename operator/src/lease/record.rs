//! What of a Lease says who leads.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};

use super::{LEASE_DURATION, LEASE_DURATION_MAX};

/// What of a Lease says who leads. Two that are equal are one and the same renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Who holds it; nobody once it is released.
    pub holder: Option<String>,
    /// How long others shall wait after they saw it change.
    pub duration: Duration,
    /// When the holder says that it took the lease. Compared, never trusted.
    pub acquired_at: Option<Timestamp>,
    /// When the holder says that it renewed the lease. Compared, never trusted.
    pub renewed_at: Option<Timestamp>,
    /// How often the holder changed.
    pub transitions: i32,
}

impl LeaseRecord {
    /// Reads a Lease. What makes no sense is taken for its default.
    pub fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(LEASE_DURATION, Duration::from_secs);
        Self {
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
            duration: duration.clamp(LEASE_DURATION, LEASE_DURATION_MAX),
            acquired_at: spec.acquire_time.map(|time| time.0),
            renewed_at: spec.renew_time.map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or(0),
        }
    }

    /// The first record of a lease.
    pub fn first(identity: &str, now: Timestamp) -> Self {
        Self {
            holder: Some(identity.to_owned()),
            duration: LEASE_DURATION,
            acquired_at: Some(now),
            renewed_at: Some(now),
            transitions: 0,
        }
    }

    /// The lease in new hands.
    pub fn taken(&self, identity: &str, now: Timestamp) -> Self {
        Self { transitions: self.transitions.saturating_add(1), ..Self::first(identity, now) }
    }

    /// The lease in the same hands for longer.
    pub fn renewed(&self, now: Timestamp) -> Self {
        Self { duration: LEASE_DURATION, renewed_at: Some(now), ..self.clone() }
    }

    /// The lease in nobody's hands.
    pub fn released(&self, now: Timestamp) -> Self {
        Self { holder: None, renewed_at: Some(now), ..self.clone() }
    }

    /// As the API server stores it.
    pub fn into_spec(self) -> LeaseSpec {
        let Self { holder, duration, acquired_at, renewed_at, transitions } = self;
        LeaseSpec {
            holder_identity: Some(holder.unwrap_or_default()),
            lease_duration_seconds: Some(i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: acquired_at.map(MicroTime),
            renew_time: renewed_at.map(MicroTime),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}
