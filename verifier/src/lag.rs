//! How far the shards are behind the log.

use pnyx_backbone::{
    clock,
    log::{Log, LogError, Topic, VERIFIER_GROUP},
};
use pnyx_core::id::ProposalId;
use tracing::debug;

/// What waits for a verdict, over all live proposals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lag {
    /// Records without a committed verdict.
    pub(crate) records: u64,
    /// How long the oldest of them has been in the log; 0 when there is none.
    pub(crate) oldest_age_ms: u64,
}

pub(crate) async fn measure(log: &Log, proposals: impl Iterator<Item = ProposalId>) -> Result<Lag, LogError> {
    let mut lag = Lag::default();
    for proposal in proposals {
        match add(log, proposal, &mut lag).await {
            Ok(()) => {}
            // Its shards have only just been started, or will find out what is wrong with it. The others are measured.
            Err(error) if error.fault().is_some() => debug!(%proposal, %error, "its lag could not be measured"),
            Err(error) => return Err(error),
        }
    }
    Ok(lag)
}

async fn add(log: &Log, proposal: ProposalId, lag: &mut Lag) -> Result<(), LogError> {
    let topic = Topic::ballots(proposal);
    // First what is committed, then the ends: what arrives in between may be counted, never the other way round.
    let committed = log.committed(&topic, VERIFIER_GROUP).await?;
    let ends = log.ends(&topic).await?;
    for (partition, end) in (0_u32..).zip(ends) {
        let next = usize::try_from(partition).ok().and_then(|partition| committed.get(partition)).copied().unwrap_or(0);
        if next >= end {
            continue;
        }
        lag.records += end - next;
        let oldest = log.reader(&topic, partition, next)?.read_available(1).await?;
        let ages = oldest.iter().map(|record| clock::now().saturating_since_ms(record.appended_at));
        lag.oldest_age_ms = ages.fold(lag.oldest_age_ms, u64::max);
    }
    Ok(())
}
