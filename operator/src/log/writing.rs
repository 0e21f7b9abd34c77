//! What an operator writes into a log: topics with their definition, partitions, and that counted topics go. Nobody acts on a definition before it
//! was read back, so two operators, a retry or one that was stopped in the middle do no harm.

use std::{fmt, time::Duration};

use pnyx_backbone::{
    log::{LogError, Topic},
    proposals::DecideError,
};
use pnyx_core::{
    decisions::{Decision, Recorded},
    id::ProposalId,
    proposal::Definition,
};
use thiserror::Error;

use super::{Logs, state::Link};
use crate::{
    kinds::ObjectKey,
    lease::{Leadership, NotLeading},
};

/// Longest that one write may take: three topics of a cluster that is busy, and a record that is read back. Below what one
/// look at a resource may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(40);

/// Something to write into a platform's log.
#[derive(Debug, Clone, PartialEq)]
pub enum LogWrite {
    /// Make a proposal's topics, then record what voters sign.
    Define {
        /// Whose log.
        platform: ObjectKey,
        /// What is recorded.
        definition: Box<Definition>,
    },
    /// Give a ballots topic more partitions.
    Grow {
        /// Whose log.
        platform: ObjectKey,
        /// Which proposal.
        proposal: ProposalId,
        /// How many it has.
        from: u32,
        /// How many it gets.
        to: u32,
    },
    /// Remove all topics of a proposal whose result is published.
    Remove {
        /// Whose log.
        platform: ObjectKey,
        /// Which proposal.
        proposal: ProposalId,
    },
}

/// Why it was not written, as far as is known.
#[derive(Debug, Error)]
pub enum LogWriteError {
    /// Another process leads, so this one writes nothing more.
    #[error("this process does not lead")]
    NotLeading(#[from] NotLeading),
    /// The log is not open now.
    #[error("the log is not open now")]
    NotOpen,
    /// A topic could not be made or grown.
    #[error("the topic is not as it must be")]
    Topic(#[source] LogError),
    /// The definition was not recorded.
    #[error("the definition was not recorded")]
    Decide(#[from] DecideError),
    /// Another definition of the same id stands in the log: other lanes or partitions, which bind nobody.
    #[error("the log did not take the definition: {0:?}")]
    Refused(Recorded),
    /// No result of it stands in the log, so its ballots may be all that is left of a vote.
    #[error("topics are not removed before the result is published")]
    NotCounted,
    /// It took too long; whether it was written is seen at the next look.
    #[error("no answer in {} s", WRITE_TIMEOUT.as_secs())]
    TimedOut,
}

impl Logs {
    /// Writes it, as whom `leadership` names. That is several writes, one after the other; before each it is asked whether this
    /// process still leads.
    ///
    /// # Errors
    /// If it may not have been written.
    pub async fn write(&self, write: &LogWrite, leadership: &Leadership) -> Result<(), LogWriteError> {
        let written = async {
            match write {
                LogWrite::Define { platform, definition } => self.define(platform, definition, leadership).await,
                LogWrite::Grow { platform, proposal, from: _, to } => {
                    leadership.begin(write)?;
                    self.grow(platform, *proposal, *to).await
                }
                LogWrite::Remove { platform, proposal } => {
                    leadership.begin(write)?;
                    self.remove(platform, *proposal).await
                }
            }
        };
        tokio::time::timeout(WRITE_TIMEOUT, written).await.map_err(|_| LogWriteError::TimedOut)?
    }

    async fn define(
        &self,
        platform: &ObjectKey,
        definition: &Definition,
        leadership: &Leadership,
    ) -> Result<(), LogWriteError> {
        let (link, id) = (self.link(platform)?, definition.proposal().id());
        for (topic, partitions) in topics_of(definition) {
            leadership.begin(&format_args!("make the topic {topic} with {partitions} partitions"))?;
            link.log.ensure_topic(&topic, partitions).await.map_err(LogWriteError::Topic)?;
        }
        leadership.begin(&format_args!("record the definition of {id}"))?;
        match link.proposals.decide(Decision::Definition(Box::new(definition.clone()))).await? {
            // Another operator was faster: what stands is what binds voters, whatever its layout.
            Recorded::Stands | Recorded::Repeated | Recorded::Conflicts => Ok(()),
            recorded @ Recorded::Unknown => Err(LogWriteError::Refused(recorded)),
        }
    }

    async fn grow(&self, platform: &ObjectKey, proposal: ProposalId, to: u32) -> Result<(), LogWriteError> {
        let link = self.link(platform)?;
        link.log.grow_topic(&Topic::ballots(proposal), to).await.map_err(LogWriteError::Topic)
    }

    /// Those that went before are gone already, so it can be done again; where there are no ballots, it was done to its end.
    async fn remove(&self, platform: &ObjectKey, proposal: ProposalId) -> Result<(), LogWriteError> {
        let link = self.link(platform)?;
        let book = link.proposals.book();
        let counted = book.get(proposal).filter(|decisions| decisions.result.is_some());
        let definition = &counted.ok_or(LogWriteError::NotCounted)?.definition;
        for (topic, _) in topics_of(definition).into_iter().rev() {
            link.log.delete_topic(&topic).await.map_err(LogWriteError::Topic)?;
        }
        if let Some(log) = self.log(platform) {
            log.note_removed(proposal);
        }
        Ok(())
    }

    fn link(&self, platform: &ObjectKey) -> Result<Link, LogWriteError> {
        self.log(platform).and_then(|log| log.link()).ok_or(LogWriteError::NotOpen)
    }
}

/// The topics of a proposal, and how many partitions each begins with.
fn topics_of(definition: &Definition) -> Vec<(Topic, u32)> {
    let (id, lanes) = (definition.proposal().id(), definition.lanes().into());
    let mut topics = vec![(Topic::ballots(id), definition.ballots_partitions()), (Topic::verdicts(id), lanes)];
    topics.extend(definition.proposal().signers().map(|_| (Topic::deferred(id), lanes)));
    topics
}

impl fmt::Display for LogWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Define { platform: _, definition } => write!(
                f,
                "define {} with {} partitions and {} lanes",
                definition.proposal().id(),
                definition.ballots_partitions(),
                definition.lanes()
            ),
            Self::Grow { platform: _, proposal, from, to } => {
                write!(f, "grow the ballots of {proposal} from {from} to {to} partitions")
            }
            Self::Remove { platform: _, proposal } => write!(f, "remove the topics of {proposal}"),
        }
    }
}
