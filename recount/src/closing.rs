//! Closing proposals: one task each, from the opening of the window to the published result.
//!
//! A task keeps nothing that it could not find again: its phase follows from the clock and the decisions in the book,
//! so a process that is killed anywhere goes on where the log says. Whatever it decides it writes first and then acts
//! on what stands in the book, which may be another's.
//!
//! Any number of processes may do this at once, and one that was held up may go on at any later time: each looks into the
//! book before it decides, and what it decides too late is ignored by everybody alike.
//!
//! A recount that differs from the live tally publishes nothing. It logs an error with both values, records the dispute,
//! raises `pnyx_recount_disputes`, and tries again after [`crate::config::DISPUTE_RETRY_MS`]: a person has to look.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use pnyx_backbone::{
    clock, drain,
    log::{Log, LogError},
    proposals::{DecideError, Proposals},
    shutdown::Shutdown,
    store::{Store, StoreError},
    telemetry,
};
use pnyx_core::{
    counting::CountingRules,
    decisions::{Decision, ProposalDecisions},
    id::ProposalId,
    lifecycle::{self, Event, Evidence, Phase},
    proposal::Definition,
    result::{Cut, Dispute, PublishedResult},
    signing::SigningKey,
    time::TimestampMs,
};
use thiserror::Error;
use tokio::{
    sync::{Semaphore, broadcast, watch},
    task::JoinSet,
    time::{Duration, sleep},
};
use tracing::{error, info, warn};

use crate::{
    archive::Archives,
    config::Config,
    cut::read_cut,
    late::BeyondCut,
    live::LiveTally,
    metrics::RecountMetrics,
    recounting::{Progress, ReadError, RecountError, Recounted, recount},
};

/// Longest sleep before the wall clock is read again: it may be set while we wait.
const SLEEP_MS_MAX: u64 = 60 * 1_000;

/// How often a drain that takes long says what it waits for: longer than a usual one, soon enough for whoever looks.
const WAITING_SAID_EVERY: Duration = Duration::from_secs(10);

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
    /// Remembers the ballots of a recount, so that the first archive need not count again; where this process serves any.
    pub archives: Option<Arc<Archives>>,
    /// Where numbers go.
    pub metrics: RecountMetrics,
    /// Where phase changes go; nobody has to listen.
    pub phases: broadcast::Sender<PhaseChange>,
    /// How far the recount under way is; nobody has to look.
    pub progress: watch::Sender<Progress>,
}

/// Why one proposal was not closed.
#[derive(Debug, Error)]
pub enum CloseError {
    /// No such proposal.
    #[error("there is no proposal {proposal} in this log")]
    UnknownProposal {
        /// The id asked for.
        proposal: ProposalId,
    },
    /// The process was asked to end; whatever was decided stands, and the next start goes on from there.
    #[error("interrupted before the proposal was closed")]
    Interrupted,
}

/// Why a step has to be tried again.
#[derive(Debug, Error)]
enum StepError {
    #[error("the log could not say how far it is")]
    Log(#[from] LogError),
    #[error("the records could not be read back")]
    Read(#[from] ReadError),
    #[error("the store could not be read")]
    Store(#[from] StoreError),
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
                let mut life = Life::new(config, &closing, &turn, id, &decisions);
                tasks.spawn(async move {
                    life.live(&decisions, OnDispute::TryAgain).await;
                    life.watch_beyond_cut().await;
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

/// Closes one proposal: waits for the end of its window, cuts, drains, recounts and publishes, as far as that is not done
/// yet. Returns the phase it ends in, final or disputed; one that was disputed before is counted again.
pub async fn close_one(
    config: Config,
    closing: Closing,
    proposal: ProposalId,
    shutdown: Shutdown,
) -> Result<Phase, CloseError> {
    let book = closing.proposals.book();
    let decisions = book.get(proposal).ok_or(CloseError::UnknownProposal { proposal })?;
    let mut life = Life::new(config, &closing, &Arc::new(Semaphore::new(1)), proposal, decisions);
    tokio::select! {
        () = shutdown.requested() => Err(CloseError::Interrupted),
        phase = life.live(decisions, OnDispute::End) => Ok(phase),
    }
}

/// What follows on a recount that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDispute {
    /// Another recount, later.
    TryAgain,
    /// Nothing more.
    End,
}

/// One proposal's way.
struct Life {
    config: Config,
    closing: Closing,
    turn: Arc<Semaphore>,
    id: ProposalId,
    definition: Arc<Definition>,
    phase: Option<Phase>,
    beyond_cut: BeyondCut,
}

impl Life {
    fn new(
        config: Config,
        closing: &Closing,
        turn: &Arc<Semaphore>,
        id: ProposalId,
        decisions: &ProposalDecisions,
    ) -> Self {
        let (closing, turn, definition) = (closing.clone(), Arc::clone(turn), Arc::clone(&decisions.definition));
        Self { config, closing, turn, id, definition, phase: None, beyond_cut: BeyondCut::default() }
    }

    /// Lives from the phase that the book and the clock say to the last one.
    async fn live(&mut self, decisions: &ProposalDecisions, on_dispute: OnDispute) -> Phase {
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

    /// Goes on looking beyond a cut that is not old.
    async fn watch_beyond_cut(&mut self) {
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

    async fn report_late(&mut self, cut: &Cut) -> Result<(), ReadError> {
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

    fn phase(&self) -> Phase {
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

    fn decisions(&self) -> Result<ProposalDecisions, StepError> {
        self.closing.proposals.book().get(self.id).cloned().ok_or(StepError::NotInBook)
    }

    fn cut(&self) -> Result<Arc<Cut>, StepError> {
        self.decisions()?.cut.ok_or(StepError::NotInBook)
    }

    /// Reads the ends once and writes them down, unless a cut stands already.
    async fn record_cut(&mut self) -> Result<Event, StepError> {
        if self.decisions()?.cut.is_none() {
            let cut = read_cut(&self.closing.log, self.id, clock::now()).await?;
            // Reading takes a while; another may have decided meanwhile, and its cut is as good.
            if self.decisions()?.cut.is_none() {
                self.closing.proposals.decide(Decision::Cut(cut)).await?;
            }
        }
        self.cut().map(|_| Event::CutRecorded)
    }

    async fn drain(&mut self) -> Result<Event, StepError> {
        self.register().await?;
        let lane_ends = self.verifiers_reached().await?;
        let mut waiting = Waiting::new(self.id, "the tally to reach the ends of its lanes");
        while !self.has_tally_reached(&lane_ends).await? {
            waiting.pause(self.config.drain_poll).await;
        }
        Ok(Event::DrainCompleted)
    }

    /// A process that only reads the store has to say what it reads, too.
    async fn register(&self) -> Result<(), StoreError> {
        let rules = CountingRules::of(self.definition.proposal());
        self.closing.store.register(self.id, rules, self.definition.lanes()).await
    }

    /// Waits until every record below the cut has a durable verdict; the lanes' ends read after that.
    async fn verifiers_reached(&self) -> Result<Vec<u64>, StepError> {
        let cut = self.cut()?;
        let mut waiting = Waiting::new(self.id, "the verifiers to reach the cut");
        loop {
            if let Some(lane_ends) = drain::verifiers_reached(&self.closing.log, &cut).await? {
                return Ok(lane_ends);
            }
            waiting.pause(self.config.drain_poll).await;
        }
    }

    async fn has_tally_reached(&self, lane_ends: &[u64]) -> Result<bool, StoreError> {
        let Closing { log, store, .. } = &self.closing;
        drain::tally_reached(store, log.identity(), self.id, lane_ends, true).await
    }

    /// Recounts, compares and publishes.
    async fn settle(&mut self) -> Result<Event, StepError> {
        let cut = self.cut()?;
        self.register().await?;
        let recounted = self.recount(&cut).await?;
        self.report_late(&cut).await?;
        let differences = self.live_tally().await?.differences(&recounted);
        if differences.is_empty() { self.publish(recounted).await } else { self.dispute(differences).await }
    }

    async fn recount(&self, cut: &Cut) -> Result<Recounted, StepError> {
        let _turn = self.turn.acquire().await.expect("the semaphore is never closed");
        let started = Instant::now();
        let progress = self.closing.progress.clone();
        let show = move |now| {
            progress.send_replace(now);
        };
        let recounted = recount(&self.closing.log, &self.definition, cut, self.config.threads, show).await?;
        self.closing.metrics.recounted(recounted.provenance.records, started.elapsed());
        Ok(recounted)
    }

    /// The live tally, read at a time when the store has all of it: a store that lost its data since the drain has not.
    async fn live_tally(&self) -> Result<LiveTally, StepError> {
        let lane_ends = self.verifiers_reached().await?;
        let mut waiting = Waiting::new(self.id, "the store to have all of the live tally");
        loop {
            if self.has_tally_reached(&lane_ends).await?
                && let Some(live) = LiveTally::read(&self.closing.store, self.id).await?
                && self.has_tally_reached(&lane_ends).await?
            {
                return Ok(live);
            }
            waiting.pause(self.config.drain_poll).await;
        }
    }

    async fn publish(&self, recounted: Recounted) -> Result<Event, StepError> {
        let Recounted { totals: _, core, provenance, ballots } = recounted;
        if self.decisions()?.result.is_none() {
            let result = PublishedResult::sign(core.clone(), provenance, &self.closing.key);
            self.closing.proposals.decide(Decision::Result(Box::new(result))).await?;
        } else {
            info!(proposal = %self.id, "another recount published a result first");
        }
        let standing = self.decisions()?.result.ok_or(StepError::NotInBook)?;
        if standing.core != core {
            return self.dispute(vec![format!("published core {:?}, recount {core:?}", standing.core)]).await;
        }
        if let Some(archives) = &self.closing.archives {
            archives.remember(self.id, ballots).await;
        }
        Ok(Event::RecountAgreed)
    }

    /// Says loudly that nothing is published, and writes it down unless that was done before.
    async fn dispute(&self, differences: Vec<String>) -> Result<Event, StepError> {
        self.closing.metrics.disputed();
        error!(
            proposal = %self.id,
            differences = differences.join("; "),
            retry_after_ms = millis(self.config.dispute_retry),
            "the recount differs, nothing is published until a person has looked",
        );
        if self.decisions()?.dispute.is_none() {
            self.closing.proposals.decide(Decision::Dispute(Dispute::new(self.id, differences))).await?;
        }
        Ok(Event::RecountDiffered)
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

/// Waits for others, and says so now and then.
struct Waiting {
    proposal: ProposalId,
    what: &'static str,
    said_at: Instant,
}

impl Waiting {
    fn new(proposal: ProposalId, what: &'static str) -> Self {
        Self { proposal, what, said_at: Instant::now() }
    }

    async fn pause(&mut self, poll: Duration) {
        if self.said_at.elapsed() >= WAITING_SAID_EVERY {
            self.said_at = Instant::now();
            warn!(proposal = %self.proposal, "still waiting for {}", self.what);
        }
        sleep(poll).await;
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
