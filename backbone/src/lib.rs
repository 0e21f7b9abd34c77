//! The plumbing that all components share: the log and the store behind their closed enums, the follower of
//! `pnyx.proposals`, telemetry, health and shutdown. No rule of counting lives here.

pub mod archives;
pub mod blocking;
pub mod clock;
pub mod disabled;
pub mod drain;
pub mod log;
pub mod proposals;
pub mod store;

pub mod health;
pub mod shutdown;
pub mod telemetry;
pub mod traces;
