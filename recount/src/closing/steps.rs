//! What is done in a phase: the cut, the drain, the recount and what is published. Each step may be repeated.

use std::{sync::Arc, time::Instant};

use pnyx_backbone::{
    clock, drain,
    log::LogError,
    proposals::{BookError, DecideError},
    store::StoreError,
};
use pnyx_core::{
    counting::CountingRules,
    decisions::{Decision, ProposalDecisions},
    lifecycle::Event,
    result::{Cut, Dispute, PublishedResult},
};
use pnyx_verification::{Caching, SourceError, Sources};
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::{error, info};

use super::{
    life::Life,
    waiting::{Waiting, millis},
};
use crate::{
    archive::Derived,
    cut::read_cut,
    evidence::{self, EvidenceError},
    live::{LaneEnds, LiveTally},
    pinning::{self, PinningError},
    recounting::{ReadError, RecountError, Recounted, check_signatures, weigh},
};

/// Why a step has to be tried again.
#[derive(Debug, Error)]
pub(super) enum StepError {
    #[error("the log could not say how far it is")]
    Log(#[from] LogError),
    #[error("the records could not be read back")]
    Read(#[from] ReadError),
    #[error("the store could not be read")]
    Store(#[from] StoreError),
    #[error("there is nobody to ask what the chains say")]
    Source(#[from] SourceError),
    #[error("whether power was read at the right blocks is not known")]
    Pins(#[from] PinningError),
    #[error("the recount came to nothing")]
    Recount(#[from] RecountError),
    #[error("what the verdicts say that chains said is not known")]
    Evidence(#[from] EvidenceError),
    #[error("what is decided by now is not known")]
    Book(#[from] BookError),
    #[error("the decision was not made")]
    Decide(#[from] DecideError),
    #[error("the decision was written but does not stand in the book")]
    NotInBook,
}

impl Life {
    /// What this process knows to be decided.
    fn decisions(&self) -> Result<ProposalDecisions, StepError> {
        self.closing.proposals.book().get(self.id).cloned().ok_or(StepError::NotInBook)
    }

    /// What is decided by now, whoever decided it: read before anything is written.
    async fn decisions_now(&self) -> Result<ProposalDecisions, StepError> {
        let book = self.closing.proposals.current_book().await?;
        book.get(self.id).cloned().ok_or(StepError::NotInBook)
    }

    pub(super) fn cut(&self) -> Result<Arc<Cut>, StepError> {
        self.decisions()?.cut.ok_or(StepError::NotInBook)
    }

    /// Reads the ends once and writes them down, unless a cut stands already.
    pub(super) async fn record_cut(&mut self) -> Result<Event, StepError> {
        if self.decisions()?.cut.is_none() {
            let cut = read_cut(&self.closing.log, self.id, clock::now()).await?;
            // Reading takes a while; another may have decided meanwhile, and its cut is as good.
            if self.decisions_now().await?.cut.is_none() {
                self.closing.proposals.decide(Decision::Cut(cut)).await?;
            }
        }
        self.cut().map(|_| Event::CutRecorded)
    }

    pub(super) async fn drain(&mut self) -> Result<Event, StepError> {
        self.register().await?;
        if matches!(self.pin_differences().await, Ok(differences) if !differences.is_empty()) {
            // At such a block verifiers may never find anything, and nothing of it would be published.
            return Ok(Event::DrainCompleted);
        }
        let lane_ends = self.verifiers_reached().await?;
        let mut waiting = Waiting::new(self.id, "the tally to reach the ends of its lanes");
        while !lane_ends.are_reached(&self.closing.store).await? {
            waiting.pause(self.config.drain_poll).await;
        }
        Ok(Event::DrainCompleted)
    }

    /// A process that only reads the store has to say what it reads, too.
    async fn register(&self) -> Result<(), StoreError> {
        let rules = CountingRules::of(self.definition.proposal());
        self.closing.store.register(self.id, rules, self.definition.lanes()).await
    }

    /// Waits until every record below the cut has a durable verdict, the deferred ones too; the lanes' ends read after
    /// that.
    async fn verifiers_reached(&self) -> Result<LaneEnds, StepError> {
        let cut = self.cut()?;
        let mut waiting = Waiting::new(self.id, "the verifiers to reach the cut");
        loop {
            if let Some(lane_ends) =
                drain::verifiers_reached(&self.closing.log, self.definition.proposal(), &cut).await?
            {
                return Ok(LaneEnds { proposal: self.id, log: self.closing.log.identity(), ends: lane_ends });
            }
            waiting.pause(self.config.drain_poll).await;
        }
    }

    /// Recounts, compares and publishes.
    pub(super) async fn settle(&mut self) -> Result<Event, StepError> {
        let cut = self.cut()?;
        self.register().await?;
        let differences = self.pin_differences().await?;
        if !differences.is_empty() {
            self.recounted = None;
            return self.dispute(differences).await;
        }
        let recounted = match self.recounted.take() {
            Some(recounted) => recounted,
            None => self.recount(&cut).await?,
        };
        let decided = match self.report_late(&cut).await {
            Ok(()) => self.decide_on(&recounted).await,
            Err(error) => Err(error.into()),
        };
        match &decided {
            Ok(Event::RecountAgreed) => self.remember(recounted).await,
            // Whoever looks into a dispute mends something: it is counted again.
            Ok(_) => {}
            Err(_) => self.recounted = Some(recounted),
        }
        decided
    }

    /// Compares a recount with what was counted live, and publishes it or says how they differ.
    async fn decide_on(&self, recounted: &Recounted) -> Result<Event, StepError> {
        let mut differences = self.live_tally().await?.differences(recounted);
        if recounted.provenance.chains.is_some() {
            // Archives will be made of what the verdicts say, long after the chains can be asked.
            differences.extend(evidence::differences(&self.closing.log, recounted).await?);
        }
        if differences.is_empty() { self.publish(recounted).await } else { self.dispute(differences).await }
    }

    /// What is wrong with the blocks at which power was read. The rules name them, so nobody's decision is believed.
    async fn pin_differences(&self) -> Result<Vec<String>, StepError> {
        match self.decisions()?.pins {
            Some(pins) => Ok(pinning::differences(self.definition.proposal(), &pins, &self.closing.chains).await?),
            None => Ok(Vec::new()),
        }
    }

    async fn recount(&self, cut: &Cut) -> Result<Recounted, StepError> {
        let (definition, pins) = (&self.definition, self.decisions()?.pins);
        let sources = Sources::of(definition.proposal(), pins.as_ref(), &self.closing.chains, Caching::Bypassed)?;
        let _turn = match (&sources.signers, &sources.pins) {
            (Some(_), _) => Some(turn(&self.turns.signers).await),
            (None, Some(_)) => Some(turn(&self.turns.chains).await),
            (None, None) => None,
        };
        let started = Instant::now();
        let progress = self.closing.progress.clone();
        let show = move |now| {
            progress.send_replace(now);
        };
        let signed = {
            // Not longer than cores are needed, and not where that may take as long as a chain does: a slow chain must
            // not hold up proposals that need none.
            let _turn = if sources.signers.is_none() { Some(turn(&self.turns.cores).await) } else { None };
            check_signatures(&self.closing.log, definition, cut, &sources, &self.facts, self.config.threads, show)
                .await?
        };
        let recounted = weigh(signed, definition, cut, &sources, &self.facts).await?;
        self.closing.metrics.recounted(recounted.provenance.records, started.elapsed());
        Ok(recounted)
    }

    /// The live tally at a time when the store has all of it: one that lost its data since the drain has not.
    async fn live_tally(&self) -> Result<LiveTally, StepError> {
        let lane_ends = self.verifiers_reached().await?;
        let mut waiting = Waiting::new(self.id, "the store to have all of the live tally");
        loop {
            if let Some(live) = LiveTally::read_whole(&self.closing.store, &lane_ends).await? {
                return Ok(live);
            }
            waiting.pause(self.config.drain_poll).await;
        }
    }

    async fn publish(&self, recounted: &Recounted) -> Result<Event, StepError> {
        let Recounted { core, provenance, .. } = recounted;
        if self.decisions_now().await?.result.is_none() {
            let result = PublishedResult::sign(core.clone(), provenance.clone(), &self.closing.key);
            self.closing.proposals.decide(Decision::Result(Box::new(result))).await?;
        } else {
            info!(proposal = %self.id, "another recount published a result first");
        }
        let standing = self.decisions()?.result.ok_or(StepError::NotInBook)?;
        if standing.core != *core {
            return self.dispute(vec![format!("published core {:?}, recount {core:?}", standing.core)]).await;
        }
        Ok(Event::RecountAgreed)
    }

    async fn remember(&self, recounted: Recounted) {
        let Recounted { ballots, powers, signatures, .. } = recounted;
        if let Some(archives) = &self.closing.archives {
            archives.remember(self.id, Derived { ballots, powers, signatures }).await;
        }
    }

    /// Says loudly that nothing is published, and writes it down unless that was done before.
    pub(super) async fn dispute(&self, differences: Vec<String>) -> Result<Event, StepError> {
        self.closing.metrics.disputed();
        error!(
            proposal = %self.id,
            differences = differences.join("; "),
            retry_after_ms = millis(self.config.dispute_retry),
            "the recount differs, nothing is published until a person has looked",
        );
        if self.decisions_now().await?.dispute.is_none() {
            self.closing.proposals.decide(Decision::Dispute(Dispute::new(self.id, differences))).await?;
        }
        Ok(Event::RecountDiffered)
    }
}

async fn turn(turns: &Semaphore) -> SemaphorePermit<'_> {
    turns.acquire().await.expect("the semaphore is never closed")
}
