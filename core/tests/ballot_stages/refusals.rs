//! Every rejection that a ballot without power can meet, each from at least one body, and their precedence.

use alloy_primitives::hex;
use pnyx_core::{
    ballot::{BODY_BYTES_MAX, Envelope, HashMemo, Refusal, SIGNATURE_BYTES_MAX},
    power::{Power, VoterPower},
    proposal::{Proposal, VotingSystem},
    rejection::Rejection,
    signing::SigningKey,
    time::TimestampMs,
};
use serde_json::{Value, json};

use super::support::{
    APPENDED_AT, CLOSES_AT_MS, OPENS_AT_MS, SIGNED_AT_S, judge, key, proposal, signed_body, signed_json, types_json,
    unsigned,
};

/// A record to judge.
struct Record {
    body: Vec<u8>,
    appended_at: TimestampMs,
}

fn at(body: impl Into<Vec<u8>>, appended_at_ms: u64) -> Record {
    Record { body: body.into(), appended_at: TimestampMs(appended_at_ms) }
}

fn now(body: impl Into<Vec<u8>>) -> Record {
    Record { body: body.into(), appended_at: APPENDED_AT }
}

/// The good ballot, spoilt by one change at a path.
fn spoilt(proposal: &Proposal, path: &str, value: Value) -> Record {
    let mut body = signed_json(proposal, "1");
    let (parent, name) = path.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = value;
    now(body.to_string())
}

fn without(proposal: &Proposal, path: &str) -> Record {
    let mut body = signed_json(proposal, "1");
    let (parent, name) = path.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    now(body.to_string())
}

/// The good ballot's text with one part replaced.
fn replaced(proposal: &Proposal, from: &str, to: &str) -> Record {
    let body = String::from_utf8(signed_body(proposal, "1")).unwrap();
    assert!(body.contains(from), "{body} has {from}");
    now(body.replacen(from, to, 1))
}

fn good() -> Proposal {
    proposal(VotingSystem::SingleChoice, 3)
}

fn records(rejection: Rejection, p: &Proposal) -> Vec<Record> {
    match rejection {
        Rejection::TooLarge => vec![now(vec![b' '; BODY_BYTES_MAX])],
        Rejection::MalformedEnvelope => malformed_envelopes(p),
        Rejection::WrongDomain => wrong_domains(p),
        Rejection::WrongTypes => wrong_types(p),
        Rejection::MalformedMessage => {
            let unheld = ["1.0", "1e0", "\"1\"", "[1]", "null", "4294967296", "-1", "1E0"];
            let unheld = unheld.map(|choice| replaced(p, "\"choice\":1", &format!("\"choice\":{choice}")));
            malformed_messages(p).into_iter().chain(unheld).collect()
        }
        Rejection::AddressMismatch => vec![
            spoilt(p, "/data/message/from", json!(key().address().to_string().to_lowercase())),
            spoilt(p, "/data/message/from", json!("")),
            spoilt(p, "/address", json!(SigningKey::from_bytes([8; 32]).unwrap().address().to_string())),
        ],
        Rejection::UnknownProposal => vec![
            spoilt(p, "/data/message/proposal", json!(format!("0x{}", "0".repeat(64)))),
            spoilt(p, "/data/message/proposal", json!(p.id().to_string().to_uppercase())),
            spoilt(p, "/data/message/proposal", json!("")),
            spoilt(p, "/data/message/proposal", json!(format!("{} ", p.id()))),
            spoilt(p, "/data/message/proposal", json!("bafkreiabc")),
        ],
        Rejection::WrongSpace => vec![spoilt(p, "/data/message/space", json!("other.eth"))],
        Rejection::InvalidChoice => ["0", "4", "4294967295"]
            .into_iter()
            .map(|choice| replaced(p, "\"choice\":1", &format!("\"choice\":{choice}")))
            .chain([now(signed_body(p, "[1]")), now(signed_body(p, "{\"1\":1}"))])
            .collect(),
        Rejection::SignedInFuture => {
            // 300 s before the signed time is still allowed, a millisecond more is not; also outside the window.
            vec![at(signed_body(p, "1"), (SIGNED_AT_S - 300) * 1_000 - 1), {
                let mut record = spoilt(p, "/data/message/timestamp", json!(u64::MAX));
                record.appended_at = TimestampMs(CLOSES_AT_MS);
                record
            }]
        }
        Rejection::OutsideWindow => vec![
            at(signed_body(p, "1"), OPENS_AT_MS - 1),
            at(signed_body(p, "1"), CLOSES_AT_MS),
            at(signed_body(p, "1"), u64::MAX),
        ],
        Rejection::UnsupportedSignature => {
            vec![
                spoilt(p, "/sig", json!("0x")),
                spoilt(p, "/sig", json!(format!("0x{}", "ab".repeat(SIGNATURE_BYTES_MAX)))),
            ]
        }
        Rejection::MalformedSignature => vec![spoilt(p, "/sig", json!(format!("0x{}", "00".repeat(65))))],
        Rejection::HighS => vec![spoilt(p, "/sig", json!(format!("0x{}{}1b", "11".repeat(32), "88".repeat(32))))],
        Rejection::WrongSigner => vec![spoilt(p, "/data/message/reason", json!("another")), {
            let ballot = unsigned(p, "1");
            now(ballot.body_with(&SigningKey::from_bytes([8; 32]).unwrap().sign_digest(*ballot.digest().as_bytes())))
        }],
        // Told by the one who knows powers: `a_ballot_without_power_is_refused`.
        Rejection::NoPower | Rejection::PowerUnavailable => Vec::new(),
    }
}

fn malformed_envelopes(p: &Proposal) -> Vec<Record> {
    let good = String::from_utf8(signed_body(p, "1")).unwrap();
    let data = signed_json(p, "1")["data"].clone();
    let address = key().address().to_string();
    vec![
        now(""),
        now("null"),
        now("[]"),
        now(json!([address, "0x", data]).to_string()),
        now(format!("{good} {good}")),
        now(format!("\u{feff}{good}")),
        now(&good[..good.len() - 1]),
        now([good.as_bytes(), b"\xff"].concat()),
        now("[".repeat(50_000)),
        now(format!("{{\"address\":{}", "[".repeat(90_000))),
        replaced(p, "{\"address\":", &format!("{{\"address\":\"{address}\",\"address\":")),
        replaced(p, "{\"address\":", "{\"extra\":1,\"address\":"),
        replaced(p, "\"data\":{", "\"data\":{\"extra\":1,"),
        replaced(p, "\"data\":{", "\"data\":{\"domain\":{},"),
        spoilt(p, "/data", json!([data["domain"], data["types"], data["message"]])),
        without(p, "/address"),
        without(p, "/sig"),
        without(p, "/data"),
        without(p, "/data/domain"),
        without(p, "/data/types"),
        without(p, "/data/message"),
        spoilt(p, "/address", json!(address.to_lowercase())),
        spoilt(p, "/address", json!(address.to_uppercase())),
        spoilt(p, "/address", json!(address[2..])),
        spoilt(p, "/address", Value::Null),
        spoilt(p, "/sig", json!("")),
        spoilt(p, "/sig", json!("0x1")),
        spoilt(p, "/sig", json!("0xzz")),
        spoilt(p, "/sig", json!("ab")),
        spoilt(p, "/sig", json!("0x0xab")),
        spoilt(p, "/sig", json!(format!("0x{}", "ab".repeat(SIGNATURE_BYTES_MAX + 1)))),
        spoilt(p, "/sig", json!(1)),
    ]
}

fn wrong_domains(p: &Proposal) -> Vec<Record> {
    let domain = "/data/domain";
    let mut records = vec![
        spoilt(p, domain, Value::Null),
        spoilt(p, domain, json!([])),
        spoilt(p, domain, json!(["snapshot", "0.1.4"])),
        spoilt(p, domain, json!({})),
        without(p, "/data/domain/name"),
        without(p, "/data/domain/version"),
        spoilt(p, "/data/domain/name", json!("snapshot ")),
        spoilt(p, "/data/domain/version", json!("0.1.3")),
        spoilt(p, "/data/domain/extra", json!(1)),
        spoilt(p, "/data/domain/verifyingContract", json!("0x12")),
        spoilt(p, "/data/domain/verifyingContract", Value::Null),
        spoilt(p, "/data/domain/salt", json!("0x12")),
        spoilt(p, "/data/domain/salt", json!("12".repeat(32))),
        spoilt(p, "/data/domain/salt", Value::Null),
        replaced(p, "\"domain\":{", "\"domain\":{\"name\":\"snapshot\","),
    ];
    for chain_id in ["null", "-1", "1.0", "1e3", "\"\"", "\"0x\"", "\"1_0\"", "\"+1\"", "\" 1\"", "[1]", "true"] {
        records.push(replaced(p, "\"domain\":{", &format!("\"domain\":{{\"chainId\":{chain_id},")));
    }
    let too_large = format!("\"0x1{}\"", "0".repeat(64));
    records.push(replaced(p, "\"domain\":{", &format!("\"domain\":{{\"chainId\":{too_large},")));
    records
}

fn wrong_types(p: &Proposal) -> Vec<Record> {
    let types = signed_json(p, "1")["data"]["types"].clone();
    let current = [
        ("from", "string"),
        ("space", "string"),
        ("timestamp", "uint64"),
        ("proposal", "string"),
        ("choice", "uint32"),
        ("reason", "string"),
        ("app", "string"),
        ("metadata", "string"),
    ];
    let mut swapped = current;
    swapped.swap(5, 6);
    let mut with_domain = types.clone();
    with_domain["EIP712Domain"] = json!([]);
    let mut positional = types.clone();
    positional["Vote"][0] = json!(["from", "string"]);
    let mut extra = types.clone();
    extra["Vote"][0]["extra"] = json!(1);
    let mut longer = types.clone();
    longer["Vote"].as_array_mut().unwrap().push(json!({"name": "more", "type": "string"}));
    vec![
        spoilt(p, "/data/types", Value::Null),
        spoilt(p, "/data/types", json!([types["Vote"]])),
        spoilt(p, "/data/types", json!({})),
        spoilt(p, "/data/types", json!({"Vote": []})),
        spoilt(p, "/data/types", types_json(&swapped)),
        spoilt(p, "/data/types", types_json(&current[..5])),
        spoilt(p, "/data/types", types_json(&current[..7])),
        spoilt(p, "/data/types", with_domain),
        spoilt(p, "/data/types", positional),
        spoilt(p, "/data/types", extra),
        spoilt(p, "/data/types", longer),
        replaced(p, "\"uint64\"", "\"uint256\""),
        replaced(p, "\"types\":{", "\"types\":{\"Vote\":[],"),
        spoilt(p, "/data/primaryType", json!("Proposal")),
        spoilt(p, "/data/primaryType", Value::Null),
    ]
}

fn malformed_messages(p: &Proposal) -> Vec<Record> {
    let mut records = vec![
        spoilt(p, "/data/message", Value::Null),
        spoilt(p, "/data/message", json!([])),
        spoilt(p, "/data/message/extra", json!(1)),
        replaced(p, "\"message\":{", "\"message\":{\"app\":\"pnyx\","),
        spoilt(p, "/data/message/space", json!(1)),
        replaced(p, "\"because\"", "\"\\ud800\""),
    ];
    for name in ["from", "space", "timestamp", "proposal", "choice", "reason", "app", "metadata"] {
        records.push(without(p, &format!("/data/message/{name}")));
    }
    for name in ["from", "space", "timestamp", "proposal", "reason", "app", "metadata"] {
        records.push(spoilt(p, &format!("/data/message/{name}"), Value::Null));
    }
    for timestamp in ["\"1\"", "1.0", "1e9", "-1", "18446744073709551616", "01"] {
        // A surplus zero is no JSON at all, so it spoils the envelope.
        if timestamp != "01" {
            let good = format!("\"timestamp\":{SIGNED_AT_S}");
            records.push(replaced(p, &good, &format!("\"timestamp\":{timestamp}")));
        }
    }
    let short = [
        ("from", "address"),
        ("space", "string"),
        ("timestamp", "uint64"),
        ("proposal", "bytes32"),
        ("choice", "uint32"),
    ];
    records.push(spoilt(p, "/data/types", types_json(&short)));
    records
}

#[test]
fn every_rejection_has_a_case() {
    let proposal = good();
    for rejection in Rejection::ALL {
        let records = records(rejection, &proposal);
        assert!(!records.is_empty() || rejection >= Rejection::NoPower, "{rejection:?} has no case");
        for Record { body, appended_at } in records {
            let found = judge(&body, &proposal, appended_at).map(|ballot| ballot.digest());
            let head: String = String::from_utf8_lossy(&body).chars().take(1_500).collect();
            assert_eq!(found.map_err(|refusal| refusal.rejection), Err(rejection), "{head}");
        }
    }
}

#[test]
fn a_ballot_without_power_is_refused() {
    let proposal = good();
    let judged = || judge(&signed_body(&proposal, "2"), &proposal, APPENDED_AT).unwrap();
    for (power, rejection) in
        [(VoterPower::Known(Power::ZERO), Rejection::NoPower), (VoterPower::Unavailable, Rejection::PowerUnavailable)]
    {
        let refusal = Refusal { rejection, digest: Some(judged().digest()), claimed_voter: Some(key().address()) };
        assert_eq!(judged().with_power(power), Err(refusal));
    }
    let counting = judged().with_power(VoterPower::Known(Power::max())).unwrap();
    assert_eq!((counting.voter, counting.choice.to_string()), (key().address(), "2".to_owned()));
}

#[test]
fn good_ballots_at_every_edge() {
    let proposal = good();
    let edge = (SIGNED_AT_S - 300) * 1_000;
    assert!(edge < OPENS_AT_MS, "the skew reaches before the window");
    for appended_at_ms in [OPENS_AT_MS, CLOSES_AT_MS - 1] {
        assert!(judge(&signed_body(&proposal, "3"), &proposal, TimestampMs(appended_at_ms)).is_ok());
    }
    let ballot = Envelope::parse(&signed_body(&proposal, "3"), &mut HashMemo::default())
        .unwrap()
        .for_proposal(&proposal)
        .unwrap();
    let refused_at = |ms| ballot.check_time(TimestampMs(ms), &proposal).unwrap_err().rejection;
    assert_eq!(refused_at(edge - 1), Rejection::SignedInFuture);
    assert_eq!(refused_at(edge), Rejection::OutsideWindow);
}

#[test]
fn forms_that_clients_may_choose_are_read_alike() {
    let proposal = good();
    let good = signed_json(&proposal, "1");
    let mut pretty = good.clone();
    pretty["data"]["primaryType"] = json!("Vote");
    pretty["sig"] = json!(format!("0x{}", good["sig"].as_str().unwrap()[2..].to_uppercase()));
    let pretty = format!("\n {} \t", serde_json::to_string_pretty(&pretty).unwrap());
    let escaped = good.to_string().replace("because", "\\u0062ecause");
    let digest = |body: &str| judge(body.as_bytes(), &proposal, APPENDED_AT).unwrap().digest();
    assert_eq!(digest(&pretty), digest(&good.to_string()));
    assert_eq!(digest(&escaped), digest(&good.to_string()));
}

#[test]
fn refusals_tell_what_was_read() {
    let proposal = good();
    let refusal = |record: Record| judge(&record.body, &proposal, record.appended_at).unwrap_err();

    let early = refusal(spoilt(&proposal, "/data/domain/name", json!("other")));
    assert_eq!((early.digest, early.claimed_voter), (None, None));
    let unreadable = refusal(spoilt(&proposal, "/data/message/choice", json!(1.5)));
    assert_eq!((unreadable.digest, unreadable.claimed_voter), (None, None));
    let unknown = refusal(spoilt(&proposal, "/data/message/proposal", json!("bafkreiabc")));
    assert_eq!((unknown.digest, unknown.claimed_voter), (None, Some(key().address())));
    let late = refusal(spoilt(&proposal, "/sig", json!(hex::encode_prefixed([1; 64]))));
    assert_eq!((late.digest, late.claimed_voter), (Some(unsigned(&proposal, "1").digest()), Some(key().address())));
}

#[test]
fn the_first_fault_decides() {
    let proposal = good();
    // Faults in the order of precedence; each body has this one and all later ones.
    let faults: [(&str, Value, Rejection); 7] = [
        ("/address", json!("0x"), Rejection::MalformedEnvelope),
        ("/data/domain/name", json!("other"), Rejection::WrongDomain),
        ("/data/types", json!({}), Rejection::WrongTypes),
        ("/data/message/timestamp", json!("now"), Rejection::MalformedMessage),
        ("/data/message/from", json!("somebody"), Rejection::AddressMismatch),
        ("/data/message/proposal", json!(format!("0x{}", "1".repeat(64))), Rejection::UnknownProposal),
        ("/data/message/space", json!("other"), Rejection::WrongSpace),
    ];
    for first in 0..faults.len() {
        let mut body = signed_json(&proposal, "9");
        for (path, value, _) in &faults[first..] {
            *body.pointer_mut(path).unwrap() = value.clone();
        }
        body["sig"] = if first == 0 { json!("0") } else { json!("0x00") };
        let refusal = judge(body.to_string().as_bytes(), &proposal, TimestampMs(0)).unwrap_err();
        assert_eq!(refusal.rejection, faults[first].2);
    }
}
