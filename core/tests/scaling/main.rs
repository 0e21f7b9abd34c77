//! The scaling planner: a case for every limit, and what holds for every plan.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops there")]

mod components;
mod large;
mod lead;
mod limits;
mod no_flapping;
mod properties;
mod simulation;
mod spec;
mod support;
mod words;
