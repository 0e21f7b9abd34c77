//! What the load generator knows of a proposal: read from the platform's JSON, not through its types, so that a mistake
//! in those shows as a difference.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use num_bigint::BigUint;
use serde_json::Value;

/// A proposal to vote on.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// `0x` and 64 digits.
    pub(super) id: String,
    /// The resource's name.
    pub(super) name: String,
    /// What ballots must sign as `space`.
    pub(super) space: String,
    /// Snapshot's name of the voting system.
    pub(super) system: String,
    /// How many choices there are.
    pub(super) choices: u32,
    /// When the window opens, in seconds since the epoch.
    pub(super) opens_at_s: u64,
    /// When the window closes, in seconds since the epoch.
    pub(super) closes_at_s: u64,
    /// Power that everybody has, in units of 10^-18.
    pub(super) everybody: BigUint,
    /// Power by listed address (lower case), in units of 10^-18, beside what everybody has.
    pub(super) listed: BTreeMap<String, BigUint>,
}

impl Target {
    /// Reads `GET /v1/proposals/{id}`.
    pub(super) fn from_json(proposal: &Value) -> anyhow::Result<Self> {
        let definition = proposal.get("definition").context("the platform's answer has no definition")?;
        let text = |field: &str| -> anyhow::Result<String> {
            let value = definition.get(field).and_then(Value::as_str);
            Ok(value.with_context(|| format!("the definition has no text {field}"))?.to_owned())
        };
        let window_ms = |field: &str| {
            let value = definition.get("window").and_then(|window| window.get(field)?.as_u64());
            value.with_context(|| format!("the definition has no window.{field}"))
        };
        let choices = definition.get("choices").and_then(Value::as_array).context("the definition has no choices")?;
        let system = definition.get("voting").and_then(|voting| voting.get("system")?.as_str());
        let (everybody, listed) = powers(definition)?;
        Ok(Self {
            id: proposal.get("id").and_then(Value::as_str).context("the proposal has no id")?.to_owned(),
            name: text("name")?,
            space: text("space")?,
            system: system.context("the definition has no voting.system")?.to_owned(),
            choices: u32::try_from(choices.len())?,
            opens_at_s: window_ms("opensAtMs")? / 1000,
            closes_at_s: window_ms("closesAtMs")? / 1000,
            everybody,
            listed,
        })
    }

    /// A voter's power in units of 10^-18.
    pub(super) fn power(&self, address: &str) -> BigUint {
        &self.everybody + self.listed.get(&address.to_lowercase()).cloned().unwrap_or_default()
    }
}

fn powers(definition: &Value) -> anyhow::Result<(BigUint, BTreeMap<String, BigUint>)> {
    let strategies =
        definition.get("strategies").and_then(Value::as_array).context("the definition has no strategies")?;
    let mut everybody = BigUint::default();
    let mut listed: BTreeMap<String, BigUint> = BTreeMap::new();
    for strategy in strategies {
        let name = strategy.get("name").and_then(Value::as_str).unwrap_or_default();
        let params = strategy.get("params").context("a strategy has no params")?;
        match name {
            "ticket" => {
                everybody += units(params.get("value").and_then(Value::as_str).context("ticket has no value")?)?
            }
            "whitelist" => {
                for address in params.get("addresses").and_then(Value::as_array).into_iter().flatten() {
                    let address = address.as_str().context("an address is not a text")?.to_lowercase();
                    *listed.entry(address).or_default() += units("1")?;
                }
            }
            "whitelist-weighted" => {
                for (address, weight) in params.get("addresses").and_then(Value::as_object).into_iter().flatten() {
                    let weight = units(weight.as_str().context("a weight is not a text")?)?;
                    *listed.entry(address.to_lowercase()).or_default() += weight;
                }
            }
            other => bail!("this load generator does not know the strategy {other:?}; choose others with --proposal"),
        }
    }
    Ok((everybody, listed))
}

/// Reads a decimal as units of 10^-18.
pub(super) fn units(decimal: &str) -> anyhow::Result<BigUint> {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let padded = format!("{whole}{fraction:0<18}");
    padded.parse().with_context(|| format!("{decimal:?} is not a decimal"))
}

/// Writes units of 10^-18 as a decimal.
pub(super) fn decimal(units: &BigUint) -> String {
    let digits = format!("{:0>19}", units.to_string());
    let (whole, fraction) = digits.split_at(digits.len() - 18);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}
