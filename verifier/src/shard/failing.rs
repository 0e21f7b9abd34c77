//! What shards do when the log, a topic or a chain fails them: try again ever more slowly, or give up.

use std::time::Duration;

use pnyx_backbone::{
    disabled::Fault,
    log::{AppendError, Log, LogError, Topic},
};
use pnyx_core::{id::Place, wire::WireError};
use thiserror::Error;

/// First pause after the log did not do what it was asked: a few writes of a log whose queue is full.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// Longest pause: with it a log that is out of reach costs nothing, and one that is back is used at once.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Why shards could not go on.
#[derive(Debug, Error)]
pub enum ShardError {
    /// A topic could not be made or joined.
    #[error("the topics cannot be used")]
    Topics(#[source] LogError),
    /// The number of lanes is fixed for ever, but the topic has another.
    #[error("{topic} has {partitions} partitions, the definition says {lanes} lanes")]
    Lanes {
        /// The topic of verdicts, or of deferred records.
        topic: Topic,
        /// Its partitions.
        partitions: u32,
        /// Lanes of the definition.
        lanes: u16,
    },
    /// Records could not be read.
    #[error("ballots could not be read")]
    Read(#[source] LogError),
    /// A deferred record is of no version that this build knows. To skip it would lose a ballot.
    #[error(
        "deferred record {at} cannot be read: an older build runs beside a newer one, or somebody else writes to the topic"
    )]
    Deferred {
        /// Where it lies in the deferred topic.
        at: Place,
        /// What is wrong with it.
        #[source]
        source: Box<WireError>,
    },
    /// Verdicts could not be written.
    #[error("verdicts could not be written")]
    Append(#[source] AppendError),
    /// Progress could not be noted.
    #[error("progress could not be committed")]
    Commit(#[source] LogError),
}

/// What follows on a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Trying again, for as long as it takes.
    TryAgain,
    /// Nothing: a person has to look.
    GiveUp,
}

/// What became of a try.
#[derive(Debug)]
pub(super) enum Tried<T> {
    /// It worked.
    Done(T),
    /// It did not, and it is time for another.
    Again,
    /// It did not, and the shard was stopped meanwhile.
    Stopped,
}

/// The pause before the next try; longer with each.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl ShardError {
    /// What is wrong with the proposal's topics; `None` if it is about the whole log.
    pub(crate) const fn fault(&self) -> Option<Fault> {
        match self {
            Self::Topics(error) | Self::Read(error) | Self::Commit(error) => error.fault(),
            Self::Lanes { .. } => Some(Fault::Partitions),
            Self::Deferred { .. } => Some(Fault::Damaged),
            Self::Append(error) => error.fault(),
        }
    }

    /// A log that is out of reach delays; only what no waiting can mend ends the shards.
    pub(super) fn remedy(&self, log: &Log) -> Remedy {
        let is_closed = match self {
            Self::Topics(error) | Self::Read(error) | Self::Commit(error) => matches!(error, LogError::Closed),
            Self::Append(error) => matches!(error, AppendError::Closed),
            Self::Lanes { .. } | Self::Deferred { .. } => false,
        };
        if is_closed || self.fault().is_some() || !log.is_writable() { Remedy::GiveUp } else { Remedy::TryAgain }
    }
}

impl Default for Pause {
    fn default() -> Self {
        Self(PAUSE_MIN)
    }
}

impl Pause {
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = pause.saturating_mul(2).min(PAUSE_MAX);
        pause
    }
}
