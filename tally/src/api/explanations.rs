//! Why a record or a voter's ballot counts or not, in sentences for the voter.

use pnyx_chains::Raw;
use pnyx_core::{
    power::{Power, VoterPower},
    rejection::Rejection,
    tally::StandingBallot,
};

use super::{search::Searched, texts::signed_at_text};
use crate::powers::{Missing, PowerOf};

/// Why a record does not count and, where there is something, what to do.
pub(super) const fn rejection(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::TooLarge => "the ballot is 100,000 bytes or larger",
        Rejection::MalformedEnvelope => {
            "the ballot is not an envelope of address, sig and data with a checksummed address and a hexadecimal signature"
        }
        Rejection::WrongDomain => "the ballot was signed for another EIP-712 domain than Snapshot's",
        Rejection::WrongTypes => "the ballot was signed with types that are none of Snapshot's for a vote",
        Rejection::MalformedMessage => "the signed message lacks a field of its types, or has a wrong or surplus one",
        Rejection::AddressMismatch => "the message's from is not the envelope's address",
        Rejection::UnknownProposal => "the ballot was signed for another proposal",
        Rejection::WrongSpace => "the ballot was signed for another space than the proposal's",
        Rejection::InvalidChoice => "the choice is not one that this proposal offers, in its canonical form",
        Rejection::SignedInFuture => {
            "the signed time lies further ahead of the time of arrival than the proposal allows; check the clock and vote again"
        }
        Rejection::OutsideWindow => "the ballot arrived before the window opened or after it closed",
        Rejection::UnsupportedSignature => {
            "the signature is neither 64 nor 65 bytes; signatures of contract wallets are not checked by this platform"
        }
        Rejection::MalformedSignature => "the signature's numbers are not those of any secp256k1 signature",
        Rejection::HighS => {
            "the signature's s is in the upper half (EIP-2), which anybody could have made of another one"
        }
        Rejection::WrongSigner => "the signature was made by another account than the one it speaks for",
        Rejection::NoPower => "the voter has no power at the snapshot under the proposal's strategies",
        Rejection::PowerUnavailable => {
            "the proposal's strategies have no answer for this voter at the pinned blocks: a contract reverts or answers in another shape"
        }
    }
}

/// Why this ballot is the one that counts.
pub(super) fn standing(ballot: &StandingBallot) -> String {
    format!(
        "of this voter's ballots with a counting record it has the highest signed time ({}), and of equal ones the highest \
         digest; a counting record is ballots/{}",
        signed_at_text(ballot.signed_at_s),
        ballot.place
    )
}

/// Why no ballot of a voter counts.
pub(super) fn nothing_stands(
    power: Option<VoterPower>,
    rejected: Option<Rejection>,
    searched: Searched,
    waiting: u64,
) -> String {
    let reason = match rejected {
        Some(reason) => {
            format!("no ballot counts; a record that claims this voter was rejected: {}", rejection(reason))
        }
        None if power == Some(VoterPower::Known(Power::ZERO)) => {
            "no ballot counts, and none would: the voter has no power under the strategies".to_owned()
        }
        None => match searched {
            Searched::All => "no record that was judged claims to speak for this voter".to_owned(),
            Searched::Newest => {
                "no ballot counts; none of the newest verdicts is about a record that claims to speak for \
                                 this voter, and older ones can be listed under rejections"
                    .to_owned()
            }
            Searched::Nothing => {
                "no ballot counts; rejected records could not be searched at this moment, ask again".to_owned()
            }
        },
    };
    if waiting == 0 {
        reason
    } else {
        format!("{reason}; {waiting} acknowledged records are still to be judged or counted")
    }
}

/// Why a voter's power is not stated.
pub(super) fn power_missing(power: &PowerOf) -> Option<String> {
    match (power.missing, power.total) {
        (Some(Missing::NotPinned), _) => Some(
            "the blocks at which power is read are not final yet; ballots are taken meanwhile and counted afterwards"
                .to_owned(),
        ),
        (Some(Missing::NoEndpoint(chain)), _) => Some(format!("this process has no endpoint of chain {chain} to ask")),
        (Some(Missing::NoAnswer), _) => Some("a chain did not answer in time, ask again".to_owned()),
        (Some(Missing::Busy), _) => Some("too many ask for powers at this moment, ask again".to_owned()),
        (None, Some(VoterPower::Unavailable)) => Some(rejection(Rejection::PowerUnavailable).to_owned()),
        (None, Some(VoterPower::Known(_)) | None) => None,
    }
}

/// Why what was read of a chain is no power.
pub(super) fn read(raw: Raw, power: VoterPower) -> Option<&'static str> {
    match (raw, power) {
        (Raw::Reverts, _) => Some("the contract's function fails for this voter, also alone and with all its gas"),
        (Raw::OtherShape, _) => Some("the contract's function does not return one integer for this voter"),
        (Raw::Integer(_), VoterPower::Unavailable) => Some("the integer is above the largest power"),
        (Raw::Integer(raw), VoterPower::Known(power)) if power.is_zero() => Some(if raw.is_zero() {
            "nothing was held at this block"
        } else {
            "less than the smallest power of 10^-18, which is rounded down"
        }),
        (Raw::Integer(_), VoterPower::Known(_)) => None,
    }
}
