//! Chains read from a real node: powers, signatures, pins, and endpoints that fail.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops there")]

mod checks;
mod faults;
mod odd;
mod pins;
mod powers;
mod probes;
mod rig;
mod signatures;
