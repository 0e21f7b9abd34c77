//! How far the shards are behind the log.

use pnyx_backbone::{
    clock,
    log::{DEFERRED_GROUP, Log, LogError, LogRecord, Topic, VERIFIER_GROUP},
};
use pnyx_core::{id::ProposalId, time::TimestampMs, wire::deferred};
use tracing::debug;

/// What waits, over all live proposals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lag {
    /// In the ballots topics.
    pub(crate) ballots: Waiting,
    /// In the deferred topics, for contracts.
    pub(crate) deferred: Waiting,
}

/// What waits in one kind of topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Waiting {
    /// Records that are not committed.
    pub(crate) records: u64,
    /// How long ago the oldest of them was accepted; 0 when there is none.
    pub(crate) oldest_age_ms: u64,
}

/// What waits of these proposals, of which each is with whether contracts may sign.
pub(crate) async fn measure(log: &Log, proposals: impl Iterator<Item = (ProposalId, bool)>) -> Result<Lag, LogError> {
    let mut lag = Lag::default();
    for (proposal, has_deferred) in proposals {
        match add(log, proposal, has_deferred, &mut lag).await {
            Ok(()) => {}
            // Its shards have only just been started, or will find out what is wrong with it. The others are measured.
            Err(error) if error.fault().is_some() => debug!(%proposal, %error, "its lag could not be measured"),
            Err(error) => return Err(error),
        }
    }
    Ok(lag)
}

async fn add(log: &Log, proposal: ProposalId, has_deferred: bool, lag: &mut Lag) -> Result<(), LogError> {
    lag.ballots.add(log, &Topic::ballots(proposal), VERIFIER_GROUP, |record| record.appended_at).await?;
    if has_deferred {
        // A record that is put back is as old as before.
        let accepted_at =
            |record: &LogRecord| deferred::decode(&record.value).map_or(record.appended_at, |it| it.appended_at);
        lag.deferred.add(log, &Topic::deferred(proposal), DEFERRED_GROUP, accepted_at).await?;
    }
    Ok(())
}

impl Waiting {
    async fn add(
        &mut self,
        log: &Log,
        topic: &Topic,
        group: &str,
        accepted_at: impl Fn(&LogRecord) -> TimestampMs,
    ) -> Result<(), LogError> {
        // First what is committed, then the ends: what arrives in between may be counted, never the other way round.
        let committed = log.committed(topic, group).await?;
        let ends = log.ends(topic).await?;
        for (partition, end) in (0_u32..).zip(ends) {
            let index = usize::try_from(partition).ok();
            let next = index.and_then(|partition| committed.get(partition)).copied().unwrap_or(0);
            if next >= end {
                continue;
            }
            self.records += end - next;
            let oldest = log.reader(topic, partition, next)?.read_available(1).await?;
            let ages = oldest.iter().map(|record| clock::now().saturating_since_ms(accepted_at(record)));
            self.oldest_age_ms = ages.fold(self.oldest_age_ms, u64::max);
        }
        Ok(())
    }
}
