//! The recount: closes proposals, and lets strangers check what came out.
//!
//! After a proposal's window this component fixes where counting ends (the cut), waits until the live tally has reached
//! it, counts everything again from the raw records, and publishes the result only if both agree. The same counting
//! serves archives and their audit. Nothing here is kept: after a restart everything follows from the log.

pub mod config;
pub mod metrics;

mod claims;
mod closing;
mod cut;
mod evidence;
mod facts;
mod late;
mod live;
mod look_up;
mod pinning;
mod storing;

pub mod archive;
pub mod audit;
pub mod count;
pub mod offline;
pub mod recounting;

pub use archive::{ArchiveError, Archives};
pub use audit::{AuditFailure, AuditOptions, AuditReport, audit};
pub use closing::{CloseError, Closing, PhaseChange, Pinned, close_one, pin_one, run};
pub use config::Config;
pub use evidence::{EvidenceError, recorded_sources};
pub use metrics::RecountMetrics;
pub use recounting::{Progress, ReadError, RecountError, Recounted, recount};
pub use storing::StoringError;
