//! Tries the strategies of a new proposal on their chains, so that one that can never answer is refused before anybody
//! votes on it. At a block that is final already the answer is for ever; where the snapshot is still to come, what the
//! chain says today is only a hint.

use std::sync::Arc;

use pnyx_backbone::telemetry;
use pnyx_chains::{Chain, ChainPower, Chains, CheckError, PinError};
use pnyx_core::{
    chain::{Pin, Pins, SnapshotRule},
    proposal::Proposal,
};

/// What came of a trial.
#[derive(Debug)]
pub(crate) enum Tried {
    /// No chain is read, so there is nothing to try.
    Nothing,
    /// All strategies can answer.
    Answers,
    /// They were not proven to work, for this reason.
    Unproven(String),
    /// One can never answer. It begins with the field.
    Never(String),
}

impl Tried {
    /// What is said of strategies that are proposed.
    ///
    /// # Errors
    /// If one can never answer: then nothing may be proposed.
    pub(crate) fn for_proposing(self) -> anyhow::Result<Option<String>> {
        match self {
            Self::Nothing | Self::Answers => Ok(None),
            Self::Unproven(words) => Ok(Some(words)),
            Self::Never(problem) => Err(anyhow::Error::msg(problem)),
        }
    }
}

/// Tries all strategies.
///
/// # Errors
/// If there is nothing that could be tried, which no proposal that was resolved can be the reason of.
pub(crate) async fn strategies(proposal: &Proposal, chains: &Chains) -> anyhow::Result<Tried> {
    let rules = &proposal.parts().snapshots;
    if rules.is_empty() {
        return Ok(Tried::Nothing);
    }
    let untried = |why: String| Ok(Tried::Unproven(format!("its strategies were not tried: {why}")));
    let mut pins = Vec::with_capacity(rules.len());
    let mut are_final = true;
    for (id, rule) in rules {
        let Some(chain) = chains.get(*id) else {
            let untried = if proposal.reads_power() { "its strategies were" } else { "the chain of its signers was" };
            let words = format!("{untried} not tried: no endpoint of chain {id} is given (--chain {id}=URL)");
            return Ok(Tried::Unproven(words));
        };
        match pin(chain, *rule).await {
            Ok((pin, is_final)) => {
                pins.push(pin);
                are_final &= is_final;
            }
            Err(PinError::BeforeFirstBlock) => {
                return Ok(Tried::Never(format!("spec.power.snapshot: chain {id} began after that time")));
            }
            Err(error) => return untried(telemetry::chain(&error)),
        }
    }
    let pins = Arc::new(Pins::new(proposal.id(), pins)?);
    match ChainPower::new(chains, &proposal.parts().strategies, &pins)?.can_answer().await {
        Ok(()) => Ok(Tried::Answers),
        Err(error @ CheckError::Never { .. }) if are_final => {
            Ok(Tried::Never(format!("spec.power.{}", telemetry::chain(&error))))
        }
        Err(error @ CheckError::Never { .. }) => {
            let words = format!("as the chain is today, its strategies could not answer: {}", telemetry::chain(&error));
            Ok(Tried::Unproven(words))
        }
        Err(error) => untried(telemetry::chain(&error)),
    }
}

/// The block that the rule names, or, if that is not final yet, the last one that is: `false`.
async fn pin(chain: &Chain, rule: SnapshotRule) -> Result<(Pin, bool), PinError> {
    match chain.pin(rule).await {
        Err(PinError::NotYet { .. }) => Ok((chain.finalized().await?, false)),
        found => Ok((found?, true)),
    }
}
