//! Lanes that change hands, and folds that are gone on from.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use pnyx_backbone::{
    log::{Assigned, EmbeddedLog, Log, LogRecord, Topic},
    proposals::Proposals,
    shutdown::Shutdown,
    store::{LanePosition, LaneState, MemoryStore, ProposalView, Store},
    telemetry::Metrics,
};
use pnyx_core::{
    choice::{Choice, Ranking},
    decisions::Decision,
    id::{Digest, Lane, LogIdentity, Place, ProposalId, RecordHash, Root, Voter},
    power::Power,
    proposal::{Abstentions, Definition, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
    rejection::Rejection,
    result::{Cut, CutPartition},
    time::{TimestampMs, Window},
    verdict::{CountingBallot, RejectedRecord, Ruling, Verdict},
    wire::verdict,
};
use proptest::prelude::{Just, Strategy as Drawing, prop_assert, prop_assert_eq, prop_oneof, proptest};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    fold::{LaneFold, Unfit},
    orphans::{Patience, adopt},
    owners::Owners,
    register,
};
use crate::{Config, Tally};

/// Longest wait for something that must happen: far above what it takes, so that only a failure reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

fn definition(system: VotingSystem, lanes: u16) -> Definition {
    let parts = ProposalParts {
        platform: "test".to_owned(),
        namespace: "default".to_owned(),
        name: "hands".to_owned(),
        space: "pnyx.eth".to_owned(),
        title: "About hands".to_owned(),
        body: String::new(),
        discussion: String::new(),
        author: String::new(),
        choices: ["A", "B", "C"].map(str::to_owned).to_vec(),
        voting: Voting { system, quorum: None, approval_threshold: None, abstentions: Abstentions::default() },
        window: Window::new(TimestampMs(0), TimestampMs(u64::MAX / 2)).unwrap(),
        strategies: vec![Strategy::Ticket(Power::ONE)],
        snapshots: std::collections::BTreeMap::new(),
        signers: None,
        clock_skew_s: 300,
    };
    Definition::new(Proposal::new(parts).unwrap(), lanes, 2).unwrap()
}

fn verdict(system: VotingSystem, record: u64, voter: u8, signed_at_s: u64, counts: bool) -> Verdict {
    let place = Place { partition: u32::from(!record.is_multiple_of(2)), offset: record / 2 };
    let voter = Voter::new([voter; 20]);
    let mut digest = [voter.as_bytes()[0]; 32];
    digest[..8].copy_from_slice(&signed_at_s.to_be_bytes());
    let ruling = if counts {
        let orders = [[1, 2, 3], [3, 1, 2], [2, 3, 1]];
        let number = usize::try_from(signed_at_s % 3).unwrap();
        let choice = match system {
            VotingSystem::RankedChoice => Choice::Ranking(Ranking::new(&orders[number]).unwrap()),
            _ => Choice::Single(orders[number][0]),
        };
        let power = Power::parse(&format!("{}.5", voter.as_bytes()[0])).unwrap();
        Ruling::Counts(CountingBallot {
            voter,
            digest: Digest::new(digest),
            signed_at_s,
            choice,
            power,
            check: pnyx_core::signature_check::SignatureCheck::Key,
        })
    } else {
        Ruling::Rejected(RejectedRecord {
            rejection: Rejection::WrongSigner,
            record: RecordHash::of(&record.to_be_bytes()),
            digest: None,
            claimed_voter: Some(voter),
            claimed_power: None,
        })
    };
    Verdict { place, appended_at: TimestampMs(1_000 + record), ruling }
}

/// Verdicts of one lane: some records twice, some voters with many ballots, some bytes that are no verdict.
fn records() -> impl Drawing<Value = (VotingSystem, Vec<LogRecord>)> {
    let system = prop_oneof![Just(VotingSystem::SingleChoice), Just(VotingSystem::RankedChoice)];
    let one = (0_u64..2_500, 1_u8..9, 0_u64..50, 0_u8..12);
    (system, proptest::collection::vec(one, 0..120)).prop_map(|(system, drawn)| {
        let values = drawn.into_iter().map(|(record, voter, signed_at_s, kind)| match kind {
            0 => b"no verdict".to_vec(),
            kind => verdict::encode(&verdict(system, record, voter, signed_at_s, kind > 2)),
        });
        let records = (0..).zip(values);
        let record = |(offset, value)| LogRecord { offset, appended_at: TimestampMs(offset), value };
        (system, records.map(record).collect())
    })
}

fn state(fold: &LaneFold) -> LaneState {
    LaneState {
        position: LanePosition { log: LogIdentity([7; 16]), next_offset: fold.next_offset(), below_cut: false },
        totals: fold.totals(),
        counters: fold.counters(),
        standing: fold.standing(),
        places: fold.places(),
    }
}

fn is_same(one: &LaneFold, other: &LaneFold) -> bool {
    one.next_offset() == other.next_offset()
        && one.totals() == other.totals()
        && one.counters() == other.counters()
        && one.standing() == other.standing()
        && one.places() == other.places()
}

fn cut(ends: &[u64]) -> Cut {
    let partitions = ends.iter().map(|end| CutPartition { end_offset: *end, records_root: Root::new([0; 32]) });
    Cut { proposal: ProposalId::new([1; 32]), decided_at: TimestampMs(0), partitions: partitions.collect() }
}

proptest! {
    /// Whoever goes on from a checkpoint, in whatever batches, comes to what the log comes to from offset 0.
    #[test]
    fn going_on_from_a_checkpoint_equals_folding_the_log(
        (system, records) in records(),
        splits in proptest::collection::vec(0_usize..120, 0..6),
    ) {
        let definition = definition(system, 1);
        let mut whole = LaneFold::new(&definition, Lane(0), None);
        whole.take(&records);

        let mut splits: Vec<usize> = splits.into_iter().map(|split| split.min(records.len())).collect();
        splits.extend([0, records.len()]);
        splits.sort_unstable();
        let mut handed = LaneFold::new(&definition, Lane(0), None);
        for pair in splits.windows(2) {
            handed.take(&records[pair[0]..pair[1]]);
            handed = LaneFold::from_state(&definition, Lane(0), None, state(&handed)).unwrap();
        }
        prop_assert!(is_same(&handed, &whole));
    }

    /// A checkpoint without records beyond the cut is believed with that cut, any other is not.
    #[test]
    fn a_checkpoint_beyond_the_cut_is_not_believed((system, records) in records(), end in 0_u64..1_250) {
        let definition = definition(system, 1);
        let cut = Arc::new(cut(&[end, end]));
        let mut unbounded = LaneFold::new(&definition, Lane(0), None);
        unbounded.take(&records);
        let mut bounded = LaneFold::new(&definition, Lane(0), Some(cut.clone()));
        bounded.take(&records);
        let believed = LaneFold::from_state(&definition, Lane(0), Some(cut.clone()), state(&unbounded));
        if unbounded.places() == bounded.places() {
            prop_assert!(is_same(&believed.unwrap(), &bounded));
        } else {
            prop_assert_eq!(believed.err(), Some(Unfit::BeyondCut));
        }
        let again = LaneFold::from_state(&definition, Lane(0), Some(cut), state(&bounded));
        prop_assert!(is_same(&again.unwrap(), &bounded));
    }
}

#[test]
fn a_damaged_checkpoint_is_not_believed() {
    fn check(what: &str, expected: Unfit, damage: impl FnOnce(&mut LaneState)) {
        let definition = definition(VotingSystem::SingleChoice, 1);
        let mut fold = LaneFold::new(&definition, Lane(0), None);
        let verdicts = (0..10).map(|n| verdict(VotingSystem::SingleChoice, n, u8::try_from(n).unwrap() + 1, n, n != 9));
        let record = |(offset, v)| LogRecord { offset, appended_at: TimestampMs(0), value: verdict::encode(&v) };
        fold.take(&(0..).zip(verdicts).map(record).collect::<Vec<_>>());
        let mut state = state(&fold);
        damage(&mut state);
        assert_eq!(LaneFold::from_state(&definition, Lane(0), None, state).err(), Some(expected), "{what}");
    }
    let first = Voter::new([1; 20]);
    check("a ballot is missing", Unfit::Totals, |state| {
        state.standing.remove(0);
    });
    check("a ballot has another choice", Unfit::Totals, |state| state.standing[0].1.choice = Choice::Single(3));
    check("a ballot is there twice", Unfit::TwoBallots { voter: first }, |state| {
        state.standing.push(state.standing[0].clone());
    });
    check("a choice that nobody has", Unfit::Ballot { voter: first }, |state| {
        state.standing[0].1.choice = Choice::Single(9);
    });
    check("a ballot of a record that was not counted", Unfit::Ballot { voter: first }, |state| {
        state.standing[0].1.place.offset = 77;
    });
    check("places are missing", Unfit::Counters { counted: 10, places: 5 }, |state| state.places.truncate(1));
    check("places twice", Unfit::Places, |state| state.places.push(state.places[0]));
    check("a counter is off", Unfit::Counters { counted: 11, places: 10 }, |state| state.counters.counting += 1);
}

/// One log and one store, and processes that are assigned lanes.
struct World {
    log: Log,
    store: Store,
    definition: Definition,
    _directory: TempDir,
}

/// What stands for a process: a tally whose assignment the test decides.
struct Process {
    tally: Tally,
    assigned: watch::Sender<Assigned>,
    owning: JoinHandle<()>,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::Embedded(EmbeddedLog::open(directory.path()).unwrap());
        let definition = definition(VotingSystem::SingleChoice, 4);
        let world = Self { log, store: Store::Memory(MemoryStore::new()), definition, _directory: directory };
        world.log.ensure_topic(&Topic::verdicts(world.id()), 4).await.unwrap();
        world
    }

    fn id(&self) -> ProposalId {
        self.definition.proposal().id()
    }

    async fn process(&self) -> Process {
        self.process_with(Patience::default()).await
    }

    async fn process_with(&self, patience: Patience) -> Process {
        let shutdown = Shutdown::new();
        let proposals = Proposals::start(self.log.clone(), &shutdown).await.unwrap();
        proposals.decide(Decision::Definition(Box::new(self.definition.clone()))).await.unwrap();
        let (log, store) = (self.log.clone(), self.store.clone());
        let tally = Tally::new(
            Config::default(),
            log,
            store,
            pnyx_chains::Chains::none(),
            proposals,
            &shutdown,
            &Metrics::new(),
        );
        shutdown.spawn("registration", register(tally.clone()));
        let (sender, assigned) = watch::channel(Assigned::default());
        let mut owners = Owners::new(tally.clone());
        let adopting = tally.clone();
        let owning = tokio::spawn(async move {
            let (owned, wanted) = watch::channel(Assigned::default());
            tokio::select! {
                () = adopt(&adopting, assigned, &owned, patience) => {}
                result = owners.own(wanted) => result.unwrap(),
            }
            owners.stop().await;
        });
        Process { tally, assigned: sender, owning }
    }

    fn lanes(&self, lanes: impl IntoIterator<Item = u32>) -> Assigned {
        let topic = Topic::verdicts(self.id());
        let lanes: BTreeSet<_> = lanes.into_iter().map(|lane| (topic.clone(), lane)).collect();
        lanes.into()
    }

    async fn judge(&self, verdicts: &[Verdict]) {
        let records = verdicts.iter().map(|v| (u32::from(v.lane(4).0), verdict::encode(v))).collect();
        self.log.append_batch(&Topic::verdicts(self.id()), records).await.unwrap();
    }

    async fn counted(&self, by: &Process) -> ProposalView {
        let ends = self.log.ends(&Topic::verdicts(self.id())).await.unwrap();
        let waited = tokio::time::timeout(PATIENCE, async {
            while !by.tally.drained_to(self.id(), &ends).await.unwrap() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        waited.await.expect("everything is counted");
        self.store.view(self.id()).await.unwrap().unwrap()
    }

    /// The store holds the fold of the log, lane by lane, to the last place.
    async fn check(&self) {
        for lane in 0..4_u16 {
            let mut reader = self.log.reader(&Topic::verdicts(self.id()), lane.into(), 0).unwrap();
            let records = reader.read_available(usize::MAX).await.unwrap();
            let mut fold = LaneFold::new(&self.definition, Lane(lane), None);
            fold.take(&records);
            let stored = self.store.load_lane(self.id(), Lane(lane)).await.unwrap().unwrap();
            let stored = LaneFold::from_state(&self.definition, Lane(lane), None, stored).unwrap();
            assert!(is_same(&stored, &fold), "lane {lane}");
        }
    }
}

impl Process {
    async fn ends(self) {
        drop(self.assigned);
        self.owning.await.unwrap();
        self.tally.shutdown.trigger();
        self.tally.shutdown.drained(PATIENCE).await.unwrap();
    }
}

fn votes(from: u64, count: u64) -> Vec<Verdict> {
    let one = |n: u64| {
        let voter = u8::try_from(n % 250 + 1).unwrap();
        verdict(VotingSystem::SingleChoice, n, voter, n, !n.is_multiple_of(10))
    };
    (from..from + count).map(one).collect()
}

/// Lanes go back and forth between two processes while verdicts arrive, sometimes nobody has one and sometimes both
/// believe they do.
#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_change_hands_are_counted_exactly_once() {
    let world = World::new().await;
    let (one, other) = (world.process().await, world.process().await);
    for turn in 0..40_u64 {
        // Deterministic, and every combination of the two comes.
        let mixed = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let has = |process: u64| (0..4_u32).filter(move |lane| mixed >> (u64::from(*lane) * 2 + process) & 1 == 1);
        one.assigned.send_replace(world.lanes(has(0)));
        other.assigned.send_replace(world.lanes(has(1)));
        world.judge(&votes(turn * 200, 200)).await;
        if turn % 8 == 3 {
            world.store.flush().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(turn % 7)).await;
    }
    one.assigned.send_replace(world.lanes([]));
    other.assigned.send_replace(world.lanes(0..4));
    world.counted(&other).await;
    world.check().await;
    one.ends().await;
    other.ends().await;
}

/// An owner that was stopped for longer than its session goes on beside its successor.
#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_does_no_harm() {
    let world = World::new().await;
    let (zombie, successor) = (world.process().await, world.process().await);
    zombie.assigned.send_replace(world.lanes(0..4));
    world.judge(&votes(0, 1_000)).await;
    world.counted(&zombie).await;
    successor.assigned.send_replace(world.lanes(0..4));
    for batch in 5..40 {
        world.judge(&votes(batch * 200, 200)).await;
    }
    world.counted(&successor).await;
    world.check().await;
    // The zombie learns that it is one, and nothing changes any more.
    zombie.assigned.send_replace(world.lanes([]));
    world.judge(&votes(8_000, 200)).await;
    world.counted(&successor).await;
    world.check().await;
    zombie.ends().await;
    successor.ends().await;
}

/// Lanes of a process that hangs, or that nobody was given, are counted by another all the same, and the group has the
/// last word.
#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_nobody_moves_are_adopted() {
    let world = World::new().await;
    let [look_interval, orphaned_after] = [20, 100].map(Duration::from_millis);
    let quick = Patience { look_interval, orphaned_after, ..Patience::default() };
    let (rescuer, late) = (world.process_with(quick).await, world.process().await);
    rescuer.assigned.send_replace(world.lanes([0]));
    world.judge(&votes(0, 1_000)).await;
    world.counted(&rescuer).await;
    world.check().await;
    assert_eq!(rescuer.tally.metrics.lanes_adopted.get(), 3);
    assert_eq!(late.tally.metrics.lanes_adopted.get(), 0, "nobody may be so quick by default");

    rescuer.assigned.send_replace(world.lanes([]));
    late.assigned.send_replace(world.lanes(0..4));
    world.judge(&votes(1_000, 1_000)).await;
    world.counted(&late).await;
    world.check().await;
    assert_eq!(rescuer.tally.metrics.lanes_adopted.get(), 3, "lanes that move are left alone");
    rescuer.ends().await;
    late.ends().await;
}

/// A lane that comes back to the process it left is owned by one task at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_comes_back_has_one_owner() {
    let world = World::new().await;
    let process = world.process().await;
    for turn in 0..200_u64 {
        process
            .assigned
            .send_replace(world.lanes(
                (0..4).filter(|lane| !(turn + lane).is_multiple_of(3)).map(|lane| u32::try_from(lane).unwrap()),
            ));
        world.judge(&votes(turn * 5, 5)).await;
        tokio::task::yield_now().await;
    }
    process.assigned.send_replace(world.lanes(0..4));
    world.counted(&process).await;
    world.check().await;
    assert_eq!(process.tally.metrics.fenced.get(), 0, "no two owners ever met");
    assert_eq!(process.tally.metrics.lanes_owned.get(), 4);
    process.ends().await;
}
