//! A vote from `kubectl apply` to its result, with everything as pods but Kafka and Redis: the chart installs the operator,
//! the operator runs the platform and the proposal, voters come through the Services, and the result in the status is the
//! one that an audit of the archive finds.

use std::{thread, time::Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    bed::{Bed, EDGE, LOOK_INTERVAL, READS, opens_at, proposal},
    support::{pod, run},
};

/// How long the window is closed before and open then: pods have to start and ballots to come within it, on two busy cores.
const OPENS_IN: SignedDuration = SignedDuration::from_secs(45);
const OPEN_FOR: SignedDuration = SignedDuration::from_secs(45);

/// The phases of a vote in which nothing goes wrong.
const PHASES: [&str; 8] = ["Pending", "Scheduled", "Warming", "Open", "Closed", "Draining", "Recounting", "Final"];

#[test]
fn a_vote_from_apply_to_its_result() {
    let began = Instant::now();
    let bed = Bed::start();
    bed.wait_for("gplat/default", "Ready", 120);
    println!("the platform is ready after {} s", began.elapsed().as_secs());
    let mut proposal = proposal(OPENS_IN, OPEN_FOR);
    proposal["spec"]["scaling"] = json!({"warmShards": 2, "maxShards": 4, "lead": "40s"});
    bed.node.control_plane().apply(&proposal.to_string()).unwrap();
    bed.wait_for("gprop/grants-round", "Prewarmed", 60);
    assert!(Timestamp::now() < opens_at(&proposal), "the shards are ready before the window opens");
    assert_eq!(bed.status()["shards"], json!({"desired": 2, "ready": 2}));
    bed.wait_for("gprop/grants-round", "Open", 60);

    // Ballots come through the Service, and what is served is compared with what is expected, up to the result.
    let load =
        ["load", "--ballots", "1500", "--rate", "150", "--until-final", "--json", "--url", EDGE, "--read-url", READS];
    let mut phases = Vec::new();
    let said = thread::scope(|scope| {
        let voting = scope.spawn(|| run(&bed.node, "load", &pod("load", &load)));
        while !voting.is_finished() {
            let phase = bed.status()["phase"].as_str().unwrap_or_default().to_owned();
            if phases.last() != Some(&phase) {
                println!("{} s: {phase}", began.elapsed().as_secs());
                phases.push(phase);
            }
            thread::sleep(LOOK_INTERVAL);
        }
        voting.join().unwrap()
    });
    println!("{said}");
    bed.wait_for("gprop/grants-round", "Recounted", 60);
    let status = bed.status();
    assert_eq!(status["phase"], "Final");
    let places: Vec<_> = phases.iter().map(|phase| PHASES.iter().position(|known| known == phase)).collect();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{phases:?}");

    bed.audit(&status);
    assert!(status["result"]["ballots"].as_i64().unwrap() > 100, "{status}");

    // Nothing of it runs any more, and the result stays.
    bed.wait_until_drained();
    println!("done after {} s\n{}", began.elapsed().as_secs(), bed.kubectl(&["get", "gprop"]).unwrap());
}
