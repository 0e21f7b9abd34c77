//! Changes of the signature, and of what was signed without signing it again.

use std::ops::Range;

use alloy_primitives::{U256, keccak256, uint};
use pnyx_core::{ballot::SIGNATURE_BYTES_MAX, rejection::Rejection, wire::vote_types::VoteTypes};
use rand::Rng as _;

use super::{Aim, Base, Operator, Phase, sound::compact};
use crate::{
    choices,
    draft::{Draft, choice_json, types_json},
    json::Json,
};

const UNSUPPORTED: Aim = Aim::Rejected(Rejection::UnsupportedSignature);
const MALFORMED: Aim = Aim::Rejected(Rejection::MalformedSignature);
const HIGH_S: Aim = Aim::Rejected(Rejection::HighS);
const WRONG: Aim = Aim::Rejected(Rejection::WrongSigner);

/// The order of secp256k1's group.
const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

/// The top bit of s in the compact form.
const TOP_BIT: u8 = 0x80;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::new("no signature", UNSUPPORTED, Phase::Signature, |draft| {
        draft.signature.clear();
        Some(())
    }),
    Operator::new("another length", UNSUPPORTED, Phase::Signature, |draft| {
        let lengths = [1, 32, 63, 66, 67, 96, 128, 130, 195, SIGNATURE_BYTES_MAX];
        let random = 66 + draft.below(1_000);
        let length = if draft.below(4) == 0 { random } else { draft.pick(&lengths) };
        draft.signature.resize(length, 0x1b);
        Some(())
    }),
    Operator::new("signed twice over", UNSUPPORTED, Phase::Signature, |draft| {
        draft.signature.extend_from_within(..);
        Some(())
    }),
    Operator::new("an ERC-6492 wrapper", UNSUPPORTED, Phase::Signature, |draft| {
        draft.signature.resize(96, 0);
        draft.signature.extend_from_slice(&[0x64, 0x92].repeat(16));
        Some(())
    }),
    Operator::new("another v", MALFORMED, Phase::Signature, |draft| {
        let v: u8 = draft.rng.random();
        draft.signature[64] = if matches!(v, 0 | 1 | 27 | 28) { v + 2 } else { v };
        Some(())
    }),
    Operator::new("r out of the group", MALFORMED, Phase::Signature, |draft| {
        let r = draft.pick(&[U256::ZERO, ORDER, ORDER + U256::ONE, U256::MAX]);
        if draft.below(2) == 0 {
            compact(draft)?;
        }
        draft.signature[..32].copy_from_slice(&r.to_be_bytes::<32>());
        Some(())
    }),
    Operator::new("s out of the group", MALFORMED, Phase::Signature, |draft| {
        let s = draft.pick(&[U256::ZERO, ORDER, ORDER + U256::ONE, U256::MAX]);
        set_s(draft, s);
        Some(())
    }),
    Operator::new("a compact s of zero", MALFORMED, Phase::Signature, |draft| {
        compact(draft)?;
        let parity = draft.signature[32] & TOP_BIT;
        set_s(draft, U256::ZERO);
        draft.signature[32] |= parity;
        Some(())
    }),
    Operator::new("malleated", HIGH_S, Phase::Signature, |draft| {
        let s = U256::from_be_slice(&draft.signature[32..64]);
        set_s(draft, ORDER.wrapping_sub(s));
        // 27 and 28 change places.
        draft.signature[64] = 55_u8.wrapping_sub(draft.signature[64]);
        Some(())
    }),
    Operator::new("s above half", HIGH_S, Phase::Signature, |draft| {
        let half_up = (ORDER >> 1) + U256::ONE;
        let s = draft.pick(&[half_up, half_up + U256::ONE, ORDER - U256::ONE, U256::ONE << 255]);
        set_s(draft, s);
        Some(())
    }),
    Operator::new("a compact s above half", HIGH_S, Phase::Signature, |draft| {
        compact(draft)?;
        let parity = draft.signature[32] & TOP_BIT;
        let s = draft.pick(&[(ORDER >> 1) + U256::ONE, (U256::ONE << 255) - U256::ONE]);
        set_s(draft, s);
        draft.signature[32] |= parity;
        Some(())
    }),
    Operator::new("the other v", WRONG, Phase::Signature, |draft| {
        draft.signature[64] = 55_u8.wrapping_sub(draft.signature[64]);
        Some(())
    }),
    Operator::new("the other parity, compact", WRONG, Phase::Signature, |draft| {
        compact(draft)?;
        draft.signature[32] ^= TOP_BIT;
        Some(())
    }),
    Operator::new("another r", WRONG, Phase::Signature, |draft| flip_a_bit(draft, 8..32)),
    Operator::new("another s", WRONG, Phase::Signature, |draft| flip_a_bit(draft, 40..64)),
    Operator::new("of r and s 1", WRONG, Phase::Signature, |draft| {
        draft.signature[..32].copy_from_slice(&U256::ONE.to_be_bytes::<32>());
        set_s(draft, U256::ONE);
        Some(())
    }),
    Operator::new("signed by another", WRONG, Phase::Signature, |draft| {
        let other = (draft.base.wallet + 1 + draft.below(draft.world.wallets.len() - 1)) % draft.world.wallets.len();
        draft.signature = draft.world.wallets[other].sign_digest(*draft.fields.digest().as_bytes()).to_vec();
        Some(())
    }),
    Operator::new("signed by another, without power", WRONG, Phase::Signature, |draft| {
        let digest = *draft.fields.digest().as_bytes();
        draft.signature = draft.world.wallets[0].sign_digest(digest).to_vec();
        Some(())
    })
    .on(Base::Stranger),
    Operator::new("the signature of another ballot", WRONG, Phase::Signature, |draft| {
        let sound = &draft.world.sound;
        let first = draft.below(sound.len());
        let other = (0..sound.len()).map(|step| &sound[(first + step) % sound.len()]);
        let other = other.into_iter().find(|other| other.digest != draft.base.digest)?;
        draft.signature = other.signature.to_vec();
        Some(())
    }),
    Operator::new("signed as a personal message", WRONG, Phase::Signature, |draft| {
        let text = [b"\x19Ethereum Signed Message:\n32".as_slice(), draft.fields.digest().as_bytes()].concat();
        draft.signature = draft.world.wallets[draft.base.wallet].sign_digest(keccak256(text).0).to_vec();
        Some(())
    }),
    Operator::new("a random signature", WRONG, Phase::Signature, |draft| {
        draft.rng.fill(&mut draft.signature[..64]);
        // Below the order and half of it.
        draft.signature[0] = 0x7f;
        draft.signature[32] = 0x3f;
        Some(())
    }),
    Operator::new("another time, not signed again", WRONG, Phase::Json, |draft| {
        let earlier = draft.fields.signed_at_s - draft.rng.random_range(1..1_000_000);
        draft.set(&["data", "message", "timestamp"], Json::number(earlier))
    }),
    Operator::new("another choice, not signed again", WRONG, Phase::Json, |draft| {
        let proposal = draft.world.proposal(draft.base.proposal);
        let choice = loop {
            let (_, choice) = choices::sound(proposal.system(), proposal.choice_count(), &mut draft.rng);
            if choice != draft.base.fields.choice {
                break choice;
            }
        };
        draft.set(&["data", "message", "choice"], choice_json(&choice))
    }),
    Operator::new("another chain, not signed again", WRONG, Phase::Json, |draft| {
        let next = draft.fields.domain.chain_id.unwrap_or_default() + U256::ONE;
        let members = draft.members(&["data", "domain"])?;
        members.retain(|(key, _)| key != "chainId");
        members.push(("chainId".to_owned(), Json::Raw(next.to_string().into())));
        Some(())
    }),
    Operator::new("another type of proposal, not signed again", WRONG, Phase::Json, |draft| {
        let own = draft.base.fields.types;
        let other = VoteTypes::all().iter().find(|types| {
            types.proposal() != own.proposal()
                && (types.from(), types.choice(), types.tail()) == (own.from(), own.choice(), own.tail())
        })?;
        draft.set(&["data", "types"], types_json(*other))
    }),
    Operator::new("r and s exchanged", Aim::Open, Phase::Signature, |draft| {
        draft.signature.get_mut(..64)?.rotate_left(32);
        Some(())
    }),
    Operator::new("a signature in random places", Aim::Open, Phase::Signature, |draft| {
        for byte in &mut draft.signature {
            if draft.rng.random_ratio(1, 16) {
                *byte = draft.rng.random();
            }
        }
        Some(())
    }),
];

fn set_s(draft: &mut Draft<'_>, s: U256) {
    draft.signature[32..64].copy_from_slice(&s.to_be_bytes::<32>());
}

/// A bit of the low end of r or s, so that it stays in the group and s stays low.
fn flip_a_bit(draft: &mut Draft<'_>, bytes: Range<usize>) -> Option<()> {
    let (at, bit) = (draft.rng.random_range(bytes), draft.below(8));
    draft.signature[at] ^= 1 << bit;
    Some(())
}
