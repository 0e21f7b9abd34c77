//! Records and the verdicts they get.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pnyx_core::{
    ballot::{HashMemo, compose},
    choice::Choice,
    id::{Lane, Place, RecordHash, Voter},
    power::{Power, VoterPower},
    proposal::{Abstentions, Definition, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
    rejection::Rejection,
    signing::SigningKey,
    time::{TimestampMs, Window},
    verdict::{CountingBallot, Ruling, Verdict},
    wire,
};
use pnyx_verification::{BallotRecord, ListedPower, ProposalVerifier, listed_by, signers, weigh};
use proptest::prelude::*;

const SPACE: &str = "dao.example.eth";
const OPENS_AT: TimestampMs = TimestampMs(1_800_000_000_000);
const CLOSES_AT: TimestampMs = TimestampMs(1_800_000_600_000);
const SIGNED_AT_S: u64 = 1_800_000_100;
const APPENDED_AT: TimestampMs = TimestampMs(1_800_000_101_000);
const PLACE: Place = Place { partition: 3, offset: 17 };

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes([number; 32]).unwrap()
}

fn voter(number: u8) -> Voter {
    key(number).address()
}

fn power(text: &str) -> Power {
    Power::parse(text).unwrap()
}

fn proposal(strategies: Vec<Strategy>) -> Proposal {
    Proposal::new(ProposalParts {
        platform: "test".to_owned(),
        namespace: "default".to_owned(),
        name: "p".to_owned(),
        space: SPACE.to_owned(),
        title: "P".to_owned(),
        body: String::new(),
        discussion: String::new(),
        author: String::new(),
        choices: vec!["For".to_owned(), "Against".to_owned()],
        voting: Voting {
            system: VotingSystem::SingleChoice,
            quorum: None,
            approval_threshold: None,
            abstentions: Abstentions::default(),
        },
        window: Window::new(OPENS_AT, CLOSES_AT).unwrap(),
        strategies,
        snapshots: BTreeMap::new(),
        clock_skew_s: 300,
    })
    .unwrap()
}

fn verifier() -> ProposalVerifier {
    let whitelist = Strategy::Whitelist(BTreeSet::from([voter(1), voter(2)]));
    ProposalVerifier::new(Arc::new(Definition::new(proposal(vec![whitelist]), 16, 4).unwrap()))
}

/// A ballot of key `number` for choice 1, signed at `signed_at_s`.
fn record(verifier: &ProposalVerifier, number: u8, signed_at_s: u64) -> Vec<u8> {
    let id = verifier.definition().proposal().id();
    let unsigned = compose(voter(number), SPACE, signed_at_s, id, "1", "", "test").unwrap();
    let signature = key(number).sign_digest(*unsigned.digest().as_bytes());
    wire::record::encode(&unsigned.body_with(&signature))
}

fn verdict(verifier: &ProposalVerifier, bytes: &[u8], appended_at: TimestampMs) -> Verdict {
    let record = BallotRecord { place: PLACE, appended_at, bytes };
    let listed = ListedPower::of(verifier.definition().proposal());
    let judged = verifier.judge(record, &mut HashMemo::default());
    judged.weigh(record, |voter| VoterPower::Known(listed.power(voter)))
}

#[track_caller]
fn check_rejected(bytes: &[u8], appended_at: TimestampMs, rejection: Rejection) {
    let verdict = verdict(&verifier(), bytes, appended_at);
    assert_eq!((verdict.place, verdict.appended_at), (PLACE, appended_at));
    let Ruling::Rejected(rejected) = verdict.ruling else { panic!("counts: {verdict:?}") };
    assert_eq!(rejected.rejection, rejection);
    assert_eq!(rejected.record, RecordHash::of(bytes));
}

#[test]
fn a_good_record_counts_with_its_place_and_power() {
    let verifier = verifier();
    let bytes = record(&verifier, 1, SIGNED_AT_S);
    let Ruling::Counts(ballot) = verdict(&verifier, &bytes, APPENDED_AT).ruling else { panic!() };
    let CountingBallot { voter: by, digest: _, signed_at_s, choice, power: given } = ballot;
    assert_eq!((by, signed_at_s, choice, given), (voter(1), SIGNED_AT_S, Choice::Single(1), power("1")));
}

#[test]
fn poison_is_rejected() {
    let good = record(&verifier(), 1, SIGNED_AT_S);
    check_rejected(&[], APPENDED_AT, Rejection::MalformedEnvelope);
    check_rejected(&[1], APPENDED_AT, Rejection::MalformedEnvelope);
    check_rejected(&[&[2], &good[1..]].concat(), APPENDED_AT, Rejection::MalformedEnvelope);
    check_rejected(&[1, 0xff, 0x00], APPENDED_AT, Rejection::MalformedEnvelope);
    check_rejected(&good[..good.len() - 1], APPENDED_AT, Rejection::MalformedEnvelope);
    check_rejected(&[&[1][..], &vec![b'['; 99_999]].concat(), APPENDED_AT, Rejection::MalformedEnvelope);
    check_rejected(&[&[1][..], &vec![b' '; 1 << 20]].concat(), APPENDED_AT, Rejection::TooLarge);
}

#[test]
fn time_is_judged_by_the_append() {
    let good = record(&verifier(), 1, SIGNED_AT_S);
    let late_signed = record(&verifier(), 1, SIGNED_AT_S + 301);
    let signed_at = TimestampMs(SIGNED_AT_S * 1_000);
    check_rejected(&late_signed, signed_at, Rejection::SignedInFuture);
    check_rejected(&good, CLOSES_AT, Rejection::OutsideWindow);
    check_rejected(&good, TimestampMs(OPENS_AT.0 - 1), Rejection::OutsideWindow);
    let last = verdict(&verifier(), &good, TimestampMs(CLOSES_AT.0 - 1));
    assert!(matches!(last.ruling, Ruling::Counts(_)));
}

#[test]
fn the_first_fault_in_order_of_precedence_is_told() {
    // Nobody's signature, no power, outside the window.
    let verifier = verifier();
    let id = verifier.definition().proposal().id();
    let unsigned = compose(voter(9), SPACE, SIGNED_AT_S, id, "1", "", "test").unwrap();
    let bytes = wire::record::encode(&unsigned.body_with(&key(8).sign_digest([5; 32])));
    check_rejected(&bytes, CLOSES_AT, Rejection::OutsideWindow);
    check_rejected(&bytes, APPENDED_AT, Rejection::WrongSigner);
    check_rejected(&record(&verifier, 9, SIGNED_AT_S), APPENDED_AT, Rejection::NoPower);
}

#[test]
fn only_a_proven_signer_reaches_the_voters_lane() {
    let verifier = verifier();
    let id = verifier.definition().proposal().id();
    let without_power = verdict(&verifier, &record(&verifier, 9, SIGNED_AT_S), APPENDED_AT);
    assert_eq!(without_power.lane(16), Lane::of_voter(voter(9), 16));
    let unsigned = compose(voter(1), SPACE, SIGNED_AT_S, id, "1", "", "test").unwrap();
    let forged = wire::record::encode(&unsigned.body_with(&key(8).sign_digest(*unsigned.digest().as_bytes())));
    let forged = verdict(&verifier, &forged, APPENDED_AT);
    assert_eq!(forged.lane(16), Lane::of_unproven(unsigned.digest().as_bytes(), 16));
}

#[test]
fn power_is_the_sum_over_the_strategies() {
    let strategies = vec![
        Strategy::Whitelist(BTreeSet::from([voter(1), voter(2)])),
        Strategy::WhitelistWeighted(BTreeMap::from([
            (voter(2), power("1250.5")),
            (voter(3), power("0.000000000000000001")),
        ])),
        Strategy::Ticket(power("0.25")),
        Strategy::Ticket(power("3")),
    ];
    let proposal = proposal(strategies);
    let listed = ListedPower::of(&proposal);
    let voters = [voter(3), voter(1), voter(2), voter(4), voter(1)];
    let powers = voters.map(|voter| listed.power(voter).to_string());
    assert_eq!(powers, ["3.250000000000000001", "4.25", "1254.75", "3.25", "4.25"]);
    for voter in voters {
        let given = proposal.parts().strategies.iter().map(|strategy| listed_by(strategy, voter).unwrap());
        let sum = given.fold(Power::ZERO, |sum, given| sum.checked_add(given).unwrap());
        assert_eq!(sum, listed.power(voter));
    }
}

#[test]
fn the_largest_power_is_exact() {
    let strategies = vec![Strategy::WhitelistWeighted(BTreeMap::from([(voter(1), Power::max())]))];
    let listed = ListedPower::of(&proposal(strategies));
    assert_eq!(listed.power(voter(1)), Power::max());
    assert_eq!(listed.power(voter(2)), Power::ZERO);
}

proptest! {
    #[test]
    fn any_bytes_get_a_verdict(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let rejected = matches!(verdict(&verifier(), &bytes, APPENDED_AT).ruling, Ruling::Rejected(_));
        prop_assert!(rejected);
    }

    #[test]
    fn a_changed_byte_never_changes_what_counts(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let verifier = verifier();
        let mut bytes = record(&verifier, 1, SIGNED_AT_S);
        let good = verdict(&verifier, &bytes, APPENDED_AT);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let changed = verdict(&verifier, &bytes, APPENDED_AT);
        prop_assert!(changed == good || matches!(changed.ruling, Ruling::Rejected(_)));
    }

    #[test]
    fn a_batch_is_as_its_records_one_by_one(
        ballots in proptest::collection::vec((1_u8..5, 0_u64..900, any::<bool>()), 0..12),
    ) {
        let verifier = verifier();
        let records: Vec<_> = ballots.iter().map(|(number, after_s, spoil)| {
            let mut bytes = record(&verifier, *number, SIGNED_AT_S + after_s);
            if *spoil {
                bytes.pop();
            }
            bytes
        }).collect();
        let mut memo = HashMemo::default();
        let batch = records.iter().map(|bytes| BallotRecord { place: PLACE, appended_at: APPENDED_AT, bytes });
        let judged: Vec<_> = batch.clone().map(|record| verifier.judge(record, &mut memo)).collect();
        let listed = ListedPower::of(verifier.definition().proposal());
        let powers: Vec<_> =
            signers(&judged).into_iter().map(|voter| VoterPower::Known(listed.power(voter))).collect();
        let together = weigh(batch, judged, &powers);
        let alone: Vec<_> = records.iter().map(|bytes| verdict(&verifier, bytes, APPENDED_AT)).collect();
        prop_assert_eq!(together, alone);
    }
}
