//! What is known of one platform's log.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use pnyx_backbone::{clock, log::Log, proposals::Proposals};
use pnyx_core::{
    decisions::ProposalDecisions,
    id::ProposalId,
    scaling::{Offsets, Sample},
    time::TimestampMs,
};

use crate::observe::TopicsSeen;

/// For how long somebody who asked for a proposal is taken to want to know more of it: some looks, with pauses after failures.
const ASKED_MS: u64 = 600_000;

/// How a platform's log is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LogState {
    /// Nobody has answered yet.
    #[default]
    Opening,
    /// It was read to its end, and is followed.
    Followed,
    /// It cannot be used.
    Failing {
        /// One of the words of conditions.
        reason: &'static str,
        /// Why, for people.
        problem: String,
    },
}

/// One platform's log, as its task and whoever asks share it.
#[derive(Debug, Default)]
pub(super) struct PlatformLog {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    state: LogState,
    link: Option<Link>,
    topics: BTreeMap<ProposalId, TopicsKnown>,
    followed_since: Option<TimestampMs>,
    /// Proposals whose topics this process has removed.
    removed: BTreeSet<ProposalId>,
    /// When each proposal was last asked for.
    asked_at: BTreeMap<ProposalId, TimestampMs>,
}

/// An open log.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) log: Log,
    pub(super) proposals: Proposals,
}

/// What the last looks at a proposal's topics showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TopicsKnown {
    pub(super) partitions: Option<u32>,
    pub(super) offsets: Option<Offsets>,
    pub(super) sample: Option<Sample>,
    pub(super) is_verified: Option<bool>,
    /// All that was there at this moment has its verdict.
    pub(super) verified_to: Option<TimestampMs>,
    pub(super) looked_at: Option<TimestampMs>,
}

impl TopicsKnown {
    /// Whether the last look had none before it to take rates from.
    pub(super) fn lacks_sample(&self) -> bool {
        self.offsets.as_ref().map(|offsets| offsets.taken_at) != self.sample.as_ref().map(|sample| sample.taken_at)
    }
}

impl PlatformLog {
    pub(super) fn state(&self) -> LogState {
        self.known().state.clone()
    }

    /// Says how it is; whether that is new.
    pub(super) fn set_state(&self, state: LogState) -> bool {
        std::mem::replace(&mut self.known().state, state.clone()) != state
    }

    /// It can be used from `now` on.
    pub(super) fn set_link(&self, link: Link, now: TimestampMs) {
        let mut known = self.known();
        known.link = Some(link);
        known.followed_since = Some(now);
    }

    /// It can no longer be used. What was seen of it stays, with its age.
    pub(super) fn unlink(&self) {
        let mut known = self.known();
        known.link = None;
        known.followed_since = None;
    }

    pub(super) fn link(&self) -> Option<Link> {
        self.known().link.clone()
    }

    pub(super) fn topics_known(&self, proposal: ProposalId) -> TopicsKnown {
        self.known().topics.get(&proposal).cloned().unwrap_or_default()
    }

    /// Notes a look; whether it says something that others wait for.
    pub(super) fn note(&self, proposal: ProposalId, seen: TopicsKnown) -> bool {
        let before = self.known().topics.insert(proposal, seen.clone()).unwrap_or_default();
        let is_known_again = before.lacks_sample() && !seen.lacks_sample();
        is_known_again || before.partitions != seen.partitions || before.is_verified != seen.is_verified
    }

    /// The topics of a proposal are gone.
    pub(super) fn note_removed(&self, proposal: ProposalId) {
        self.known().removed.insert(proposal);
    }

    /// Forgets proposals of which nothing more can be learnt.
    pub(super) fn keep_only(&self, is_kept: impl Fn(ProposalId) -> bool) {
        let mut known = self.known();
        known.topics.retain(|proposal, _| is_kept(*proposal));
        known.asked_at.retain(|proposal, _| is_kept(*proposal));
    }

    /// Whether anybody wants to know of a proposal: one without a resource is looked at by nobody.
    pub(super) fn is_asked_for(&self, proposal: ProposalId, now: TimestampMs) -> bool {
        self.known().asked_at.get(&proposal).is_some_and(|at| now.saturating_since_ms(*at) <= ASKED_MS)
    }

    /// What is known of a proposal's topics, given what is decided of it. A result stands only for what was drained.
    pub(super) fn topics(&self, proposal: ProposalId, decisions: Option<&ProposalDecisions>) -> TopicsSeen {
        let mut known = self.known();
        known.asked_at.insert(proposal, clock::now());
        let topics = known.topics.get(&proposal).cloned().unwrap_or_default();
        let has_result = decisions.is_some_and(|decisions| decisions.result.is_some());
        TopicsSeen {
            partitions: topics.partitions,
            sample: topics.sample,
            has_cut: decisions.map(|decisions| decisions.cut.is_some()),
            verified_to: topics.verified_to,
            is_followed: known.state == LogState::Followed,
            // Nothing that the log says.
            keeps_archives: None,
            are_removed: known.removed.contains(&proposal),
            is_drained: if has_result { Some(true) } else { topics.is_verified },
            watching_since: known.followed_since,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_wait_for_the_first_sample_and_for_no_later_one() {
        let offsets = |at: u64| Offsets { taken_at: TimestampMs(at), partitions: Vec::new() };
        let seen = |at: u64, sample: Option<Sample>| TopicsKnown {
            partitions: Some(1),
            offsets: Some(offsets(at)),
            sample,
            ..TopicsKnown::default()
        };
        let (log, proposal) = (PlatformLog::default(), ProposalId::new([1; 32]));
        let (first, second) = (offsets(2_000).since(&offsets(0)), offsets(4_000).since(&offsets(2_000)));
        assert!(log.note(proposal, seen(0, None)), "there is a topic");
        assert!(log.note(proposal, seen(2_000, first)), "how it is");
        assert!(!log.note(proposal, seen(4_000, second.clone())), "nothing new");
        assert!(!log.note(proposal, seen(90_000, second)), "long ago, and nothing to compare it with");
        assert!(log.note(proposal, seen(92_000, offsets(92_000).since(&offsets(90_000)))), "how it is again");
    }
}
