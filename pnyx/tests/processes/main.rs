//! The platform in separate processes on real Kafka and Redis: the same results as in one process, power from a chain,
//! refusals that say what to do, poison that hurts nobody, restarts that nobody notices, and wrong passwords, certificates
//! and rights that are named.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails says where, and its figures are shown"
)]

#[path = "../common/mod.rs"]
mod common;

#[path = "../chains/rig.rs"]
#[expect(dead_code, reason = "what asks one process for everything is of no use where there are several")]
mod chain_rig;

mod chain;
mod edge;
mod poison;
mod rolling;
mod same;
mod secure;

use common::pipeline::{Pipeline, Role, Shape};

/// One after another on one platform: starting one for each would take longer than what they do.
#[test]
fn the_processes_of_a_platform() {
    let mut shape = Shape::usual();
    shape.roles.push(Role::Ingest);
    let mut pipeline = Pipeline::start(shape);
    poison::is_skipped_in_every_topic(&mut pipeline);
    edge::limits_a_source_address(&mut pipeline);
    edge::stands_twenty_times_its_capacity(&mut pipeline);
    rolling::restarts_are_noticed_by_nobody(&mut pipeline);
}

#[test]
fn processes_and_one_process_come_to_the_same_result() {
    same::run();
}

#[test]
fn processes_read_a_chain() {
    chain::powers_come_from_it();
}

#[test]
fn over_tls_with_passwords_and_rights_a_vote_goes_through_and_what_is_wrong_is_named() {
    secure::run();
}
