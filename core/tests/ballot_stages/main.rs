//! Ballots from bytes to a proven signature: digests, refusals, signatures, choices, and the client's side.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops there")]

mod answers;
mod choices;
mod claims;
mod digests;
mod mutations;
mod refusals;
mod signatures;
mod support;
