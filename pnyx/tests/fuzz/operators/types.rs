//! Changes of the types.

use pnyx_core::{rejection::Rejection, wire::vote_types::VoteTypes};

use super::{Aim, Operator, Phase};
use crate::{
    draft::{Draft, Kind, types_json},
    json::Json,
};

const WRONG: Aim = Aim::Rejected(Rejection::WrongTypes);
const TYPES: [&str; 2] = ["data", "types"];

/// Fields that every set has.
const HEAD_FIELDS: usize = 5;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::new("a field of the head missing", WRONG, Phase::Json, |draft| {
        let index = draft.below(HEAD_FIELDS);
        let entries = draft.entries()?;
        (index < entries.len()).then(|| entries.remove(index)).map(drop)
    }),
    Operator::new("no fields", WRONG, Phase::Json, |draft| {
        draft.entries()?.clear();
        Some(())
    }),
    Operator::new("two fields exchanged", WRONG, Phase::Json, |draft| {
        let count = Some(draft.entries()?.len()).filter(|count| *count > 1)?;
        let one = draft.below(count);
        let other = (one + 1 + draft.below(count - 1)) % count;
        draft.entries()?.swap(one, other);
        Some(())
    }),
    Operator::new("a field twice", WRONG, Phase::Json, |draft| {
        let count = Some(draft.entries()?.len()).filter(|count| *count > 0)?;
        let (index, place) = (draft.below(count), draft.below(count + 1));
        let entries = draft.entries()?;
        let repeated = entries[index].clone();
        entries.insert(place, repeated);
        Some(())
    }),
    Operator::new("one field more", WRONG, Phase::Json, |draft| {
        let name = draft.pick(&["extra", "", "power", "Metadata"]);
        let count = draft.entries()?.len();
        let place = draft.below(count + 1);
        let entry = Json::object([("name", Json::text(name)), ("type", Json::text("string"))]);
        draft.entries()?.insert(place, entry);
        Some(())
    }),
    Operator::new("a field of another type", WRONG, Phase::Json, |draft| {
        let nonsense =
            ["uint256", "uint8", "int64", "bytes", "String", "string ", "", "bool", "address[]", "uint32[2]", "Vote"];
        let kind = draft.pick(&nonsense);
        *entry(draft)?.get(&["type"])? = Json::text(kind);
        Some(())
    }),
    Operator::new("a field of another name", WRONG, Phase::Json, |draft| {
        let form = draft.below(4);
        let value = entry(draft)?.get(&["name"])?;
        let Json::Text(name) = value else { return None };
        *name = match form {
            0 => name.to_uppercase(),
            1 => format!("{name} "),
            2 => format!("{name}\u{0}"),
            _ => String::new(),
        };
        Some(())
    }),
    Operator::new("an entry spoilt", WRONG, Phase::Json, |draft| {
        let (form, value) = (draft.below(6), draft.strange(&[Kind::Text]));
        let entry = entry(draft)?;
        let Json::Object(members) = entry else { return None };
        match form {
            0 => drop(members.pop()),
            1 => members.push(("extra".to_owned(), value)),
            2 => members.push(members.first()?.clone()),
            3 => members.first_mut()?.1 = value,
            4 => *entry = Json::List(members.iter().map(|(_, value)| value.clone()).collect()),
            _ => *entry = Json::raw("null"),
        }
        Some(())
    }),
    Operator::new("Vote renamed", WRONG, Phase::Json, |draft| draft.rename_a_key(&TYPES)),
    Operator::new("Vote twice", WRONG, Phase::Json, |draft| draft.repeat_a_key(&TYPES)),
    Operator::new("one type more", WRONG, Phase::Json, |draft| {
        let name = draft.pick(&["EIP712Domain", "Proposal", ""]);
        let fields = if draft.below(2) == 0 { Json::List(Vec::new()) } else { draft.strange(&[]) };
        draft.members(&TYPES)?.push((name.to_owned(), fields));
        Some(())
    }),
    Operator::new("no types", WRONG, Phase::Json, |draft| {
        let value = draft.strange(&[]);
        draft.set(&TYPES, value)
    }),
    Operator::new("Vote is no list", WRONG, Phase::Json, |draft| {
        let value = draft.strange(&[]);
        draft.set(&["data", "types", "Vote"], value)
    }),
    Operator::new("another primaryType", WRONG, Phase::Json, |draft| {
        let raw = ["null", "\"\"", "\"vote\"", "\"Vote \"", "1", "[\"Vote\"]", "{}", "\"EIP712Domain\"", "\"\\ud800\""];
        let value = Json::raw(draft.pick(&raw));
        draft.members(&["data"])?.push(("primaryType".to_owned(), value));
        Some(())
    }),
    Operator::new("from:string with a short tail", WRONG, Phase::Json, |draft| {
        let short: Vec<_> = VoteTypes::all().iter().filter(|types| types.tail().fields().len() < 3).copied().collect();
        let types = draft.pick(&short);
        draft.set(&TYPES, types_json(types))?;
        *draft.entries()?.first_mut()?.get(&["type"])? = Json::text("string");
        Some(())
    }),
    Operator::new("another of the 36 sets", Aim::Open, Phase::Json, |draft| {
        let types = draft.pick(VoteTypes::all());
        draft.set(&TYPES, types_json(types))
    }),
    Operator::new("a field of the tail missing", Aim::Open, Phase::Json, |draft| {
        let count = draft.entries()?.len();
        if count > HEAD_FIELDS {
            let index = HEAD_FIELDS + draft.below(count - HEAD_FIELDS);
            draft.entries()?.remove(index);
        }
        Some(())
    }),
];

/// Any entry.
fn entry<'d>(draft: &'d mut Draft<'_>) -> Option<&'d mut Json> {
    let count = draft.entries()?.len();
    let index = (count > 0).then(|| draft.below(count))?;
    draft.entries()?.get_mut(index)
}
