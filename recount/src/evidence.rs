//! Powers as the verdicts have them: evidence for archives and offline recounts, long after a chain's nodes have forgotten
//! the pinned blocks' state.
//!
//! Every voter with a validly signed record has a verdict that says the power, and the result was published only after a
//! recount past all caches came to the same. So nothing else is stored; the published root over all powers tells whether
//! what is read here is still that.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pnyx_backbone::log::{Log, LogError, Topic};
use pnyx_core::{
    chain::Pins,
    id::{ProposalId, Voter},
    power::{Power, VoterPower},
    proposal::Definition,
    rejection::Rejection,
    result::{Cut, Provenance},
    verdict::{Ruling, Verdict},
    wire,
};
use pnyx_verification::PowerSource;
use thiserror::Error;
use tokio::time::timeout;

/// Verdicts read at once.
const BATCH_RECORDS_MAX: usize = 4_096;

/// Bytes of verdicts read at once.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// How long verdicts that are there may be awaited: as long as ballots may.
const READ_WAIT_MAX: Duration = Duration::from_secs(30);

/// Why the verdicts are no evidence.
#[derive(Debug, Error)]
pub enum EvidenceError {
    /// They could not be read.
    #[error("the verdicts could not be read from the log")]
    Log(#[from] LogError),
    /// The log has them and did not give them.
    #[error("lane {lane} gave nothing from offset {offset} on for {} s: the log may be out of reach", READ_WAIT_MAX.as_secs())]
    Stalled {
        /// The lane.
        lane: u32,
        /// The offset that was awaited.
        offset: u64,
    },
}

/// The powers that the verdicts of a proposal give, as a source for another recount; where there is a cut, verdicts on
/// records beyond it say nothing. All verdicts on a voter give the same power; of those that do not, which only a defect
/// leaves behind, the first is the one that the tally counted. Memory grows with voters.
pub async fn recorded_powers(
    log: &Log,
    proposal: ProposalId,
    pins: Arc<Pins>,
    cut: Option<&Cut>,
) -> Result<PowerSource, EvidenceError> {
    let topic = Topic::verdicts(proposal);
    let mut powers = BTreeMap::new();
    for (lane, end_offset) in (0..).zip(log.ends(&topic).await?) {
        let mut reader = log.reader(&topic, lane, 0)?;
        while reader.position() < end_offset {
            let offset = reader.position();
            let batch = timeout(READ_WAIT_MAX, reader.next_batch(BATCH_RECORDS_MAX, BATCH_BYTES_MAX)).await;
            for record in batch.map_err(|_| EvidenceError::Stalled { lane, offset })?? {
                // What is no verdict was skipped by the tally, too, and reported there.
                let verdict = wire::verdict::decode(&record.value).ok();
                let counted = verdict.filter(|verdict| cut.is_none_or(|cut| cut.holds(verdict.place)));
                if let Some((voter, power)) = counted.as_ref().and_then(power_in) {
                    powers.entry(voter).or_insert(power);
                }
            }
        }
    }
    Ok(PowerSource::recorded(pins, powers))
}

/// The powers with which a published result was counted: the definition's, or at its pins as the verdicts have them.
pub(crate) async fn published_powers(
    log: &Log,
    definition: &Definition,
    provenance: &Provenance,
) -> Result<PowerSource, EvidenceError> {
    match &provenance.chains {
        Some(chains) => {
            let pins = Arc::new(chains.pins.clone());
            recorded_powers(log, definition.proposal().id(), pins, Some(&provenance.cut)).await
        }
        None => Ok(PowerSource::listed(definition.proposal())),
    }
}

/// The power that a verdict states of a proven signer.
fn power_in(verdict: &Verdict) -> Option<(Voter, VoterPower)> {
    match &verdict.ruling {
        Ruling::Counts(ballot) => Some((ballot.voter, VoterPower::Known(ballot.power))),
        Ruling::Rejected(rejected) => {
            let power = match rejected.rejection {
                Rejection::NoPower => VoterPower::Known(Power::ZERO),
                Rejection::PowerUnavailable => VoterPower::Unavailable,
                _ => return None,
            };
            rejected.claimed_voter.map(|voter| (voter, power))
        }
    }
}
