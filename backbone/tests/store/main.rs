//! The store: whatever owners, batches, repeats and losses there were, the totals are those of the verdicts, once each.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod memory;
mod owners;
mod redis;
mod redis_away;
mod redis_refused;
mod redis_rig;
mod suite;
