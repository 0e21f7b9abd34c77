//! Tries the strategies of a new proposal on their chains, so that one that can never answer is refused before anybody
//! votes on it. At a block that is final already the answer is for ever; where the snapshot is still to come, what the
//! chain says today is only a hint.

use std::sync::Arc;

use anyhow::bail;
use pnyx_backbone::telemetry;
use pnyx_chains::{Chain, ChainPower, Chains, CheckError, PinError};
use pnyx_core::{
    chain::{Pin, Pins, SnapshotRule},
    proposal::Proposal,
};

/// What is said of strategies that were not proven to work; `Ok(None)` if they were, or none reads a chain.
///
/// # Errors
/// If a strategy can never answer.
pub(crate) async fn strategies(proposal: &Proposal, chains: &Chains) -> anyhow::Result<Option<String>> {
    let rules = &proposal.parts().snapshots;
    if rules.is_empty() {
        return Ok(None);
    }
    let mut pins = Vec::with_capacity(rules.len());
    let mut are_final = true;
    for (id, rule) in rules {
        let Some(chain) = chains.get(*id) else {
            return Ok(Some(format!(
                "its strategies were not tried: no endpoint of chain {id} is given (--chain {id}=URL)"
            )));
        };
        match pin(chain, *rule).await {
            Ok((pin, is_final)) => {
                pins.push(pin);
                are_final &= is_final;
            }
            Err(PinError::BeforeFirstBlock) => bail!("spec.power.snapshot: chain {id} began after that time"),
            Err(error) => return Ok(Some(format!("its strategies were not tried: {}", telemetry::chain(&error)))),
        }
    }
    let pins = Arc::new(Pins::new(proposal.id(), pins)?);
    match ChainPower::new(chains, &proposal.parts().strategies, &pins)?.can_answer().await {
        Ok(()) => Ok(None),
        Err(error @ CheckError::Never { .. }) if are_final => bail!("spec.power.{}", telemetry::chain(&error)),
        Err(error @ CheckError::Never { .. }) => {
            Ok(Some(format!("as the chain is today, its strategies could not answer: {}", telemetry::chain(&error))))
        }
        Err(error) => Ok(Some(format!("its strategies were not tried: {}", telemetry::chain(&error)))),
    }
}

/// The block that the rule names, or, if that is not final yet, the last one that is: `false`.
async fn pin(chain: &Chain, rule: SnapshotRule) -> Result<(Pin, bool), PinError> {
    match chain.pin(rule).await {
        Err(PinError::NotYet { .. }) => Ok((chain.finalized().await?, false)),
        found => Ok((found?, true)),
    }
}
