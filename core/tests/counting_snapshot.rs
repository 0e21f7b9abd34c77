//! Scores equal those of Snapshot's own client on the same ballots.
//!
//! `rules/snapshot_scores.json` was written by the voting classes of `@snapshot-labs/snapshot.js` 0.17.5 over random
//! ballots. They count in floating point, so scores are compared with a relative tolerance of 10^-9.

mod counting_text;

use alloy_primitives::U256;
use pnyx_core::{
    counting::{CountingRules, Totals, scores},
    power::{Power, format_units},
    proposal::VotingSystem,
};
use serde_json::Value;

const TOLERANCE: f64 = 1e-9;

#[test]
fn scores_equal_snapshots() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("rules/snapshot_scores.json")).unwrap();
    for system in VotingSystem::ALL {
        assert!(cases.iter().any(|case| case["system"] == system.name()), "no case of {}", system.name());
    }
    for case in cases {
        let theirs: Vec<f64> = case["scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect();
        let ours: Vec<f64> = our_scores(&case).into_iter().map(|units| format_units(units).parse().unwrap()).collect();
        let agree = |(ours, theirs): (&f64, &f64)| (ours - theirs).abs() <= TOLERANCE * theirs.abs();
        assert!(
            ours.len() == theirs.len() && ours.iter().zip(&theirs).all(agree),
            "ours {ours:?}, theirs {theirs:?}: {case}"
        );
    }
}

fn our_scores(case: &Value) -> Vec<U256> {
    let system = VotingSystem::from_name(case["system"].as_str().expect("a text")).expect("a system");
    let choice_count = u8::try_from(case["choices"].as_u64().expect("a number")).expect("few choices");
    let rules = CountingRules { system, choice_count };
    let mut totals = Totals::empty(rules);
    for ballot in case["ballots"].as_array().expect("a list") {
        let power = Power::parse(ballot["power"].as_str().expect("a text")).expect("a power");
        let choice = counting_text::choice(system, &ballot["choice"].to_string());
        totals.add(&rules.contribution(&choice, power));
    }
    scores(rules, &totals).0
}
