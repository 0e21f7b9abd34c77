//! Closing proposals: one task each, from the opening of the window to the published result.
//!
//! A task keeps nothing that it could not find again: its phase follows from the clock and the decisions in the book,
//! so a process that is killed anywhere goes on where the log says. Whatever it decides it writes first and then acts
//! on what stands in the book, which may be another's.
//!
//! A recount that differs from the live tally publishes nothing. It logs an error with both values, raises
//! `pnyx_recount_disputes`, and tries again after [`crate::config::DISPUTE_RETRY_MS`]: a person has to look.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use pnyx_backbone::{
    clock,
    log::{Log, LogError},
    proposals::{DecideError, Proposals},
    shutdown::Shutdown,
    store::{Store, StoreError},
    telemetry,
};
use pnyx_core::{
    decisions::{Decision, ProposalDecisions, Recorded},
    id::ProposalId,
    lifecycle::{Event, Phase},
    proposal::Definition,
    result::{Cut, PublishedResult},
    signing::SigningKey,
    time::TimestampMs,
};
use thiserror::Error;
use tokio::{
    sync::{Semaphore, broadcast},
    task::JoinSet,
    time::{Duration, sleep},
};
use tracing::{error, info, warn};

use crate::{
    archive::Archives,
    config::Config,
    cut::read_cut,
    disputes::Disputes,
    drain::{DrainError, has_tally_reached, tally_reached, verifiers_reached},
    live::LiveTally,
    metrics::RecountMetrics,
    recounting::{RecountError, Recounted, recount},
};

/// Longest sleep before the wall clock is read again: it may be set while we wait.
const SLEEP_MS_MAX: u64 = 60 * 1_000;

/// A proposal came to another phase. After a start each proposal is announced once, in the phase it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseChange {
    /// The proposal.
    pub proposal: ProposalId,
    /// The phase it is in now.
    pub phase: Phase,
}

/// What the closing works with.
#[derive(Debug, Clone)]
pub struct Closing {
    /// Ground state.
    pub log: Log,
    /// The live tally.
    pub store: Store,
    /// What is decided.
    pub proposals: Proposals,
    /// Signs results.
    pub key: SigningKey,
    /// Remembers the ballots of a recount, so that the first archive need not count again.
    pub archives: Arc<Archives>,
    /// Where numbers go.
    pub metrics: RecountMetrics,
    /// Which proposals are disputed at this moment.
    pub disputes: Disputes,
    /// Where phase changes go; nobody has to listen.
    pub phases: broadcast::Sender<PhaseChange>,
}

/// Why a step has to be tried again.
#[derive(Debug, Error)]
enum StepError {
    #[error("the log could not be read")]
    Log(#[from] LogError),
    #[error("the store could not be read")]
    Store(#[from] StoreError),
    #[error("the drain could not be watched")]
    Drain(#[from] DrainError),
    #[error("the recount came to nothing")]
    Recount(#[from] RecountError),
    #[error("the decision was not made")]
    Decide(#[from] DecideError),
    #[error("the decision was written but does not stand in the book")]
    NotInBook,
}

/// Closes every proposal there is and every one that comes, until shutdown.
pub async fn run(config: Config, closing: Closing, shutdown: Shutdown) {
    let mut book = closing.proposals.watch();
    let mut known = BTreeSet::new();
    let mut tasks = JoinSet::new();
    // Each recount uses all its cores, so two at once would only take twice the memory.
    let turn = Arc::new(Semaphore::new(1));
    loop {
        let proposals: Vec<_> =
            book.borrow_and_update().proposals().iter().map(|(id, made)| (*id, made.clone())).collect();
        for (id, decisions) in proposals {
            if known.insert(id) {
                let (closing, turn) = (closing.clone(), Arc::clone(&turn));
                tasks.spawn(async move {
                    let definition = Arc::clone(&decisions.definition);
                    Life { config, closing, turn, id, definition, phase: None }.live(&decisions).await;
                });
            }
        }
        tokio::select! {
            () = shutdown.requested() => break,
            changed = book.changed() => if changed.is_err() { break },
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
        }
    }
    // A task may be dropped anywhere: what it had written is in the log, and the next start goes on from there.
    tasks.shutdown().await;
}

/// One proposal's way.
struct Life {
    config: Config,
    closing: Closing,
    turn: Arc<Semaphore>,
    id: ProposalId,
    definition: Arc<Definition>,
    phase: Option<Phase>,
}

impl Life {
    /// Lives from the phase that the book and the clock say to the final one.
    async fn live(mut self, decisions: &ProposalDecisions) {
        self.enter(phase_by_book(decisions, clock::now()));
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
                Phase::Recounting => self.retrying(Self::settle).await,
                Phase::Disputed => {
                    sleep(self.config.dispute_retry).await;
                    self.retrying(Self::settle).await
                }
                Phase::Final => return,
            };
            let next = self.phase().after(event).expect("each phase waits for an event that can happen in it");
            self.enter(next);
        }
    }

    fn phase(&self) -> Phase {
        self.phase.expect("a life begins by entering a phase")
    }

    fn enter(&mut self, phase: Phase) {
        if self.phase == Some(phase) {
            return;
        }
        self.closing.metrics.moved(self.phase.replace(phase), phase);
        info!(proposal = %self.id, phase = phase.name(), "phase entered");
        self.closing.disputes.set(self.id, phase == Phase::Disputed);
        // An error means that nobody listens, which is allowed.
        let _ = self.closing.phases.send(PhaseChange { proposal: self.id, phase });
    }

    /// Does a step until it works: a failing dependency delays, it never decides.
    async fn retrying(&self, step: impl AsyncFn(&Self) -> Result<Event, StepError>) -> Event {
        loop {
            match step(self).await {
                Ok(event) => return event,
                Err(StepError::Recount(
                    error @ (RecountError::LogBehindCut { .. } | RecountError::RecordsRoot { .. }),
                )) => {
                    self.dispute(&[error.to_string()]);
                    return Event::RecountDiffered;
                }
                Err(error) => {
                    let problem = telemetry::chain(&error);
                    warn!(proposal = %self.id, phase = self.phase().name(), error = problem, "step failed, trying again");
                    sleep(self.config.failure_retry).await;
                }
            }
        }
    }

    fn decisions(&self) -> Result<ProposalDecisions, StepError> {
        self.closing.proposals.book().get(self.id).cloned().ok_or(StepError::NotInBook)
    }

    fn cut(&self) -> Result<Arc<Cut>, StepError> {
        self.decisions()?.cut.ok_or(StepError::NotInBook)
    }

    /// Reads the ends once and writes them down, unless a cut stands already.
    async fn record_cut(&self) -> Result<Event, StepError> {
        if self.decisions()?.cut.is_none() {
            let cut = read_cut(&self.closing.log, self.id, clock::now()).await?;
            self.closing.proposals.decide(Decision::Cut(cut)).await?;
        }
        self.cut().map(|_| Event::CutRecorded)
    }

    async fn drain(&self) -> Result<Event, StepError> {
        let Closing { log, store, .. } = &self.closing;
        let poll = self.config.drain_poll;
        let lane_ends = verifiers_reached(log, &*self.cut()?, poll).await?;
        tally_reached(log, store, self.id, &lane_ends, poll).await?;
        Ok(Event::DrainCompleted)
    }

    /// Recounts, compares and publishes.
    async fn settle(&self) -> Result<Event, StepError> {
        let recounted = self.recount(&*self.cut()?).await?;
        let differences = self.live_tally().await?.differences(&recounted);
        if !differences.is_empty() {
            self.dispute(&differences);
            return Ok(Event::RecountDiffered);
        }
        self.publish(recounted).await
    }

    async fn recount(&self, cut: &Cut) -> Result<Recounted, StepError> {
        let _turn = self.turn.acquire().await.expect("the semaphore is never closed");
        let started = Instant::now();
        let recounted = recount(&self.closing.log, &self.definition, cut, self.config.threads, |_| {}).await?;
        self.closing.metrics.recounted(recounted.provenance.records, started.elapsed());
        Ok(recounted)
    }

    /// The live tally, read at a time when the store has all of it: a store that lost its data since the drain has not.
    async fn live_tally(&self) -> Result<LiveTally, StepError> {
        let Closing { log, store, .. } = &self.closing;
        let poll = self.config.drain_poll;
        let lane_ends = verifiers_reached(log, &*self.cut()?, poll).await?;
        loop {
            tally_reached(log, store, self.id, &lane_ends, poll).await?;
            if let Some(live) = LiveTally::read(store, self.id).await?
                && has_tally_reached(log, store, self.id, &lane_ends).await?
            {
                return Ok(live);
            }
            sleep(poll).await;
        }
    }

    async fn publish(&self, recounted: Recounted) -> Result<Event, StepError> {
        let Recounted { totals: _, core, provenance, ballots } = recounted;
        let result = PublishedResult::sign(core.clone(), provenance, &self.closing.key);
        let recorded = self.closing.proposals.decide(Decision::Result(Box::new(result))).await?;
        let standing = self.decisions()?.result.ok_or(StepError::NotInBook)?;
        if standing.core != core {
            let problem = format!("published core {:?}, recount {core:?}", standing.core);
            self.dispute(&[problem]);
            return Ok(Event::RecountDiffered);
        }
        if recorded != Recorded::Stands {
            info!(proposal = %self.id, "another recount published the same result first");
        }
        self.closing.archives.remember(self.id, ballots).await;
        Ok(Event::RecountAgreed)
    }

    fn dispute(&self, differences: &[String]) {
        self.closing.metrics.disputed();
        error!(
            proposal = %self.id,
            differences = differences.join("; "),
            retry_after_ms = millis(self.config.dispute_retry),
            "the recount differs, nothing is published; compare with `pnyx recount` on a copy of the data directory",
        );
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
    let window = decisions.definition.proposal().window();
    let happened = [
        (Event::WindowOpened, now >= window.opens_at() || decisions.cut.is_some()),
        (Event::WindowClosed, now >= window.closes_at() || decisions.cut.is_some()),
        (Event::CutRecorded, decisions.cut.is_some()),
        (Event::DrainCompleted, decisions.result.is_some()),
        (Event::RecountAgreed, decisions.result.is_some()),
    ];
    let events = happened.into_iter().take_while(|(_, happened)| *happened).map(|(event, _)| event);
    events.fold(Phase::Pending, |phase, event| phase.after(event).expect("the events of a life come in this order"))
}

/// Sleeps until the wall clock shows `time`.
async fn sleep_until(time: TimestampMs) {
    loop {
        let left_ms = time.saturating_since_ms(clock::now());
        if left_ms == 0 {
            return;
        }
        sleep(Duration::from_millis(left_ms.min(SLEEP_MS_MAX))).await;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
