//! The store: derived, disposable state that readers are served from, updated exactly once per lane and offset.
//!
//! A lane's position (which log, which next offset) and its totals are kept or lost together. A batch is applied only
//! on top of the position it starts from, so a second owner, a repeat or a retry changes nothing. Once an owner has said
//! that a lane lies below the cut, batches of owners that do not know the cut yet are refused, so whoever read that may
//! rely on it for as long as the lane is there.

mod memory;
mod redis;

use std::collections::BTreeMap;

use pnyx_core::{
    choice::Choice,
    counting::{CountingRules, Totals, TotalsDelta},
    id::{Lane, ProposalId, Voter},
    power::Power,
    rejection::Rejection,
    tally::StandingBallot,
};
use thiserror::Error;
use tokio::sync::watch;

use crate::log::{BackendError, LogIdentity};

pub use memory::MemoryStore;
pub use redis::{
    HostPort, KeyPrefix, RedisAddress, RedisConfig, RedisConfigError, RedisConnectError, RedisStore, RedisTls,
};

/// Offsets in one [`PlaceBlock`]: 1,024 bits are 128 bytes, small where a lane holds few records of a partition and
/// without much overhead where it holds many.
pub const PLACE_BLOCK_OFFSETS: u64 = 1024;

/// Words of a [`PlaceBlock`].
pub const PLACE_BLOCK_WORDS: usize = 16;

/// The store's backends. Clones share it.
#[derive(Debug, Clone)]
pub enum Store {
    /// In this process, gone with it.
    Memory(MemoryStore),
    /// In a Redis, shared by processes.
    Redis(RedisStore),
}

/// Up to where a lane's verdicts are in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanePosition {
    /// The log they were read from.
    pub log: LogIdentity,
    /// The first offset that is not in it.
    pub next_offset: u64,
    /// Whether the proposal's cut is decided, everything in the lane lies below it, and nothing else will be added.
    pub below_cut: bool,
}

/// One state of a lane: its position, and the write that led to it. Whoever reads a lane and finds the same stamp before
/// and after has read one state of it, even if the store lost the lane and got it back meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneStamp {
    /// Where the lane stands.
    pub position: LanePosition,
    /// Another number for each write of the lane; says nothing but that.
    pub write: u64,
}

/// One batch of a lane's verdicts, folded: applied whole or not at all, and only on top of the offset it starts from. It
/// may be empty, to say only that the lane lies below the cut.
#[derive(Debug, Clone)]
pub struct LaneBatch {
    /// The log the verdicts were read from.
    pub log: LogIdentity,
    /// Offset of the first verdict in it: must be the lane's stored next offset.
    pub from_offset: u64,
    /// The lane's next offset afterwards.
    pub next_offset: u64,
    /// Whether its owner knows the cut and the lane, this batch included, lies below it.
    pub below_cut: bool,
    /// Change of the totals.
    pub delta: TotalsDelta,
    /// How many verdicts of each kind.
    pub counters: LaneCounters,
    /// Voters whose standing ballot is new or another, each once, with the new one.
    pub standing: Vec<(Voter, StandingBallot)>,
    /// The blocks of places that the batch touched, each with all its bits afterwards.
    pub places: Vec<PlaceBlock>,
}

/// All of a lane, to be written at once when the store has lost it or holds another log's.
#[derive(Debug, Clone)]
pub struct LaneState {
    /// Up to where it was read.
    pub position: LanePosition,
    /// What its standing ballots add up to.
    pub totals: Totals,
    /// How many verdicts of each kind.
    pub counters: LaneCounters,
    /// Every standing ballot, each voter once.
    pub standing: Vec<(Voter, StandingBallot)>,
    /// Every place whose verdict is in it.
    pub places: Vec<PlaceBlock>,
}

/// How many verdicts a lane has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaneCounters {
    /// Verdicts that count, repeats and superseded ones included.
    pub counting: u64,
    /// Rejections by reason.
    pub rejected: BTreeMap<Rejection, u64>,
}

/// Which records of one block of a ballots partition have their verdict in the lane: what a new owner needs to count each
/// record once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceBlock {
    /// Partition of the ballots topic.
    pub partition: u32,
    /// Offsets divided by [`PLACE_BLOCK_OFFSETS`].
    pub block: u64,
    /// A bit an offset, the lowest offset in the lowest bit of the first word.
    pub bits: [u64; PLACE_BLOCK_WORDS],
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyOutcome {
    /// It is in the store.
    Applied,
    /// The lane is not where the writer thought, or lies below a cut that the writer does not know: nothing was changed.
    Fenced {
        /// The lane's stored next offset, 0 if the store has nothing of it.
        stored_next_offset: u64,
    },
}

/// The totals of a proposal as readers see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalView {
    /// Sum over the lanes.
    pub totals: Totals,
    /// Sum over the lanes.
    pub counters: LaneCounters,
    /// Where each lane stands; `None` where the store has nothing of it.
    pub positions: Vec<Option<LanePosition>>,
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// The proposal was never registered in this process, which can be done at any time.
    #[error("the store does not know proposal {proposal}")]
    UnknownProposal {
        /// The proposal.
        proposal: ProposalId,
    },
    /// The proposal has fewer lanes.
    #[error("proposal {proposal} has no lane {}", lane.0)]
    UnknownLane {
        /// The proposal.
        proposal: ProposalId,
        /// The lane.
        lane: Lane,
    },
    /// The proposal was registered with other rules or another number of lanes.
    #[error("proposal {proposal} is registered with other rules or lanes")]
    RegisteredOtherwise {
        /// The proposal.
        proposal: ProposalId,
    },
    /// The store did not answer in time or refused: whether a write was done is not known. Asking again later may
    /// succeed, and a repeated write is harmless.
    #[error("the store is unavailable")]
    Unavailable {
        /// What happened.
        #[source]
        source: BackendError,
    },
    /// What lies in the store cannot be what was written there: its owner replaces it from the log.
    #[error("the store's state of proposal {proposal} is damaged: {problem}")]
    Damaged {
        /// The proposal.
        proposal: ProposalId,
        /// What does not fit.
        problem: String,
    },
}

impl LaneCounters {
    /// Adds the counters of other verdicts.
    pub fn merge(&mut self, other: &Self) {
        self.counting += other.counting;
        for (rejection, count) in &other.rejected {
            *self.rejected.entry(*rejection).or_default() += count;
        }
    }
}

impl Store {
    /// Makes a proposal known, with empty lanes; again with the same rules and lanes changes nothing.
    pub async fn register(&self, proposal: ProposalId, rules: CountingRules, lanes: u16) -> Result<(), StoreError> {
        match self {
            Self::Memory(store) => store.register(proposal, rules, lanes),
            Self::Redis(store) => store.register(proposal, rules, lanes).await,
        }
    }

    /// Adds a batch and advances the lane, in one step, if the lane stands at the batch's log and first offset and does
    /// not lie below a cut that the batch's owner does not know. A lane of which the store has nothing stands at offset
    /// 0 of any log and below no cut.
    pub async fn apply(&self, proposal: ProposalId, lane: Lane, batch: LaneBatch) -> Result<ApplyOutcome, StoreError> {
        match self {
            Self::Memory(store) => store.apply(proposal, lane, batch),
            Self::Redis(store) => store.apply(proposal, lane, batch).await,
        }
    }

    /// Replaces all of a lane if it still stands where the writer saw it.
    pub async fn replace(
        &self,
        proposal: ProposalId,
        lane: Lane,
        seen: Option<LanePosition>,
        state: LaneState,
    ) -> Result<ApplyOutcome, StoreError> {
        match self {
            Self::Memory(store) => store.replace(proposal, lane, seen, state),
            Self::Redis(store) => store.replace(proposal, lane, seen, state).await,
        }
    }

    /// Where a lane stands; `None` if the store has nothing of it.
    pub async fn lane_position(&self, proposal: ProposalId, lane: Lane) -> Result<Option<LanePosition>, StoreError> {
        match self {
            Self::Memory(store) => store.lane_position(proposal, lane),
            Self::Redis(store) => store.lane_position(proposal, lane).await,
        }
    }

    /// The state that each lane is in; `None` where the store has nothing of it.
    pub async fn lane_stamps(&self, proposal: ProposalId) -> Result<Vec<Option<LaneStamp>>, StoreError> {
        match self {
            Self::Memory(store) => store.lane_stamps(proposal),
            Self::Redis(store) => store.lane_stamps(proposal).await,
        }
    }

    /// All of a lane, of one instant: what a new owner goes on from. `None` if the store has nothing of it.
    pub async fn load_lane(&self, proposal: ProposalId, lane: Lane) -> Result<Option<LaneState>, StoreError> {
        match self {
            Self::Memory(store) => store.load_lane(proposal, lane),
            Self::Redis(store) => store.load_lane(proposal, lane).await,
        }
    }

    /// Forgets all of a lane, as a store that loses data would.
    pub async fn drop_lane(&self, proposal: ProposalId, lane: Lane) -> Result<(), StoreError> {
        match self {
            Self::Memory(store) => store.drop_lane(proposal, lane),
            Self::Redis(store) => store.drop_lane(proposal, lane).await,
        }
    }

    /// Forgets all lanes of all proposals that are registered in this process.
    pub async fn flush(&self) -> Result<(), StoreError> {
        match self {
            Self::Memory(store) => {
                store.flush();
                Ok(())
            }
            Self::Redis(store) => store.flush().await,
        }
    }

    /// The totals of a proposal over all lanes, of one instant; `None` if it was never registered in this process.
    pub async fn view(&self, proposal: ProposalId) -> Result<Option<ProposalView>, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.view(proposal)),
            Self::Redis(store) => store.view(proposal).await,
        }
    }

    /// The ballot of a voter that counts.
    pub async fn standing_ballot(
        &self,
        proposal: ProposalId,
        voter: Voter,
    ) -> Result<Option<StandingBallot>, StoreError> {
        match self {
            Self::Memory(store) => store.standing_ballot(proposal, voter),
            Self::Redis(store) => store.standing_ballot(proposal, voter).await,
        }
    }

    /// At most `limit` standing ballots by voter ascending, after `after`.
    pub async fn standing_after(
        &self,
        proposal: ProposalId,
        after: Option<Voter>,
        limit: usize,
    ) -> Result<Vec<(Voter, StandingBallot)>, StoreError> {
        match self {
            Self::Memory(store) => store.standing_after(proposal, after, limit),
            Self::Redis(store) => store.standing_after(proposal, after, limit).await,
        }
    }

    /// At most `limit` voters by power descending (exact), then voter ascending, after `after`.
    pub async fn leaderboard(
        &self,
        proposal: ProposalId,
        after: Option<(Power, Voter)>,
        limit: usize,
    ) -> Result<Vec<(Voter, Power, Choice)>, StoreError> {
        match self {
            Self::Memory(store) => store.leaderboard(proposal, after, limit),
            Self::Redis(store) => store.leaderboard(proposal, after, limit).await,
        }
    }

    /// A version that rises with every change of the proposal.
    pub fn changes(&self, proposal: ProposalId) -> Result<watch::Receiver<u64>, StoreError> {
        match self {
            Self::Memory(store) => store.changes(proposal),
            Self::Redis(store) => store.changes(proposal),
        }
    }
}
