//! The result is a function of the set of counting ballots: any order, repetition, partitioning, garbage beside them
//! and number of threads gives the same core part, byte for byte.

use std::num::NonZeroUsize;

use pnyx_core::{proposal::VotingSystem, time::TimestampMs, wire::result::encode_core};
use pnyx_recount::count::{Counter, HashedRecord};
use proptest::prelude::*;

use crate::sample::{
    OPENS_AT_MS, Sample, VOTERS, audit_with, ballot, choice_json, definition, fixed_window, garbage_copy, short_v_copy,
    wallet,
};

/// A ballot: voter (some without power), seed of the choice, signed time.
fn ballots() -> impl Strategy<Value = Vec<(u8, u8, u64)>> {
    prop::collection::vec((1_u8..=11, any::<u8>(), 0_u64..4), 2..=30)
}

/// How a ballot arrives: a place in the order, a partition, copies before and after it.
fn arrivals() -> impl Strategy<Value = Vec<(u32, usize, [bool; 4])>> {
    prop::collection::vec((any::<u32>(), 0_usize..4, any::<[bool; 4]>()), 30)
}

fn sample(system: VotingSystem, partitions: Vec<Vec<Vec<u8>>>) -> Sample {
    let definition = definition(system, fixed_window(), 1);
    let appended =
        |records: Vec<Vec<u8>>| records.into_iter().map(|record| (TimestampMs(OPENS_AT_MS), record)).collect();
    Sample { definition, partitions: partitions.into_iter().map(appended).collect() }
}

fn core_bytes(sample: &Sample, threads: usize) -> String {
    encode_core(&sample.recount(threads).core)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn order_partition_repetition_and_garbage_change_nothing(
        ballots in ballots(),
        arrivals in arrivals(),
        system in prop::sample::select(&VotingSystem::ALL[..]),
        threads in 1_usize..4,
    ) {
        let definition = definition(system, fixed_window(), 1);
        let signed_at_s = OPENS_AT_MS / 1_000;
        let records: Vec<_> = ballots
            .iter()
            .map(|(voter, seed, after_s)| ballot(&definition, *voter, &choice_json(system, *seed), signed_at_s + after_s))
            .collect();
        let plain = sample(system, vec![records.clone()]);

        let mut order: Vec<_> = records.iter().zip(&arrivals).collect();
        order.sort_by_key(|(_, (place, ..))| *place);
        let mut partitions = vec![Vec::new(); 4];
        for (record, (_, partition, [garbage_before, garbage_after, repeat, other_bytes])) in order {
            let partition = &mut partitions[*partition];
            partition.extend(garbage_before.then(|| garbage_copy(record)));
            partition.push(record.clone());
            partition.extend(garbage_after.then(|| garbage_copy(record)));
            partition.extend(repeat.then(|| record.clone()));
            partition.extend(other_bytes.then(|| short_v_copy(record)));
        }
        let mixed = sample(system, partitions);
        prop_assert_eq!(core_bytes(&plain, 1), core_bytes(&mixed, threads));

        let report = audit_with(&mixed.archive(), &[]).unwrap();
        prop_assert_eq!(encode_core(&report.core), core_bytes(&plain, threads));
    }
}

#[test]
fn every_system_counts_some_ballots() {
    for system in VotingSystem::ALL {
        let definition = definition(system, fixed_window(), 1);
        let records =
            (1..=5).map(|voter| ballot(&definition, voter, &choice_json(system, voter), OPENS_AT_MS / 1_000)).collect();
        let recounted = sample(system, vec![records]).recount(2);
        assert_eq!((recounted.core.ballots, recounted.provenance.rejected.len()), (5, 0), "{system:?}");
    }
}

/// Keys cost nothing: a flood of them must not fill the recount's memory.
#[test]
fn signers_without_listed_power_are_not_kept() {
    let system = VotingSystem::Basic;
    let definition = definition(system, fixed_window(), 1);
    let records = (1..=VOTERS + 3).map(|voter| ballot(&definition, voter, "1", OPENS_AT_MS / 1_000)).collect();
    let counter = Counter::start(&definition, NonZeroUsize::MIN, [].into());
    counter.submit(sample(system, vec![records]).records().into_iter().map(HashedRecord::from).collect());
    let signed = counter.finish();
    let mut listed: Vec<_> = (1..=VOTERS).map(|voter| wallet(voter).address()).collect();
    listed.sort_unstable();
    assert_eq!(signed.signers(), listed);
}
