//! Every wire format: golden files that must stay readable for ever, and properties of the decoders.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do, by panicking")]

mod chain_samples;
mod chains;
mod golden;
mod properties;
mod samples;
mod signatures;
mod sizes;
mod strictness;
