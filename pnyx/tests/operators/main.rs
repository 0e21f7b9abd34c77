//! `pnyx operator` as processes, on a real control plane and a real Kafka: who leads and no longer may writes nothing, and
//! hundreds of proposals cost little once they stand.
#![expect(clippy::print_stdout, reason = "what a test measures is shown")]

#[path = "../common/mod.rs"]
mod common;

mod bed;
mod fleet;
mod leaders;
mod many;
mod operator;
