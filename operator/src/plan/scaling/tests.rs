//! What is decided for a proposal in the middle of its life, look after look.

mod rig;

use expect_test::{Expect, expect};
use pnyx_core::scaling::{PartitionLoad, Rate, Remembered, Sample, Start};
use pnyx_crds::{
    GovernanceProposalStatus,
    conditions::{proposal as types, reasons},
};
use serde_json::json;

use self::rig::{CLOSES_AT, OPENS_AT, Rig};
use super::*;

/// In the middle of the window.
const MIDDLE: u64 = OPENS_AT + 1_800_000;

#[test]
fn warm_shards_come_with_the_lead_and_people_are_told() {
    let mut rig = Rig::new();
    let idle = rig.look(OPENS_AT - 300_001);
    assert_eq!((idle.shards, &idle.note), (0, &None));
    assert_eq!(idle.again, LOOK_AGAIN_MIN, "the lead begins in a moment");
    let warm = rig.look(OPENS_AT - 300_000);
    assert_eq!(warm.shards, 2);
    let note = warm.note.expect("the choice changed");
    assert_eq!((note.reason, note.action), ("ShardsChanged", "Scale"));
    expect![
        "2 shards (0 before): warmShards; nothing is known of the log yet; 12 partitions: as many as shards can use"
    ]
    .assert_eq(&note.message);
    assert_eq!(warm.status.message, note.message);
}

#[test]
fn a_window_that_is_over_is_left_as_it_is_while_the_log_is_not_read() {
    for shards in [0, 1, 5] {
        let mut rig = Rig::new();
        rig.shards(shards, shards);
        rig.topics = TopicsSeen::default();
        let scaling = rig.look(CLOSES_AT + 600_000);
        assert_eq!((scaling.shards, scaling.partitions), (i32::try_from(shards).expect("few"), None));
        assert_eq!(scaling.status.shards.limit, "unknownDrain");
    }
}

#[test]
fn partitions_grow_only_from_a_number_that_is_known() {
    let surge = |partitions| {
        let mut rig = Rig::new();
        rig.resource["spec"]["scaling"]["partitions"] = json!({"initial": 2, "max": 24});
        rig.shards(2, 2);
        rig.loads(&[(9_000, 900_000); 2], MIDDLE);
        rig.topics.partitions = partitions;
        rig.look(MIDDLE)
    };
    let known = surge(Some(2));
    assert_eq!((known.partitions, known.shards), (Some(24), 12));
    assert_eq!(surge(None).partitions, None, "the broker said nothing");
}

#[test]
fn what_another_scaler_chose_is_left_alone() {
    let mut rig = Rig::new();
    rig.shards(7, 7);
    rig.scaled_by("keda");
    let scaling = rig.look(MIDDLE);
    assert_eq!((scaling.shards, &*scaling.status.shards.limit, scaling.note), (7, "externalScaler", None));
}

#[test]
fn a_space_takes_no_more_shards_than_it_may() {
    let mut rig = Rig::new();
    rig.limits = json!({"default": {"maxShards": 3}});
    rig.shards(2, 2);
    rig.loads(&[(9_000, 900_000); 12], MIDDLE);
    let scaling = rig.look(MIDDLE);
    assert_eq!((scaling.shards, &*scaling.status.shards.limit), (3, "maxShards"));
    rig.resource["spec"]["scaling"]["shards"] = json!(9);
    assert_eq!(rig.look(MIDDLE + 5_000).shards, 3);
}

#[test]
fn shards_that_the_resource_says_are_followed() {
    let mut rig = Rig::new();
    rig.shards(2, 2);
    rig.resource["spec"]["scaling"]["shards"] = json!(5);
    let scaling = rig.look(MIDDLE);
    assert_eq!((scaling.shards, &*scaling.status.shards.limit), (5, "shards"));
}

/// Looks every 5 s for an hour, with rates and a backlog that are others each time.
#[test]
fn status_is_written_once_a_minute_at_most_while_the_choice_is_the_same() {
    let mut rig = Rig::new();
    rig.shards(8, 8);
    let (mut writes, mut before) = (Vec::new(), None);
    for look in 0..600_u64 {
        let at = OPENS_AT + 60_000 + look * 5_000;
        let noise = (look * 7_919) % 1_000;
        rig.loads(&[(300 + noise / 2, 200 * (look % 30)); 12], at);
        if look % 50 == 49 {
            rig.topics.sample = None;
        }
        let scaling = rig.look(at);
        let choice = (scaling.shards, scaling.plan.phase);
        rig.shards(scaling.plan.shards.to, scaling.plan.shards.to);
        if before.as_ref() != Some(&scaling.status) {
            writes.push((at, choice));
        }
        before = Some(scaling.status);
    }
    let too_soon = writes.windows(2).filter(|pair| pair[0].1 == pair[1].1 && pair[1].0 - pair[0].0 < 60_000);
    assert_eq!(too_soon.count(), 0, "{writes:?}");
    assert!(writes.len() > 10, "what people should see is written: {writes:?}");
}

#[test]
fn a_decision_stands_to_the_letter_until_something_is_worth_a_write() {
    let mut rig = Rig::new();
    rig.shards(2, 2);
    let mut say = |at, arrival, backlog| {
        rig.loads(&[(arrival, backlog); 12], at);
        rig.look(at).status
    };
    let first = say(MIDDLE, 100, 0);
    assert_eq!(say(MIDDLE + 5_000, 110, 50), first);
    assert_eq!(say(MIDDLE + 300_000, 120, 0), first, "however old it is");
    let grown = say(MIDDLE + 305_000, 100, 100);
    assert_eq!((first.inputs.backlog, grown.inputs.backlog), (Some(0), Some(1_200)));
    assert_eq!(say(MIDDLE + 310_000, 100, 0), grown, "not sooner than a minute later");
    assert_eq!(say(MIDDLE + 365_000, 100, 0).inputs.backlog, Some(0));
}

#[test]
fn starts_are_learnt_and_outlive_the_operator() {
    let mut rig = Rig::new();
    for (begun, took) in [(MIDDLE, 400_000), (MIDDLE + 1_000_000, 350_000), (MIDDLE + 1_500_000, 30_000)] {
        rig.shards(2, 2);
        rig.look(begun - 1_000);
        rig.shards(4, 2);
        rig.look(begun);
        rig.look(begun + 5_000);
        rig.shards(4, 4);
        rig.look(begun + took);
        rig.look(begun + took + 60_000);
    }
    let learnt = rig.status.clone().and_then(|status| status.remembered).expect("it is kept in status");
    let took: Vec<_> = learnt.starts.iter().map(|start| start.took_ms).collect();
    assert_eq!(took, [400_000, 350_000, 30_000]);
    rig.histories = Histories::default();
    let scaling = rig.look(MIDDLE + 1_700_000);
    assert_eq!(scaling.learnt_lead.as_deref(), Some("500s"));
    // Another proposal begins with what this one learnt.
    let object = rig.object();
    let mut kept = remembered_of(&object).expect("it stands in status");
    let read: Option<GovernanceProposalStatus> = crate::status::read(&object);
    assert_eq!(read.and_then(|status| status.scaling), rig.status);
    // Some days ago.
    kept.starts.iter_mut().for_each(|start| start.at = TimestampMs(start.at.0 - 300_000_000));
    let mut other = Rig::new();
    other.others = vec![kept];
    assert_eq!(other.look(OPENS_AT - 400_000).shards, 2, "500 s before the opening");
    assert_eq!(Rig::new().look(OPENS_AT - 400_000).shards, 0);
}

#[test]
fn shards_that_start_are_a_rebalance_from_the_first_look_to_the_last() {
    let mut rig = Rig::new();
    rig.shards(4, 2);
    rig.look(MIDDLE);
    rig.look(MIDDLE + 20_000);
    assert_eq!(rig.history().rebalancing_since(), Some(TimestampMs(MIDDLE)));
    rig.shards(4, 4);
    rig.look(MIDDLE + 25_000);
    assert_eq!(rig.history().rebalancing_since(), None);
    rig.topics.partitions = Some(24);
    rig.look(MIDDLE + 30_000);
    assert_eq!(rig.history().rebalancing_since(), Some(TimestampMs(MIDDLE + 30_000)), "new partitions");
}

#[test]
fn a_rate_is_measured_only_of_shards_that_were_busy() {
    let measured = |before: &[(u64, u64)], now: &[(u64, u64)], ready| {
        let mut rig = Rig::new();
        rig.shards(2, ready);
        rig.loads(before, MIDDLE);
        rig.look(MIDDLE);
        rig.loads(now, MIDDLE + 10_000);
        rig.look(MIDDLE + 10_000);
        let measured = rig.history().measured();
        rig.look(MIDDLE + 12_000);
        assert_eq!(rig.history().measured(), None, "the same sample again says nothing");
        measured
    };
    // In 10 s each of two partitions got 1,000, and 6,000 fewer wait: 14,000 by two shards.
    let busy = [(100, 9_000); 2];
    assert_eq!(measured(&busy, &[(100, 3_000); 2], 2), Some(Rate::per_second(700)));
    assert_eq!(measured(&busy, &[(100, 3_000); 2], 1), None, "shards are starting");
    assert_eq!(measured(&busy, &[(100, 3_000), (100, 500)], 2), None, "what waited in one partition ran out");
    assert_eq!(measured(&busy, &[(100, 3_000), (100, 10_000)], 2), None, "one partition stood still");
    assert_eq!(measured(&busy, &[(100, 3_000); 3], 2), None, "other partitions");
}

#[test]
fn conditions_say_what_is_so() {
    let mut rig = Rig::new();
    check(
        &mut rig,
        OPENS_AT - 3_600_000,
        expect![[r#"
        Prewarmed False WaitingForLead: the lead before the opening has not begun
        CaughtUp True NotNeeded: the window has not opened
        ScalingDataFresh True NotNeeded: nothing is decided by samples yet
    "#]],
    );
    rig.shards(2, 1);
    check(
        &mut rig,
        OPENS_AT - 60_000,
        expect![[r#"
        Prewarmed False Warming: shards are starting
        CaughtUp True NotNeeded: the window has not opened
        ScalingDataFresh False Stale: there is no sample of the log
    "#]],
    );
    rig.shards(2, 2);
    check(
        &mut rig,
        MIDDLE,
        expect![[r#"
        Prewarmed True AsExpected: 
        CaughtUp Unknown Stale: how many ballots wait is not known
        ScalingDataFresh False Stale: there is no sample of the log
    "#]],
    );
    (rig.topics.has_cut, rig.topics.is_drained) = (Some(true), Some(true));
    check(
        &mut rig,
        CLOSES_AT + 60_000,
        expect![[r#"
        Prewarmed True NotNeeded: everything is verified
        CaughtUp True AsExpected: everything is verified
        ScalingDataFresh True NotNeeded: nothing is decided by samples any more
    "#]],
    );
}

#[test]
fn who_is_behind_is_so_until_it_caught_up_for_sure() {
    let mut rig = Rig::new();
    rig.shards(2, 2);
    // Two shards do 2,000 a second.
    for (at, load, expected) in [
        (
            MIDDLE + 5_000,
            (150, 0),
            expect![[r#"
            Prewarmed True AsExpected: 
            CaughtUp True AsExpected: 
            ScalingDataFresh True AsExpected: 
        "#]],
        ),
        (
            MIDDLE + 65_000,
            (150, 30_000),
            expect![[r#"
            Prewarmed True AsExpected: 
            CaughtUp False Behind: hundreds of thousands of ballots wait, more than the catch-up target allows
            ScalingDataFresh True AsExpected: 
        "#]],
        ),
        (
            MIDDLE + 125_000,
            (160, 3_000),
            expect![[r#"
            Prewarmed True AsExpected: 
            CaughtUp False Behind: tens of thousands of ballots wait, more than the catch-up target allows
            ScalingDataFresh True AsExpected: 
        "#]],
        ),
        (
            MIDDLE + 185_000,
            (100, 0),
            expect![[r#"
            Prewarmed True AsExpected: 
            CaughtUp True AsExpected: 
            ScalingDataFresh True AsExpected: 
        "#]],
        ),
    ] {
        rig.loads(&[load; 12], at);
        check(&mut rig, at, expected);
    }
}

fn check(rig: &mut Rig, at: u64, expected: Expect) {
    let said = rig.look(at).conditions;
    let lines: String = said
        .iter()
        .map(|(kind, said)| format!("{kind} {} {}: {}\n", said.state.word(), said.reason, said.message))
        .collect();
    expected.assert_eq(&lines);
}

#[test]
fn within_the_error_of_measurements_it_stays_as_it_was() {
    // 2.1 shards are needed and 2 are there: within what measurements err by.
    let caught_up = |was_behind| {
        let mut rig = Rig::new();
        rig.shards(2, 2);
        rig.was_behind = was_behind;
        rig.loads(&[(175, 0); 12], MIDDLE);
        let said = rig.look(MIDDLE).conditions;
        said.into_iter().find(|(kind, _)| *kind == types::CAUGHT_UP).map(|(_, said)| said.reason)
    };
    assert_eq!((caught_up(true), caught_up(false)), (Some(reasons::BEHIND), Some(reasons::AS_EXPECTED)));
}

#[test]
fn what_is_gone_is_forgotten_and_what_is_made_anew_begins_anew() {
    let mut rig = Rig::new();
    rig.shards(4, 2);
    rig.look(MIDDLE);
    assert!(rig.history().rebalancing_since().is_some());
    rig.uid = "uid-2".to_owned();
    let start = Start { at: TimestampMs(MIDDLE), took_ms: 7 };
    rig.others = vec![Remembered { starts: vec![start], ..Remembered::default() }];
    rig.status = None;
    assert_eq!((rig.history().rebalancing_since(), &*rig.history().core().remembered().starts), (None, &[start][..]));
    rig.histories.forget(rig.owner().key());
    assert_eq!(format!("{:?}", rig.histories), format!("{:?}", Histories::default()));
}

#[test]
fn edge_and_tally_are_sized_for_all_windows_and_held_while_one_is_not_known() {
    let mut rig = Rig::new();
    rig.shards(12, 12);
    let at = |seconds: u64| TimestampMs(MIDDLE + seconds * 1_000);
    let mut history = PlatformHistory::default();
    let (mut ingest, mut sizes) = (0, Vec::new());
    for seconds in (0..400).step_by(10) {
        let is_surge = seconds < 100;
        rig.loads(&[(if is_surge { 1_000 } else { 10 }, 0); 12], at(seconds).0);
        rig.look(at(seconds).0);
        let demands = rig.demands(at(seconds), seconds == 390);
        let scaling =
            platform_scaling(rig.validated().platform(), &rig.platform(ingest, 2), &demands, &history, at(seconds));
        history.applied(&scaling);
        sizes.push((scaling.size.ingest, scaling.notes.len()));
        ingest = scaling.size.ingest;
    }
    // 12,000 a second at 60 % of 5,000 each.
    assert_eq!((sizes[0], sizes[1]), ((4, 0), (4, 0)));
    assert_eq!(sizes.iter().filter(|(_, notes)| *notes > 0).count(), 1, "{sizes:?}");
    assert_eq!(sizes.last(), Some(&(2, 0)), "{sizes:?}");
    let unknown = rig.demands(at(400), true);
    let held = platform_scaling(rig.validated().platform(), &rig.platform(6, 2), &unknown, &history, at(400));
    assert_eq!((held.size.ingest, held.ingest.limit.name()), (6, "unknownData"));
    let nothing = platform_scaling(rig.validated().platform(), &Vec::new(), &[], &PlatformHistory::default(), at(0));
    assert_eq!((nothing.size.ingest, nothing.size.tally, nothing.again), (2, 2, None));
}

fn sample(loads: &[(u64, u64)], at: u64) -> Sample {
    let load = |&(arrival, backlog): &(u64, u64)| PartitionLoad { backlog, arrival: Rate::per_second(arrival) };
    Sample { taken_at: TimestampMs(at), partitions: loads.iter().map(load).collect() }
}
