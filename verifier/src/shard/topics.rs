//! The topics of a proposal: made where nobody has, and looked at as long as shards work on them.

use std::{sync::Arc, time::Duration};

use pnyx_backbone::{
    disabled::DisabledProposals,
    log::{DEFERRED_GROUP, GroupConsumer, Log, LogError, Topic, VERIFIER_GROUP},
};
use pnyx_core::{decisions::ProposalDecisions, proposal::Definition};
use tokio::sync::{Mutex, Semaphore};

use super::{Stage, failing::ShardError};
use crate::Verifying;

/// How often shards look whether their topics are still there: nothing else tells a member of a group that reads nothing.
const TOPICS_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The topics of a proposal.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    log: Log,
    definition: Arc<Definition>,
    pub(super) ballots: Topic,
    pub(super) verdicts: Topic,
    /// Only where contracts may sign.
    pub(super) deferred: Option<Topic>,
    /// Records were counted, so all of them were there.
    has_cut: bool,
    disabled: DisabledProposals,
    looks: Arc<Semaphore>,
    /// Both stages look at all topics; one must not see what the other is just making.
    preparing: Arc<Mutex<()>>,
}

impl Topics {
    pub(super) fn new(verifying: &Verifying, decisions: &ProposalDecisions) -> Self {
        let definition = Arc::clone(&decisions.definition);
        let proposal = definition.proposal();
        let id = proposal.id();
        Self {
            log: verifying.log.clone(),
            ballots: Topic::ballots(id),
            verdicts: Topic::verdicts(id),
            deferred: proposal.signers().map(|_| Topic::deferred(id)),
            has_cut: decisions.cut.is_some(),
            disabled: verifying.disabled.clone(),
            looks: Arc::clone(&verifying.looks),
            preparing: Arc::default(),
            definition,
        }
    }

    /// Joins the group of a stage's shards.
    ///
    /// # Panics
    /// If only keys sign and the stage is that of contracts.
    pub(super) fn join(&self, stage: &Stage) -> Result<GroupConsumer, LogError> {
        let (topic, group) = match stage {
            Stage::Ballots => (&self.ballots, VERIFIER_GROUP),
            Stage::Deferred(_) => (self.deferred.as_ref().expect("contracts may sign"), DEFERRED_GROUP),
        };
        self.log.subscribe(topic, group)
    }

    /// Makes the topics where nobody has. One that was there and is gone is not made again: ballots would be counted as
    /// verified whose verdicts are missing, or a proposal would go on that has lost its ballots.
    pub(super) async fn prepare(&self) -> Result<(), ShardError> {
        let _alone = self.preparing.lock().await;
        let _look = self.looks.acquire().await.expect("the semaphore is never closed");
        let lanes = self.definition.lanes();
        let ballots = self.partitions(&self.ballots).await?;
        let (mut there, mut missing) = (Vec::new(), Vec::new());
        for topic in self.of_lanes() {
            match self.partitions(topic).await? {
                Some(partitions) if partitions != u32::from(lanes) => {
                    return Err(ShardError::Lanes { topic: topic.clone(), partitions, lanes });
                }
                Some(_) => there.push(topic),
                None => missing.push(topic),
            }
        }
        let had_all = self.has_cut || self.disabled.was_enabled(self.definition.proposal().id());
        let gone = match (ballots, missing.first()) {
            (Some(_), None) => None,
            (None, _) if had_all => Some(&self.ballots),
            (None, _) => self.is_any_begun(&there).await?.then_some(&self.ballots),
            (Some(_), Some(missing)) => {
                let was_there = had_all || is_begun(self.log.committed(&self.ballots, VERIFIER_GROUP).await)?;
                was_there.then_some(*missing)
            }
        };
        if let Some(topic) = gone {
            return Err(ShardError::Topics(LogError::UnknownTopic { topic: topic.clone() }));
        }
        self.make().await.map_err(ShardError::Topics)
    }

    async fn make(&self) -> Result<(), LogError> {
        self.log.ensure_topic(&self.ballots, self.definition.ballots_partitions()).await?;
        for topic in self.of_lanes() {
            self.log.ensure_topic(topic, self.definition.lanes().into()).await?;
        }
        // Says if records are missing at the beginning.
        self.log.ends(&self.ballots).await.map(drop)
    }

    /// Looks at the topics again and again, until something is wrong with one.
    pub(super) async fn fail(&self) -> ShardError {
        loop {
            // The first look was a moment ago.
            tokio::time::sleep(TOPICS_CHECK_INTERVAL).await;
            let _look = self.looks.acquire().await.expect("the semaphore is never closed");
            if let Err(error) = self.check().await {
                return error;
            }
        }
    }

    /// Fails if a topic is gone or has fewer partitions than before.
    async fn check(&self) -> Result<(), ShardError> {
        for topic in [&self.ballots].into_iter().chain(self.of_lanes()) {
            if let Err(error) = self.log.partitions(topic).await
                && error.fault().is_some()
            {
                return Err(ShardError::Topics(error));
            }
        }
        Ok(())
    }

    /// Those that have a partition a lane.
    fn of_lanes(&self) -> impl Iterator<Item = &Topic> {
        [&self.verdicts].into_iter().chain(&self.deferred)
    }

    async fn is_any_begun(&self, topics: &[&Topic]) -> Result<bool, ShardError> {
        for topic in topics {
            if is_begun(self.log.ends(topic).await)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many partitions the topic has; `None` if there is no topic.
    async fn partitions(&self, topic: &Topic) -> Result<Option<u32>, ShardError> {
        match self.log.partitions(topic).await {
            Ok(partitions) => Ok(Some(partitions)),
            Err(LogError::UnknownTopic { .. }) => Ok(None),
            Err(error) => Err(ShardError::Topics(error)),
        }
    }
}

/// Whether there is anything in these partitions.
fn is_begun(offsets: Result<Vec<u64>, LogError>) -> Result<bool, ShardError> {
    Ok(offsets.map_err(ShardError::Topics)?.iter().any(|offset| *offset > 0))
}
