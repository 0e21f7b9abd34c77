//! One proposal's way through its phases: what is waited for in each, and what follows.

use std::{sync::Arc, time::Duration};

use pnyx_backbone::{clock, telemetry};
use pnyx_core::{
    decisions::ProposalDecisions,
    id::ProposalId,
    lifecycle::{self, Event, Evidence, Phase},
    proposal::Definition,
    result::Cut,
    time::TimestampMs,
};
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::{
    CloseError, Closing, PhaseChange, Turns,
    steps::StepError,
    waiting::{millis, sleep_until},
};
use crate::{
    config::{ARCHIVE_RETRY_MAX_MS, Config},
    facts::Facts,
    late::BeyondCut,
    recounting::{ReadError, RecountError, Recounted},
};

/// What follows on a recount that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDispute {
    /// Another recount, later.
    TryAgain,
    /// Nothing more.
    End,
}

/// One proposal's way.
pub(super) struct Life {
    pub(super) config: Config,
    pub(super) closing: Closing,
    pub(super) turns: Arc<Turns>,
    pub(super) id: ProposalId,
    pub(super) definition: Arc<Definition>,
    /// What chains said in a recount that did not come to its end.
    pub(super) facts: Facts,
    /// A recount that came to its end, until it is compared and what follows is decided: a store or log that is away
    /// meanwhile does not cost another.
    pub(super) recounted: Option<Recounted>,
    phase: Option<Phase>,
    beyond_cut: BeyondCut,
}

impl Life {
    pub(super) fn new(
        config: Config,
        closing: &Closing,
        turns: &Arc<Turns>,
        id: ProposalId,
        decisions: &ProposalDecisions,
    ) -> Self {
        let (closing, turns, definition) = (closing.clone(), Arc::clone(turns), Arc::clone(&decisions.definition));
        let (facts, beyond_cut) = (Facts::default(), BeyondCut::default());
        Self { config, closing, turns, id, definition, facts, recounted: None, phase: None, beyond_cut }
    }

    /// Lives from the phase that the book and the clock say to the last one.
    pub(super) async fn live(&mut self, decisions: &ProposalDecisions, on_dispute: OnDispute) -> Phase {
        self.enter(phase_by_book(decisions, clock::now()));
        // A dispute from before is looked into at once: a person may have acted and then started this.
        let mut was_recounted = false;
        loop {
            let event = match self.phase() {
                Phase::Pending => {
                    sleep_until(self.definition.proposal().window().opens_at()).await;
                    Event::WindowOpened
                }
                Phase::Open => {
                    sleep_until(self.definition.proposal().window().closes_at()).await;
                    Event::WindowClosed
                }
                Phase::Closed => {
                    let closes_at = self.definition.proposal().window().closes_at();
                    sleep_until(closes_at.saturating_add_ms(millis(self.config.grace_after_close))).await;
                    self.retrying(Self::record_cut).await
                }
                Phase::Draining => self.retrying(Self::drain).await,
                Phase::Disputed if was_recounted && on_dispute == OnDispute::End => return Phase::Disputed,
                Phase::Recounting | Phase::Disputed => {
                    if was_recounted {
                        sleep(self.config.dispute_retry).await;
                    }
                    was_recounted = true;
                    self.retrying(Self::settle).await
                }
                Phase::Final => return Phase::Final,
            };
            let next = self.phase().after(event).expect("each phase waits for an event that can happen in it");
            self.enter(next);
        }
    }

    /// Lives to the last phase, or to a dispute, and keeps the archive.
    pub(super) async fn close(&mut self, decisions: &ProposalDecisions) -> Result<Phase, CloseError> {
        let phase = self.live(decisions, OnDispute::End).await;
        if let (Phase::Final, Some(archives)) = (phase, &self.closing.archives) {
            archives.keep(self.id).await?;
        }
        Ok(phase)
    }

    /// Keeps the archive, however often it has to be tried.
    pub(super) fn keeping_archive(&self) -> impl Future<Output = ()> + Send + use<> {
        let (archives, turns) = (self.closing.archives.clone(), Arc::clone(&self.turns));
        let (id, mut pause) = (self.id, self.config.archive_retry);
        async move {
            let Some(archives) = archives else { return };
            loop {
                let kept = {
                    let _turn = turns.archives.acquire().await;
                    archives.keep(id).await
                };
                let Err(error) = kept else { return };
                let is_lasting = error.is_lasting();
                if is_lasting {
                    pause = Duration::from_millis(ARCHIVE_RETRY_MAX_MS);
                }
                let (problem, pause_s) = (telemetry::chain(&error), pause.as_secs());
                if is_lasting {
                    error!(proposal = %id, problem, pause_s, "the archive cannot be stored, a person has to look; trying again");
                } else {
                    warn!(proposal = %id, problem, pause_s, "the archive is not stored, trying again");
                }
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(ARCHIVE_RETRY_MAX_MS));
            }
        }
    }

    /// Goes on looking beyond a cut that is not old.
    pub(super) async fn watch_beyond_cut(&mut self) {
        loop {
            let Ok(cut) = self.cut() else { return };
            if clock::now().saturating_since_ms(cut.decided_at) > millis(self.config.late_watch) {
                return;
            }
            if let Err(error) = self.report_late(&cut).await {
                warn!(proposal = %self.id, error = telemetry::chain(&error), "could not look beyond the cut, trying again");
            }
            sleep(self.config.late_poll).await;
        }
    }

    pub(super) async fn report_late(&mut self, cut: &Cut) -> Result<(), ReadError> {
        for late in self.beyond_cut.look(&self.closing.log, self.definition.proposal(), cut).await? {
            self.closing.metrics.found_late();
            error!(
                proposal = %self.id,
                partition = late.place.partition,
                offset = late.place.offset,
                appended_at_ms = late.appended_at.0,
                record = %late.record,
                "a record lies beyond the cut although it was appended in the window: it does not count, and whoever has \
                 a receipt for it can prove that",
            );
        }
        Ok(())
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.expect("a life begins by entering a phase")
    }

    fn enter(&mut self, phase: Phase) {
        if self.phase == Some(phase) {
            return;
        }
        self.closing.metrics.moved(self.phase.replace(phase), phase);
        info!(proposal = %self.id, phase = phase.name(), "phase entered");
        // An error means that nobody listens, which is allowed.
        let _ = self.closing.phases.send(PhaseChange { proposal: self.id, phase });
    }

    /// Does a step until it works: a failing dependency delays, it never decides.
    async fn retrying(&mut self, step: impl AsyncFn(&mut Self) -> Result<Event, StepError>) -> Event {
        loop {
            let done = match step(self).await {
                Err(StepError::Recount(
                    error @ (RecountError::LogBehindCut { .. } | RecountError::RecordsRoot { .. }),
                )) => self.dispute(vec![error.to_string()]).await,
                done => done,
            };
            match done {
                Ok(event) => return event,
                Err(error) => {
                    let problem = telemetry::chain(&error);
                    warn!(proposal = %self.id, phase = self.phase().name(), error = problem, "step failed, trying again");
                    sleep(self.config.failure_retry).await;
                }
            }
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // A final proposal stays in its phase's count; one whose task ends with the process does not matter any more.
        if let Some(phase) = self.phase.filter(|phase| *phase != Phase::Final) {
            self.closing.metrics.left(phase);
        }
    }
}

/// Where a proposal is as far as decisions and the clock say. What lies behind a cut is done again: it changes nothing.
fn phase_by_book(decisions: &ProposalDecisions, now: TimestampMs) -> Phase {
    let evidence = Evidence {
        has_cut: decisions.cut.is_some(),
        is_drained: false,
        is_disputed: decisions.dispute.is_some(),
        has_result: decisions.result.is_some(),
    };
    lifecycle::phase(decisions.definition.proposal().window(), now, evidence)
}
