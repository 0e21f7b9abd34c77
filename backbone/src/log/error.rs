//! What can go wrong with the log, one enum an operation's kind.

use std::{io, path::PathBuf, sync::Arc};

use thiserror::Error;

use super::{Topic, kafka::KafkaOpenError};
use crate::disabled::Fault;

/// A backend's own error. Shared, because one failed write fails every append that was in it.
pub type BackendError = Arc<dyn std::error::Error + Send + Sync>;

/// Why a log could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The log on Kafka.
    #[error(transparent)]
    Kafka(#[from] KafkaOpenError),
    /// The directory could not be made.
    #[error("data directory {} cannot be created", dir.display())]
    Create {
        /// The data directory.
        dir: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// The lock file could not be opened, locked or written.
    #[error("lock file {} cannot be used", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// Another process has the directory open.
    #[error("data directory {} is in use by {holder}; stop it or choose another with --data", dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// `process 4711`, or `another process` while that one is just starting.
        holder: String,
    },
    /// The storage engine could not open or recover its files.
    #[error("log in {} cannot be opened", dir.display())]
    Storage {
        /// The data directory.
        dir: PathBuf,
        /// The engine's error.
        #[source]
        source: BackendError,
    },
    /// Written by a later build.
    #[error("log in {} has format {found}, this build reads {known}", dir.display())]
    Format {
        /// The data directory.
        dir: PathBuf,
        /// The format found.
        found: u32,
        /// The format this build reads and writes.
        known: u32,
    },
    /// The engine opened, but what it holds is not a log.
    #[error("log in {} is damaged: {problem}", dir.display())]
    Damaged {
        /// The data directory.
        dir: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// Acknowledged records are gone: a damaged disk, or files put back from an older copy.
    #[error(
        "log in {} holds {found} records but had acknowledged {acknowledged}: restore it from a copy, or delete the file \
         {mark_file} in it to go on with what is left",
        dir.display()
    )]
    Missing {
        /// The data directory.
        dir: PathBuf,
        /// How many records there are.
        found: u64,
        /// How many there should be at least.
        acknowledged: u64,
        /// The file that says so.
        mark_file: &'static str,
    },
    /// The file that says how many records were acknowledged cannot be used.
    #[error("the mark of acknowledged records in {} cannot be used", dir.display())]
    Mark {
        /// The data directory.
        dir: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// The writer's thread could not be started.
    #[error("the log's writer cannot be started")]
    Writer {
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
}

/// Why records were not appended, or not acknowledged.
#[derive(Debug, Clone, Error)]
pub enum AppendError {
    /// The bounded queue is full: shed the request, the client may try again.
    #[error("the log's queue is full")]
    Overloaded,
    /// No such topic.
    #[error("topic {topic} does not exist")]
    UnknownTopic {
        /// The topic.
        topic: Topic,
    },
    /// No such partition.
    #[error("topic {topic} has no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: Topic,
        /// The partition.
        partition: u32,
    },
    /// A record above [`super::RECORD_BYTES_MAX`], or one batch above what the queue holds.
    #[error("{bytes} bytes are more than the log takes at once ({bytes_max})")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        bytes_max: usize,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// The write or its sync failed. The records are not acknowledged; whether they are in the log is unknown.
    #[error("the log could not be written")]
    Failed {
        /// The backend's error.
        #[source]
        source: BackendError,
    },
}

/// Why the log could not be read, or its topics or committed offsets not be kept.
#[derive(Debug, Clone, Error)]
pub enum LogError {
    /// No such topic.
    #[error("topic {topic} does not exist")]
    UnknownTopic {
        /// The topic.
        topic: Topic,
    },
    /// No such partition.
    #[error("topic {topic} has no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: Topic,
        /// The partition.
        partition: u32,
    },
    /// A topic cannot be without partitions.
    #[error("topic {topic} needs at least one partition")]
    NoPartitions {
        /// The topic.
        topic: Topic,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// Records could not be read.
    #[error("topic {topic} cannot be read")]
    Read {
        /// The topic.
        topic: Topic,
        /// The backend's error.
        #[source]
        source: BackendError,
    },
    /// A record that was appended is not there, or is not a record.
    #[error("topic {topic} is damaged: partition {partition} has no record {offset}")]
    Damaged {
        /// The topic.
        topic: Topic,
        /// The partition.
        partition: u32,
        /// The offset at which a record should be.
        offset: u64,
    },
    /// A topic could not be created or grown.
    #[error("topic {topic} cannot be written")]
    Topics {
        /// The topic.
        topic: Topic,
        /// The backend's error.
        #[source]
        source: BackendError,
    },
    /// The cluster does not answer just now. Ask again; nothing is known to be wrong with the topic.
    #[error("topic {topic} cannot be reached at the moment")]
    Unavailable {
        /// The topic.
        topic: Topic,
        /// The backend's error.
        #[source]
        source: BackendError,
    },
    /// A topic is there whose settings would lose records or their times.
    #[error("topic {topic} is not set up for a log: {problem}")]
    Settings {
        /// The topic.
        topic: Topic,
        /// What must be changed.
        problem: String,
    },
    /// Partitions are gone: the topic was deleted and made anew.
    #[error("topic {topic} has {partitions} partitions and had {before}")]
    Shrunk {
        /// The topic.
        topic: Topic,
        /// How many there are.
        partitions: u32,
        /// How many there were.
        before: u32,
    },
}

impl AppendError {
    /// What is wrong with the topic, if waiting mends nothing and no other topic is concerned.
    pub const fn fault(&self) -> Option<Fault> {
        match self {
            Self::UnknownTopic { .. } => Some(Fault::Missing),
            Self::UnknownPartition { .. } => Some(Fault::Partitions),
            Self::TooLarge { .. } => Some(Fault::Settings),
            Self::Overloaded | Self::Closed | Self::Failed { .. } => None,
        }
    }
}

impl LogError {
    /// What is wrong with the topic, if waiting mends nothing and no other topic is concerned. [`Self::Closed`] is not
    /// about a topic, and whatever else has none may be over in a moment.
    pub const fn fault(&self) -> Option<Fault> {
        match self {
            Self::UnknownTopic { .. } => Some(Fault::Missing),
            Self::UnknownPartition { .. } | Self::NoPartitions { .. } | Self::Shrunk { .. } => Some(Fault::Partitions),
            Self::Settings { .. } => Some(Fault::Settings),
            Self::Damaged { .. } => Some(Fault::Damaged),
            Self::Topics { .. } => Some(Fault::Refused),
            Self::Closed | Self::Read { .. } | Self::Unavailable { .. } => None,
        }
    }

    /// The topic that it is about.
    pub const fn topic(&self) -> Option<&Topic> {
        match self {
            Self::Closed => None,
            Self::UnknownTopic { topic }
            | Self::UnknownPartition { topic, .. }
            | Self::NoPartitions { topic }
            | Self::Read { topic, .. }
            | Self::Damaged { topic, .. }
            | Self::Topics { topic, .. }
            | Self::Unavailable { topic, .. }
            | Self::Settings { topic, .. }
            | Self::Shrunk { topic, .. } => Some(topic),
        }
    }
}
