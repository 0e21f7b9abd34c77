//! Which choices are canonical under which system, and their one text and one byte string.

use pnyx_core::{
    choice::{ApprovalSet, Choice, Ranking, RawChoice, Weights},
    proposal::VotingSystem::{self, Approval, Basic, Copeland, Quadratic, RankedChoice, SingleChoice, Weighted},
};
use proptest::prelude::*;

/// The canonical text of a choice among three, or nothing.
fn check(systems: &[VotingSystem], json: &str, expected: Option<&str>) {
    for system in VotingSystem::ALL {
        let choice = RawChoice::from_json(json).and_then(|raw| raw.under(system, 3));
        let text = choice.as_ref().map(Choice::to_string);
        let expected = expected.filter(|_| systems.contains(&system));
        assert_eq!(text.as_deref(), expected, "{json} under {}", system.name());
        if let Some(choice) = choice {
            assert_eq!(Choice::from_canonical_bytes(&choice.canonical_bytes()), Some(choice), "{json}");
        }
    }
}

#[test]
fn single_choices() {
    let systems = [Basic, SingleChoice];
    check(&systems, "1", Some("1"));
    check(&systems, " 3\n", Some("3"));
    for json in
        ["0", "4", "256", "257", "4294967295", "4294967296", "-1", "01", "1.0", "1e0", "\"1\"", "null", "true", ""]
    {
        check(&systems, json, None);
    }
}

#[test]
fn approvals() {
    check(&[Approval], "[]", Some("[]"));
    check(&[Approval], "[3,1]", Some("[1,3]"));
    check(&[Approval, RankedChoice, Copeland], "[1,2,3]", Some("[1,2,3]"));
    for json in ["[1,1]", "[0]", "[4]", "[1,\"1\"]", "[1.0]", "[[1]]", "[1,]", "[null]", "[1] [2]"] {
        check(&[Approval], json, None);
    }
}

#[test]
fn rankings() {
    let ranking = RawChoice::from_json("[3,1,2]").unwrap();
    for system in [RankedChoice, Copeland] {
        assert_eq!(ranking.under(system, 3).unwrap().to_string(), "[3,1,2]");
        for json in ["[]", "[1,2]", "[1,2,2]", "[1,2,3,4]", "[0,1,2]", "[2,3,4]"] {
            assert_eq!(RawChoice::from_json(json).unwrap().under(system, 3), None, "{json}");
        }
    }
}

#[test]
fn weights() {
    let systems = [Weighted, Quadratic];
    check(&systems, r#"{"1":1}"#, Some(r#"{"1":1}"#));
    check(&systems, r#"{"3":1,"1":2.50}"#, Some(r#"{"1":2.5,"3":1}"#));
    check(&systems, " { \"1\" : 0 ,\t\"2\" :\n 0.000000001 } ", Some(r#"{"2":0.000000001}"#));
    check(&systems, r#"{"1":9007199254740991.999999999}"#, Some(r#"{"1":9007199254740991.999999999}"#));
    check(&systems, r#"{"1":0.1,"2":10,"3":0.0}"#, Some(r#"{"1":0.1,"2":10}"#));
    for json in [
        "{}",
        r#"{"1":0}"#,
        r#"{"1":0,"2":0.0}"#,
        r#"{"0":1}"#,
        r#"{"4":1}"#,
        r#"{"257":1}"#,
        r#"{"01":1}"#,
        r#"{"+1":1}"#,
        r#"{" 1":1}"#,
        r#"{"":1}"#,
        r#"{"\u0031":1}"#,
        r#"{"1":1,"1":1}"#,
        r#"{"1":1,"1":2}"#,
        r#"{"1":-1}"#,
        r#"{"1":-0}"#,
        r#"{"1":1e0}"#,
        r#"{"1":1E2}"#,
        r#"{"1":1.}"#,
        r#"{"1":.5}"#,
        r#"{"1":01}"#,
        r#"{"1":"1"}"#,
        r#"{"1":null}"#,
        r#"{"1":[1]}"#,
        r#"{"1":0.0000000001}"#,
        r#"{"1":1.0000000000}"#,
        r#"{"1":9007199254740992}"#,
        r#"{"1":99999999999999999999999999999999999999999}"#,
        r#"{"1":1} {"1":1}"#,
        r#"{"1":1,}"#,
    ] {
        check(&systems, json, None);
    }
}

#[test]
fn choices_up_to_the_64th() {
    let raw = RawChoice::from_json("[64,1]").unwrap();
    assert_eq!(raw.under(Approval, 64).unwrap().to_string(), "[1,64]");
    assert_eq!(raw.under(Approval, 63), None);
    let raw = RawChoice::from_json(r#"{"64":1}"#).unwrap();
    assert_eq!(raw.under(Weighted, 64).unwrap().to_string(), r#"{"64":1}"#);
    let too_long = format!("[{}1]", "1,".repeat(64));
    assert_eq!(RawChoice::from_json(&too_long), None);
}

#[test]
fn foreign_bytes_are_refused() {
    let foreign: [&[u8]; 17] = [
        &[],
        &[0],
        &[5, 1],
        &[1],
        &[1, 0],
        &[1, 65],
        &[1, 1, 1],
        &[2, 0, 0, 0, 0, 0, 0, 0],
        &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[3],
        &[3, 0],
        &[3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[3, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[3, 1, 65, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[4, 0],
        &[4, 2, 1, 1],
        &[4, 3, 1, 2],
    ];
    for bytes in foreign {
        assert_eq!(Choice::from_canonical_bytes(bytes), None, "{bytes:?}");
    }
}

fn any_choice() -> impl Strategy<Value = Choice> {
    let weights = prop::collection::btree_map(1..=64_u8, 1..Weights::BILLIONTHS_BOUND, 1..20);
    prop_oneof![
        (1..=64_u8).prop_map(Choice::Single),
        any::<u64>().prop_map(|bits| Choice::Approval(ApprovalSet::from_bits(bits))),
        weights.prop_map(|weights| Choice::Weights(Weights::new(weights.into_iter().collect()).unwrap())),
        (1..=20_u8)
            .prop_flat_map(|count| Just((1..=count).collect::<Vec<_>>()).prop_shuffle())
            .prop_map(|order| Choice::Ranking(Ranking::new(&order).unwrap())),
    ]
}

proptest! {
    #[test]
    fn text_and_bytes_lead_back_to_the_choice(choice in any_choice()) {
        let text = choice.to_string();
        let (system, count) = match &choice {
            Choice::Single(_) => (SingleChoice, 64),
            Choice::Approval(_) => (Approval, 64),
            Choice::Weights(_) => (Weighted, 64),
            Choice::Ranking(ranking) => (RankedChoice, u8::try_from(ranking.len()).unwrap()),
        };
        prop_assert_eq!(RawChoice::from_json(&text).unwrap().under(system, count), Some(choice.clone()));
        prop_assert_eq!(Choice::from_canonical_bytes(&choice.canonical_bytes()), Some(choice));
    }

    #[test]
    fn bytes_that_are_read_are_the_only_ones(bytes in prop::collection::vec(0..24_u8, 0..24)) {
        if let Some(choice) = Choice::from_canonical_bytes(&bytes) {
            prop_assert_eq!(choice.canonical_bytes(), bytes);
        }
    }
}
