//! Changes of the envelope's own two levels.

use alloy_primitives::hex;
use pnyx_core::{ballot::SIGNATURE_BYTES_MAX, rejection::Rejection};

use super::{Aim, Operator, Phase};
use crate::{
    draft::{Draft, Kind},
    json::Json,
};

const MALFORMED: Aim = Aim::Rejected(Rejection::MalformedEnvelope);
const MISMATCH: Aim = Aim::Rejected(Rejection::AddressMismatch);

pub(super) const OPERATORS: &[Operator] = &[
    Operator::new("a key missing", MALFORMED, Phase::Json, |draft| draft.drop_a_key(&[])),
    Operator::new("a key of data missing", MALFORMED, Phase::Json, |draft| draft.drop_a_key(&["data"])),
    Operator::new("a key twice", MALFORMED, Phase::Json, |draft| draft.repeat_a_key(&[])),
    Operator::new("a key of data twice", MALFORMED, Phase::Json, |draft| draft.repeat_a_key(&["data"])),
    Operator::new("a key renamed", MALFORMED, Phase::Json, |draft| draft.rename_a_key(&[])),
    Operator::new("a key of data renamed", MALFORMED, Phase::Json, |draft| draft.rename_a_key(&["data"])),
    Operator::new("one key more", MALFORMED, Phase::Json, |draft| draft.add_a_key(&[])),
    Operator::new("one key more in data", MALFORMED, Phase::Json, |draft| draft.add_a_key(&["data"])),
    Operator::new("a key of half a surrogate pair", MALFORMED, Phase::Body, |draft| {
        let key = draft.pick(&["{\"\\ud800\":1,", "{\"\\udc00\\ud800\":1,", "{\"\\uD8\":1,", "{\"\\x\":1,"]);
        draft.body.splice(0..1, key.bytes());
        Some(())
    }),
    Operator::new("address or sig is no string", MALFORMED, Phase::Json, |draft| {
        let (path, value) = (draft.pick(&["address", "sig"]), draft.strange(&[Kind::Text]));
        draft.set(&[path], value)
    }),
    Operator::new("data is no object", MALFORMED, Phase::Json, |draft| {
        let value = draft.strange(&[Kind::Object]);
        draft.set(&["data"], value)
    }),
    Operator::new("values instead of members", MALFORMED, Phase::Json, |draft| {
        let path: &[&str] = if draft.below(2) == 0 { &[] } else { &["data"] };
        let values = draft.members(path)?.iter().map(|(_, value)| value.clone()).collect();
        draft.set(path, Json::List(values))
    }),
    Operator::new("numbers that are not JSON", MALFORMED, Phase::Json, |draft| {
        let invalid = [
            "01",
            "1.",
            "+1",
            ".5",
            "0x10",
            "1_000",
            "NaN",
            "Infinity",
            "-",
            "1e",
            "1e+",
            "'1'",
            "1 2",
            "undefined",
            "True",
            "",
            "1,",
            "\"",
            "\\u0031",
            "- 1",
        ];
        let (path, number) = (draft.pick(&["timestamp", "choice", "proposal"]), draft.pick(&invalid));
        draft.set(&["data", "message", path], Json::raw(number))
    }),
    Operator::new("sig is not hexadecimal", MALFORMED, Phase::Json, |draft| {
        let digits = hex::encode(draft.base.signature);
        let wrong = match draft.below(7) {
            0 => digits,
            1 => format!("0X{digits}"),
            2 => format!("0x0x{digits}"),
            3 => format!("0x{}", &digits[1..]),
            4 => format!("0x{digits}0"),
            5 => format!("0x{}g0", &digits[2..]),
            _ => format!("0x {}", &digits[1..]),
        };
        draft.set(&["sig"], Json::text(wrong))
    }),
    Operator::new("sig beyond its limit", MALFORMED, Phase::Signature, |draft| {
        let excess = 1 + draft.below(1_000);
        draft.signature.resize(SIGNATURE_BYTES_MAX + excess, 0x11);
        Some(())
    }),
    Operator::new("address without its checksum", MALFORMED, Phase::Json, |draft| {
        let text = draft.fields.voter.to_string();
        let letters: Vec<_> =
            text.match_indices(|char: char| char.is_ascii_hexdigit() && char.is_alphabetic()).collect();
        let (at, _) = draft.pick(&letters);
        let wrong = match draft.below(3) {
            0 => text.to_lowercase(),
            1 => text.to_uppercase().replacen("0X", "0x", 1),
            _ => {
                let flipped = text[at..=at].chars().map(flip_case).collect::<String>();
                format!("{}{flipped}{}", &text[..at], &text[at + 1..])
            }
        };
        draft.set(&["address"], Json::text(wrong.clone()))?;
        // Whether the message says the same does not matter.
        if draft.below(2) == 0 { draft.set(&["data", "message", "from"], Json::text(wrong)) } else { Some(()) }
    }),
    Operator::new("address is none", MALFORMED, Phase::Json, |draft| {
        let text = draft.fields.voter.to_string();
        let wrong = match draft.below(6) {
            0 => text[2..].to_owned(),
            1 => text[..41].to_owned(),
            2 => format!("{text}0"),
            3 => format!("{text} "),
            4 => text.replacen("0x", "0X", 1),
            _ => String::new(),
        };
        draft.set(&["address"], Json::text(wrong))
    }),
    Operator::new("address of half a surrogate pair", MALFORMED, Phase::Json, |draft| {
        let path = draft.pick(&["address", "sig"]);
        draft.set(&[path], Json::raw("\"0x\\ud83d\""))
    }),
    Operator::new("address of another voter", MISMATCH, Phase::Json, |draft| {
        let other = other_address(draft);
        draft.set(&["address"], Json::text(other))
    }),
    Operator::new("from of another voter", MISMATCH, Phase::Json, |draft| {
        let other = other_address(draft);
        draft.set(&["data", "message", "from"], Json::text(other))
    }),
    Operator::new("from in another form", MISMATCH, Phase::Json, |draft| {
        let text = draft.fields.voter.to_string();
        let wrong = match draft.below(6) {
            0 => text.to_lowercase(),
            1 => text.to_uppercase(),
            2 => text[2..].to_owned(),
            3 => format!("{text} "),
            4 => format!("{text}\u{0}"),
            _ => String::new(),
        };
        draft.set(&["data", "message", "from"], Json::text(wrong))
    }),
];

fn flip_case(char: char) -> char {
    if char.is_ascii_lowercase() { char.to_ascii_uppercase() } else { char.to_ascii_lowercase() }
}

fn other_address(draft: &mut Draft<'_>) -> String {
    let others: Vec<_> = [0, 1].map(|index| draft.world.wallets[index].address()).into();
    let others: Vec<_> = others.into_iter().filter(|address| *address != draft.base.fields.voter).collect();
    draft.pick(&others).to_string()
}
