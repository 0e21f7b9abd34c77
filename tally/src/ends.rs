//! How far the log is, read seldom and shared by lane owners and readers of the whole process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use pnyx_backbone::{
    drain::deferred_waiting,
    log::{Log, LogError, Topic, VERIFIER_GROUP},
    shutdown::Shutdown,
};
use pnyx_core::{id::ProposalId, proposal::Definition};
use tokio::time::Instant;

use crate::{
    ReadError, lock,
    recent::{Read, Recent},
};

/// How old the ends of a proposal's lanes may be where an exact figure decides nothing: one request a second.
pub(crate) const ENDS_AGE_MAX: Duration = Duration::from_secs(1);

/// Least time between two looks at how far the verifiers are. They are not answered from an older look, because a client
/// that has its receipts and reads a lag of 0 must be able to rely on it; so at most 4 looks a second.
const VERIFICATION_INTERVAL: Duration = Duration::from_millis(250);

/// Proposals by what the log last said of them. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    log: Log,
    shutdown: Shutdown,
    by_proposal: Arc<Mutex<BTreeMap<ProposalId, OfProposal>>>,
}

#[derive(Debug, Clone)]
struct OfProposal {
    lanes: Arc<Recent<Arc<[u64]>>>,
    verification: Arc<Recent<Arc<Verification>>>,
}

/// How far the records of a proposal are on their way to their verdicts. Read in the order of the fields, so that every
/// verdict of a record that is committed lies below the lanes' ends, and what is done is never ahead of what there is.
#[derive(Debug)]
pub(crate) struct Verification {
    /// Records by partition of the ballots topic whose verdicts are durable, or that were deferred.
    pub(crate) committed: Vec<u64>,
    /// Of those, how many wait for contracts at most: one that is put back may be counted twice.
    pub(crate) deferred: u64,
    /// Records in the ballots topic.
    pub(crate) accepted: u64,
    /// Ends of the lanes.
    pub(crate) lane_ends: Vec<u64>,
}

impl Ends {
    pub(crate) fn new(log: Log, shutdown: Shutdown) -> Self {
        Self { log, shutdown, by_proposal: Arc::default() }
    }

    /// The ends of a proposal's lanes, read at `since` or later if the log can be read.
    pub(crate) async fn lanes_since(&self, id: ProposalId, since: Instant) -> Result<Read<Arc<[u64]>>, ReadError> {
        self.of(id).lanes.get(|read| read.started >= since, |_| read_lanes(self.log.clone(), id)).await
    }

    /// The ends of a proposal's lanes, at most [`ENDS_AGE_MAX`] old if the log can be read.
    pub(crate) async fn lanes(&self, id: ProposalId) -> Result<Read<Arc<[u64]>>, ReadError> {
        self.of(id).lanes.get(|read| read.age() <= ENDS_AGE_MAX, |_| read_lanes(self.log.clone(), id)).await
    }

    /// The ends of a proposal's lanes as they were read last, without waiting.
    pub(crate) fn lanes_known(&self, id: ProposalId) -> Option<Read<Arc<[u64]>>> {
        self.of(id).lanes.peek(ENDS_AGE_MAX, |_| read_lanes(self.log.clone(), id))
    }

    /// How far the verifiers are, read after now if the log can be read.
    pub(crate) async fn verification(&self, of: &Arc<Definition>) -> Result<Read<Arc<Verification>>, ReadError> {
        let read = |_| read_verification(self.log.clone(), Arc::clone(of));
        self.of(of.proposal().id()).verification.get(|_| false, read).await
    }

    /// How far the verifiers are, at most [`ENDS_AGE_MAX`] old if the log can be read.
    pub(crate) async fn verification_known(&self, of: &Arc<Definition>) -> Result<Read<Arc<Verification>>, ReadError> {
        let is_young = |read: &Read<_>| read.age() <= ENDS_AGE_MAX;
        let read = |_| read_verification(self.log.clone(), Arc::clone(of));
        self.of(of.proposal().id()).verification.get(is_young, read).await
    }

    fn of(&self, id: ProposalId) -> OfProposal {
        let mut by_proposal = lock(&self.by_proposal);
        let of_proposal = by_proposal.entry(id).or_insert_with(|| OfProposal {
            lanes: Recent::new(Duration::ZERO, self.shutdown.clone()),
            verification: Recent::new(VERIFICATION_INTERVAL, self.shutdown.clone()),
        });
        of_proposal.clone()
    }
}

impl Verification {
    /// Records whose verdict is written.
    pub(crate) fn verified(&self) -> u64 {
        self.committed.iter().sum::<u64>().saturating_sub(self.deferred)
    }

    /// Records without a verdict.
    pub(crate) fn lag(&self) -> u64 {
        self.accepted.saturating_sub(self.verified())
    }
}

async fn read_lanes(log: Log, id: ProposalId) -> Result<Arc<[u64]>, ReadError> {
    Ok(none_yet(log.ends(&Topic::verdicts(id)).await)?.into())
}

async fn read_verification(log: Log, definition: Arc<Definition>) -> Result<Arc<Verification>, ReadError> {
    let id = definition.proposal().id();
    let ballots = Topic::ballots(id);
    let committed = none_yet(log.committed(&ballots, VERIFIER_GROUP).await)?;
    let deferred = match deferred_waiting(&log, definition.proposal()).await {
        Err(LogError::UnknownTopic { .. }) => 0,
        deferred => deferred?,
    };
    let accepted = none_yet(log.ends(&ballots).await)?.iter().sum();
    let lane_ends = none_yet(log.ends(&Topic::verdicts(id)).await)?;
    Ok(Arc::new(Verification { committed, deferred, accepted, lane_ends }))
}

/// A topic that is not made yet has no partitions.
fn none_yet(answer: Result<Vec<u64>, LogError>) -> Result<Vec<u64>, LogError> {
    match answer {
        Err(LogError::UnknownTopic { .. }) => Ok(Vec::new()),
        answer => answer,
    }
}
