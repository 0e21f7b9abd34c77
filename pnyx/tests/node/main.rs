//! `pnyx` as pods on a real node.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod bed;
mod end_to_end;
mod image;
mod monitoring;
mod monitors;
mod paths;
mod rights;
mod support;
