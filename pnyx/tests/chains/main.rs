//! Power from a chain, with the real binary and a real node: powers are those of the snapshot, a chain that fails
//! delays ballots and decides nothing, a strategy that can never answer is refused, and no key in a URL is ever shown.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails says where, and its figures are shown"
)]

#[path = "../common/mod.rs"]
mod common;

mod disagreeing;
mod failing;
mod faults;
mod never;
mod rig;
mod secrecy;
mod snapshot;
mod steady;
mod wallets;
