//! Why something could not be written.

use pnyx_crds::conditions::reasons;
use thiserror::Error;

use crate::{kinds::ObjectKey, lease::NotLeading, log::LogWriteError};

/// Why something could not be written.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// Another process leads, so this one writes nothing.
    #[error("this process does not lead")]
    NotLeading(#[from] NotLeading),
    /// The API server did not answer in time; whether it wrote is open, and is seen at the next look.
    #[error("no answer in time")]
    TimedOut,
    /// The API server refused.
    #[error("the API server refused")]
    Refused(#[source] Box<kube::Error>),
    /// Something of that name belongs to somebody else.
    #[error("{kind} {key} exists and is not ours: rename or delete it")]
    Foreign {
        /// What it is.
        kind: &'static str,
        /// Where it is.
        key: ObjectKey,
    },
    /// The platform's log did not take it.
    #[error("the log was not written")]
    Log(#[source] LogWriteError),
    /// An effect of a plan failed.
    #[error("{effect}")]
    Effect {
        /// Which one, in words.
        effect: String,
        /// Why.
        #[source]
        source: Box<Self>,
    },
}

impl From<LogWriteError> for ApplyError {
    fn from(error: LogWriteError) -> Self {
        match error {
            LogWriteError::NotLeading(reason) => Self::NotLeading(reason),
            error @ (LogWriteError::NotOpen
            | LogWriteError::Topic(_)
            | LogWriteError::Decide(_)
            | LogWriteError::Refused(_)
            | LogWriteError::NotCounted
            | LogWriteError::TimedOut) => Self::Log(error),
        }
    }
}

impl ApplyError {
    /// Who did not do what was asked, as conditions name it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Effect { effect: _, source } => source.reason(),
            Self::Log(_) => reasons::KAFKA_UNREACHABLE,
            Self::NotLeading(_) | Self::TimedOut | Self::Refused(_) | Self::Foreign { .. } => reasons::API_ERROR,
        }
    }

    /// Whether the object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(error) if matches!(&**error, kube::Error::Api(status) if status.is_not_found()))
    }

    /// Whether the object is not as it was thought to be.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(error) if matches!(&**error, kube::Error::Api(status) if status.is_conflict()))
    }
}
