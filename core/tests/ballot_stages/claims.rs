//! Signatures that are not the voter's key's: refused where only keys sign, otherwise claimed until the contract is heard.

use alloy_primitives::hex;
use pnyx_core::{
    ballot::{ClaimedBallot, KeyChecked, Refusal, SIGNATURE_BYTES_MAX},
    chain::{BlockHash, BlockNumber, ChainId, Pin, SnapshotRule},
    id::RecordHash,
    power::{Power, VoterPower},
    proposal::{Proposal, ProposalParts, VotingSystem},
    rejection::Rejection,
    signature_check::{ContractCheck, SignatureCheck, SignatureRuling},
    signing::SigningKey,
    time::TimestampMs,
};

use super::support::{APPENDED_AT, CLOSES_AT_MS, SIGNED_AT_S, check_key, judge, key, parts, signed_body, unsigned};

fn keys_only() -> Proposal {
    Proposal::new(parts(VotingSystem::SingleChoice, 3)).unwrap()
}

/// The same with contracts of chain 1.
fn with_contracts() -> Proposal {
    let parts = parts(VotingSystem::SingleChoice, 3);
    let chain = ChainId::new(1).unwrap();
    let snapshots = [(chain, SnapshotRule::AtOrBefore(parts.window.opens_at()))].into();
    Proposal::new(ProposalParts { snapshots, signers: Some(chain), ..parts }).unwrap()
}

fn pin() -> Pin {
    Pin {
        chain: ChainId::new(1).unwrap(),
        number: BlockNumber(27_123_456),
        hash: BlockHash::new([0xe1; 32]),
        timestamp_s: SIGNED_AT_S - 90,
    }
}

fn body(proposal: &Proposal, signature: &[u8]) -> Vec<u8> {
    unsigned(proposal, "2").body_with(signature)
}

fn claimed(signature: &[u8]) -> ClaimedBallot {
    let proposal = with_contracts();
    match check_key(&body(&proposal, signature), &proposal, APPENDED_AT).unwrap() {
        KeyChecked::Claimed(ballot) => ballot,
        KeyChecked::Signed(ballot) => panic!("{ballot:?} has no such signature"),
    }
}

/// A signature for each way not to be the key's.
fn foreign_signatures(proposal: &Proposal) -> Vec<(Vec<u8>, Rejection)> {
    let digest = *unsigned(proposal, "2").digest().as_bytes();
    let stranger = SigningKey::from_bytes([8; 32]).unwrap();
    let mut high = key().sign_digest(digest);
    high[32..64].fill(0x88);
    vec![
        (Vec::new(), Rejection::UnsupportedSignature),
        (vec![7; 63], Rejection::UnsupportedSignature),
        (vec![7; 130], Rejection::UnsupportedSignature),
        (vec![7; SIGNATURE_BYTES_MAX], Rejection::UnsupportedSignature),
        (vec![0; 65], Rejection::MalformedSignature),
        (high.to_vec(), Rejection::HighS),
        (stranger.sign_digest(digest).to_vec(), Rejection::WrongSigner),
    ]
}

#[test]
fn what_no_key_signed_is_refused_or_claimed() {
    let (plain, contracts) = (keys_only(), with_contracts());
    for (signature, rejection) in foreign_signatures(&plain) {
        let refusal = judge(&body(&plain, &signature), &plain, APPENDED_AT).unwrap_err();
        assert_eq!(refusal.rejection, rejection, "{}", hex::encode(&signature));
    }
    for (signature, rejection) in foreign_signatures(&contracts) {
        let ballot = claimed(&signature);
        assert_eq!(ballot.key_refusal(), rejection);
        assert_eq!((ballot.signature(), ballot.claimed_voter()), (signature.as_slice(), key().address()));
        assert_eq!(ballot.digest(), unsigned(&contracts, "2").digest());
        assert_eq!((ballot.signed_at_s(), ballot.choice().to_string()), (SIGNED_AT_S, "2".to_owned()));
    }
}

#[test]
fn a_keys_signature_needs_no_contract() {
    let proposal = with_contracts();
    let ballot = judge(&signed_body(&proposal, "2"), &proposal, APPENDED_AT).unwrap();
    assert_eq!(ballot.check(), SignatureCheck::Key);
    let counting = ballot.with_power(VoterPower::Known(Power::ONE)).unwrap();
    assert_eq!((counting.voter, counting.check), (key().address(), SignatureCheck::Key));
}

#[test]
fn only_a_sound_ballot_in_time_is_claimed() {
    let proposal = with_contracts();
    let refused = |body: &[u8], appended_at_ms| {
        check_key(body, &proposal, TimestampMs(appended_at_ms)).map(|_| ()).unwrap_err().rejection
    };
    let sound = body(&proposal, &[]);
    assert_eq!(refused(&sound, CLOSES_AT_MS), Rejection::OutsideWindow);
    assert_eq!(refused(&sound, 0), Rejection::SignedInFuture);
    let other_choice = unsigned(&proposal, "4").body_with(&[]);
    assert_eq!(refused(&other_choice, APPENDED_AT.0), Rejection::InvalidChoice);
    let too_long = body(&proposal, &vec![7; SIGNATURE_BYTES_MAX + 1]);
    assert_eq!(refused(&too_long, APPENDED_AT.0), Rejection::MalformedEnvelope);
}

#[test]
fn the_ruling_decides() {
    let proposal = with_contracts();
    let refusal = |rejection| Refusal {
        rejection,
        digest: Some(unsigned(&proposal, "2").digest()),
        claimed_voter: Some(key().address()),
    };
    for (signature, key_refusal) in foreign_signatures(&proposal) {
        let record = RecordHash::of(&signature);
        let ruled = |ruling| claimed(&signature).ruled(ruling, &pin(), record);
        assert_eq!(claimed(&signature).without_power(), refusal(Rejection::SignerWithoutPower));
        assert_eq!(ruled(SignatureRuling::Refused).unwrap_err(), refusal(Rejection::ContractRefused));
        assert_eq!(ruled(SignatureRuling::NoContract).unwrap_err(), refusal(key_refusal));
        for kind in ContractCheck::ALL {
            let signed = ruled(SignatureRuling::Accepted(kind)).unwrap();
            let check = SignatureCheck::Contract { kind, block: BlockNumber(27_123_456), record };
            assert_eq!((signed.voter(), signed.signed_at_s(), signed.check()), (key().address(), SIGNED_AT_S, check));
            let counting = signed.with_power(VoterPower::Known(Power::ONE)).unwrap();
            assert_eq!((counting.check, counting.choice.to_string()), (check, "2".to_owned()));
            let refused = ruled(SignatureRuling::Accepted(kind)).unwrap().with_power(VoterPower::Known(Power::ZERO));
            assert_eq!(refused, Err(refusal(Rejection::NoPower)));
        }
    }
}

#[test]
fn nobody_without_power_has_a_contract_asked() {
    assert!(ClaimedBallot::is_asked_with(VoterPower::Known(Power::ONE)));
    assert!(!ClaimedBallot::is_asked_with(VoterPower::Known(Power::ZERO)));
    assert!(!ClaimedBallot::is_asked_with(VoterPower::Unavailable));
}

/// What a claim can end in comes after what a key's signature can end in, and neither names a voter as proven.
#[test]
fn claims_have_their_place_in_the_precedence() {
    let last = &Rejection::ALL[Rejection::ALL.len() - 5..];
    let expected = [
        Rejection::WrongSigner,
        Rejection::SignerWithoutPower,
        Rejection::ContractRefused,
        Rejection::NoPower,
        Rejection::PowerUnavailable,
    ];
    assert_eq!(last, expected);
    assert_eq!(expected.map(Rejection::signer_is_proven), [false, false, false, true, true]);
    assert_eq!(expected.map(Rejection::code), [15, 18, 19, 16, 17]);
}
