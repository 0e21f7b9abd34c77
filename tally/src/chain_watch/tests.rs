//! What readers are told of a chain, from what its endpoints met.

use std::{collections::BTreeMap, num::NonZeroUsize};

use pnyx_chains::EndpointName;
use pnyx_core::{
    chain::{BlockHash, BlockNumber, Pins, SnapshotRule},
    decisions::Decision,
    id::ProposalId,
    power::Power,
    proposal::{
        Abstentions, ChainRead, ChainStrategy, Definition, Proposal, ProposalParts, Strategy, Voting, VotingSystem,
    },
    time::Window,
};

use super::*;

fn status(agreement: usize, endpoints: Vec<EndpointStatus>) -> ChainStatus {
    ChainStatus {
        chain: ChainId::new(1).unwrap(),
        agreement: NonZeroUsize::new(agreement).unwrap(),
        contradicting: Vec::new(),
        differing: Vec::new(),
        endpoints,
    }
}

fn endpoint(number: usize, trouble: Option<Failure>, answered_at: Option<Instant>) -> EndpointStatus {
    EndpointStatus { name: name(number), trouble, answered_at: answered_at.map(Instant::into_std) }
}

fn name(number: usize) -> EndpointName {
    format!("endpoint-{number}").parse().unwrap()
}

/// Probed well at a time.
fn well(at: Instant) -> Found {
    Found { asked_at: None, last: Some((at, Ok(()))) }
}

fn check(status: &ChainStatus, found: &[Found], now: Instant, state: ChainState, reason: Option<&str>) {
    assert_eq!(judge(status, found, now), (state, reason.map(str::to_owned)));
}

#[test]
fn a_chain_answers_while_as_many_endpoints_do_as_must_agree() {
    let now = Instant::now();
    let dead = Some(Failure::Unreachable("no connection"));
    let (sound, failing) = (endpoint(1, None, Some(now)), endpoint(2, dead, None));
    let both = |agreement| status(agreement, vec![sound.clone(), failing.clone()]);
    let found = [well(now), Found::default()];
    let said = Some("endpoint-2 cannot be reached (no connection)");
    check(&both(1), &found, now, ChainState::Answering, said);
    check(&both(2), &found, now, ChainState::Unreachable, said);
    check(&status(1, vec![sound.clone()]), &found[..1], now, ChainState::Answering, None);
}

#[test]
fn an_endpoint_s_own_words_are_for_the_log() {
    let now = Instant::now();
    let words = || "account 4711".to_owned();
    for failure in [
        Failure::Limited(words()),
        Failure::Rpc { code: -32_000, message: words() },
        Failure::UnknownBlock(words()),
        Failure::PrunedState(words()),
        Failure::NoUrl(words()),
    ] {
        let of_one = status(1, vec![endpoint(1, Some(failure.clone()), None)]);
        let (state, reason) = judge(&of_one, &[Found::default()], now);
        let reason = reason.unwrap();
        assert_eq!(state, ChainState::Unreachable);
        assert!(reason.starts_with("endpoint-1 ") && !reason.contains("4711"), "{failure}: {reason}");
    }
}

#[test]
fn an_endpoint_that_lied_is_named_while_it_is_left_out() {
    let now = Instant::now();
    let of_three = status(
        2,
        vec![
            endpoint(1, None, Some(now)),
            endpoint(2, Some(Failure::LeftOut), Some(now)),
            endpoint(3, None, Some(now)),
        ],
    );
    let found = [well(now), Found { asked_at: None, last: Some((now, Err(Failure::LeftOut))) }, well(now)];
    let said = "endpoint-2 is left out because it contradicted the other endpoints";
    check(&of_three, &found, now, ChainState::Answering, Some(said));
}

#[test]
fn endpoints_that_contradict_each_other_stop_it() {
    let now = Instant::now();
    let mut stopped = status(2, vec![endpoint(1, None, Some(now)), endpoint(2, None, Some(now))]);
    stopped.contradicting = vec![name(1), name(2)];
    let said = "disagreement: endpoint-1, endpoint-2 contradict each other, and 2 must say the same; nothing is read until \
                they do";
    check(&stopped, &[well(now), well(now)], now, ChainState::Stopped, Some(said));
}

#[test]
fn endpoints_that_differ_about_a_voter_s_contract_are_named_and_stop_nothing() {
    let now = Instant::now();
    let mut differ = status(2, vec![endpoint(1, None, Some(now)), endpoint(2, None, Some(now))]);
    differ.differing = vec![name(1), name(2)];
    let said = "disagreement over a voter's contract: endpoint-1, endpoint-2 contradict each other, and 2 must say the same; \
                ballots wait that it signs, and no others";
    check(&differ, &[well(now), well(now)], now, ChainState::Answering, Some(said));
}

#[test]
fn who_answers_nothing_is_silent_and_who_answers_others_is_busy() {
    let asked_at = Instant::now();
    let found = [Found { asked_at: Some(asked_at), last: Some((asked_at, Ok(()))) }];
    let answered_before = status(1, vec![endpoint(1, None, Some(asked_at - LOOK_INTERVAL))]);
    let just_before = asked_at + SILENT_AFTER - Duration::from_millis(1);
    check(&answered_before, &found, just_before, ChainState::Answering, None);
    let then = asked_at + SILENT_AFTER;
    check(&answered_before, &found, then, ChainState::Unreachable, Some("endpoint-1 has not answered for 2 s"));
    let answers_others = status(1, vec![endpoint(1, None, Some(then))]);
    check(&answers_others, &found, then, ChainState::Answering, None);
}

#[test]
fn what_a_probe_met_is_over_once_something_is_answered() {
    let ended_at = Instant::now();
    let found = [Found { asked_at: None, last: Some((ended_at, Err(Failure::Reverted))) }];
    let before = status(1, vec![endpoint(1, None, Some(ended_at - LOOK_INTERVAL))]);
    check(&before, &found, ended_at, ChainState::Unreachable, Some("endpoint-1 says that the call reverts"));
    let after = status(1, vec![endpoint(1, None, Some(ended_at + LOOK_INTERVAL))]);
    check(&after, &found, ended_at, ChainState::Answering, None);
}

#[test]
fn too_little_gas_is_told_and_holds_up_nobody_else() {
    let now = Instant::now();
    let found = [Found { asked_at: None, last: Some((now, Err(Failure::GasClamped { granted: 3_000_000 }))) }];
    let said = Some("endpoint-1 grants a call only 3000000 gas");
    check(&status(1, vec![endpoint(1, None, Some(now))]), &found, now, ChainState::Answering, said);
}

#[test]
fn nothing_is_said_before_an_endpoint_was_asked() {
    let now = Instant::now();
    check(&status(1, vec![endpoint(1, None, None)]), &[Found::default()], now, ChainState::Unknown, None);
}

const CHAIN: u64 = 10;

/// Records a proposal that reads a block of the chain, or everybody's ticket alone.
fn record(book: &mut DecisionBook, name: &str, block: Option<u64>, signs: bool) -> ProposalId {
    let network = ChainId::new(CHAIN).unwrap();
    let (strategy, snapshots) = match block {
        Some(block) => (
            Strategy::OnChain(ChainStrategy { network, read: ChainRead::EthBalance }),
            BTreeMap::from([(network, SnapshotRule::Block(BlockNumber(block)))]),
        ),
        None => (Strategy::Ticket(Power::ONE), BTreeMap::new()),
    };
    let voting = Voting {
        system: VotingSystem::SingleChoice,
        quorum: None,
        approval_threshold: None,
        abstentions: Abstentions::default(),
    };
    let proposal = Proposal::new(ProposalParts {
        platform: "test".to_owned(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        space: "test.eth".to_owned(),
        title: name.to_owned(),
        body: String::new(),
        discussion: String::new(),
        author: String::new(),
        choices: ["One", "Two"].map(str::to_owned).to_vec(),
        voting,
        window: Window::new(TimestampMs(1_000), TimestampMs(9_000_000)).unwrap(),
        strategies: vec![strategy],
        snapshots,
        signers: signs.then_some(network),
        clock_skew_s: 300,
    })
    .unwrap();
    let id = proposal.id();
    book.record(0, Decision::Definition(Box::new(Definition::new(proposal, 1, 1).unwrap())));
    id
}

fn pin(number: u64) -> Pin {
    let chain = ChainId::new(CHAIN).unwrap();
    Pin { chain, number: BlockNumber(number), hash: BlockHash::new([1; 32]), timestamp_s: number }
}

#[test]
fn a_chain_is_asked_what_proposals_in_progress_need_of_it() {
    let mut book = DecisionBook::default();
    record(&mut book, "listed", None, false);
    assert_eq!(needed(&book), BTreeMap::new(), "nobody reads it");
    let ids = [7, 5, 9].map(|block| (record(&mut book, &format!("at-{block}"), Some(block), false), block));
    let asked = |book: &DecisionBook| needed(book).remove(&ChainId::new(CHAIN).unwrap()).unwrap();
    assert_eq!(asked(&book), [Probe::Finalized], "nobody is pinned");
    let pin_of = |book: &mut DecisionBook, index: usize| {
        let (id, block) = ids[index];
        book.record(0, Decision::Pins(Pins::new(id, [pin(block)]).unwrap()));
    };
    pin_of(&mut book, 0);
    assert_eq!(asked(&book), [Probe::Finalized, Probe::State(pin(7))]);
    pin_of(&mut book, 1);
    pin_of(&mut book, 2);
    assert_eq!(asked(&book), [Probe::State(pin(5)), Probe::State(pin(9))], "the first and the last of the blocks");
    let signing = record(&mut book, "signing", Some(6), true);
    book.record(0, Decision::Pins(Pins::new(signing, [pin(6)]).unwrap()));
    assert_eq!(asked(&book), [Probe::Signatures(pin(5)), Probe::Signatures(pin(9))], "signatures need more gas");
}
