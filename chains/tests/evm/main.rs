//! Chains read from a real node: powers, pins, and endpoints that fail.

mod checks;
mod faults;
mod odd;
mod pins;
mod powers;
mod rig;
