//! The archive: everything an auditor needs, as JSON lines in one fixed order, the same bytes for the same log.
//!
//! ```text
//! {"v":1,"kind":"archive","proposal":"0x…"}
//! {"v":1,"kind":"definition",…}     the decision record
//! {"v":1,"kind":"cut",…}            the decision record
//! {"v":1,"kind":"pins",…}           the decision record, only if the proposal reads chains
//! {"v":1,"kind":"power","voter":"0x…","power":"…"}   only then: by voter; null: unavailable
//! {"v":1,"kind":"contractSignature","record":"0x…","voter":"0x…","ruling":"eip1271"}   only if contracts may sign
//! {"v":1,"kind":"record","partition":0,"offset":0,"appendedAtMs":…,"record":"<base64>"}   by partition, then offset
//! {"v":1,"kind":"ballot","voter":"0x…","digest":"0x…","choice":…,"power":"…","record":"0x…"}   standing, by voter
//! {"v":1,"kind":"result",…}         the decision record
//! {"v":1,"kind":"end","lines":…}
//! ```

use alloy_primitives::U256;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    WireError, decision,
    json::{Format, OrderedMap, VERSION, to_json},
};
use crate::{
    chain::Pins,
    choice::{ApprovalSet, Choice, ChoiceNumber, Ranking, Weights},
    decisions::Decision,
    id::{Digest, Place, ProposalId, RecordHash, Voter},
    power::{Power, VoterPower, format_units, parse_units},
    proposal::{CHOICES_MAX, Definition},
    result::{Cut, PublishedResult},
    signature_check::SignatureRuling,
    time::TimestampMs,
};

const FORMAT: Format = Format("archive line");

const KIND_HEADER: &str = "archive";
const KIND_RECORD: &str = "record";
const KIND_POWER: &str = "power";
const KIND_CONTRACT_SIGNATURE: &str = "contractSignature";
const KIND_BALLOT: &str = "ballot";
const KIND_END: &str = "end";

/// Units of 10^-18 in a billionth, so that weights are written as powers are.
const UNITS_PER_BILLIONTH: u128 = 1_000_000_000;

/// One line of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveLine {
    /// The first line.
    Header {
        /// What the archive is of.
        proposal: ProposalId,
    },
    /// What was voted on.
    Definition(Box<Definition>),
    /// Where counting ended.
    Cut(Cut),
    /// At which blocks power was read.
    Pins(Pins),
    /// What the chains said of a voter who signed a record below the cut, or whose contract was to judge one.
    Power(ArchivedPower),
    /// What the signers' chain said of a signature below the cut that is not its voter's key's. Like powers it stands
    /// before the records, so that whoever reads these need not keep them.
    ContractSignature(ArchivedContractSignature),
    /// A record below the cut, good or bad.
    Record(ArchivedRecord),
    /// A standing ballot.
    Ballot(ArchivedBallot),
    /// What came out.
    Result(Box<PublishedResult>),
    /// The last line: how many lines stand before it, so that a truncated file shows.
    End {
        /// Lines before this one.
        lines: u64,
    },
}

/// A record below the cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedRecord {
    /// Where it lies.
    pub place: Place,
    /// When the log appended it.
    pub appended_at: TimestampMs,
    /// Its bytes, version byte included.
    pub record: Vec<u8>,
}

/// A voter's power as the chains gave it: evidence, to be read again at the pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivedPower {
    /// Who signed.
    pub voter: Voter,
    /// The sum over all strategies.
    pub power: VoterPower,
}

/// What a voter's contract made of a record's signature: evidence, to be asked again at the pin of the signers' chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivedContractSignature {
    /// The record, wherever and however often it lies below the cut: its bytes hold the whole question.
    pub record: RecordHash,
    /// Whose contract was asked.
    pub voter: Voter,
    /// What it said.
    pub ruling: SignatureRuling,
}

/// A standing ballot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedBallot {
    /// Who voted.
    pub voter: Voter,
    /// The ballot's identity.
    pub digest: Digest,
    /// What the voter meant.
    pub choice: Choice,
    /// The voter's weight: evidence, checked again where the definition alone gives it.
    pub power: Power,
    /// The counting copy with the smallest bytes.
    pub record: RecordHash,
}

/// A line without its line feed.
pub fn encode(line: &ArchiveLine) -> String {
    let decision =
        |decision| String::from_utf8(decision::encode(&decision)).expect("decision records are JSON, which is UTF-8");
    match line {
        ArchiveLine::Header { proposal } => {
            to_json(&HeaderDto { v: VERSION, kind: KIND_HEADER.to_owned(), proposal: proposal.to_string() })
        }
        ArchiveLine::Definition(definition) => decision(Decision::Definition(definition.clone())),
        ArchiveLine::Cut(cut) => decision(Decision::Cut(cut.clone())),
        ArchiveLine::Pins(pins) => decision(Decision::Pins(pins.clone())),
        ArchiveLine::Record(ArchivedRecord { place, appended_at, record }) => to_json(&RecordDto {
            v: VERSION,
            kind: KIND_RECORD.to_owned(),
            partition: place.partition,
            offset: place.offset,
            appended_at_ms: appended_at.0,
            record: BASE64_STANDARD.encode(record),
        }),
        ArchiveLine::Power(ArchivedPower { voter, power }) => to_json(&PowerDto {
            v: VERSION,
            kind: KIND_POWER.to_owned(),
            voter: voter.to_string(),
            power: match power {
                VoterPower::Known(power) => Some(power.to_string()),
                VoterPower::Unavailable => None,
            },
        }),
        ArchiveLine::ContractSignature(ArchivedContractSignature { record, voter, ruling }) => {
            to_json(&ContractSignatureDto {
                v: VERSION,
                kind: KIND_CONTRACT_SIGNATURE.to_owned(),
                record: record.to_string(),
                voter: voter.to_string(),
                ruling: ruling.name().to_owned(),
            })
        }
        ArchiveLine::Ballot(ArchivedBallot { voter, digest, choice, power, record }) => to_json(&BallotDto {
            v: VERSION,
            kind: KIND_BALLOT.to_owned(),
            voter: voter.to_string(),
            digest: digest.to_string(),
            choice: ChoiceDto::of(choice),
            power: power.to_string(),
            record: record.to_string(),
        }),
        ArchiveLine::Result(result) => super::result::encode(result),
        ArchiveLine::End { lines } => to_json(&EndDto { v: VERSION, kind: KIND_END.to_owned(), lines: *lines }),
    }
}

/// Reads a line that [`encode`] wrote, and nothing but those bytes. Which line may follow which is the reader's to
/// check.
pub fn decode(line: &str) -> Result<ArchiveLine, WireError> {
    let bytes = line.as_bytes();
    let decoded = match FORMAT.kind(bytes)?.as_deref() {
        Some(KIND_HEADER) => {
            let HeaderDto { v: _, kind: _, proposal } = FORMAT.parse(bytes)?;
            ArchiveLine::Header { proposal: FORMAT.field("proposal", proposal.parse())? }
        }
        Some(KIND_RECORD) => ArchiveLine::Record(FORMAT.parse::<RecordDto>(bytes)?.into_record()?),
        Some(KIND_POWER) => ArchiveLine::Power(FORMAT.parse::<PowerDto>(bytes)?.into_power()?),
        Some(KIND_CONTRACT_SIGNATURE) => {
            ArchiveLine::ContractSignature(FORMAT.parse::<ContractSignatureDto>(bytes)?.into_signature()?)
        }
        Some(KIND_BALLOT) => ArchiveLine::Ballot(FORMAT.parse::<BallotDto>(bytes)?.into_ballot()?),
        Some(KIND_END) => {
            let EndDto { v: _, kind: _, lines } = FORMAT.parse(bytes)?;
            ArchiveLine::End { lines }
        }
        Some(_) | None => {
            // What is not a line of the archive's own is a decision record, whose decoder is as strict.
            return match decision::decode(bytes)? {
                Decision::Definition(definition) => Ok(ArchiveLine::Definition(definition)),
                Decision::Cut(cut) => Ok(ArchiveLine::Cut(cut)),
                Decision::Pins(pins) => Ok(ArchiveLine::Pins(pins)),
                Decision::Result(result) => Ok(ArchiveLine::Result(result)),
                Decision::PlatformKey(_) | Decision::Log(_) | Decision::Dispute(_) | Decision::Archive(_) => {
                    Err(FORMAT.malformed("kind: an archive has no such line"))
                }
            };
        }
    };
    FORMAT.require_canonical(bytes, encode(&decoded).as_bytes())?;
    Ok(decoded)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderDto {
    v: u8,
    kind: String,
    proposal: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RecordDto {
    v: u8,
    kind: String,
    partition: u32,
    offset: u64,
    appended_at_ms: u64,
    record: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PowerDto {
    v: u8,
    kind: String,
    voter: String,
    power: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContractSignatureDto {
    v: u8,
    kind: String,
    record: String,
    voter: String,
    ruling: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BallotDto {
    v: u8,
    kind: String,
    voter: String,
    digest: String,
    choice: ChoiceDto,
    power: String,
    record: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndDto {
    v: u8,
    kind: String,
    lines: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ChoiceDto {
    Single(ChoiceNumber),
    Approval(Vec<ChoiceNumber>),
    Weights(OrderedMap<String>),
    Ranking(Vec<ChoiceNumber>),
}

impl RecordDto {
    fn into_record(self) -> Result<ArchivedRecord, WireError> {
        Ok(ArchivedRecord {
            place: Place { partition: self.partition, offset: self.offset },
            appended_at: TimestampMs(self.appended_at_ms),
            record: FORMAT.field("record", BASE64_STANDARD.decode(self.record))?,
        })
    }
}

impl PowerDto {
    fn into_power(self) -> Result<ArchivedPower, WireError> {
        let power = self.power.map(|text| FORMAT.power("power", &text)).transpose()?;
        Ok(ArchivedPower {
            voter: FORMAT.voter("voter", &self.voter)?,
            power: power.map_or(VoterPower::Unavailable, VoterPower::Known),
        })
    }
}

impl ContractSignatureDto {
    fn into_signature(self) -> Result<ArchivedContractSignature, WireError> {
        Ok(ArchivedContractSignature {
            record: FORMAT.field("record", self.record.parse())?,
            voter: FORMAT.voter("voter", &self.voter)?,
            ruling: FORMAT.field("ruling", SignatureRuling::from_name(&self.ruling).ok_or("is not known"))?,
        })
    }
}

impl BallotDto {
    fn into_ballot(self) -> Result<ArchivedBallot, WireError> {
        Ok(ArchivedBallot {
            voter: FORMAT.voter("voter", &self.voter)?,
            digest: FORMAT.field("digest", self.digest.parse())?,
            choice: FORMAT.field("choice", self.choice.into_choice().ok_or("is not canonical"))?,
            power: FORMAT.power("power", &self.power)?,
            record: FORMAT.field("record", self.record.parse())?,
        })
    }
}

impl ChoiceDto {
    fn of(choice: &Choice) -> Self {
        match choice {
            Choice::Single(number) => Self::Single(*number),
            Choice::Approval(set) => Self::Approval(set.iter().collect()),
            Choice::Weights(weights) => {
                let entry = |(number, weight): &(ChoiceNumber, u128)| (number.to_string(), format_weight(*weight));
                Self::Weights(OrderedMap(weights.entries().iter().map(entry).collect()))
            }
            Choice::Ranking(ranking) => Self::Ranking(ranking.iter().collect()),
        }
    }

    /// `None` for what no choice is written as. Repeats and another order in a set are left to the comparison with the
    /// canonical bytes.
    fn into_choice(self) -> Option<Choice> {
        match self {
            Self::Single(number) => (1..=CHOICES_MAX).contains(&usize::from(number)).then_some(Choice::Single(number)),
            Self::Approval(numbers) => {
                let bit = |number: ChoiceNumber| 1_u64.checked_shl(u32::from(number).checked_sub(1)?);
                let bits = numbers.into_iter().try_fold(0, |bits, number| Some(bits | bit(number)?))?;
                Some(Choice::Approval(ApprovalSet::from_bits(bits)))
            }
            Self::Weights(entries) => {
                let entry = |(number, weight): &(String, String)| Some((number.parse().ok()?, parse_weight(weight)?));
                Weights::new(entries.0.iter().map(entry).collect::<Option<_>>()?).map(Choice::Weights)
            }
            Self::Ranking(order) => Ranking::new(&order).map(Choice::Ranking),
        }
    }
}

fn format_weight(billionths: u128) -> String {
    let units = billionths.checked_mul(UNITS_PER_BILLIONTH).expect("a weight is below 2^83 billionths");
    format_units(U256::from(units))
}

fn parse_weight(text: &str) -> Option<u128> {
    let units: u128 = parse_units(text).ok()?.try_into().ok()?;
    units.is_multiple_of(UNITS_PER_BILLIONTH).then_some(units / UNITS_PER_BILLIONTH)
}
