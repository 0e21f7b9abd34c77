//! Records that no key signed where contracts may sign, and the verdicts they get.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::FutureExt as _;
use pnyx_core::{
    ballot::{HashMemo, compose},
    chain::{BlockHash, BlockNumber, ChainId, Pin, Pins, SnapshotRule},
    id::{Lane, Place, RecordHash, Voter},
    power::{Power, VoterPower},
    proposal::{Abstentions, Definition, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
    rejection::Rejection,
    signature_check::{ContractCheck, SignatureCheck, SignatureRuling},
    signing::SigningKey,
    time::{TimestampMs, Window},
    verdict::{Ruling, Verdict},
    wire,
};
use pnyx_verification::{
    BallotRecord, Caching, Claim, ClaimAnswer, Judged, PowerSource, ProposalVerifier, RulingsUnavailable, SourceError,
    Sources,
};

const SPACE: &str = "dao.example.eth";
const OPENS_AT: TimestampMs = TimestampMs(1_800_000_000_000);
const SIGNED_AT_S: u64 = 1_800_000_100;
const APPENDED_AT: TimestampMs = TimestampMs(1_800_000_101_000);
const PLACE: Place = Place { partition: 3, offset: 17 };
const POWER: VoterPower = VoterPower::Known(Power::ONE);

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes([number; 32]).unwrap()
}

fn account() -> Voter {
    key(1).address()
}

fn pin() -> Pin {
    let chain = ChainId::new(1).unwrap();
    Pin { chain, number: BlockNumber(9), hash: BlockHash::new([0xe1; 32]), timestamp_s: 1_799_999_999 }
}

/// A proposal that lists one account, whose contract on chain 1 may sign.
fn verifier() -> ProposalVerifier {
    let chain = pin().chain;
    let proposal = Proposal::new(ProposalParts {
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
        window: Window::new(OPENS_AT, TimestampMs(OPENS_AT.0 + 600_000)).unwrap(),
        strategies: vec![Strategy::Whitelist(BTreeSet::from([account()]))],
        snapshots: BTreeMap::from([(chain, SnapshotRule::Block(pin().number))]),
        signers: Some(chain),
        clock_skew_s: 300,
    });
    ProposalVerifier::new(Arc::new(Definition::new(proposal.unwrap(), 16, 4).unwrap()))
}

/// A ballot of the account that another key signed.
fn record(verifier: &ProposalVerifier) -> Vec<u8> {
    let id = verifier.definition().proposal().id();
    let unsigned = compose(account(), SPACE, SIGNED_AT_S, id, "1", "", "test").unwrap();
    wire::record::encode(&unsigned.body_with(&key(2).sign_digest(*unsigned.digest().as_bytes())))
}

fn claim(verifier: &ProposalVerifier, bytes: &[u8]) -> Claim {
    let record = BallotRecord { place: PLACE, appended_at: APPENDED_AT, bytes };
    match verifier.judge(record, &mut HashMemo::default()) {
        Judged::Claim(claim) => claim,
        Judged::Record(judged) => panic!("{judged:?}"),
    }
}

fn verdict(answer: ClaimAnswer) -> Verdict {
    let verifier = verifier();
    let bytes = record(&verifier);
    let record = BallotRecord { place: PLACE, appended_at: APPENDED_AT, bytes: &bytes };
    let verdict = claim(&verifier, &bytes).verdict(record, answer, &pin());
    assert_eq!((verdict.place, verdict.appended_at), (PLACE, APPENDED_AT));
    assert_eq!(wire::verdict::decode(&wire::verdict::encode(&verdict)), Ok(verdict.clone()));
    assert_eq!(verdict.ruling.weighed(), Some((account(), answer.power())));
    let said = answer.ruling().map(|ruling| (RecordHash::of(&bytes), account(), ruling));
    assert_eq!(verdict.ruling.contract_ruling(), said);
    verdict
}

#[test]
fn a_contract_that_accepts_makes_the_record_count() {
    for kind in ContractCheck::ALL {
        let verdict = verdict(ClaimAnswer::Asked(POWER, SignatureRuling::Accepted(kind)));
        assert_eq!(verdict.lane(16), Lane::of_voter(account(), 16));
        let Ruling::Counts(ballot) = verdict.ruling else { panic!("{verdict:?}") };
        assert_eq!((ballot.voter, ballot.power), (account(), Power::ONE));
        let SignatureCheck::Contract { kind: checked, block, record: _ } = ballot.check else { panic!("{ballot:?}") };
        assert_eq!((checked, block), (kind, pin().number));
    }
}

#[test]
fn what_no_contract_accepts_is_rejected_in_nobodys_name() {
    let nothing = VoterPower::Known(Power::ZERO);
    for (answer, rejection) in [
        (ClaimAnswer::Asked(POWER, SignatureRuling::Refused), Rejection::ContractRefused),
        (ClaimAnswer::Asked(POWER, SignatureRuling::NoContract), Rejection::WrongSigner),
        (ClaimAnswer::unasked(nothing).unwrap(), Rejection::SignerWithoutPower),
        (ClaimAnswer::unasked(VoterPower::Unavailable).unwrap(), Rejection::SignerWithoutPower),
    ] {
        let verdict = verdict(answer);
        let Ruling::Rejected(rejected) = &verdict.ruling else { panic!("{verdict:?}") };
        assert_eq!((rejected.rejection, rejected.claimed_voter), (rejection, Some(account())));
        let digest = rejected.digest.unwrap();
        assert_eq!(verdict.lane(16), Lane::of_unproven(digest.as_bytes(), 16));
    }
    assert_eq!(ClaimAnswer::unasked(POWER), None, "an account with power is asked about");
}

#[test]
fn a_keys_ballot_is_no_claim() {
    let verifier = verifier();
    let id = verifier.definition().proposal().id();
    let unsigned = compose(account(), SPACE, SIGNED_AT_S, id, "1", "", "test").unwrap();
    let bytes = wire::record::encode(&unsigned.body_with(&key(1).sign_digest(*unsigned.digest().as_bytes())));
    let record = BallotRecord { place: PLACE, appended_at: APPENDED_AT, bytes: &bytes };
    let judged = verifier.judge(record, &mut HashMemo::default()).unclaimed();
    assert_eq!(judged.signer(), Some(account()));
}

#[test]
fn recorded_rulings_are_those_of_the_record_and_the_account() {
    let verifier = verifier();
    let proposal = verifier.definition().proposal();
    let bytes = record(&verifier);
    let claim = claim(&verifier, &bytes);
    let pins = Arc::new(Pins::new(proposal.id(), [pin()]).unwrap());
    let with = |voter| {
        let rulings = BTreeMap::from([(RecordHash::of(&bytes), (voter, SignatureRuling::Refused))]);
        Sources::recorded(proposal, Arc::clone(&pins), BTreeMap::new(), rulings).signers.unwrap()
    };
    let ask = |voter| {
        let contracts = with(voter);
        assert_eq!(contracts.pin(), &pin());
        contracts.rulings(&[&claim]).now_or_never().unwrap()
    };
    assert_eq!(ask(account()).unwrap(), [SignatureRuling::Refused]);
    let of_another = ask(key(3).address()).unwrap_err();
    assert!(matches!(of_another, RulingsUnavailable::NotRecorded { voter, .. } if voter == account()), "{of_another}");
}

#[test]
fn contracts_need_the_pins_and_listed_power_does_not() {
    let verifier = verifier();
    let proposal = verifier.definition().proposal();
    let chains = pnyx_chains::Chains::none();
    let refused = |pins| Sources::of(proposal, pins, &chains, Caching::Shared).unwrap_err();
    assert_eq!(refused(None), SourceError::NotPinned);
    let pins = Arc::new(Pins::new(proposal.id(), [pin()]).unwrap());
    assert_eq!(refused(Some(&pins)), SourceError::NoEndpoint(pin().chain));
    let power = PowerSource::of(proposal, None, &chains, Caching::Shared).unwrap();
    let powers = power.powers(&[account(), key(2).address()]).now_or_never().unwrap().unwrap();
    assert_eq!(powers, [POWER, VoterPower::Known(Power::ZERO)]);
}
