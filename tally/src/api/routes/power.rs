//! A voter's power in JSON: what each strategy gives, and what was read of which block for it.

use pnyx_chains::{PowerPart, Raw};
use pnyx_core::power::{Power, VoterPower};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{api::explanations, powers::StrategyPower};

/// What one strategy gives a voter.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StrategyPowerDto {
    /// Snapshot's name of the strategy.
    strategy: &'static str,
    /// What it gives; null if it is not known, or can never be.
    power: Option<String>,
    /// What was read of chains for it; empty for strategies that read none.
    reads: Vec<ReadDto>,
}

/// What a chain says of a voter at the pinned block.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReadDto {
    /// Snapshot's name of what is read.
    read: &'static str,
    /// The chain's id.
    chain: String,
    /// The pinned block's number.
    block: u64,
    /// The pinned block's hash.
    block_hash: String,
    /// The contract; null for the native balance.
    contract: Option<String>,
    /// The integer that was read, in decimal; null if the contract gives none.
    raw: Option<String>,
    /// How many of its digits stand after the point.
    decimals: u8,
    /// The power that it is; null if it is none.
    power: Option<String>,
    /// Why the power is zero or none; else null.
    explanation: Option<&'static str>,
}

impl StrategyPowerDto {
    pub(super) fn new(strategy: &StrategyPower) -> Self {
        let StrategyPower { name, power, reads } = strategy;
        Self {
            strategy: name,
            power: power.and_then(known).map(|power| power.to_string()),
            reads: reads.iter().map(ReadDto::new).collect(),
        }
    }
}

impl ReadDto {
    fn new(part: &PowerPart) -> Self {
        let PowerPart { read, pin, raw, power, strategy: _, position: _ } = part;
        let integer = match raw {
            Raw::Integer(raw) => Some(raw.to_string()),
            Raw::Reverts | Raw::OtherShape => None,
        };
        Self {
            read: read.name(),
            chain: pin.chain.to_string(),
            block: pin.number.0,
            block_hash: pin.hash.to_string(),
            contract: read.contract().map(|contract| contract.to_string()),
            raw: integer,
            decimals: read.decimals().get(),
            power: known(*power).map(|power| power.to_string()),
            explanation: explanations::read(*raw, *power),
        }
    }
}

/// A power that there is.
pub(super) const fn known(power: VoterPower) -> Option<Power> {
    match power {
        VoterPower::Known(power) => Some(power),
        VoterPower::Unavailable => None,
    }
}
