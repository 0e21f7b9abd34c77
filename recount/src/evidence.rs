//! What chains said, as the verdicts have it: evidence for archives and offline recounts, long after a chain's nodes have
//! forgotten the pinned blocks' state.
//!
//! Every voter with a validly signed or claimed record has a verdict that says the power, every record that a contract was
//! asked about one that says the ruling, and the result was published only after a recount past all caches came to the
//! same. So nothing else is stored; the published roots over powers and signatures tell whether what is read here is still
//! that.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pnyx_backbone::log::{Log, LogError, Topic};
use pnyx_core::{
    chain::Pins,
    id::Voter,
    power::VoterPower,
    proposal::{Definition, Proposal},
    result::{Cut, Provenance},
    verdict::Ruling,
    wire,
};
use pnyx_verification::{RecordedRulings, Sources};
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

/// What the verdicts of a proposal say that chains said, as sources for another recount; where there is a cut, verdicts on
/// records beyond it say nothing. All verdicts say the same of a voter and of a record; of those that do not, which only a
/// defect leaves behind, the first is the one that the tally counted. Memory grows with voters, and with records that
/// contracts were asked about.
pub async fn recorded_sources(
    log: &Log,
    proposal: &Proposal,
    pins: Arc<Pins>,
    cut: Option<&Cut>,
) -> Result<Sources, EvidenceError> {
    let topic = Topic::verdicts(proposal.id());
    let mut said = Said::default();
    for (lane, end_offset) in (0..).zip(log.ends(&topic).await?) {
        let mut reader = log.reader(&topic, lane, 0)?;
        while reader.position() < end_offset {
            let offset = reader.position();
            let batch = timeout(READ_WAIT_MAX, reader.next_batch(BATCH_RECORDS_MAX, BATCH_BYTES_MAX)).await;
            for record in batch.map_err(|_| EvidenceError::Stalled { lane, offset })?? {
                // What is no verdict was skipped by the tally, too, and reported there.
                if let Ok(verdict) = wire::verdict::decode(&record.value)
                    && cut.is_none_or(|cut| cut.holds(verdict.place))
                {
                    said.note(&verdict.ruling);
                }
            }
        }
    }
    let Said { powers, rulings } = said;
    Ok(Sources::recorded(proposal, pins, powers, rulings))
}

/// The sources with which a published result was counted: the definition alone, or its pins and what the verdicts have.
pub(crate) async fn published_sources(
    log: &Log,
    definition: &Definition,
    provenance: &Provenance,
) -> Result<Sources, EvidenceError> {
    match &provenance.chains {
        Some(chains) => {
            let pins = Arc::new(chains.pins.clone());
            recorded_sources(log, definition.proposal(), pins, Some(&provenance.cut)).await
        }
        None => Ok(Sources::listed(definition.proposal())),
    }
}

/// What chains said by the verdicts read so far.
#[derive(Debug, Default)]
struct Said {
    powers: BTreeMap<Voter, VoterPower>,
    rulings: RecordedRulings,
}

impl Said {
    fn note(&mut self, ruling: &Ruling) {
        if let Some((voter, power)) = ruling.weighed() {
            self.powers.entry(voter).or_insert(power);
        }
        if let Some((record, voter, said)) = ruling.contract_ruling() {
            self.rulings.entry(record).or_insert((voter, said));
        }
    }
}
