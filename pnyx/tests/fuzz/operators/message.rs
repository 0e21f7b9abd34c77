//! Changes of the message.

use alloy_primitives::hex;
use pnyx_core::{
    choice::RawChoice,
    id::ProposalId,
    proposal::VotingSystem,
    rejection::Rejection,
    wire::vote_types::{ChoiceType, VoteTypes},
};
use rand::Rng as _;

use super::{Aim, Operator, Phase};
use crate::{
    choices,
    draft::{Draft, Kind},
    json::Json,
    world::{SPACE, YEAR_2200_MS},
};

const MALFORMED: Aim = Aim::Rejected(Rejection::MalformedMessage);
const UNKNOWN: Aim = Aim::Rejected(Rejection::UnknownProposal);
const SPACE_WRONG: Aim = Aim::Rejected(Rejection::WrongSpace);
const CHOICE_WRONG: Aim = Aim::Rejected(Rejection::InvalidChoice);
const FUTURE: Aim = Aim::Rejected(Rejection::SignedInFuture);
const MESSAGE: [&str; 2] = ["data", "message"];

pub(super) const OPERATORS: &[Operator] = &[
    Operator::new("a key of the message missing", MALFORMED, Phase::Json, |draft| draft.drop_a_key(&MESSAGE)),
    Operator::new("a key of the message twice", MALFORMED, Phase::Json, |draft| draft.repeat_a_key(&MESSAGE)),
    Operator::new("a key of the message renamed", MALFORMED, Phase::Json, |draft| draft.rename_a_key(&MESSAGE)),
    Operator::new("one key more in the message", MALFORMED, Phase::Json, |draft| draft.add_a_key(&MESSAGE)),
    Operator::new("a text is no string", MALFORMED, Phase::Json, |draft| {
        let value = draft.strange(&[Kind::Text]);
        let key = text_key(draft);
        draft.set(&["data", "message", key], value)
    }),
    Operator::new("a text of half a surrogate pair", MALFORMED, Phase::Json, |draft| {
        let key = text_key(draft);
        let text = draft.pick(&["\"\\ud800\"", "\"a\\udfff\"", "\"\\udc00\\ud800\"", "\"\\ud800\\u0041\""]);
        draft.set(&["data", "message", key], Json::raw(text))
    }),
    Operator::new("the message is no object", MALFORMED, Phase::Json, |draft| {
        let value = draft.strange(&[Kind::Object]);
        draft.set(&MESSAGE, value)
    }),
    Operator::new("the message's values instead of members", MALFORMED, Phase::Json, |draft| {
        let values = draft.members(&MESSAGE)?.iter().map(|(_, value)| value.clone()).collect();
        draft.set(&MESSAGE, Json::List(values))
    }),
    Operator::new("timestamp is none", MALFORMED, Phase::Json, |draft| {
        let raw = [
            "-1",
            "-0",
            "1.0",
            "1760000000.0",
            "1e0",
            "1.76E9",
            "18446744073709551616",
            "1e400",
            "null",
            "true",
            "{}",
            "[]",
            "[1760000000]",
            "\"1760000000\"",
            "\"\"",
            "0.5",
        ];
        let value = Json::raw(draft.pick(&raw));
        draft.set(&["data", "message", "timestamp"], value)
    }),
    Operator::new("a proposal that nobody knows", UNKNOWN, Phase::Ballot, |draft| {
        draft.fields.proposal = ProposalId::new(draft.rng.random());
        Some(())
    }),
    Operator::new("proposal in another form", UNKNOWN, Phase::Json, |draft| {
        let text = draft.base.fields.proposal.to_string();
        let at = 2 + draft.below(64);
        let wrong = match draft.below(10) {
            0 => text.to_uppercase(),
            1 => text.to_uppercase().replacen("0X", "0x", 1),
            2 => text[2..].to_owned(),
            3 => text[..65].to_owned(),
            4 => format!("{text}0"),
            5 => format!("{text} "),
            6 => format!(" {text}"),
            7 => String::new(),
            8 => "fuzz".to_owned(),
            _ => format!("{}{}{}", &text[..at], if &text[at..=at] == "0" { "1" } else { "0" }, &text[at + 1..]),
        };
        draft.set(&["data", "message", "proposal"], Json::text(wrong))
    }),
    Operator::new("another proposal, not signed for it", Aim::Open, Phase::Json, |draft| {
        let other = draft.below(draft.world.definitions.len());
        let id = draft.world.proposal(other).id();
        draft.set(&["data", "message", "proposal"], Json::text(id.to_string()))
    }),
    Operator::new("another space", SPACE_WRONG, Phase::Ballot, |draft| {
        draft.fields.space = match draft.below(7) {
            0 => SPACE.to_uppercase(),
            1 => format!("{SPACE} "),
            2 => format!(" {SPACE}"),
            3 => format!("{SPACE}\u{0}"),
            4 => SPACE.replace('e', "\u{435}"),
            5 => "x".repeat(1 + draft.below(3_000)),
            _ => String::new(),
        };
        Some(())
    }),
    Operator::new("a choice of no type", MALFORMED, Phase::Json, |draft| {
        let raw = [
            "1.0",
            "1e0",
            "1E0",
            "-1",
            "-0",
            "4294967296",
            "18446744073709551616",
            "1e400",
            "null",
            "true",
            "{}",
            "{\"1\":1}",
            "[1.0]",
            "[-1]",
            "[\"1\"]",
            "[1,\"1\"]",
            "[[1]]",
            "[null]",
            "[4294967296]",
            "[1e0]",
            "\"\\ud800\"",
            "[{}]",
        ];
        let value = Json::raw(draft.pick(&raw));
        draft.set(&["data", "message", "choice"], value)
    }),
    Operator::new("a list longer than any", MALFORMED, Phase::Json, |draft| {
        let length = 65 + draft.below(5_000);
        draft.set(&["data", "message", "choice"], Json::List(vec![Json::raw("1"); length]))
    }),
    Operator::new("a spoilt choice", CHOICE_WRONG, Phase::Ballot, |draft| {
        let proposal = draft.world.proposal(draft.base.proposal);
        draft.fields.choice = choices::spoilt(proposal.system(), proposal.choice_count(), &mut draft.rng);
        Some(())
    }),
    Operator::new("a choice of another type", CHOICE_WRONG, Phase::Ballot, other_type),
    Operator::new("signed in the future", FUTURE, Phase::Ballot, |draft| {
        let year_2200_s = YEAR_2200_MS / 1_000;
        let times = [year_2200_s, u64::MAX, u64::MAX / 1_000, u64::MAX / 1_000 + 1, 253_402_300_800, 1 << 53, 1 << 63];
        draft.fields.signed_at_s = match draft.below(3) {
            0 => draft.rng.random_range(year_2200_s..=u64::MAX),
            // Milliseconds, a usual mistake.
            1 => draft.fields.signed_at_s.saturating_mul(1_000),
            _ => draft.pick(&times),
        };
        Some(())
    }),
];

fn text_key(draft: &mut Draft<'_>) -> &'static str {
    let tail = draft.base.fields.types.tail().fields().iter().map(|field| field.name());
    let keys: Vec<_> = ["from", "space", "proposal"].into_iter().chain(tail).collect();
    draft.pick(&keys)
}

/// Signed as it is, with types that fit it, and yet not a choice of this system.
fn other_type(draft: &mut Draft<'_>) -> Option<()> {
    let own = draft.fields.types;
    let kinds = [ChoiceType::Number, ChoiceType::Numbers, ChoiceType::Text];
    let others: Vec<_> = kinds.into_iter().filter(|kind| *kind != own.choice()).collect();
    let kind = draft.pick(&others);
    let system = match kind {
        ChoiceType::Number => VotingSystem::SingleChoice,
        ChoiceType::Numbers => VotingSystem::Approval,
        ChoiceType::Text => VotingSystem::Weighted,
    };
    let types = VoteTypes::all().iter().find(|types| {
        types.choice() == kind
            && (types.from(), types.proposal(), types.tail()) == (own.from(), own.proposal(), own.tail())
    })?;
    draft.fields.types = *types;
    let (_, choice) = choices::sound(system, 3, &mut draft.rng);
    // Texts that look like the choice that it should be.
    let disguised = [RawChoice::Text("1".into()), RawChoice::Text(hex::encode([1]).into()), choice.clone()];
    draft.fields.choice = if kind == ChoiceType::Text { draft.pick(&disguised) } else { choice };
    Some(())
}
