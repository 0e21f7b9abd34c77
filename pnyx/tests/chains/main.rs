//! Power from a chain, with the real binary and a real node: powers are those of the snapshot, a chain that fails
//! delays ballots and decides nothing, a strategy that can never answer is refused, and no key in a URL is ever shown.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "../common/mod.rs"]
mod common;

mod disagreeing;
mod failing;
mod never;
mod rig;
mod secrecy;
mod snapshot;
mod wallets;
