//! Decision records, the values of `pnyx.proposals`: JSON objects `{"v":1,"kind":"log|key|definition|pins|cut|dispute|result|archived",…}`.

use alloy_primitives::hex;
use serde::{Deserialize, Serialize};

use super::{
    WireError,
    definition::DefinitionDto,
    json::{Format, VERSION, to_json},
    pins::PinsDto,
    result::{self, CutDto},
};
use crate::{
    decisions::Decision,
    id::{LogIdentity, ProposalId},
    result::Dispute,
    stored_archive::StoredArchive,
    time::TimestampMs,
};

const FORMAT: Format = Format("decision record");

const KIND_LOG: &str = "log";
const KIND_KEY: &str = "key";
const KIND_DEFINITION: &str = "definition";
const KIND_PINS: &str = "pins";
const KIND_CUT: &str = "cut";
const KIND_DISPUTE: &str = "dispute";
const KIND_ARCHIVED: &str = "archived";

/// The bytes of a decision: the same decision always gives the same bytes.
pub fn encode(decision: &Decision) -> Vec<u8> {
    let json = match decision {
        Decision::Log(identity) => {
            to_json(&LogRecordDto { v: VERSION, kind: KIND_LOG.to_owned(), log: hex::encode_prefixed(identity.0) })
        }
        Decision::PlatformKey(key) => {
            to_json(&KeyRecordDto { v: VERSION, kind: KIND_KEY.to_owned(), key: key.to_string() })
        }
        Decision::Definition(definition) => to_json(&DefinitionRecordDto {
            v: VERSION,
            kind: KIND_DEFINITION.to_owned(),
            definition: DefinitionDto::of(definition),
        }),
        Decision::Pins(pins) => {
            to_json(&PinsRecordDto { v: VERSION, kind: KIND_PINS.to_owned(), pins: PinsDto::of(pins) })
        }
        Decision::Cut(cut) => to_json(&CutRecordDto { v: VERSION, kind: KIND_CUT.to_owned(), cut: CutDto::of(cut) }),
        Decision::Dispute(dispute) => to_json(&DisputeRecordDto {
            v: VERSION,
            kind: KIND_DISPUTE.to_owned(),
            proposal: dispute.proposal.to_string(),
            differences: dispute.differences().to_vec(),
        }),
        Decision::Result(result) => result::encode(result),
        Decision::Archive(archive) => to_json(&ArchiveRecordDto {
            v: VERSION,
            kind: KIND_ARCHIVED.to_owned(),
            proposal: archive.proposal.to_string(),
            location: archive.location().to_owned(),
            bytes: archive.bytes,
            sha256: hex::encode_prefixed(archive.sha256),
            verified_at_ms: archive.verified_at.0,
        }),
    };
    json.into_bytes()
}

/// The decision of bytes. Strict: refuses whatever [`encode`] would not have written, so a decision has one encoding.
pub fn decode(bytes: &[u8]) -> Result<Decision, WireError> {
    let decision = match FORMAT.kind(bytes)?.as_deref() {
        Some(KIND_LOG) => {
            let LogRecordDto { v: _, kind: _, log } = FORMAT.parse(bytes)?;
            Decision::Log(LogIdentity(FORMAT.hex("log", &log)?))
        }
        Some(KIND_KEY) => {
            let KeyRecordDto { v: _, kind: _, key } = FORMAT.parse(bytes)?;
            Decision::PlatformKey(FORMAT.voter("key", &key)?)
        }
        Some(KIND_DEFINITION) => {
            let DefinitionRecordDto { v: _, kind: _, definition } = FORMAT.parse(bytes)?;
            Decision::Definition(Box::new(definition.into_definition(FORMAT)?))
        }
        Some(KIND_PINS) => {
            let PinsRecordDto { v: _, kind: _, pins } = FORMAT.parse(bytes)?;
            Decision::Pins(pins.into_pins(FORMAT)?)
        }
        Some(KIND_CUT) => {
            let CutRecordDto { v: _, kind: _, cut } = FORMAT.parse(bytes)?;
            Decision::Cut(cut.into_cut(FORMAT)?)
        }
        Some(KIND_DISPUTE) => {
            let DisputeRecordDto { v: _, kind: _, proposal, differences } = FORMAT.parse(bytes)?;
            let proposal: ProposalId = FORMAT.field("proposal", proposal.parse())?;
            Decision::Dispute(Dispute::new(proposal, differences))
        }
        Some(KIND_ARCHIVED) => Decision::Archive(FORMAT.parse::<ArchiveRecordDto>(bytes)?.into_archive()?),
        Some(result::KIND) => {
            // Its own decoder is as strict.
            let json = FORMAT.field("result", std::str::from_utf8(bytes))?;
            return Ok(Decision::Result(Box::new(result::decode(json)?)));
        }
        Some(other) => return Err(FORMAT.malformed(format_args!("kind: {other:?} is not a decision"))),
        None => return Err(FORMAT.malformed("kind: is missing")),
    };
    FORMAT.require_canonical(bytes, &encode(&decision))?;
    Ok(decision)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRecordDto {
    v: u8,
    kind: String,
    key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DefinitionRecordDto {
    v: u8,
    kind: String,
    definition: DefinitionDto,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinsRecordDto {
    v: u8,
    kind: String,
    pins: PinsDto,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CutRecordDto {
    v: u8,
    kind: String,
    cut: CutDto,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogRecordDto {
    v: u8,
    kind: String,
    log: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DisputeRecordDto {
    v: u8,
    kind: String,
    proposal: String,
    differences: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ArchiveRecordDto {
    v: u8,
    kind: String,
    proposal: String,
    location: String,
    bytes: u64,
    sha256: String,
    verified_at_ms: u64,
}

impl ArchiveRecordDto {
    fn into_archive(self) -> Result<StoredArchive, WireError> {
        let Self { v: _, kind: _, proposal, location, bytes, sha256, verified_at_ms } = self;
        let proposal = FORMAT.field("proposal", proposal.parse())?;
        let sha256 = FORMAT.hex("sha256", &sha256)?;
        FORMAT.field("location", StoredArchive::new(proposal, location, bytes, sha256, TimestampMs(verified_at_ms)))
    }
}
