//! Hundreds of proposals on one platform, and one operator that looks after them: most are scheduled, some are open, and
//! their verifiers run on nodes that exist in the API alone.

use std::{collections::BTreeMap, thread, time::Duration};

use jiff::SignedDuration;
use pnyx_testbed::{
    KafkaCluster, KafkaOptions,
    kubernetes::{AuditEvent, ControlPlaneOptions, FakeNodes},
};

use crate::{
    bed::{Bed, names, wait_for},
    operator::Operator,
};

/// Proposals on the platform.
pub(crate) const PROPOSALS: usize = 500;

/// How many of them are open.
pub(crate) const OPEN: usize = 25;

/// How long the operator may take for all of them, on a machine that compiles beside.
const LIMIT: Duration = Duration::from_secs(600);

/// Nodes for the pods: a hundred each.
const NODES: usize = 2;

/// Names of operators, one after the other.
const OPERATORS: [&str; 2] = ["operator", "successor"];

/// Proposals that wait for an operator, and then have one.
pub(crate) struct Fleet {
    pub(crate) bed: Bed,
    _nodes: FakeNodes,
}

/// What an operator wrote in some time.
pub(crate) struct Writes {
    /// About each proposal and what was made for it.
    pub(crate) by_proposal: BTreeMap<String, usize>,
    /// All, without the lease.
    pub(crate) all: usize,
    /// In words, with how often.
    pub(crate) kinds: BTreeMap<String, usize>,
}

impl Fleet {
    /// Nobody looks after them yet.
    pub(crate) fn start(kafka: KafkaOptions) -> Self {
        let kafka = KafkaCluster::start(kafka).expect("Kafka starts");
        let bed = Bed::start(ControlPlaneOptions::new().controllers().scheduler(), kafka, &OPERATORS);
        let nodes = FakeNodes::start(&bed.control_plane, "fleet", NODES).expect("nodes can be imagined");
        bed.propose(&names("vote", OPEN), SignedDuration::from_secs(-60));
        bed.propose(&names("plan", PROPOSALS - OPEN), SignedDuration::from_hours(24));
        Self { bed, _nodes: nodes }
    }

    /// The first operator, and the one after it.
    pub(crate) fn operator(&self, turn: usize) -> Operator {
        self.bed.operator(OPERATORS[turn])
    }

    /// Waits until all stand in the log and have what runs them. The operator is asked first: lists of hundreds cost the API
    /// server as much as what it is asked to do for them.
    pub(crate) fn wait_until_reconciled(&self, operator: &Operator) {
        let made = || operator.metric("pnyx_operator_writes_total{kind=\"Deployment\",verb=\"apply\"}");
        wait_for("all have verifiers", LIMIT, || made().is_some_and(|made| made >= PROPOSALS as f64));
        wait_for("all are accepted", LIMIT, || self.bed.accepted() == PROPOSALS);
        let verifiers = ["get", "deployments", "--selector=app.kubernetes.io/component=verifier", "--output=name"];
        wait_for("their verifiers are there", LIMIT, || self.bed.kubectl(&verifiers).lines().count() == PROPOSALS);
    }

    /// Waits until nothing was written for a while: pods are Ready, and status says so.
    pub(crate) fn wait_until_steady(&self, turn: usize, quiet: Duration) {
        let written = || self.writes(turn, 0).all;
        wait_for("nothing is left to write", LIMIT, || {
            let before = written();
            thread::sleep(quiet);
            written() == before
        });
    }

    /// How many events the API server has noted of an operator's writes.
    pub(crate) fn written(&self, turn: usize) -> usize {
        self.bed.writes_of(OPERATORS[turn]).len()
    }

    /// What an operator wrote after the first `from` of its writes.
    pub(crate) fn writes(&self, turn: usize, from: usize) -> Writes {
        let events = self.bed.writes_of(OPERATORS[turn]);
        let events = events.into_iter().skip(from).filter(|event| event.resource != "leases");
        let mut writes = Writes { by_proposal: BTreeMap::new(), all: 0, kinds: BTreeMap::new() };
        for event in events {
            writes.all += 1;
            let proposal = proposal_of(&event);
            let kind = format!("{} {} {}", event.verb, event.resource, event.subresource);
            *writes.by_proposal.entry(proposal).or_default() += 1;
            *writes.kinds.entry(kind).or_default() += 1;
        }
        writes
    }
}

/// All names of proposals are as long, and what is made for one begins with its name. New Events have no name there.
fn proposal_of(event: &AuditEvent) -> String {
    event.name.chars().take("vote-000".len()).collect()
}
