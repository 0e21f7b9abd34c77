//! Metrics of the closing. The alarm starts at zero, so that its rise shows.

use std::{fmt, time::Duration};

use pnyx_backbone::telemetry::Metrics;
use pnyx_core::lifecycle::Phase;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

/// Upper bounds of the recount's duration in seconds: from a handful of ballots to tens of millions.
const RECOUNT_BUCKETS_S: [f64; 8] = [0.01, 0.1, 1.0, 10.0, 60.0, 300.0, 1_800.0, 7_200.0];

/// What the closing measures.
#[derive(Debug, Clone)]
pub struct RecountMetrics {
    phases: Family<PhaseLabels, Gauge>,
    duration_s: Histogram,
    records: Counter,
    disputes: Counter,
    late_records: Counter,
    /// Proposals that wait for their pins.
    pub(crate) unpinned: Gauge,
    /// Proposals pinned at blocks where a strategy can never answer.
    pub(crate) unanswerable: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: PhaseLabel,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct PhaseLabel(Phase);

impl fmt::Debug for PhaseLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl EncodeLabelValue for PhaseLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.0.name().encode(encoder)
    }
}

impl RecountMetrics {
    /// Registers the metrics.
    pub fn register(metrics: &Metrics) -> Self {
        let this = Self {
            phases: Family::default(),
            duration_s: Histogram::new(RECOUNT_BUCKETS_S),
            records: Counter::default(),
            disputes: Counter::default(),
            late_records: Counter::default(),
            unpinned: Gauge::default(),
            unanswerable: Counter::default(),
        };
        for phase in Phase::ALL {
            this.phase(phase).set(0);
        }
        metrics.register(|registry| {
            registry.register("recount_proposals", "Proposals in each phase of their life", this.phases.clone());
            registry.register(
                "recount_duration_seconds",
                "How long counting a proposal again from its raw records took",
                this.duration_s.clone(),
            );
            registry.register("recount_records", "Ballot records counted again", this.records.clone());
            registry.register(
                "recount_disputes",
                "Recounts that differ from the live tally: nothing is published until a person has looked",
                this.disputes.clone(),
            );
            registry.register(
                "recount_late_records",
                "Ballot records beyond a cut whose append time lies in the window: incidents",
                this.late_records.clone(),
            );
            registry.register(
                "recount_unpinned_proposals",
                "Proposals whose ballots wait because the blocks of their snapshot are not decided yet",
                this.unpinned.clone(),
            );
            registry.register(
                "recount_unanswerable_strategies",
                "Proposals pinned at blocks where one of their strategies can answer for nobody: no ballot has power",
                this.unanswerable.clone(),
            );
        });
        this
    }

    /// Recounts that differed from the live tally so far.
    pub fn disputes(&self) -> u64 {
        self.disputes.get()
    }

    /// Records beyond a cut with an append time in the window so far.
    pub fn late_records(&self) -> u64 {
        self.late_records.get()
    }

    pub(crate) fn moved(&self, from: Option<Phase>, to: Phase) {
        if let Some(from) = from {
            self.phase(from).dec();
        }
        self.phase(to).inc();
    }

    pub(crate) fn left(&self, from: Phase) {
        self.phase(from).dec();
    }

    pub(crate) fn recounted(&self, records: u64, duration: Duration) {
        self.records.inc_by(records);
        self.duration_s.observe(duration.as_secs_f64());
    }

    pub(crate) fn disputed(&self) {
        self.disputes.inc();
    }

    pub(crate) fn found_late(&self) {
        self.late_records.inc();
    }

    fn phase(&self, phase: Phase) -> Gauge {
        self.phases.get_or_create(&PhaseLabels { phase: PhaseLabel(phase) }).clone()
    }
}
