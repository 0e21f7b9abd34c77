//! The vocabulary and the rules of Pnyx: pure functions over plain data.
//!
//! Nothing here does I/O, reads a clock or the environment, draws random numbers, runs async code or iterates in an
//! order that differs between runs: a result must be the same bytes on every machine. Time comes in as an argument.
//! All arithmetic is on integers and checked.
#![deny(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

pub mod id;
pub mod power;
pub mod time;

pub mod chain;

pub mod proposal;

pub mod ballot;
pub mod choice;
pub mod rejection;
pub mod signature_check;
pub mod verdict;

pub mod counting;
pub mod outcome;
pub mod tally;

pub mod decisions;
pub mod lifecycle;
pub mod scaling;

pub mod merkle;
pub mod receipt;
pub mod result;
pub mod signing;
pub mod stored_archive;

pub mod wire;
