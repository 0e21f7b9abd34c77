//! Five hundred proposals that nothing happens to: the operator looks at them again and again, and writes next to nothing.

use std::{
    thread,
    time::{Duration, Instant},
};

use pnyx_testbed::KafkaOptions;

use crate::fleet::{Fleet, OPEN, PROPOSALS};

/// How long is counted: a minute is what the promise is about.
const COUNTED: Duration = Duration::from_secs(60);

/// Nothing may be written for so long before it is counted: what follows from starting pods is over then.
const QUIET: Duration = Duration::from_secs(5);

#[test]
fn many_proposals_cost_at_most_one_write_a_minute_each() {
    let fleet = Fleet::start(KafkaOptions::one());
    let began = Instant::now();
    let operator = fleet.operator(0);
    fleet.wait_until_reconciled(&operator);
    println!("{PROPOSALS} proposals, {OPEN} of them open: reconciled after {} s", began.elapsed().as_secs());
    fleet.wait_until_steady(0, QUIET);
    let before = fleet.written(0);
    thread::sleep(COUNTED);
    let writes = fleet.writes(0, before);
    println!("in {} s: {} writes {:?}", COUNTED.as_secs(), writes.all, writes.kinds);
    assert!(writes.by_proposal.values().all(|count| *count <= 1), "{:?}", writes.by_proposal);
    // Events tell no name there; together they are no more either.
    assert!(writes.all <= PROPOSALS, "{:?}", writes.kinds);
    assert_eq!(operator.metric("pnyx_operator_leads"), Some(1.0));
}
