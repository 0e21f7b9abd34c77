//! A proposal, a voter and an envelope that counts, for tests to spoil.

use std::collections::BTreeSet;

use pnyx_core::{
    ballot::{Envelope, HashMemo, Refusal, SignedBallot, UnsignedBallot, compose},
    proposal::{Abstentions, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
    signing::SigningKey,
    time::{TimestampMs, Window},
};
use serde_json::{Value, json};

pub(crate) const OPENS_AT_MS: u64 = 1_764_590_400_000;
pub(crate) const CLOSES_AT_MS: u64 = OPENS_AT_MS + 3_600_000;
pub(crate) const SIGNED_AT_S: u64 = OPENS_AT_MS / 1_000 + 60;
pub(crate) const SPACE: &str = "dao.example.eth";

/// When a ballot of these tests is stored unless it says otherwise.
pub(crate) const APPENDED_AT: TimestampMs = TimestampMs(OPENS_AT_MS + 61_000);

pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes([7; 32]).unwrap()
}

pub(crate) fn parts(system: VotingSystem, choice_count: usize) -> ProposalParts {
    ProposalParts {
        platform: "test".to_owned(),
        namespace: "demo".to_owned(),
        name: "grants-round".to_owned(),
        space: SPACE.to_owned(),
        title: "Fund the spring grants round".to_owned(),
        body: "Shall it be funded?".to_owned(),
        discussion: String::new(),
        author: String::new(),
        choices: (1..=choice_count).map(|number| format!("Choice {number}")).collect(),
        voting: Voting { system, quorum: None, approval_threshold: None, abstentions: Abstentions::Quorum },
        window: Window::new(TimestampMs(OPENS_AT_MS), TimestampMs(CLOSES_AT_MS)).unwrap(),
        strategies: vec![Strategy::Whitelist(BTreeSet::from([key().address()]))],
        snapshots: std::collections::BTreeMap::new(),
        clock_skew_s: 300,
    }
}

pub(crate) fn proposal(system: VotingSystem, choice_count: usize) -> Proposal {
    Proposal::new(parts(system, choice_count)).unwrap()
}

/// The current client's ballot on `proposal`.
pub(crate) fn unsigned<'a>(proposal: &Proposal, choice_json: &'a str) -> UnsignedBallot<'a> {
    compose(key().address(), SPACE, SIGNED_AT_S, proposal.id(), choice_json, "because", "pnyx").unwrap()
}

pub(crate) fn signed_body(proposal: &Proposal, choice_json: &str) -> Vec<u8> {
    let ballot = unsigned(proposal, choice_json);
    ballot.body_with(&key().sign_digest(*ballot.digest().as_bytes()))
}

/// The same as a JSON value, for spoiling.
pub(crate) fn signed_json(proposal: &Proposal, choice_json: &str) -> Value {
    serde_json::from_slice(&signed_body(proposal, choice_json)).unwrap()
}

/// All checks that need no power.
pub(crate) fn judge(body: &[u8], proposal: &Proposal, appended_at: TimestampMs) -> Result<SignedBallot, Refusal> {
    let ballot = Envelope::parse(body, &mut HashMemo::default())?.for_proposal(proposal)?;
    ballot.check_time(appended_at, proposal)?;
    ballot.verify_signature()
}

/// `types` of an envelope from (name, type) pairs.
pub(crate) fn types_json(fields: &[(&str, &str)]) -> Value {
    let fields: Vec<_> = fields.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    json!({ "Vote": fields })
}
