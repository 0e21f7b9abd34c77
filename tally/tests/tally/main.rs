//! The tally over a real log (embedded, and Kafka where topics go wrong) and the in-memory store: verdict records are
//! written directly.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod api;
mod contracts;
mod events;
mod lanes;
mod rig;
mod topics;
