//! Changes that say the same in other bytes.

use alloy_primitives::hex;
use pnyx_core::ballot::BODY_BYTES_MAX;
use rand::{Rng as _, seq::SliceRandom as _};

use super::{Aim, Operator, Phase};
use crate::{draft::Draft, json::Json};

pub(super) const OPERATORS: &[Operator] = &[
    Operator::new("intact", Aim::Counts, Phase::Body, |_| Some(())),
    Operator::new("white space", Aim::Counts, Phase::Json, |draft| {
        draft.style.spaces = true;
        Some(())
    }),
    Operator::new("escapes", Aim::Counts, Phase::Json, |draft| {
        draft.style.escapes = true;
        Some(())
    }),
    Operator::new("order of keys", Aim::Counts, Phase::Json, |draft| draft.shuffle(&[])),
    Operator::new("order of data's keys", Aim::Counts, Phase::Json, |draft| draft.shuffle(&["data"])),
    Operator::new("order of the domain's keys", Aim::Counts, Phase::Json, |draft| draft.shuffle(&["data", "domain"])),
    Operator::new("order of the message's keys", Aim::Counts, Phase::Json, |draft| draft.shuffle(&["data", "message"])),
    Operator::new("order of the entries' keys", Aim::Counts, Phase::Json, order_of_entries_keys),
    Operator::new("primaryType", Aim::Counts, Phase::Json, |draft| {
        draft.members(&["data"])?.insert(0, ("primaryType".to_owned(), Json::text("Vote")));
        Some(())
    }),
    Operator::new("v of 0 or 1", Aim::Counts, Phase::Signature, short_v),
    Operator::new("EIP-2098", Aim::Counts, Phase::Signature, compact),
    Operator::new("upper-case signature", Aim::Counts, Phase::Json, |draft| {
        let text = draft.text(&["sig"])?;
        draft.set(&["sig"], Json::text(text.to_uppercase().replacen("0X", "0x", 1)))
    }),
    Operator::new("signature of mixed case", Aim::Counts, Phase::Json, |draft| mix_case(draft, &["sig"])),
    Operator::new("another form of the chain id", Aim::Counts, Phase::Json, chain_id_form),
    Operator::new("the domain's hexadecimal of mixed case", Aim::Counts, Phase::Json, |draft| {
        // Not every domain has them.
        let _ = mix_case(draft, &["data", "domain", "salt"]);
        let _ = mix_case(draft, &["data", "domain", "verifyingContract"]);
        Some(())
    }),
    Operator::new("the largest body", Aim::Counts, Phase::Body, |draft| {
        let missing = (BODY_BYTES_MAX - 1).checked_sub(draft.body.len())?;
        let before = draft.below(missing + 1);
        draft.body.splice(0..0, std::iter::repeat_n(b' ', before));
        draft.body.resize(BODY_BYTES_MAX - 1, b'\n');
        Some(())
    })
    .rare(),
];

fn order_of_entries_keys(draft: &mut Draft<'_>) -> Option<()> {
    let mut entries = std::mem::take(draft.entries()?);
    for entry in &mut entries {
        if let Json::Object(members) = entry {
            members.shuffle(&mut draft.rng);
        }
    }
    *draft.entries()? = entries;
    Some(())
}

fn short_v(draft: &mut Draft<'_>) -> Option<()> {
    let v = draft.signature.get_mut(64)?;
    *v = v.checked_sub(27)?;
    Some(())
}

/// r and s, the parity in the top bit of s.
pub(super) fn compact(draft: &mut Draft<'_>) -> Option<()> {
    let parity = draft.signature.get(64)? % 27;
    draft.signature.truncate(64);
    draft.signature[32] |= parity << 7;
    Some(())
}

fn mix_case(draft: &mut Draft<'_>, path: &[&str]) -> Option<()> {
    let text = draft.text(path)?;
    let mut mix = |char: char| if draft.rng.random() { char.to_ascii_uppercase() } else { char.to_ascii_lowercase() };
    let mixed: String = text.char_indices().map(|(index, char)| if index < 2 { char } else { mix(char) }).collect();
    draft.set(path, Json::text(mixed))
}

fn chain_id_form(draft: &mut Draft<'_>) -> Option<()> {
    let Some(chain_id) = draft.fields.domain.chain_id else { return Some(()) };
    let form = match draft.below(5) {
        0 => Json::Raw(chain_id.to_string().into()),
        1 => Json::text(chain_id.to_string()),
        2 => Json::text(format!("{chain_id:#x}")),
        3 => Json::text(format!("000{chain_id}")),
        _ => Json::text(format!("0x{}", hex::encode_upper(chain_id.to_be_bytes::<32>()))),
    };
    draft.set(&["data", "domain", "chainId"], form)
}
