//! Pins as JSON: in their decision record and in a result's provenance.

use serde::{Deserialize, Serialize};

use super::{WireError, json::Format};
use crate::chain::{BlockNumber, Pin, Pins};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinsDto {
    proposal: String,
    chains: Vec<PinDto>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PinDto {
    network: String,
    block: u64,
    hash: String,
    timestamp_seconds: u64,
}

impl PinsDto {
    pub(super) fn of(pins: &Pins) -> Self {
        let pin = |Pin { chain, number, hash, timestamp_s }: &Pin| PinDto {
            network: chain.to_string(),
            block: number.0,
            hash: hash.to_string(),
            timestamp_seconds: *timestamp_s,
        };
        Self { proposal: pins.proposal().to_string(), chains: pins.by_chain().values().map(pin).collect() }
    }

    /// The pins. Another order than the ascending one is left to the comparison with the canonical bytes.
    pub(super) fn into_pins(self, format: Format) -> Result<Pins, WireError> {
        let pin = |PinDto { network, block, hash, timestamp_seconds }: PinDto| {
            Ok(Pin {
                chain: format.field("pins.chains.network", network.parse())?,
                number: BlockNumber(block),
                hash: format.field("pins.chains.hash", hash.parse())?,
                timestamp_s: timestamp_seconds,
            })
        };
        let pins = self.chains.into_iter().map(pin).collect::<Result<Vec<_>, WireError>>()?;
        let proposal = format.field("pins.proposal", self.proposal.parse())?;
        format.field("pins.chains", Pins::new(proposal, pins))
    }
}
