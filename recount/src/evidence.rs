//! What chains said, as the verdicts have it: evidence for archives and offline recounts, long after a chain's nodes
//! have forgotten the pinned blocks' state.
//!
//! Every voter with a validly signed or claimed record has a verdict that says the power, every record that a contract
//! was asked about one that says the ruling, and a result is published only if a recount past all caches came to
//! exactly that ([`differences`]). So nothing else is stored; the published roots over powers and signatures tell
//! whether what is read here is still that.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pnyx_backbone::log::{Log, LogError, Topic};
use pnyx_core::{
    chain::Pins,
    id::{ProposalId, RecordHash, Voter},
    power::VoterPower,
    proposal::{Definition, Proposal},
    result::{Cut, DISPUTE_DIFFERENCES_MAX, Provenance},
    signature_check::SignatureRuling,
    verdict::{Ruling, Verdict},
    wire,
};
use pnyx_verification::{RecordedRulings, Sources};
use thiserror::Error;
use tokio::time::timeout;
use tracing::error;

use crate::recounting::Recounted;

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

/// What the verdicts of a proposal say that chains said, as sources for another recount; where there is a cut, verdicts
/// on records beyond it say nothing. All verdicts say the same of a voter and of a record; where some do not, which
/// only a defect leaves behind, that is logged, and the first is taken. Memory grows with voters, and with records that
/// contracts were asked about.
pub async fn recorded_sources(
    log: &Log,
    proposal: &Proposal,
    pins: Arc<Pins>,
    cut: Option<&Cut>,
) -> Result<Sources, EvidenceError> {
    let mut said = Said::default();
    each_verdict(log, proposal.id(), cut, |verdict| said.note(&verdict.ruling)).await?;
    let Said { powers, rulings, contradictions, first_contradiction } = said;
    if let Some(first) = first_contradiction {
        error!(proposal = %proposal.id(), contradictions, first, "verdicts contradict each other, the first is taken");
    }
    Ok(Sources::recorded(proposal, pins, powers, rulings))
}

/// In what the verdicts below the cut are other evidence than the recount found, a sentence each, at most as many as a
/// dispute keeps. Two verdicts that contradict each other are among them, because one of them differs.
pub(crate) async fn differences(log: &Log, recounted: &Recounted) -> Result<Vec<String>, EvidenceError> {
    let cut = &recounted.provenance.cut;
    let mut comparison = Comparison::new(recounted);
    each_verdict(log, cut.proposal, Some(cut), |verdict| comparison.note(&verdict.ruling)).await?;
    Ok(comparison.finish())
}

/// Reads all verdicts, without those on records beyond the cut if there is one.
async fn each_verdict(
    log: &Log,
    proposal: ProposalId,
    cut: Option<&Cut>,
    mut take: impl FnMut(&Verdict),
) -> Result<(), EvidenceError> {
    let topic = Topic::verdicts(proposal);
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
                    take(&verdict);
                }
            }
        }
    }
    Ok(())
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
    contradictions: u64,
    first_contradiction: Option<String>,
}

impl Said {
    fn note(&mut self, ruling: &Ruling) {
        if let Some((voter, power)) = ruling.weighed()
            && *self.powers.entry(voter).or_insert(power) != power
        {
            self.contradict(|| format!("the power of voter {voter}"));
        }
        if let Some((record, voter, said)) = ruling.contract_ruling()
            && *self.rulings.entry(record).or_insert((voter, said)) != (voter, said)
        {
            self.contradict(|| format!("what a contract said of record {record}"));
        }
    }

    fn contradict(&mut self, what: impl FnOnce() -> String) {
        self.contradictions = self.contradictions.saturating_add(1);
        self.first_contradiction.get_or_insert_with(what);
    }
}

/// The verdicts read so far beside a recount.
struct Comparison<'a> {
    recounted: &'a Recounted,
    /// Of which of its powers and rulings there was a verdict.
    powers_seen: Vec<bool>,
    rulings_seen: Vec<bool>,
    differences: Vec<String>,
}

impl<'a> Comparison<'a> {
    fn new(recounted: &'a Recounted) -> Self {
        let (powers_seen, rulings_seen) =
            (vec![false; recounted.powers.len()], vec![false; recounted.signatures.len()]);
        Self { recounted, powers_seen, rulings_seen, differences: Vec::new() }
    }

    fn note(&mut self, ruling: &Ruling) {
        let Recounted { powers, signatures, .. } = self.recounted;
        if let Some((voter, live)) = ruling.weighed() {
            let index = powers.binary_search_by_key(&voter, |(voter, _)| *voter).ok();
            let recount = index.map(|index| powers[index].1);
            index.into_iter().for_each(|index| self.powers_seen[index] = true);
            if recount != Some(live) {
                self.differ(|| power_difference(voter, Some(live), recount));
            }
        }
        if let Some((record, voter, live)) = ruling.contract_ruling() {
            let index = signatures.binary_search_by_key(&record, |signature| signature.record).ok();
            let recount = index.map(|index| (signatures[index].voter, signatures[index].ruling));
            index.into_iter().for_each(|index| self.rulings_seen[index] = true);
            if recount != Some((voter, live)) {
                self.differ(|| ruling_difference(record, Some((voter, live)), recount));
            }
        }
    }

    fn finish(mut self) -> Vec<String> {
        let Recounted { powers, signatures, .. } = self.recounted;
        let unseen = |seen: &mut Vec<bool>| std::mem::take(seen).into_iter().map(|seen| !seen);
        for ((voter, power), _) in powers.iter().zip(unseen(&mut self.powers_seen)).filter(|(_, unseen)| *unseen) {
            self.differ(|| power_difference(*voter, None, Some(*power)));
        }
        for (signature, _) in signatures.iter().zip(unseen(&mut self.rulings_seen)).filter(|(_, unseen)| *unseen) {
            self.differ(|| ruling_difference(signature.record, None, Some((signature.voter, signature.ruling))));
        }
        self.differences
    }

    fn differ(&mut self, difference: impl FnOnce() -> String) {
        if self.differences.len() < DISPUTE_DIFFERENCES_MAX {
            let difference = difference();
            if !self.differences.contains(&difference) {
                self.differences.push(difference);
            }
        }
    }
}

fn power_difference(voter: Voter, live: Option<VoterPower>, recount: Option<VoterPower>) -> String {
    let text = |power: Option<VoterPower>| match power {
        Some(VoterPower::Known(power)) => power.to_string(),
        Some(VoterPower::Unavailable) => "unavailable".to_owned(),
        None => "none".to_owned(),
    };
    format!("power of voter {voter}: by a verdict {}, recount {}", text(live), text(recount))
}

type ContractSaid = Option<(Voter, SignatureRuling)>;

fn ruling_difference(record: RecordHash, live: ContractSaid, recount: ContractSaid) -> String {
    let text = |said: ContractSaid| {
        said.map_or_else(|| "none".to_owned(), |(voter, ruling)| format!("{} of account {voter}", ruling.name()))
    };
    format!("contract signature of record {record}: by a verdict {}, recount {}", text(live), text(recount))
}
