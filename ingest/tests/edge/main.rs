//! The edge on a real log, asked over its router.

mod answers;
mod keys;
mod receipts;
mod shapes;
mod support;
