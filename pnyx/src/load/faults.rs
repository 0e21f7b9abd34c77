//! Ballots with exactly one fault each: one kind for each reason a record can be rejected for.

use anyhow::Context as _;

use super::{
    proposal::Target,
    signing::{Wallet, unsigned},
};

/// A fault, named as the platform names the rejection it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    TooLarge,
    MalformedEnvelope,
    WrongDomain,
    WrongTypes,
    MalformedMessage,
    AddressMismatch,
    UnknownProposal,
    WrongSpace,
    InvalidChoice,
    SignedInFuture,
    OutsideWindow,
    UnsupportedSignature,
    MalformedSignature,
    HighS,
    WrongSigner,
    NoPower,
}

impl Fault {
    /// Every fault.
    pub(super) const fn all() -> [Self; 16] {
        [
            Self::TooLarge,
            Self::MalformedEnvelope,
            Self::WrongDomain,
            Self::WrongTypes,
            Self::MalformedMessage,
            Self::AddressMismatch,
            Self::UnknownProposal,
            Self::WrongSpace,
            Self::InvalidChoice,
            Self::SignedInFuture,
            Self::OutsideWindow,
            Self::UnsupportedSignature,
            Self::MalformedSignature,
            Self::HighS,
            Self::WrongSigner,
            Self::NoPower,
        ]
    }

    /// Whether the edge refuses it; otherwise it is acknowledged and a verifier rejects it.
    pub(super) const fn is_seen_at_edge(self) -> bool {
        !matches!(
            self,
            Self::UnsupportedSignature | Self::MalformedSignature | Self::HighS | Self::WrongSigner | Self::NoPower
        )
    }

    /// The platform's name of the rejection.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "tooLarge",
            Self::MalformedEnvelope => "malformedEnvelope",
            Self::WrongDomain => "wrongDomain",
            Self::WrongTypes => "wrongTypes",
            Self::MalformedMessage => "malformedMessage",
            Self::AddressMismatch => "addressMismatch",
            Self::UnknownProposal => "unknownProposal",
            Self::WrongSpace => "wrongSpace",
            Self::InvalidChoice => "invalidChoice",
            Self::SignedInFuture => "signedInFuture",
            Self::OutsideWindow => "outsideWindow",
            Self::UnsupportedSignature => "unsupportedSignature",
            Self::MalformedSignature => "malformedSignature",
            Self::HighS => "highS",
            Self::WrongSigner => "wrongSigner",
            Self::NoPower => "noPower",
        }
    }

    /// The text that Snapshot's clients match on, for those the edge refuses.
    pub(super) const fn edge_text(self) -> &'static str {
        match self {
            Self::TooLarge => "too large message",
            Self::MalformedEnvelope | Self::AddressMismatch => "wrong envelope format",
            Self::WrongDomain => "wrong domain",
            Self::WrongTypes => "wrong types",
            Self::MalformedMessage => "wrong vote format",
            Self::UnknownProposal => "unknown proposal",
            Self::WrongSpace => "unknown space",
            Self::InvalidChoice => "invalid choice",
            Self::SignedInFuture => "wrong timestamp",
            Self::OutsideWindow => "not in voting window",
            Self::UnsupportedSignature | Self::MalformedSignature | Self::HighS | Self::WrongSigner => {
                "signature validation failed"
            }
            Self::NoPower => "no voting power",
        }
    }
}

/// A year: no clock skew allows it.
const A_YEAR_S: u64 = 365 * 24 * 3600;

/// A body by `wallet` whose only fault is `fault`.
pub(super) fn body(fault: Fault, target: &Target, wallet: &Wallet, choice: &str) -> anyhow::Result<Vec<u8>> {
    let signed_at_s = match fault {
        Fault::SignedInFuture => target.closes_at_s + A_YEAR_S,
        _ => target.opens_at_s,
    };
    let invalid = format!("{}", target.choices + 1);
    let nonsense = match target.system.as_str() {
        "weighted" | "quadratic" => format!("{{\"{invalid}\":1}}"),
        "approval" | "ranked-choice" | "copeland" => format!("[{invalid}]"),
        _ => invalid,
    };
    let choice = if fault == Fault::InvalidChoice { &nonsense } else { choice };
    let altered = match fault {
        Fault::UnknownProposal => Target { id: format!("0x{}", "ab".repeat(32)), ..target.clone() },
        Fault::WrongSpace => Target { space: format!("{}.not", target.space), ..target.clone() },
        _ => target.clone(),
    };
    let ballot = unsigned(&altered, wallet, signed_at_s, choice);
    let good = wallet.key.sign_digest(*ballot.digest().as_bytes());
    match fault {
        Fault::UnsupportedSignature => with_signature_text(&ballot.body_with(&good), |sig| format!("{sig}00")),
        Fault::MalformedSignature => with_signature_text(&ballot.body_with(&good), |sig| format!("{}1d", &sig[..130])),
        Fault::HighS => Ok(ballot.body_with(&high_s(&good))),
        Fault::WrongSigner => {
            let mut other = *ballot.digest().as_bytes();
            other[0] ^= 1;
            Ok(ballot.body_with(&wallet.key.sign_digest(other)))
        }
        Fault::MalformedEnvelope => with_signature_text(&ballot.body_with(&good), |sig| format!("{}zz", &sig[..130])),
        Fault::TooLarge => {
            let mut body = ballot.body_with(&good);
            body.resize(100_000, b' ');
            Ok(body)
        }
        Fault::WrongDomain => replaced(&ballot.body_with(&good), "\"0.1.4\"", "\"0.1.5\""),
        Fault::WrongTypes => replaced(&ballot.body_with(&good), "\"uint64\"", "\"uint32\""),
        Fault::MalformedMessage => {
            let time = format!("\"timestamp\":{signed_at_s}");
            replaced(&ballot.body_with(&good), &time, &format!("\"timestamp\":\"{signed_at_s}\""))
        }
        Fault::AddressMismatch => {
            // The envelope speaks for the zero address, the message for the wallet.
            let zero = format!("\"address\":\"0x{}\"", "0".repeat(40));
            let address = format!("\"address\":\"{}\"", wallet.key.address());
            replaced(&ballot.body_with(&good), &address, &zero)
        }
        Fault::UnknownProposal
        | Fault::WrongSpace
        | Fault::InvalidChoice
        | Fault::SignedInFuture
        | Fault::OutsideWindow
        | Fault::NoPower => Ok(ballot.body_with(&good)),
    }
}

/// The same signature with s mirrored at the group order and v flipped: valid mathematics, refused as malleable.
fn high_s(signature: &[u8; 65]) -> [u8; 65] {
    const ORDER: &[u8] = b"FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141";
    let order = num_bigint::BigUint::parse_bytes(ORDER, 16).expect("a hexadecimal number");
    let mirrored = (order - num_bigint::BigUint::from_bytes_be(&signature[32..64])).to_bytes_be();
    let mut malleable = *signature;
    malleable[32..64].fill(0);
    malleable[64 - mirrored.len()..64].copy_from_slice(&mirrored);
    malleable[64] = if signature[64] == 27 { 28 } else { 27 };
    malleable
}

fn with_signature_text(body: &[u8], change: impl Fn(&str) -> String) -> anyhow::Result<Vec<u8>> {
    let text = std::str::from_utf8(body)?;
    let start = text.find("\"sig\":\"").context("a composed body has a signature")? + "\"sig\":\"".len();
    let end = start + text[start..].find('"').context("the signature ends")?;
    Ok(format!("{}{}{}", &text[..start], change(&text[start..end]), &text[end..]).into_bytes())
}

fn replaced(body: &[u8], from: &str, to: &str) -> anyhow::Result<Vec<u8>> {
    let text = std::str::from_utf8(body)?;
    anyhow::ensure!(text.contains(from), "a composed body no longer contains {from}");
    Ok(text.replacen(from, to, 1).into_bytes())
}
