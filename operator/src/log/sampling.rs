//! Looks at how far topics are written and verified, for all proposals of a platform together: as many as may be at once,
//! and the more there are, the less often each.

use futures_util::{FutureExt as _, StreamExt as _, stream};
use pnyx_backbone::{
    clock,
    drain::{deferred_waiting, is_verified},
    log::{Log, LogError, Topic, VERIFIER_GROUP},
    telemetry,
};
use pnyx_core::{
    decisions::{DecisionBook, ProposalDecisions},
    id::ProposalId,
    scaling::{Offsets, PartitionOffsets, SAMPLE_INTERVAL_MS_MIN},
    time::{TimestampMs, WindowPosition},
};
use tracing::debug;

use super::state::{PlatformLog, TopicsKnown};

/// Between two looks at a proposal whose ballots come or wait: a third of the age up to which a sample is fresh.
const BUSY_INTERVAL_MS: u64 = 5_000;

/// Between two looks at one whose last look gave no sample, for lack of one to compare it with: as soon as rates can be told,
/// because until then nothing is known of it.
const FIRST_INTERVAL_MS: u64 = 2 * SAMPLE_INTERVAL_MS_MIN;

/// Between two looks at one that is not open yet, of which only the topics have to be there, or at one that is counted, until
/// it is known whether they are still there.
const QUIET_INTERVAL_MS: u64 = 60_000;

/// Between two looks at a counted one whose topics were not there: they are gone for ever, unless the broker that was asked
/// had just come back and did not know them yet.
const GONE_INTERVAL_MS: u64 = 3_600_000;

/// What one more busy proposal adds to the time between two looks: 500 of them are looked at every 10 s, which is 100
/// questions a second.
const SPREAD_MS: u64 = 20;

/// Proposals that are looked at at once: brokers answer within milliseconds, and one that does not answer holds one place
/// for the time-out of a question.
const LOOKS_AT_ONCE: usize = 8;

/// A proposal that is due, as a look needs it.
struct Due {
    decisions: ProposalDecisions,
    /// What is looked at.
    look: Look,
    before: TopicsKnown,
}

/// How much of a proposal's topics is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// How far they are written and verified.
    Offsets,
    /// How many partitions there are.
    Partitions,
    /// Whether they are still there: they may have been removed.
    Left,
}

/// Looks at all proposals that are due; returns those of which others wait for what was seen.
pub(super) async fn look(log: &Log, known: &PlatformLog, book: &DecisionBook, now: TimestampMs) -> Vec<ProposalId> {
    known.keep_only(|proposal| book.get(proposal).is_some());
    let due = due(known, book, now);
    let look = |due: Due| {
        async move {
            let id = due.decisions.definition.proposal().id();
            match look_at(log, due, now).await {
                Ok(seen) => known.note(id, seen).then_some(id),
                Err(error) => {
                    // The sample that is there grows old, which says it all.
                    debug!(proposal = %id, error = telemetry::chain(&error), "its topics could not be looked at");
                    // It rests as long as one that answered.
                    known.note(id, TopicsKnown { looked_at: Some(now), ..known.topics_known(id) });
                    None
                }
            }
        }
        .boxed()
    };
    let looks: Vec<_> = due.into_iter().map(look).collect();
    stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE).filter_map(std::future::ready).collect().await
}

fn due(known: &PlatformLog, book: &DecisionBook, now: TimestampMs) -> Vec<Due> {
    let id = |decisions: &ProposalDecisions| decisions.definition.proposal().id();
    let asked: Vec<_> = book.proposals().values().filter(|it| known.is_asked_for(id(it), now)).collect();
    let looks = asked.iter().map(|it| (*it, look_for(it, now)));
    let busy_ms = busy_interval_ms(looks.clone().filter(|(_, look)| *look == Some(Look::Offsets)).count());
    let mut due = Vec::new();
    for (decisions, look) in looks {
        let (Some(look), before) = (look, known.topics_known(id(decisions))) else { continue };
        let Some(interval_ms) = interval_ms(look, &before, busy_ms) else { continue };
        // A clock that was set back makes nobody wait.
        let rested = |at: TimestampMs| at > now || now.saturating_since_ms(at) >= interval_ms;
        if before.looked_at.is_none_or(rested) {
            due.push(Due { decisions: decisions.clone(), look, before });
        }
    }
    due
}

/// Between two looks at a proposal; none where nothing is left to learn.
fn interval_ms(look: Look, before: &TopicsKnown, busy_ms: u64) -> Option<u64> {
    match (look, before.partitions) {
        (Look::Offsets, _) if before.lacks_sample() => Some(FIRST_INTERVAL_MS),
        (Look::Offsets, _) => Some(busy_ms),
        (Look::Partitions, _) | (Look::Left, None) => Some(QUIET_INTERVAL_MS),
        (Look::Left, Some(0)) => Some(GONE_INTERVAL_MS),
        (Look::Left, Some(_)) => None,
    }
}

/// What is to be known of a proposal's topics now. Nobody asks for those of one that is counted, unless they may go.
fn look_for(decisions: &ProposalDecisions, now: TimestampMs) -> Option<Look> {
    if decisions.result.is_some() {
        return decisions.archive.is_some().then_some(Look::Left);
    }
    Some(match decisions.definition.proposal().window().position(now) {
        WindowPosition::Before => Look::Partitions,
        WindowPosition::Inside | WindowPosition::After => Look::Offsets,
    })
}

async fn look_at(log: &Log, due: Due, now: TimestampMs) -> Result<TopicsKnown, LogError> {
    let Due { decisions, look, before } = due;
    let proposal = decisions.definition.proposal();
    let ballots = Topic::ballots(proposal.id());
    if look != Look::Offsets {
        let partitions = match log.partitions(&ballots).await {
            Err(LogError::UnknownTopic { .. }) if look == Look::Left => 0,
            partitions => partitions?,
        };
        return Ok(TopicsKnown { partitions: Some(partitions), looked_at: Some(now), ..before });
    }
    let committed = log.committed(&ballots, VERIFIER_GROUP).await?;
    let taken_at = clock::now();
    let ends = log.ends(&ballots).await?;
    let partition = |(index, end): (usize, &u64)| PartitionOffsets {
        committed: committed.get(index).copied().unwrap_or(0),
        end: *end,
    };
    let offsets = Offsets { taken_at, partitions: ends.iter().enumerate().map(partition).collect() };
    let sample = before.offsets.as_ref().and_then(|earlier| offsets.since(earlier));
    let verified_to = verified_to(&committed, &offsets, before.offsets.as_ref());
    let is_at_cut = decisions.cut.as_ref().is_some_and(|cut| is_verified(cut, &committed));
    let is_judged = (is_at_cut || verified_to.is_some()) && deferred_waiting(log, proposal).await? == 0;
    Ok(TopicsKnown {
        partitions: u32::try_from(ends.len()).ok(),
        sample: sample.or(before.sample),
        offsets: Some(offsets),
        is_verified: Some(is_at_cut && is_judged),
        verified_to: verified_to.filter(|_| is_judged).or(before.verified_to),
        looked_at: Some(now),
    })
}

/// The last moment of which it is known that all that had come has its verdict, or is deferred: this reading's, or while
/// more comes the one before.
fn verified_to(committed: &[u64], now: &Offsets, before: Option<&Offsets>) -> Option<TimestampMs> {
    let is_past = |offsets: &&Offsets| {
        let ends = offsets.partitions.iter().map(|partition| partition.end);
        ends.enumerate().all(|(index, end)| committed.get(index).copied().unwrap_or(0) >= end)
    };
    [Some(now), before].into_iter().flatten().find(is_past).map(|offsets| offsets.taken_at)
}

/// Between two looks at a busy proposal, while there are so many of them.
fn busy_interval_ms(busy: usize) -> u64 {
    BUSY_INTERVAL_MS.max(u64::try_from(busy).unwrap_or(u64::MAX).saturating_mul(SPREAD_MS))
}

#[cfg(test)]
mod tests {
    use pnyx_core::scaling::FRESH_MS;

    use super::*;

    #[test]
    fn what_has_come_by_then_is_verified() {
        let reading = |taken_at, ends: &[u64]| Offsets {
            taken_at: TimestampMs(taken_at),
            partitions: ends.iter().map(|end| PartitionOffsets { committed: 0, end: *end }).collect(),
        };
        let (before, now) = (reading(1, &[5, 3]), reading(2, &[5, 7, 1]));
        let to = |committed: &[u64]| verified_to(committed, &now, Some(&before)).map(|to| to.0);
        assert_eq!(to(&[5, 7, 1]), Some(2));
        assert_eq!(to(&[5, 6, 1]), Some(1), "more comes all the time");
        assert_eq!(to(&[5, 3]), Some(1));
        assert_eq!(to(&[4, 7, 1]), None);
        assert_eq!(verified_to(&[0], &reading(9, &[0]), None), Some(TimestampMs(9)), "nobody came");
    }

    #[test]
    fn topics_that_are_left_are_looked_for_until_they_are_seen() {
        let interval = |partitions| interval_ms(Look::Left, &TopicsKnown { partitions, ..TopicsKnown::default() }, 1);
        assert_eq!(interval(None), Some(QUIET_INTERVAL_MS));
        assert_eq!(interval(Some(0)), Some(GONE_INTERVAL_MS), "whoever was asked may have known nothing yet");
        assert_eq!(interval(Some(4)), None);
    }

    #[test]
    fn many_proposals_are_looked_at_less_often_and_their_samples_stay_fresh() {
        assert_eq!(busy_interval_ms(1), BUSY_INTERVAL_MS);
        assert_eq!(busy_interval_ms(500), 10_000);
        assert!(busy_interval_ms(500) < FRESH_MS);
    }
}
