//! The recount, archives and audit against the real embedded log and signed ballots of all seven systems.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod archives;
mod chain;
mod closings;
mod contracts;
mod evidence;
mod golden;
mod pipeline;
mod properties;
mod receipts;
mod sample;
mod tamperings;
mod waiting;
mod wallets;
mod wrong_pins;
