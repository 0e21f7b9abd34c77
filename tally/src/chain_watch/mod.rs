//! How the chains do that proposals read, so that readers are told why ballots wait.
//!
//! Ballots are weighed by the verifiers, perhaps in other processes; what their endpoints fail at, the same endpoints fail
//! at here. So each endpoint of a chain that a proposal in progress reads is asked from time to time what a look-up needs
//! of it, where ballots wait the chain is asked for their voters, and what every other request of this process met counts
//! as well. One look serves all readers. Nothing here
//! decides anything, and only endpoints' names are ever told.

mod claims;
mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use pnyx_backbone::{clock, log::Log, proposals::Proposals};
use pnyx_chains::{Chain, ChainStatus, Chains, EndpointStatus, Failure, Probe, Probed};
use pnyx_core::{
    chain::{ChainId, Pin},
    decisions::{DecisionBook, ProposalDecisions},
    time::TimestampMs,
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use self::waiting::Waiting;
use crate::{ends::Ends, lock, metrics::TallyMetrics};

/// Pause between two probes of an endpoint while ballots wait. With [`SILENT_AFTER`] and [`LOOK_INTERVAL`] what goes wrong is
/// told within 5 s; one or two small requests each time are little beside what one ballot may cost.
const PROBE_INTERVAL: Duration = Duration::from_millis(1_500);

/// How many of these pauses make one while no ballot waits and the endpoint answers: a minute, because providers count
/// requests, and windows last for weeks.
const IDLE_INTERVALS: u32 = 40;

/// When an endpoint that answers nothing at all is said to do so: many times what a sound one takes for a probe.
const SILENT_AFTER: Duration = Duration::from_secs(2);

/// How often what was found is put into words.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How the chains do, as seen from this process. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct ChainWatch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    chains: Chains,
    metrics: TallyMetrics,
    /// What is asked of each chain's endpoints; none of a chain that no proposal in progress reads.
    wanted: watch::Sender<BTreeMap<ChainId, Vec<Probe>>>,
    found: BTreeMap<ChainId, Vec<Mutex<Found>>>,
    /// Whether ballots wait anywhere.
    is_waited_for: AtomicBool,
    views: Mutex<BTreeMap<ChainId, ChainView>>,
}

/// What probing one endpoint came to, beside what its status says.
#[derive(Debug, Clone, Default)]
struct Found {
    /// When the probe began that has no answer yet.
    asked_at: Option<Instant>,
    /// How the last one ended, and when.
    last: Option<(Instant, Result<(), Failure>)>,
}

/// How a chain does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChainView {
    pub(crate) state: ChainState,
    /// What is wrong, also with endpoints that others answer for; `None` for nothing.
    pub(crate) reason: Option<String>,
    /// When it came to this state; `None` where nobody looked.
    pub(crate) since: Option<TimestampMs>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChainState {
    /// As many endpoints answer as must agree.
    Answering,
    /// Fewer do.
    Unreachable,
    /// They contradict each other, so that nothing is read.
    Stopped,
    /// This process cannot say, or not yet.
    Unknown,
}

impl ChainState {
    /// What the API calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Answering => "answering",
            Self::Unreachable => "unreachable",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }
}

impl ChainWatch {
    pub(crate) fn new(chains: Chains, metrics: TallyMetrics) -> Self {
        let of_chain = |chain: &Chain| (chain.id(), chain.probed().iter().map(|_| Mutex::default()).collect());
        let found = chains.iter().map(of_chain).collect();
        let (wanted, is_waited_for, views) = (watch::Sender::default(), AtomicBool::new(false), Mutex::default());
        Self(Arc::new(Inner { chains, metrics, wanted, found, is_waited_for, views }))
    }

    /// How a chain does that a proposal in progress reads.
    pub(crate) fn view(&self, chain: ChainId) -> ChainView {
        lock(&self.0.views).get(&chain).cloned().unwrap_or_else(|| ChainView {
            state: ChainState::Unknown,
            reason: Some(if self.0.chains.get(chain).is_some() {
                "it was not asked yet".to_owned()
            } else {
                "this process has no endpoint of it; the metrics and logs of the verifiers say how it does".to_owned()
            }),
            since: None,
        })
    }

    /// Watches until dropped.
    pub(crate) async fn run(self, log: Log, ends: Ends, proposals: Proposals) {
        if self.0.found.is_empty() {
            return;
        }
        let endpoints = self.0.chains.iter().flat_map(|chain| {
            let id = chain.id();
            chain.probed().into_iter().enumerate().map(move |(index, probed)| (id, index, probed))
        });
        let probing = endpoints.map(|(id, index, probed)| self.probe(id, index, probed));
        let waiting = Waiting { chains: self.0.chains.clone(), log, ends, proposals: proposals.clone() };
        tokio::join!(self.look(proposals), join_all(probing), waiting.follow(&self.0.is_waited_for));
    }

    /// Asks one endpoint again and again.
    async fn probe(&self, chain: ChainId, index: usize, endpoint: Probed) {
        let mut wanted = self.0.wanted.subscribe();
        let found = &self.0.found[&chain][index];
        let mut failed: Option<Probe> = None;
        loop {
            let mut probes = wanted.borrow_and_update().get(&chain).cloned().unwrap_or_default();
            // What failed last goes first, or an endpoint that fails at one and not at another would be well and ill by
            // turns.
            probes.sort_by_key(|probe| Some(*probe) != failed);
            if probes.is_empty() {
                *lock(found) = Found::default();
                if wanted.changed().await.is_err() {
                    return;
                }
                continue;
            }
            failed = None;
            for probe in probes {
                lock(found).asked_at = Some(Instant::now());
                let answer = endpoint.ask(probe).await;
                let is_answered = answer.is_ok();
                *lock(found) = Found { asked_at: None, last: Some((Instant::now(), answer)) };
                if !is_answered {
                    failed = Some(probe);
                    break;
                }
            }
            self.rest(failed.is_some()).await;
        }
    }

    /// The pause before an endpoint is asked again.
    async fn rest(&self, has_failed: bool) {
        for _ in 0..IDLE_INTERVALS {
            sleep(PROBE_INTERVAL).await;
            if has_failed || self.0.is_waited_for.load(Ordering::Relaxed) {
                break;
            }
        }
    }

    /// Follows the book, and puts what is found into words.
    async fn look(&self, proposals: Proposals) {
        let mut book = proposals.watch();
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        book.mark_changed();
        loop {
            ticks.tick().await;
            if book.has_changed().unwrap_or(false) {
                let needed = needed(&book.borrow_and_update());
                self.0.wanted.send_if_modified(|wanted| {
                    let is_news = *wanted != needed;
                    *wanted = needed;
                    is_news
                });
            }
            self.update_views();
        }
    }

    fn update_views(&self) {
        let Inner { chains, metrics, wanted, found, views, is_waited_for: _ } = &*self.0;
        let wanted = wanted.borrow();
        let mut views = lock(views);
        views.retain(|chain, _| wanted.contains_key(chain));
        for chain in chains.iter() {
            let id = chain.id();
            if !wanted.contains_key(&id) {
                metrics.forget_chain(id);
                continue;
            }
            let found: Vec<Found> = found[&id].iter().map(|found| lock(found).clone()).collect();
            let (state, reason) = judge(&chain.status(), &found, Instant::now());
            metrics.note_chain(id, state == ChainState::Answering);
            let before = views.get(&id);
            let since = before.filter(|view| view.state == state).and_then(|view| view.since);
            views.insert(id, ChainView { state, reason, since: since.or_else(|| Some(clock::now())) });
        }
    }
}

/// What is needed of the chains that proposals without a result read: the finalized block while pins are missing, and the
/// state at the first and the last of the pinned blocks, because nodes lose the oldest and lack the newest. Where contracts may
/// sign, with the gas that signatures need.
fn needed(book: &DecisionBook) -> BTreeMap<ChainId, Vec<Probe>> {
    let mut needed: BTreeMap<ChainId, Vec<Probe>> = BTreeMap::new();
    let mut pins: BTreeMap<ChainId, Vec<Pin>> = BTreeMap::new();
    let mut signers: BTreeSet<ChainId> = BTreeSet::new();
    for decisions in book.proposals().values().filter(|decisions| is_in_progress(decisions)) {
        signers.extend(decisions.definition.proposal().signers());
        for chain in decisions.definition.proposal().parts().snapshots.keys() {
            match decisions.pins.as_ref().and_then(|pins| pins.get(*chain)) {
                Some(pin) => pins.entry(*chain).or_default().push(*pin),
                None => {
                    let probes = needed.entry(*chain).or_default();
                    if probes.is_empty() {
                        probes.push(Probe::Finalized);
                    }
                }
            }
        }
    }
    for (chain, pins) in pins {
        let first = pins.iter().min_by_key(|pin| pin.number);
        let last = pins.iter().max_by_key(|pin| pin.number).filter(|last| Some(*last) != first);
        let probe = if signers.contains(&chain) { Probe::Signatures } else { Probe::State };
        needed.entry(chain).or_default().extend(first.into_iter().chain(last).map(|pin| probe(*pin)));
    }
    needed
}

/// Whether anything of a proposal may still wait for a chain.
pub(crate) const fn is_in_progress(decisions: &ProposalDecisions) -> bool {
    decisions.result.is_none()
}

/// How a chain does, from what its endpoints met and what probing them came to, in the same order.
fn judge(status: &ChainStatus, found: &[Found], now: Instant) -> (ChainState, Option<String>) {
    let ChainStatus { chain: _, agreement, contradicting, differing, endpoints } = status;
    if status.is_stopped() {
        let names: Vec<String> = contradicting.iter().map(ToString::to_string).collect();
        let reason = format!(
            "disagreement: {} contradict each other, and {agreement} must say the same; nothing is read until they do",
            names.join(", ")
        );
        return (ChainState::Stopped, Some(reason));
    }
    let judged: Vec<Judged> =
        endpoints.iter().zip(found).map(|(endpoint, found)| judge_endpoint(endpoint, found, now)).collect();
    let count = |wanted: fn(&Judged) -> bool| judged.iter().filter(|judged| wanted(judged)).count();
    let answering = count(|judged| matches!(judged, Judged::Answers | Judged::AnswersPartly(_)));
    let unknown = count(|judged| matches!(judged, Judged::Unknown));
    let state = if answering >= agreement.get() {
        ChainState::Answering
    } else if answering + unknown >= agreement.get() {
        ChainState::Unknown
    } else {
        ChainState::Unreachable
    };
    let named = endpoints.iter().zip(&judged).filter_map(|(endpoint, judged)| match judged {
        Judged::Answers | Judged::Unknown => None,
        Judged::AnswersPartly(problem) | Judged::Fails(problem) => Some(format!("{} {problem}", endpoint.name)),
    });
    let mut problems: Vec<String> = named.collect();
    if !differing.is_empty() {
        let names: Vec<String> = differing.iter().map(ToString::to_string).collect();
        problems.push(format!(
            "disagreement over a voter's contract: {} contradict each other, and {agreement} must say the same; ballots wait \
             that it signs, and no others",
            names.join(", ")
        ));
    }
    (state, (!problems.is_empty()).then(|| problems.join("; ")))
}

/// How an endpoint does.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Judged {
    Answers,
    /// What it answers is true, and there is something that it does not answer.
    AnswersPartly(String),
    Fails(String),
    Unknown,
}

fn judge_endpoint(status: &EndpointStatus, found: &Found, now: Instant) -> Judged {
    let EndpointStatus { name: _, trouble, answered_at } = status;
    if let Some(trouble) = trouble {
        return Judged::Fails(trouble.for_anybody());
    }
    let Found { asked_at, last } = found;
    let has_answered_since =
        |time: &Instant| answered_at.is_some_and(|answered_at| Instant::from_std(answered_at) >= *time);
    if let Some(asked_at) = asked_at
        && now.saturating_duration_since(*asked_at) >= SILENT_AFTER
        && !has_answered_since(asked_at)
    {
        return Judged::Fails(format!("has not answered for {} s", SILENT_AFTER.as_secs()));
    }
    match last {
        Some((_, Err(clamped @ Failure::GasClamped { .. }))) => Judged::AnswersPartly(clamped.to_string()),
        Some((ended_at, Err(failure))) if !has_answered_since(ended_at) => Judged::Fails(failure.for_anybody()),
        Some((_, Ok(()) | Err(_))) => Judged::Answers,
        None if answered_at.is_some() => Judged::Answers,
        None => Judged::Unknown,
    }
}

#[cfg(test)]
mod tests;
