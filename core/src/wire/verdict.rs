//! Verdict records, the values of `pnyx.<id>.verdicts` (docs/formats.md, "Verdict record").

use alloy_primitives::U256;

use super::{WireError, bytes::Reader};
use crate::{
    ballot::ClaimedBallot,
    chain::BlockNumber,
    choice::Choice,
    id::{Digest, Place, RecordHash, Voter},
    power::{POWER_BITS_MAX, Power, VoterPower},
    rejection::Rejection,
    signature_check::{ContractCheck, SignatureCheck},
    time::TimestampMs,
    verdict::{CountingBallot, RejectedRecord, Ruling, Verdict},
};

const FORMAT: &str = "verdict record";

/// The version of ballots that their voter's key signed, and of records that are rejected whatever chains say.
const VERSION_KEY: u8 = 1;

/// The version of records that were the voter's contract's to judge: it says what the chains said.
const VERSION_CONTRACT: u8 = 2;

const COUNTS: u8 = 1;
const REJECTED: u8 = 2;

/// Bits of a rejected record's flags: which optional fields follow.
const HAS_DIGEST: u8 = 1;
const HAS_VOTER: u8 = 2;

/// What is said of a claimed record's power.
const POWER_UNAVAILABLE: u8 = 0;
const POWER_KNOWN: u8 = 1;

/// Bytes of a power: it is below 2^192.
const POWER_BYTES: usize = POWER_BITS_MAX / 8;

/// Room for a verdict of a choice of a few bytes, so that most are written without growing.
const USUAL_BYTES: usize = 128;

/// The bytes of a verdict.
pub fn encode(verdict: &Verdict) -> Vec<u8> {
    let Verdict { place, appended_at, ruling } = verdict;
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    bytes.push(match ruling {
        Ruling::Counts(CountingBallot { check: SignatureCheck::Contract { .. }, .. })
        | Ruling::Rejected(RejectedRecord { claimed_power: Some(_), .. }) => VERSION_CONTRACT,
        Ruling::Counts(CountingBallot { check: SignatureCheck::Key, .. })
        | Ruling::Rejected(RejectedRecord { claimed_power: None, .. }) => VERSION_KEY,
    });
    bytes.push(match ruling {
        Ruling::Counts(_) => COUNTS,
        Ruling::Rejected(_) => REJECTED,
    });
    bytes.extend_from_slice(&place.partition.to_be_bytes());
    bytes.extend_from_slice(&place.offset.to_be_bytes());
    bytes.extend_from_slice(&appended_at.0.to_be_bytes());
    match ruling {
        Ruling::Counts(ballot) => encode_counts(ballot, &mut bytes),
        Ruling::Rejected(rejected) => encode_rejected(rejected, &mut bytes),
    }
    bytes
}

/// The verdict of bytes. Strict: every byte has one meaning and none may be left over, so a verdict has one encoding.
pub fn decode(bytes: &[u8]) -> Result<Verdict, WireError> {
    let mut reader = Reader { format: FORMAT, rest: bytes };
    let [version] = reader.take("version")?;
    if version != VERSION_KEY && version != VERSION_CONTRACT {
        return Err(WireError::Version { format: FORMAT, version: version.into(), known: VERSION_CONTRACT.into() });
    }
    let [ruling] = reader.take("ruling")?;
    let place = Place {
        partition: u32::from_be_bytes(reader.take("partition")?),
        offset: u64::from_be_bytes(reader.take("offset")?),
    };
    let appended_at = TimestampMs(u64::from_be_bytes(reader.take("appendedAtMs")?));
    let ruling = match ruling {
        COUNTS => Ruling::Counts(decode_counts(reader, version)?),
        REJECTED => Ruling::Rejected(decode_rejected(reader, version)?),
        other => return Err(malformed(format!("ruling {other} is neither {COUNTS} nor {REJECTED}"))),
    };
    Ok(Verdict { place, appended_at, ruling })
}

fn encode_counts(ballot: &CountingBallot, bytes: &mut Vec<u8>) {
    let CountingBallot { voter, digest, signed_at_s, choice, power, check } = ballot;
    bytes.extend_from_slice(voter.as_bytes());
    bytes.extend_from_slice(digest.as_bytes());
    bytes.extend_from_slice(&signed_at_s.to_be_bytes());
    encode_power(*power, bytes);
    match check {
        SignatureCheck::Key => {}
        SignatureCheck::Contract { kind, block, record } => {
            bytes.push(kind.code());
            bytes.extend_from_slice(&block.0.to_be_bytes());
            bytes.extend_from_slice(record.as_bytes());
        }
    }
    bytes.extend_from_slice(&choice.canonical_bytes());
}

fn decode_counts(mut reader: Reader<'_>, version: u8) -> Result<CountingBallot, WireError> {
    let voter = Voter::new(reader.take("voter")?);
    let digest = Digest::new(reader.take("digest")?);
    let signed_at_s = u64::from_be_bytes(reader.take("signedAtS")?);
    let power = decode_power(&mut reader)?;
    if power.is_zero() {
        return Err(malformed("a counting ballot has power above 0".to_owned()));
    }
    let check = if version == VERSION_CONTRACT { decode_check(&mut reader)? } else { SignatureCheck::Key };
    let choice =
        Choice::from_canonical_bytes(reader.rest).ok_or_else(|| malformed("the choice is not canonical".to_owned()))?;
    Ok(CountingBallot { voter, digest, signed_at_s, choice, power, check })
}

fn decode_check(reader: &mut Reader<'_>) -> Result<SignatureCheck, WireError> {
    let [code] = reader.take("check")?;
    let kind = ContractCheck::from_code(code).ok_or_else(|| malformed(format!("check {code} is not known")))?;
    let block = BlockNumber(u64::from_be_bytes(reader.take("block")?));
    Ok(SignatureCheck::Contract { kind, block, record: RecordHash::new(reader.take("record")?) })
}

fn encode_power(power: Power, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&power.units().to_be_bytes::<32>()[32 - POWER_BYTES..]);
}

fn decode_power(reader: &mut Reader<'_>) -> Result<Power, WireError> {
    let units = U256::from_be_slice(&reader.take::<POWER_BYTES>("power")?);
    Power::from_units(units).map_err(|error| malformed(format!("power {error}")))
}

fn encode_rejected(rejected: &RejectedRecord, bytes: &mut Vec<u8>) {
    let RejectedRecord { rejection, record, digest, claimed_voter, claimed_power } = rejected;
    bytes.extend_from_slice(&rejection.code().to_be_bytes());
    bytes.extend_from_slice(record.as_bytes());
    bytes.push(digest.map_or(0, |_| HAS_DIGEST) | claimed_voter.map_or(0, |_| HAS_VOTER));
    bytes.extend(digest.iter().flat_map(|digest| digest.as_bytes()));
    bytes.extend(claimed_voter.iter().flat_map(|voter| voter.as_bytes()));
    match claimed_power {
        None => {}
        Some(VoterPower::Unavailable) => bytes.push(POWER_UNAVAILABLE),
        Some(VoterPower::Known(power)) => {
            bytes.push(POWER_KNOWN);
            encode_power(*power, bytes);
        }
    }
}

fn decode_rejected(mut reader: Reader<'_>, version: u8) -> Result<RejectedRecord, WireError> {
    let code = u16::from_be_bytes(reader.take("rejection")?);
    let rejection =
        Rejection::from_code(code).ok_or_else(|| malformed(format!("rejection code {code} is not known")))?;
    let record = RecordHash::new(reader.take("record")?);
    let [flags] = reader.take("flags")?;
    if flags & !(HAS_DIGEST | HAS_VOTER) != 0 {
        return Err(malformed(format!("flags {flags:#04x} have unknown bits")));
    }
    let digest = if flags & HAS_DIGEST == 0 { None } else { Some(Digest::new(reader.take("digest")?)) };
    let claimed_voter = if flags & HAS_VOTER == 0 { None } else { Some(Voter::new(reader.take("voter")?)) };
    let claimed_power = if version == VERSION_CONTRACT { Some(decode_claimed_power(&mut reader)?) } else { None };
    if !reader.rest.is_empty() {
        return Err(malformed(format!("{} bytes are left over", reader.rest.len())));
    }
    let rejected = RejectedRecord { rejection, record, digest, claimed_voter, claimed_power };
    if has_evidence(&rejected) {
        Ok(rejected)
    } else {
        Err(malformed("the evidence is another rejection's".to_owned()))
    }
}

fn decode_claimed_power(reader: &mut Reader<'_>) -> Result<VoterPower, WireError> {
    match reader.take("claimed power")? {
        [POWER_UNAVAILABLE] => Ok(VoterPower::Unavailable),
        [POWER_KNOWN] => decode_power(reader).map(VoterPower::Known),
        [other] => Err(malformed(format!("power {other} is neither {POWER_UNAVAILABLE} nor {POWER_KNOWN}"))),
    }
}

/// Whether what chains said can have led to the rejection, so that a verdict has one encoding and evidence is there where
/// it has to be.
fn has_evidence(rejected: &RejectedRecord) -> bool {
    let RejectedRecord { rejection, record: _, digest, claimed_voter, claimed_power } = rejected;
    let Some(power) = claimed_power else {
        return !matches!(rejection, Rejection::SignerWithoutPower | Rejection::ContractRefused);
    };
    let was_asked = match (rejection.contract_ruling(), rejection) {
        (Some(_), _) => true,
        (None, Rejection::SignerWithoutPower) => false,
        (None, _) => return false,
    };
    digest.is_some() && claimed_voter.is_some() && was_asked == ClaimedBallot::is_asked_with(*power)
}

fn malformed(problem: String) -> WireError {
    WireError::Malformed { format: FORMAT, problem }
}
