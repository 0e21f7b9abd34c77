//! Changes of the domain.

use pnyx_core::rejection::Rejection;

use super::{Aim, Operator, Phase};
use crate::{
    draft::{Draft, Kind},
    json::Json,
};

const WRONG: Aim = Aim::Rejected(Rejection::WrongDomain);
const DOMAIN: [&str; 2] = ["data", "domain"];

pub(super) const OPERATORS: &[Operator] = &[
    Operator::new("another domain name", WRONG, Phase::Json, |draft| {
        let name = draft.pick(&["Snapshot", "snapshot ", "", "snapsh\u{43e}t", "snapshot\u{0}", "pnyx"]);
        draft.set(&["data", "domain", "name"], Json::text(name))
    }),
    Operator::new("another domain version", WRONG, Phase::Json, |draft| {
        let version = draft.pick(&["0.1.3", "0.1.40", "0.1.4 ", "", "1", "v0.1.4"]);
        draft.set(&["data", "domain", "version"], Json::text(version))
    }),
    Operator::new("name or version missing", WRONG, Phase::Json, |draft| {
        let index = draft.below(2);
        let members = draft.members(&DOMAIN)?;
        (index < members.len()).then(|| members.remove(index)).map(drop)
    }),
    Operator::new("a key of the domain twice", WRONG, Phase::Json, |draft| draft.repeat_a_key(&DOMAIN)),
    Operator::new("a key of the domain renamed", WRONG, Phase::Json, |draft| draft.rename_a_key(&DOMAIN)),
    Operator::new("one key more in the domain", WRONG, Phase::Json, |draft| draft.add_a_key(&DOMAIN)),
    Operator::new("name or version is no string", WRONG, Phase::Json, |draft| {
        let (key, value) = (draft.pick(&["name", "version"]), draft.strange(&[Kind::Text]));
        draft.set(&["data", "domain", key], value)
    }),
    Operator::new("the domain is no object", WRONG, Phase::Json, |draft| {
        let value = draft.strange(&[Kind::Object]);
        draft.set(&DOMAIN, value)
    }),
    Operator::new("the domain's values instead of members", WRONG, Phase::Json, |draft| {
        let values = draft.members(&DOMAIN)?.iter().map(|(_, value)| value.clone()).collect();
        draft.set(&DOMAIN, Json::List(values))
    }),
    Operator::new("chainId is none", WRONG, Phase::Json, |draft| {
        let above = "\"0x10000000000000000000000000000000000000000000000000000000000000000\"";
        let raw = [
            "-1",
            "-0",
            "1.0",
            "1e0",
            "1E5",
            "null",
            "true",
            "[]",
            "{}",
            "[1]",
            "\"\"",
            "\"0x\"",
            "\"0X1\"",
            "\"0xg\"",
            "\" 1\"",
            "\"1 \"",
            "\"+1\"",
            "\"-1\"",
            "\"1.0\"",
            "\"1_0\"",
            "\"\u{661}\"",
            "\"\\ud800\"",
            above,
            "115792089237316195423570985008687907853269984665640564039457584007913129639936",
        ];
        let value = Json::raw(draft.pick(&raw));
        set_or_add(draft, "chainId", value)
    }),
    Operator::new("verifyingContract is none", WRONG, Phase::Json, |draft| {
        let digits = "11".repeat(20);
        let text = match draft.below(6) {
            0 => digits,
            1 => format!("0X{digits}"),
            2 => format!("0x{}", &digits[1..]),
            3 => format!("0x{digits}00"),
            4 => format!("0xg{}", &digits[1..]),
            _ => "0x".to_owned(),
        };
        let value = if draft.below(3) == 0 { draft.strange(&[]) } else { Json::text(text) };
        set_or_add(draft, "verifyingContract", value)
    }),
    Operator::new("salt is none", WRONG, Phase::Json, |draft| {
        let digits = "22".repeat(32);
        let text = match draft.below(5) {
            0 => digits,
            1 => format!("0X{digits}"),
            2 => format!("0x{}", &digits[1..]),
            3 => format!("0x{digits}00"),
            _ => "0x".to_owned(),
        };
        let value = if draft.below(3) == 0 { draft.strange(&[]) } else { Json::text(text) };
        set_or_add(draft, "salt", value)
    }),
];

fn set_or_add(draft: &mut Draft<'_>, key: &str, value: Json) -> Option<()> {
    let members = draft.members(&DOMAIN)?;
    members.retain(|(name, _)| name != key);
    members.push((key.to_owned(), value));
    Some(())
}
