//! Proposals: what is refused with which words, and the bytes and ids of those that are not.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops there")]

mod encoding;
mod problems;
mod support;
