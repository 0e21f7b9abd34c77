//! The follower of `pnyx.proposals`: the first decision stands, and whoever decides hears what stands.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::time::Duration;

use pnyx_backbone::{
    log::{AppendTo, EmbeddedLog, Log, Topic},
    proposals::{BookError, DecideError, Proposals},
    shutdown::Shutdown,
    telemetry::Metrics,
};
use pnyx_core::{
    decisions::{Decision, Recorded},
    id::{ProposalId, Root, Voter},
    power::Power,
    proposal::{Abstentions, Definition, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
    result::{Cut, CutPartition},
    time::{TimestampMs, Window},
};
use tokio::time::timeout;

/// Far more than any step of these tests takes: reaching it means that something hangs.
const HANG: Duration = Duration::from_secs(20);

fn definition(namespace: &str, name: &str, title: &str, lanes: u16) -> Definition {
    let voting = Voting {
        system: VotingSystem::SingleChoice,
        quorum: None,
        approval_threshold: None,
        abstentions: Abstentions::default(),
    };
    let parts = ProposalParts {
        platform: "dev".to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        space: "pnyx.eth".to_owned(),
        title: title.to_owned(),
        body: String::new(),
        discussion: String::new(),
        author: String::new(),
        choices: vec!["Yes".to_owned(), "No".to_owned()],
        voting,
        window: Window::new(TimestampMs(1_000_000), TimestampMs(2_000_000)).unwrap(),
        strategies: vec![Strategy::Ticket(Power::parse("1").unwrap())],
        snapshots: std::collections::BTreeMap::new(),
        clock_skew_s: 300,
    };
    Definition::new(Proposal::new(parts).unwrap(), lanes, 1).unwrap()
}

fn id(definition: &Definition) -> ProposalId {
    definition.proposal().id()
}

fn define(definition: &Definition) -> Decision {
    Decision::Definition(Box::new(definition.clone()))
}

fn open(dir: &std::path::Path) -> Log {
    Log::Embedded(EmbeddedLog::open(dir).unwrap())
}

#[tokio::test]
async fn the_first_decision_stands_for_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let (log, shutdown) = (open(dir.path()), Shutdown::new());
    let one = Proposals::start(log.clone(), &shutdown).await.unwrap();
    let other = Proposals::start(log.clone(), &shutdown).await.unwrap();
    let (first, second) = (definition("default", "grants", "Grants", 4), definition("default", "grants", "Grants", 8));
    assert_eq!(id(&first), id(&second), "the layout is not part of the id");
    let mut watched = other.watch();
    assert_eq!(one.decide(define(&first)).await.unwrap(), Recorded::Stands);
    timeout(HANG, watched.wait_for(|book| book.get(id(&first)).is_some())).await.unwrap().unwrap();
    assert_eq!(other.decide(define(&first)).await.unwrap(), Recorded::Repeated);
    assert_eq!(other.decide(define(&second)).await.unwrap(), Recorded::Conflicts);
    let cut = |decided_at, end_offset| Cut {
        proposal: id(&first),
        decided_at: TimestampMs(decided_at),
        partitions: vec![CutPartition { end_offset, records_root: Root::new([0; 32]) }],
    };
    let (outcome, rival) = tokio::join!(one.decide(Decision::Cut(cut(1, 1))), other.decide(Decision::Cut(cut(2, 2))));
    let (outcome, rival) = (outcome.unwrap(), rival.unwrap());
    assert!(
        [(Recorded::Stands, Recorded::Conflicts), (Recorded::Conflicts, Recorded::Stands)].contains(&(outcome, rival))
    );
    let unknown = Cut { proposal: ProposalId::new([3; 32]), ..cut(3, 3) };
    assert_eq!(one.decide(Decision::Cut(unknown)).await.unwrap(), Recorded::Unknown);
    let stands = if outcome == Recorded::Stands { 1 } else { 2 };
    for follower in [&one, &other] {
        let book = follower.book();
        let decisions = book.get(id(&first)).unwrap();
        assert_eq!(decisions.definition.lanes(), 4);
        assert_eq!(decisions.cut.as_ref().unwrap().decided_at, TimestampMs(stands));
    }
    let metrics = Metrics::new();
    one.register_metrics(&metrics);
    let counted = async |ignored: u64, outrun: u64| {
        one.current_book().await.unwrap();
        let metrics = metrics.encode();
        assert!(metrics.contains(&format!("pnyx_decisions_ignored_total {ignored}\n")), "{metrics}");
        assert!(metrics.contains(&format!("pnyx_decisions_outrun_total {outrun}\n")), "{metrics}");
    };
    counted(2, 1).await;
    let much_later = pnyx_backbone::clock::now().saturating_add_ms(60 * 60 * 1_000).0;
    assert_eq!(other.decide(Decision::Cut(cut(much_later, stands))).await.unwrap(), Recorded::Repeated);
    counted(2, 1).await;
    assert_eq!(other.decide(Decision::Cut(cut(much_later, 3))).await.unwrap(), Recorded::Conflicts);
    counted(3, 1).await;
}

#[tokio::test]
async fn the_current_book_has_what_anybody_wrote_before() {
    let dir = tempfile::tempdir().unwrap();
    let (log, shutdown) = (open(dir.path()), Shutdown::new());
    let one = Proposals::start(log.clone(), &shutdown).await.unwrap();
    for number in 0..50 {
        let definition = definition("default", &format!("grants-{number}"), "Grants", 4);
        let value = pnyx_core::wire::decision::encode(&define(&definition));
        log.append(&Topic::proposals(), AppendTo::Partition(0), value).await.unwrap();
        assert!(one.current_book().await.unwrap().get(id(&definition)).is_some());
    }
    shutdown.trigger();
    shutdown.drained(HANG).await.unwrap();
    let missed = define(&definition("default", "missed", "Grants", 4));
    log.append(&Topic::proposals(), AppendTo::Partition(0), pnyx_core::wire::decision::encode(&missed)).await.unwrap();
    let outcome = timeout(HANG, one.current_book()).await.unwrap();
    assert!(matches!(outcome, Err(BookError::Ended)), "{outcome:?}");
}

#[tokio::test]
async fn all_that_was_decided_is_there_after_a_start_whatever_else_is_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let key = Voter::new([5; 20]);
    let grants = definition("default", "grants", "Grants", 4);
    {
        let (log, shutdown) = (open(dir.path()), Shutdown::new());
        let proposals = Proposals::start(log.clone(), &shutdown).await.unwrap();
        proposals.decide(Decision::PlatformKey(key)).await.unwrap();
        let foreign = br#"{"v":9,"kind":"from the future"}"#.to_vec();
        log.append(&Topic::proposals(), AppendTo::Partition(0), foreign).await.unwrap();
        assert_eq!(proposals.decide(define(&grants)).await.unwrap(), Recorded::Stands);
        shutdown.trigger();
        shutdown.drained(HANG).await.unwrap();
        log.close().await;
    }
    let (log, shutdown) = (open(dir.path()), Shutdown::new());
    let proposals = Proposals::start(log, &shutdown).await.unwrap();
    assert_eq!(proposals.book().keys(), [key]);
    assert_eq!(proposals.book().get(id(&grants)).unwrap().offset, 2);
    let metrics = Metrics::new();
    proposals.register_metrics(&metrics);
    assert!(metrics.encode().contains("pnyx_decisions_unreadable_total 1"));
}

#[tokio::test]
async fn proposals_are_found_by_id_and_by_name_the_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let shutdown = Shutdown::new();
    let proposals = Proposals::start(open(dir.path()), &shutdown).await.unwrap();
    let (old, other, new) = (
        definition("default", "grants", "Grants, first try", 4),
        definition("treasury", "grants", "Grants", 4),
        definition("default", "grants", "Grants, second try", 4),
    );
    for definition in [&old, &other, &new] {
        proposals.decide(define(definition)).await.unwrap();
    }
    assert_eq!(proposals.find("grants"), Some(id(&new)));
    assert_eq!(proposals.find("treasury/grants"), Some(id(&other)));
    assert_eq!(proposals.find("default/grants"), Some(id(&new)));
    assert_eq!(proposals.find(&id(&old).to_string()), Some(id(&old)));
    assert_eq!(proposals.find("grant"), None);
    assert_eq!(proposals.find(&ProposalId::new([0; 32]).to_string()), None);
}

#[tokio::test]
async fn a_decision_after_the_end_is_an_error_not_a_hang() {
    let dir = tempfile::tempdir().unwrap();
    let (log, shutdown) = (open(dir.path()), Shutdown::new());
    let proposals = Proposals::start(log.clone(), &shutdown).await.unwrap();
    shutdown.trigger();
    shutdown.drained(HANG).await.unwrap();
    let key = Decision::PlatformKey(Voter::new([5; 20]));
    let outcome = timeout(HANG, proposals.decide(key.clone())).await.unwrap();
    assert!(matches!(outcome, Err(DecideError::Ended)), "{outcome:?}");
    log.close().await;
    let outcome = timeout(HANG, proposals.decide(key)).await.unwrap();
    assert!(matches!(outcome, Err(DecideError::Append(_))), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_heard_that_a_decision_stands_finds_it_in_the_book() {
    let dir = tempfile::tempdir().unwrap();
    let shutdown = Shutdown::new();
    let proposals = Proposals::start(open(dir.path()), &shutdown).await.unwrap();
    let mut deciding = tokio::task::JoinSet::new();
    for decider in 0..8 {
        let proposals = proposals.clone();
        deciding.spawn(async move {
            for number in 0..100 {
                let definition = definition("default", &format!("proposal-{decider}-{number}"), "Title", 1);
                assert_eq!(proposals.decide(define(&definition)).await.unwrap(), Recorded::Stands);
                assert!(proposals.book().get(id(&definition)).is_some(), "decided, but not in the book");
            }
        });
    }
    while let Some(ended) = timeout(HANG, deciding.join_next()).await.unwrap() {
        ended.unwrap();
    }
    shutdown.trigger();
}
