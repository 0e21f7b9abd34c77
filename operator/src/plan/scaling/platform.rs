//! How many instances of edge and tally a platform has: enough for all windows together.

use std::time::Duration;

use pnyx_core::{
    scaling::{self, ComponentSpec, Instances, InstancesHistory, Rate, WindowDemand, instances},
    time::TimestampMs,
};

use crate::{
    build::{Component, PlatformSize},
    observe::LiveChildren,
    plan::{Note, NoteKind, workload},
    validate::{Replicas, ValidatedPlatform},
};

/// What one edge takes, in ballots per second: where its answers were measured to be in time (docs/benchmarks.md).
const INGEST_RATE: u64 = 5_000;

/// What one tally takes, in verdicts per second: what is aimed at on one core, and was measured to be exceeded.
const TALLY_RATE: u64 = 200_000;

/// How much of that is planned with, in percent: edges shed what they cannot take, and should not come near.
const UTILIZATION_PERCENT: u32 = 60;

/// Between two looks while any window asks for something: the rules of giving back want looks without a gap of 15 s.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What was asked of a platform lately.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlatformHistory {
    ingest: InstancesHistory,
    tally: InstancesHistory,
}

/// What was decided for a platform.
#[derive(Debug, Clone, PartialEq)]
pub struct PlatformScaling {
    /// How many instances to build.
    pub size: PlatformSize,
    /// Why so many edges.
    pub ingest: Instances,
    /// Why so many tallies.
    pub tally: Instances,
    /// What people are told, if a number changes.
    pub notes: Vec<Note>,
    /// After what time to look again, if that depends on this.
    pub again: Option<Duration>,
}

impl PlatformHistory {
    /// Notes what was decided, once it was carried out.
    pub fn applied(&mut self, scaling: &PlatformScaling) {
        self.ingest.record(&scaling.ingest);
        self.tally.record(&scaling.tally);
    }
}

/// Decides for a platform, from what its windows ask for ([`super::Histories::demands`]).
pub fn platform_scaling(
    platform: &ValidatedPlatform,
    children: &LiveChildren,
    demands: &[WindowDemand],
    history: &PlatformHistory,
    now: TimestampMs,
) -> PlatformScaling {
    let parts = platform.parts();
    let ingest = spec(scaling::Component::Ingest, parts.ingest_replicas, INGEST_RATE);
    let tally = spec(scaling::Component::Tally, parts.tally_replicas, TALLY_RATE);
    let ingest = instances(&ingest, demands, there(children, Component::Ingest), &history.ingest, now);
    let tally = instances(&tally, demands, there(children, Component::Tally), &history.tally, now);
    let number = |chosen: &Instances| i32::try_from(chosen.to).unwrap_or(i32::MAX);
    let is_waiting = ingest.to > parts.ingest_replicas.least() || tally.to > parts.tally_replicas.least();
    PlatformScaling {
        size: PlatformSize { ingest: number(&ingest), tally: number(&tally) },
        notes: [note("ingest", &ingest), note("tally", &tally)].into_iter().flatten().collect(),
        again: (is_waiting || !demands.is_empty()).then_some(LOOK_AGAIN),
        ingest,
        tally,
    }
}

fn spec(component: scaling::Component, replicas: Replicas, rate: u64) -> ComponentSpec {
    ComponentSpec {
        min: replicas.least(),
        max: replicas.most(),
        rate_per_instance: Rate::per_second(rate),
        utilization_percent: UTILIZATION_PERCENT,
        component,
    }
}

fn there(children: &LiveChildren, component: Component) -> u32 {
    let replicas = workload::replicas(children, component.word());
    replicas.map_or(0, |replicas| u32::try_from(replicas.desired).unwrap_or(0))
}

/// What is made for the first time is no change.
fn note(name: &str, chosen: &Instances) -> Option<Note> {
    let Instances { from, to, demand, limit, .. } = chosen;
    let message = || {
        format!("{to} of {name} ({from} before): all windows together ask for {demand}; decided by {}", limit.name())
    };
    let is_change = *from > 0 && from != to;
    is_change.then(|| Note { kind: NoteKind::Normal, reason: "ReplicasChanged", action: "Scale", message: message() })
}
