//! The hand-encoded digest equals that of alloy's dynamic EIP-712, whatever a shared memo has seen before.

use alloy_dyn_abi::TypedData;
use pnyx_core::{
    ballot::{Domain, Envelope, HashMemo},
    id::{Digest, Voter},
    wire::vote_types::{ChoiceType, Tail, VoteTypes},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::support::{proposal, signed_body, types_json, unsigned};

#[test]
fn separator_of_the_plain_domain_is_snapshots() {
    let separator = alloy_primitives::hex::encode(Domain::default().separator().as_bytes());
    assert_eq!(separator, "484fce18f892e8535a4b6700e197a8026f4213f809d23ae117da03b497e18670");
}

#[test]
fn there_are_36_type_sets_and_no_two_are_alike() {
    let mut hashes: Vec<_> = VoteTypes::all().iter().map(|types| *types.type_hash()).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 36);
}

#[test]
fn what_a_client_composes_is_what_the_edge_reads() {
    let proposal = proposal(pnyx_core::proposal::VotingSystem::Weighted, 3);
    let choice = r#"{"1":2.5,"3":1}"#;
    let body = signed_body(&proposal, choice);
    let envelope = Envelope::parse(&body, &mut HashMemo::default()).unwrap();
    assert_eq!(envelope.digest(), unsigned(&proposal, choice).digest());
    assert_eq!(envelope.for_proposal(&proposal).unwrap().choice().to_string(), choice);
}

/// An envelope without a signature, and the same as alloy's typed data.
#[derive(Debug, Clone)]
struct Ballot {
    body: Vec<u8>,
    typed_data: Value,
}

impl Ballot {
    fn alloy_digest(&self) -> Digest {
        let typed_data: TypedData = serde_json::from_value(self.typed_data.clone()).unwrap();
        Digest::new(typed_data.eip712_signing_hash().unwrap().0)
    }
}

fn domains() -> impl Strategy<Value = (Value, Value)> {
    let chain_id = prop_oneof![Just(1_u64), Just(137), any::<u64>()];
    let chain_id = (chain_id, 0..3_u8).prop_map(|(id, form)| match form {
        0 => (json!(id), id),
        1 => (json!(id.to_string()), id),
        _ => (json!(format!("{id:#x}")), id),
    });
    (prop::option::of(chain_id), prop::option::of(any::<[u8; 20]>()), prop::option::of(any::<[u8; 32]>())).prop_map(
        |(chain_id, contract, salt)| {
            let mut domain =
                Map::from_iter([("name".to_owned(), json!("snapshot")), ("version".to_owned(), json!("0.1.4"))]);
            let mut fields = vec![("name", "string"), ("version", "string")];
            let mut plain = domain.clone();
            if let Some((sent, id)) = chain_id {
                domain.insert("chainId".to_owned(), sent);
                plain.insert("chainId".to_owned(), json!(format!("{id:#x}")));
                fields.push(("chainId", "uint256"));
            }
            if let Some(contract) = contract {
                domain.insert("verifyingContract".to_owned(), json!(Voter::new(contract).to_string()));
                fields.push(("verifyingContract", "address"));
            }
            if let Some(salt) = salt {
                domain.insert("salt".to_owned(), json!(alloy_primitives::hex::encode_prefixed(salt)));
                fields.push(("salt", "bytes32"));
            }
            for key in ["verifyingContract", "salt"] {
                if let Some(value) = domain.get(key) {
                    plain.insert(key.to_owned(), value.clone());
                }
            }
            let fields: Vec<_> = fields.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
            (Value::Object(domain), json!({"domain": plain, "fields": fields}))
        },
    )
}

/// Texts that repeat, and any others.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just("dao.eth".to_owned()), Just("{}".to_owned()), any::<String>(), ".{120,140}"]
}

fn choices(kind: ChoiceType) -> BoxedStrategy<Value> {
    match kind {
        ChoiceType::Number => any::<u32>().prop_map(|number| json!(number)).boxed(),
        ChoiceType::Numbers => prop::collection::vec(any::<u32>(), 0..=64).prop_map(|numbers| json!(numbers)).boxed(),
        ChoiceType::Text => texts().prop_map(|text| json!(text)).boxed(),
    }
}

fn ballots() -> impl Strategy<Value = Ballot> {
    (
        0..VoteTypes::all().len(),
        domains(),
        any::<[u8; 20]>(),
        any::<u64>(),
        any::<[u8; 32]>(),
        [texts(), texts(), texts(), texts()],
    )
        .prop_flat_map(|(index, domain, voter, timestamp, proposal, texts)| {
            let types = VoteTypes::all()[index];
            choices(types.choice())
                .prop_map(move |choice| ballot(types, &domain, Voter::new(voter), timestamp, proposal, &texts, &choice))
        })
}

fn ballot(
    types: VoteTypes,
    (domain, plain): &(Value, Value),
    voter: Voter,
    timestamp: u64,
    proposal: [u8; 32],
    [space, reason, app, metadata]: &[String; 4],
    choice: &Value,
) -> Ballot {
    let mut message = json!({
        "from": voter.to_string(),
        "space": space,
        "timestamp": timestamp,
        "proposal": alloy_primitives::hex::encode_prefixed(proposal),
        "choice": choice,
    });
    let tail: &[(&str, &String)] = match types.tail() {
        Tail::Empty => &[],
        Tail::Metadata => &[("metadata", metadata)],
        Tail::App => &[("app", app)],
        Tail::ReasonApp => &[("reason", reason), ("app", app)],
        Tail::ReasonAppMetadata => &[("reason", reason), ("app", app), ("metadata", metadata)],
    };
    for (name, text) in tail {
        message[name] = json!(text);
    }
    let fields: Vec<_> = types.fields().collect();
    let vote_types = types_json(&fields);
    let body = json!({
        "address": voter.to_string(),
        "sig": "0x",
        "data": {"domain": domain, "types": vote_types, "message": message},
    });
    let mut all_types = vote_types;
    all_types["EIP712Domain"] = plain["fields"].clone();
    let typed_data = json!({"types": all_types, "primaryType": "Vote", "domain": plain["domain"], "message": message});
    Ballot { body: serde_json::to_vec(&body).unwrap(), typed_data }
}

proptest! {
    #[test]
    fn digest_equals_alloys(ballots in prop::collection::vec(ballots(), 1..12), order in any::<[prop::sample::Index; 24]>()) {
        let expected: Vec<_> = ballots.iter().map(Ballot::alloy_digest).collect();
        let mut shared = HashMemo::default();
        for index in order {
            let index = index.index(ballots.len());
            let remembered = Envelope::parse(&ballots[index].body, &mut shared).unwrap().digest();
            let plain = Envelope::parse(&ballots[index].body, &mut HashMemo::forgetful()).unwrap().digest();
            prop_assert_eq!(remembered, expected[index]);
            prop_assert_eq!(plain, expected[index]);
        }
    }
}

#[test]
fn every_type_set_has_alloys_digest() {
    let domain = (
        json!({"name": "snapshot", "version": "0.1.4"}),
        json!({
            "domain": {"name": "snapshot", "version": "0.1.4"},
            "fields": [{"name": "name", "type": "string"}, {"name": "version", "type": "string"}],
        }),
    );
    let texts = ["dao.eth", "because", "pnyx", "{}"].map(str::to_owned);
    let mut memo = HashMemo::default();
    for types in VoteTypes::all() {
        let choice = match types.choice() {
            ChoiceType::Number => json!(3),
            ChoiceType::Numbers => json!([2, 1]),
            ChoiceType::Text => json!("{\"1\":1}"),
        };
        let ballot = ballot(*types, &domain, Voter::new([0xab; 20]), 1_764_590_400, [0xcd; 32], &texts, &choice);
        let digest = Envelope::parse(&ballot.body, &mut memo).unwrap().digest();
        assert_eq!(digest, ballot.alloy_digest(), "{types:?}");
    }
}
