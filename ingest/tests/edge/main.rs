//! The edge on a real log, asked over its router.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod answers;
mod keys;
mod receipts;
mod shapes;
mod support;
