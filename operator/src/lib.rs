//! The operator: GovernancePlatform and GovernanceProposal become what runs them, and their status says what is true.
//!
//! Data flows one way: watches fill caches; a look at one resource observes them, validates, plans, and has the plan
//! applied; then status says how things are. Of several operators the one that holds the lease writes.
//!
//! What it knows of votes comes from the log of each platform, which it follows; docs/architecture.md says what it does not do yet.

pub mod lease;

pub mod watch;

pub mod log;

pub mod observe;

pub mod validate;

pub mod plan;

pub mod build;

pub mod apply;

pub mod status;

mod reconcile;

mod client;
mod clock;
mod config;
mod error;
mod events;
mod kinds;
mod metrics;
mod run;
mod tallies;

pub use client::{Connected, client, connect};
pub use config::{LEASE_NAME_DEFAULT, OperatorConfig, Scope};
pub use error::OperatorError;
pub use kinds::{ChildKind, Key, ObjectKey, Primary};
pub use metrics::OperatorMetrics;
pub use run::run;
