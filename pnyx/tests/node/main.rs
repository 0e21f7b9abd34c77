//! `pnyx` as pods on a real node.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails says where, and one that takes minutes says how it goes"
)]

mod bed;
mod chaos;
mod end_to_end;
mod image;
mod monitoring;
mod monitors;
mod paths;
mod quick_start;
mod rights;
mod support;
mod watch;
