//! Proposals that rest because something is wrong with what belongs to them alone: everything else goes on, and each of
//! them is looked at again after a while, since a person may have mended it.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pnyx_core::id::ProposalId;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::{
    sync::watch,
    time::{self, Instant},
};
use tracing::{debug, error, info};

use crate::telemetry;

/// The first rest: a topic whose metadata was only late is back in use at once.
const REST_MIN: Duration = Duration::from_secs(1);

/// The longest rest: whoever mends a topic sees it in use within a minute, and hundreds that nobody mends cost nothing.
const REST_MAX: Duration = Duration::from_secs(60);

/// The rest of a proposal that nothing will ever be done for, unless somebody brings its topic back.
const REST_RETIRED: Duration = Duration::from_secs(600);

/// What is wrong with a proposal, so that only a person can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A topic that was there is gone.
    Missing,
    /// A topic has another number of partitions than it had or must have.
    Partitions,
    /// A topic's settings would lose records or their times.
    Settings,
    /// Records are missing in a topic, or cannot be read.
    Damaged,
    /// The cluster does not let us make or look at a topic.
    Refused,
    /// The store holds the proposal with other rules or lanes.
    Store,
    /// No fault: the result is published and the topic was deleted since, which whoever runs the platform may do.
    Retired,
}

impl Fault {
    /// Every one, for metrics that begin at 0.
    pub const ALL: [Self; 7] =
        [Self::Missing, Self::Partitions, Self::Settings, Self::Damaged, Self::Refused, Self::Store, Self::Retired];

    /// The value of the label `reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Partitions => "partitions",
            Self::Settings => "settings",
            Self::Damaged => "damaged",
            Self::Refused => "refused",
            Self::Store => "store",
            Self::Retired => "retired",
        }
    }
}

/// Which proposals of a component rest. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct DisabledProposals {
    shared: Arc<Shared>,
    gauge: Family<ReasonLabel, Gauge>,
}

#[derive(Debug, Default)]
struct Shared {
    by_proposal: Mutex<BTreeMap<ProposalId, State>>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// How long the next rest is.
    rest: Duration,
    /// It was in use before.
    was_enabled: bool,
    /// What was last said of it.
    reported: Option<Fault>,
    now: Now,
}

#[derive(Debug, Clone, Copy)]
enum Now {
    Enabled {
        since: Instant,
    },
    Disabled {
        fault: Fault,
        /// When it is looked at again; `None` while it is.
        again_at: Option<Instant>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

impl DisabledProposals {
    /// Registers the number of them under `name`, by reason; each begins at 0.
    pub fn register(&self, registry: &mut Registry, name: &'static str) {
        for fault in Fault::ALL {
            drop(self.gauge.get_or_create(&ReasonLabel { reason: fault.name() }));
        }
        registry.register(
            name,
            "Proposals that this process leaves alone because only a person can mend what belongs to them, by reason; \
             looked at again every minute at least, retired ones seldom",
            self.gauge.clone(),
        );
    }

    /// Lets a proposal rest. Says so once, however often the same is found again.
    pub fn disable(&self, proposal: ProposalId, fault: Fault, problem: &(dyn Error + 'static)) {
        let mut by_proposal = self.lock();
        let now = Instant::now();
        let before = by_proposal.get(&proposal).copied();
        let known = match before.map(|state| state.now) {
            Some(Now::Disabled { fault, .. }) => Some(fault),
            Some(Now::Enabled { .. }) | None => None,
        };
        let (rest, reported) = match before {
            // It worked for longer than it would rest: whatever it is now is something new.
            Some(State { now: Now::Enabled { since }, .. }) if now.duration_since(since) >= REST_MAX => {
                (REST_MIN, None)
            }
            Some(State { rest, reported, .. }) => (rest, reported),
            None => (REST_MIN, None),
        };
        let again_at = Some(now + if fault == Fault::Retired { REST_RETIRED } else { rest });
        let was_enabled = before.is_some_and(|state| state.was_enabled);
        let state = State {
            rest: (rest * 2).min(REST_MAX),
            was_enabled,
            reported: Some(fault),
            now: Now::Disabled { fault, again_at },
        };
        by_proposal.insert(proposal, state);
        drop(by_proposal);
        self.note_change(known, Some(fault));
        let problem = telemetry::chain(problem);
        match fault {
            _ if reported == Some(fault) => debug!(%proposal, problem, "the proposal is still disabled"),
            Fault::Retired => {
                info!(%proposal, problem, "the topic of a proposal with a result is gone; it is left alone")
            }
            Fault::Missing | Fault::Partitions | Fault::Settings | Fault::Damaged | Fault::Refused | Fault::Store => {
                error!(
                    %proposal, reason = fault.name(), problem,
                    "the proposal is disabled until somebody mends it; all others go on"
                );
            }
        }
    }

    /// Takes a proposal into use, again or for the first time.
    pub fn enable(&self, proposal: ProposalId) {
        let mut by_proposal = self.lock();
        let enabled = Now::Enabled { since: Instant::now() };
        let before = by_proposal.get(&proposal).copied();
        let known = match before.map(|state| state.now) {
            Some(Now::Enabled { .. }) => return,
            Some(Now::Disabled { fault, .. }) => Some(fault),
            None => None,
        };
        let (rest, reported) = before.map_or((REST_MIN, None), |state| (state.rest, state.reported));
        by_proposal.insert(proposal, State { rest, was_enabled: true, reported, now: enabled });
        drop(by_proposal);
        self.note_change(known, None);
        if known.is_some() {
            info!(%proposal, "the proposal is in use again");
        }
    }

    /// Nobody needs the proposal any more.
    pub fn forget(&self, proposal: ProposalId) {
        let before = self.lock().remove(&proposal);
        if let Some(State { now: Now::Disabled { fault, .. }, .. }) = before {
            self.note_change(Some(fault), None);
        }
    }

    /// Whether the proposal rests, or is only being looked at again.
    pub fn is_disabled(&self, proposal: ProposalId) -> bool {
        self.lock().get(&proposal).is_some_and(|state| matches!(state.now, Now::Disabled { .. }))
    }

    /// Whether the proposal was in use at any time since this process began: what belongs to it was there then.
    pub fn was_enabled(&self, proposal: ProposalId) -> bool {
        self.lock().get(&proposal).is_some_and(|state| state.was_enabled)
    }

    /// Waits until some proposals have rested long enough and gives each to whoever asks first: it looks at them, and
    /// then enables or disables them.
    pub async fn due(&self) -> Vec<ProposalId> {
        let mut changed = self.watch();
        loop {
            changed.mark_unchanged();
            let now = Instant::now();
            let (due, next) = self.take_due(now);
            if !due.is_empty() {
                return due;
            }
            // Whatever is disabled meanwhile may be due earlier. The sender lives as long as this does.
            let _ = match next {
                Some(next) => time::timeout_at(next, changed.changed()).await.unwrap_or(Ok(())),
                None => changed.changed().await,
            };
        }
    }

    /// Changes whenever a proposal is disabled or enabled.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    /// Those that are due, and when the next one will be.
    fn take_due(&self, now: Instant) -> (Vec<ProposalId>, Option<Instant>) {
        let (mut due, mut next) = (Vec::new(), None::<Instant>);
        for (proposal, state) in self.lock().iter_mut() {
            let Now::Disabled { again_at, .. } = &mut state.now else { continue };
            match *again_at {
                Some(at) if at <= now => {
                    *again_at = None;
                    due.push(*proposal);
                }
                Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                None => {}
            }
        }
        (due, next)
    }

    fn note_change(&self, before: Option<Fault>, after: Option<Fault>) {
        let gauge = |fault: Fault| self.gauge.get_or_create_owned(&ReasonLabel { reason: fault.name() });
        if let Some(fault) = before {
            gauge(fault).dec();
        }
        if let Some(fault) = after {
            gauge(fault).inc();
        }
        self.shared.changed.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProposalId, State>> {
        self.shared.by_proposal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[derive(Debug, thiserror::Error)]
    #[error("a problem")]
    struct Problem;

    const ONE: ProposalId = ProposalId::new([1; 32]);
    const OTHER: ProposalId = ProposalId::new([2; 32]);

    async fn rest_of(disabled: &DisabledProposals, expected: &[ProposalId]) -> u64 {
        let began = Instant::now();
        assert_eq!(disabled.due().await, expected);
        began.elapsed().as_millis().try_into().unwrap()
    }

    fn gauges(metrics: &Metrics) -> Vec<String> {
        let text = metrics.encode();
        text.lines()
            .filter(|line| line.starts_with("pnyx_disabled") && !line.ends_with(" 0"))
            .map(str::to_owned)
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn rests_double_and_begin_anew_after_a_long_use() {
        let disabled = DisabledProposals::default();
        let mut rests = Vec::new();
        for _ in 0..8 {
            disabled.disable(ONE, Fault::Settings, &Problem);
            let rested = rest_of(&disabled, &[ONE]).await;
            rests.push(rested / 1_000);
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(disabled.is_disabled(ONE), "it is only looked at");
        assert!(!disabled.was_enabled(ONE));

        disabled.enable(ONE);
        time::advance(Duration::from_secs(5)).await;
        disabled.disable(ONE, Fault::Settings, &Problem);
        assert_eq!(rest_of(&disabled, &[ONE]).await / 1_000, 60, "it did not work for long");
        disabled.enable(ONE);
        time::advance(REST_MAX).await;
        disabled.disable(ONE, Fault::Settings, &Problem);
        assert_eq!(rest_of(&disabled, &[ONE]).await / 1_000, 1);
        assert!(disabled.was_enabled(ONE) && !disabled.was_enabled(OTHER));
    }

    #[tokio::test(start_paused = true)]
    async fn each_counts_once_under_its_reason() {
        const NAME: &str = "disabled_proposals";
        let (disabled, metrics) = (DisabledProposals::default(), Metrics::new());
        metrics.register(|registry| disabled.register(registry, NAME));
        assert!(metrics.encode().contains("pnyx_disabled_proposals{reason=\"damaged\"} 0\n"));
        disabled.disable(ONE, Fault::Missing, &Problem);
        disabled.disable(ONE, Fault::Missing, &Problem);
        disabled.disable(OTHER, Fault::Missing, &Problem);
        assert_eq!(gauges(&metrics), ["pnyx_disabled_proposals{reason=\"missing\"} 2"]);
        disabled.disable(ONE, Fault::Damaged, &Problem);
        disabled.enable(OTHER);
        assert_eq!(gauges(&metrics), ["pnyx_disabled_proposals{reason=\"damaged\"} 1"]);
        disabled.forget(ONE);
        assert!(gauges(&metrics).is_empty());
    }

    /// One that is disabled while somebody waits for the next is not overlooked.
    #[tokio::test(start_paused = true)]
    async fn whoever_waits_hears_of_one_that_is_due_earlier() {
        let disabled = DisabledProposals::default();
        disabled.disable(OTHER, Fault::Retired, &Problem);
        let waiting = disabled.clone();
        let waiting = tokio::spawn(async move { rest_of(&waiting, &[ONE]).await });
        time::sleep(Duration::from_secs(3)).await;
        disabled.disable(ONE, Fault::Damaged, &Problem);
        assert_eq!(waiting.await.unwrap() / 1_000, 4);
        assert_eq!(rest_of(&disabled, &[OTHER]).await / 1_000, 596);
    }
}
