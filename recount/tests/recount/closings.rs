//! From the window to the published result on the embedded log, restarts and disputes included.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use pnyx_backbone::{
    log::Topic,
    store::{LaneBatch, LaneCounters},
    telemetry::Metrics,
};
use pnyx_core::{
    counting::{CountingRules, TotalsDelta},
    decisions::Decision,
    id::{Lane, ProposalId, Root},
    lifecycle::Phase,
    proposal::{Definition, VotingSystem},
    result::{Cut, CutPartition},
    time::TimestampMs,
    wire,
};
use pnyx_recount::{CloseError, RecountError, offline, recount};
use pnyx_verification::Sources;

use crate::{
    pipeline::{PATIENCE, Platform, window_closing_in},
    sample::{ballot, choice_json, definition, garbage_copy},
};

/// Ballots of three voters, one of them changed, and a garbage copy.
async fn vote(platform: &Platform, definition: &Definition) {
    let system = definition.proposal().system();
    let now_s = pnyx_backbone::clock::now().0 / 1_000;
    for (voter, seed, before_s) in [(1, 1, 5), (2, 2, 5), (3, 3, 5), (2, 4, 4)] {
        let record = ballot(definition, voter, &choice_json(system, seed), now_s - before_s);
        platform.append(definition, garbage_copy(&record)).await;
        platform.append(definition, record).await;
    }
}

fn result(platform: &Platform, definition: &Definition) -> Option<Arc<pnyx_core::result::PublishedResult>> {
    platform.proposals.book().get(definition.proposal().id()).unwrap().result.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_system_goes_from_open_to_final() {
    let mut platforms = Vec::new();
    for system in VotingSystem::ALL {
        let platform = Platform::start().await;
        let definition = definition(system, window_closing_in(1_500), 2);
        platform.propose(&definition).await;
        platform.count(&definition).await;
        platform.close();
        vote(&platform, &definition).await;
        platforms.push((platform, definition));
    }
    for (mut platform, definition) in platforms {
        let phases = platform.phases_until(Phase::Final).await;
        use Phase::{Closed, Draining, Final, Open, Recounting};
        assert_eq!(phases, [Open, Closed, Draining, Recounting, Final]);
        let result = result(&platform, &definition).unwrap();
        assert_eq!((result.core.ballots, result.provenance.records), (3, 8));
        assert!(result.verify());
        let report = crate::sample::audit_with(&platform.archive(&definition).await, &[]).unwrap();
        assert_eq!(report.core, result.core);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_any_phase_goes_on_from_the_log() {
    let definition = definition(VotingSystem::Quadratic, window_closing_in(600), 2);
    let platform = Platform::start().await;
    platform.propose(&definition).await;
    vote(&platform, &definition).await;

    // Nothing counts yet: it closes, cuts, and then waits for the verifiers.
    platform.close();
    let mut platform = platform;
    platform.phases_until(Phase::Draining).await;
    let cut = platform.proposals.book().get(definition.proposal().id()).unwrap().cut.clone();
    let mut platform = platform.restart().await;
    platform.close();
    assert_eq!(platform.phases_until(Phase::Draining).await, [Phase::Draining]);
    platform.count(&definition).await;
    platform.phases_until(Phase::Final).await;
    let first = result(&platform, &definition).unwrap();
    assert_eq!(Some(Arc::new(first.provenance.cut.clone())), cut);

    // A final proposal is announced once and decides nothing again.
    let mut platform = platform.restart().await;
    let ends = platform.log.ends(&Topic::proposals()).await.unwrap();
    platform.close();
    assert_eq!(platform.phases_until(Phase::Final).await, [Phase::Final]);
    assert_eq!(result(&platform, &definition).unwrap(), first);
    assert_eq!(platform.log.ends(&Topic::proposals()).await.unwrap(), ends);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_blocks_until_it_is_gone() {
    let definition = definition(VotingSystem::Weighted, window_closing_in(600), 1);
    let (proposal, rules) = (definition.proposal().id(), CountingRules::of(definition.proposal()));
    let mut platform = Platform::start().await;
    platform.propose(&definition).await;
    platform.count(&definition).await;
    vote(&platform, &definition).await;
    // Somebody's defect: a lane that claims more power than its ballots have.
    let wrong = |amount: u64| {
        let mut delta = TotalsDelta::empty(rules);
        if amount > 0 { &mut delta.added } else { &mut delta.removed }.power = alloy_primitives::U256::ONE;
        delta
    };
    let lane = Lane(0);
    let shift = async |platform: &Platform, amount| {
        let position = platform.store.lane_position(proposal, lane).await.unwrap();
        let next_offset = position.map_or(0, |position| position.next_offset);
        let batch = LaneBatch {
            log: platform.log.identity(),
            from_offset: next_offset,
            next_offset,
            below_cut: position.is_some_and(|position| position.below_cut),
            delta: wrong(amount),
            counters: LaneCounters::default(),
            standing: Vec::new(),
            places: Vec::new(),
        };
        platform.store.apply(proposal, lane, batch).await.unwrap();
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    shift(&platform, 1).await;
    platform.close();
    platform.phases_until(Phase::Disputed).await;
    assert!(platform.proposals.book().is_disputed(proposal));
    let dispute = platform.proposals.book().get(proposal).unwrap().dispute.clone().unwrap();
    assert_eq!(dispute.differences().len(), 1, "{dispute:?}");
    assert!(dispute.differences()[0].starts_with("power: live "), "{dispute:?}");
    assert_eq!(result(&platform, &definition), None);
    assert!(platform.metrics.disputes() >= 1);
    shift(&platform, 0).await;
    platform.phases_until(Phase::Final).await;
    assert!(!platform.proposals.book().is_disputed(proposal));
    assert!(result(&platform, &definition).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_cut_that_stands_is_the_one_that_counts() {
    let definition = definition(VotingSystem::Approval, window_closing_in(400), 1);
    let mut platform = Platform::start().await;
    platform.propose(&definition).await;
    vote(&platform, &definition).await;
    let proposal = definition.proposal().id();
    let all = offline::compare(&platform.log, &platform.proposals, proposal, NonZeroUsize::MIN, |_| {}).await.unwrap();
    assert!(!all.cut_is_decided);
    let cut = all.recounted.provenance.cut.clone();
    platform.proposals.decide(Decision::Cut(cut.clone())).await.unwrap();
    // Appended after that cut: it must not count, whatever the tally makes of it.
    let late = ballot(&definition, 9, "[1]", pnyx_backbone::clock::now().0 / 1_000);
    platform.append(&definition, late).await;
    let recounted =
        recount(&platform.log, &definition, &cut, &listed(&definition), NonZeroUsize::MIN, |_| {}).await.unwrap();
    assert_eq!(recounted, all.recounted);
    platform.close();
    assert_eq!(platform.phases_until(Phase::Draining).await, [Phase::Draining]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_tally_past_the_cut_is_awaited_not_disputed() {
    let definition = definition(VotingSystem::Approval, window_closing_in(60_000), 1);
    let proposal = definition.proposal().id();
    let mut platform = Platform::start().await;
    platform.propose(&definition).await;
    vote(&platform, &definition).await;
    let all = offline::compare(&platform.log, &platform.proposals, proposal, NonZeroUsize::MIN, |_| {}).await.unwrap();
    let cut = all.recounted.provenance.cut;
    let late = ballot(&definition, 9, "[1]", pnyx_backbone::clock::now().0 / 1_000);
    platform.append(&definition, late).await;
    platform.count(&definition).await;
    let past_the_cut = async {
        while platform.store.view(proposal).await.unwrap().unwrap().totals.ballots != 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, past_the_cut).await.expect("the late ballot is in the live tally");
    platform.proposals.decide(Decision::Cut(cut)).await.unwrap();
    platform.close();
    let phases = platform.phases_until(Phase::Final).await;
    assert_eq!(phases, [Phase::Draining, Phase::Recounting, Phase::Final]);
    assert_eq!(platform.metrics.disputes(), 0);
    assert_eq!(result(&platform, &definition).unwrap().core.ballots, 3);
}

/// Records of the topic of decisions, by kind.
async fn decided(platform: &Platform) -> Vec<&'static str> {
    let mut reader = platform.log.reader(&Topic::proposals(), 0, 0).unwrap();
    let records = reader.read_available(64).await.unwrap();
    let kind = |value: &[u8]| match wire::decision::decode(value).unwrap() {
        Decision::Log(_) => "log",
        Decision::PlatformKey(_) => "key",
        Decision::Definition(_) => "definition",
        Decision::Pins(_) => "pins",
        Decision::Cut(_) => "cut",
        Decision::Dispute(_) => "dispute",
        Decision::Result(_) => "result",
        Decision::Archive(_) => "archive",
    };
    records.iter().map(|record| kind(&record.value)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_proposal_is_closed_on_request_and_again_without_a_new_decision() {
    let definition = definition(VotingSystem::RankedChoice, window_closing_in(300), 2);
    let proposal = definition.proposal().id();
    let platform = Platform::start().await;
    platform.propose(&definition).await;
    platform.count(&definition).await;
    vote(&platform, &definition).await;
    assert_eq!(platform.close_one(proposal).await.unwrap(), Phase::Final);
    assert_eq!(decided(&platform).await, ["definition", "cut", "result"]);
    assert_eq!(platform.close_one(proposal).await.unwrap(), Phase::Final);
    assert_eq!(decided(&platform).await, ["definition", "cut", "result"]);
    let unknown = ProposalId::new([9; 32]);
    assert!(matches!(platform.close_one(unknown).await, Err(CloseError::UnknownProposal { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_close_at_once_agree() {
    let definition = definition(VotingSystem::Basic, window_closing_in(300), 2);
    let proposal = definition.proposal().id();
    let platform = Platform::start().await;
    platform.propose(&definition).await;
    platform.count(&definition).await;
    vote(&platform, &definition).await;
    let metrics = Metrics::new();
    platform.proposals.register_metrics(&metrics);
    let (one, other) = tokio::join!(platform.close_one(proposal), platform.close_one(proposal));
    assert_eq!((one.unwrap(), other.unwrap()), (Phase::Final, Phase::Final));
    assert!(metrics.encode().contains("pnyx_decisions_ignored_total 0\n"), "{}", metrics.encode());
    let standing = platform.proposals.book().get(proposal).cloned().unwrap();
    assert_eq!(standing.result.unwrap().provenance.cut, *standing.cut.unwrap());
    assert_eq!(standing.dispute, None);
    assert_eq!(platform.metrics.disputes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_beyond_the_cut_is_reported_once_if_it_was_in_the_window() {
    let definition = definition(VotingSystem::Approval, window_closing_in(60_000), 1);
    let proposal = definition.proposal().id();
    let mut platform = Platform::start().await;
    platform.propose(&definition).await;
    vote(&platform, &definition).await;
    let all = offline::compare(&platform.log, &platform.proposals, proposal, NonZeroUsize::MIN, |_| {}).await.unwrap();
    platform.count(&definition).await;
    // The window is open still, so whatever is appended from here on is beyond the cut and in the window.
    let cut = Cut { decided_at: pnyx_backbone::clock::now(), ..all.recounted.provenance.cut };
    platform.proposals.decide(Decision::Cut(cut)).await.unwrap();
    let late = ballot(&definition, 9, "[1]", pnyx_backbone::clock::now().0 / 1_000);
    platform.append(&definition, late.clone()).await;
    platform.close();
    platform.phases_until(Phase::Final).await;
    assert_eq!(platform.metrics.late_records(), 1);
    platform.append(&definition, late).await;
    let seen = async {
        while platform.metrics.late_records() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("a final proposal is watched for a while");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(platform.metrics.late_records(), 2);
    assert_eq!(result(&platform, &definition).unwrap().core.ballots, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_not_what_the_cut_says_is_refused() {
    let definition = definition(VotingSystem::Basic, window_closing_in(60_000), 1);
    let platform = Platform::start().await;
    platform.propose(&definition).await;
    vote(&platform, &definition).await;
    let cut = |end_offset| Cut {
        proposal: definition.proposal().id(),
        decided_at: TimestampMs(1),
        partitions: vec![CutPartition { end_offset, records_root: Root::new([1; 32]) }],
    };
    let failure = async |end_offset| {
        recount(&platform.log, &definition, &cut(end_offset), &listed(&definition), NonZeroUsize::MIN, |_| {})
            .await
            .unwrap_err()
    };
    assert!(matches!(failure(9).await, RecountError::LogBehindCut { partition: 0, cut_end: 9, log_end: 8 }));
    assert!(matches!(failure(8).await, RecountError::RecordsRoot { partition: 0, .. }));
}

/// The definition's own lists.
fn listed(definition: &Definition) -> Sources {
    Sources::listed(definition.proposal())
}
