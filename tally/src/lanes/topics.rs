//! Which verdicts topics this process follows. Each proposal's is looked at by itself, those without a result first, and
//! one that is not as it must be disables its proposal only.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pnyx_backbone::{
    disabled::Fault,
    log::{GroupMember, LogError, Topic},
    store::StoreError,
};
use pnyx_core::{counting::CountingRules, decisions::ProposalDecisions, id::ProposalId};
use tokio::{
    task::JoinSet,
    time::{self, Instant, MissedTickBehavior},
};

use super::{LaneError, is_contradiction, note_log_failure};
use crate::Tally;

/// Topics looked at at once: a process that starts with hundreds of proposals has them soon, and asks the brokers no more
/// than a few questions at a time.
const LOOKS_MAX: usize = 8;

/// A topic that could not be looked at because the log was out of reach is looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How often topics that are followed are looked at again: partitions of one that is gone are only taken from their owners,
/// without a word.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Between two changes of what is followed: each makes the group share its partitions anew.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// What is to be followed, and what is known of it.
struct Topics<'a> {
    tally: &'a Tally,
    /// To be looked at: those without a result first.
    waiting: BTreeSet<(IsFinal, ProposalId)>,
    looks: JoinSet<(ProposalId, Result<(), LookError>)>,
    /// When those are looked at again whose log was out of reach.
    later: BTreeMap<ProposalId, Instant>,
    seen: BTreeSet<ProposalId>,
    followed: BTreeMap<ProposalId, Topic>,
}

type IsFinal = bool;

/// What became of a look.
#[derive(Debug)]
enum LookError {
    /// It is not as it must be.
    Fault(LaneError),
    /// The result is published, and the topic is gone or was made anew: it is left as it is.
    Retired(LogError),
    /// Nobody knows: the log is out of reach.
    Unknown(LogError),
    /// Nobody knows: the store is out of reach.
    NoStore,
}

/// Follows the verdicts of every proposal in the book that is as it must be, now and whenever that changes.
pub(super) async fn follow(tally: &Tally, member: &GroupMember) -> Result<(), LaneError> {
    let mut topics = Topics {
        tally,
        waiting: BTreeSet::new(),
        looks: JoinSet::new(),
        later: BTreeMap::new(),
        seen: BTreeSet::new(),
        followed: BTreeMap::new(),
    };
    let mut book = tally.proposals.watch();
    let mut disabled = tally.disabled.watch();
    let mut told = BTreeSet::new();
    let mut tell_at = Instant::now();
    let mut check = time::interval(CHECK_INTERVAL);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        book.borrow_and_update();
        disabled.borrow_and_update();
        topics.note_book();
        topics.followed.retain(|proposal, _| !tally.disabled.is_disabled(*proposal));
        topics.start_looks();
        let wanted: BTreeSet<Topic> = topics.followed.values().cloned().collect();
        let is_to_tell = wanted != told;
        let later = topics.later.values().min().copied();
        tokio::select! {
            changed = book.changed() => if changed.is_err() { return Ok(()) },
            // The sender lives as long as the tally does.
            _ = disabled.changed() => {}
            Some(looked) = topics.looks.join_next() => topics.note_look(looked)?,
            due = tally.disabled.due() => topics.look_again(due),
            _ = check.tick() => topics.check_followed(),
            () = time::sleep_until(later.unwrap_or(tell_at)), if later.is_some() => topics.look_at_later_ones(),
            () = time::sleep_until(tell_at), if is_to_tell => {
                tell_at = Instant::now() + FOLLOW_INTERVAL;
                match member.follow(wanted.clone()).await {
                    Ok(()) => told = wanted,
                    Err(problem) => topics.note_refused(problem)?,
                }
            }
        }
    }
}

impl Topics<'_> {
    /// Notes proposals that are new.
    fn note_book(&mut self) {
        let book = self.tally.proposals.book();
        for (proposal, decisions) in book.proposals() {
            if self.seen.insert(*proposal) {
                self.waiting.insert((decisions.result.is_some(), *proposal));
            }
        }
    }

    fn look_again(&mut self, proposals: impl IntoIterator<Item = ProposalId>) {
        let book = self.tally.proposals.book();
        for proposal in proposals {
            let is_final = book.get(proposal).is_some_and(|decisions| decisions.result.is_some());
            self.waiting.insert((is_final, proposal));
        }
    }

    /// Those with a result need their topic no more.
    fn check_followed(&mut self) {
        let book = self.tally.proposals.book();
        let is_live = |proposal: &ProposalId| book.get(*proposal).is_some_and(|decisions| decisions.result.is_none());
        let live: Vec<_> = self.followed.keys().copied().filter(is_live).collect();
        self.look_again(live);
    }

    fn look_at_later_ones(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.later.extract_if(.., |_, at| *at <= now).map(|(proposal, _)| proposal).collect();
        self.look_again(due);
    }

    fn start_looks(&mut self) {
        let book = self.tally.proposals.book();
        while self.looks.len() < LOOKS_MAX
            && let Some((_, proposal)) = self.waiting.pop_first()
        {
            if let Some(decisions) = book.get(proposal).cloned() {
                let (tally, is_followed) = (self.tally.clone(), self.followed.contains_key(&proposal));
                self.looks.spawn(async move { (proposal, look(&tally, proposal, &decisions, is_followed).await) });
            }
        }
    }

    fn note_look(
        &mut self,
        looked: Result<(ProposalId, Result<(), LookError>), tokio::task::JoinError>,
    ) -> Result<(), LaneError> {
        let (proposal, looked) = match looked {
            Ok(looked) => looked,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime goes down.
            Err(_) => return Ok(()),
        };
        let disabled = &self.tally.disabled;
        match looked {
            Ok(()) => {
                self.followed.insert(proposal, Topic::verdicts(proposal));
                disabled.enable(proposal);
            }
            Err(LookError::Retired(problem)) => disabled.disable(proposal, Fault::Retired, &problem),
            Err(LookError::Fault(error)) => match error.fault() {
                Some(fault) => disabled.disable(proposal, fault, &error),
                None => return Err(error),
            },
            Err(LookError::Unknown(problem)) => {
                note_log_failure(self.tally, &problem);
                self.later.insert(proposal, Instant::now() + LOOK_AGAIN);
            }
            Err(LookError::NoStore) => {
                self.later.insert(proposal, Instant::now() + LOOK_AGAIN);
            }
        }
        Ok(())
    }

    /// One topic that cannot be followed any more must not keep the others from being followed.
    fn note_refused(&mut self, problem: LogError) -> Result<(), LaneError> {
        let about = self.followed.iter().find(|(_, topic)| problem.topic() == Some(topic)).map(|(id, _)| *id);
        match (about, problem.fault()) {
            (Some(proposal), Some(fault)) => {
                self.tally.disabled.disable(proposal, fault, &LaneError::Log { proposal, source: problem });
                Ok(())
            }
            (_, None) if !matches!(problem, LogError::Closed) => {
                note_log_failure(self.tally, &problem);
                Ok(())
            }
            _ => Err(LaneError::Join(problem)),
        }
    }
}

/// Looks at the verdicts topic of a proposal. One that nobody has made yet is made; one that was there and is gone is not,
/// because its verdicts would be missing in it. Of one that is followed it is enough that it is there.
async fn look(
    tally: &Tally,
    proposal: ProposalId,
    decisions: &ProposalDecisions,
    is_followed: bool,
) -> Result<(), LookError> {
    let topic = Topic::verdicts(proposal);
    let lanes = decisions.definition.lanes();
    let failed = |source: LogError| match source.fault() {
        None if !matches!(source, LogError::Closed) => LookError::Unknown(source),
        _ => LookError::Fault(LaneError::Log { proposal, source }),
    };
    match tally.log.partitions(&topic).await {
        Err(gone @ LogError::UnknownTopic { .. }) if decisions.result.is_some() => {
            return Err(LookError::Retired(gone));
        }
        Err(gone @ LogError::UnknownTopic { .. }) => {
            if decisions.cut.is_some() || tally.disabled.was_enabled(proposal) || has_verdicts(tally, proposal).await? {
                return Err(failed(gone));
            }
        }
        Err(problem) => return Err(failed(problem)),
        Ok(partitions) if partitions != u32::from(lanes) => {
            return Err(LookError::Fault(LaneError::Lanes { proposal, partitions, lanes }));
        }
        Ok(_) if is_followed => return Ok(()),
        Ok(_) => {}
    }
    if let Some(result) = &decisions.result {
        // Its settings no longer matter: whoever runs the platform may let its records go.
        let ends = match tally.log.ends(&topic).await {
            Err(damaged @ LogError::Damaged { .. }) => return Err(LookError::Retired(damaged)),
            ends => ends.map_err(&failed)?,
        };
        let is_emptied = result.provenance.records > 0 && ends.iter().all(|end| *end == 0);
        return if is_emptied { Err(LookError::Retired(LogError::UnknownTopic { topic })) } else { Ok(()) };
    }
    let rules = CountingRules::of(decisions.definition.proposal());
    match tally.store.register(proposal, rules, lanes).await {
        Err(source) if is_contradiction(&source) => {
            return Err(LookError::Fault(LaneError::Store { proposal, source }));
        }
        // A store that is away delays the lanes, not who owns them.
        Ok(()) | Err(_) => {}
    }
    tally.log.ensure_topic(&topic, lanes.into()).await.map_err(&failed)?;
    // Says if records are missing at the beginning.
    tally.log.ends(&topic).await.map(drop).map_err(failed)
}

/// Whether the store holds verdicts that were in this log: then there was a topic.
async fn has_verdicts(tally: &Tally, proposal: ProposalId) -> Result<bool, LookError> {
    match tally.store.view(proposal).await {
        Ok(view) => Ok(view.is_some_and(|view| {
            let mut positions = view.positions.into_iter().flatten();
            positions.any(|position| position.log == tally.log.identity() && position.next_offset > 0)
        })),
        Err(StoreError::UnknownProposal { .. }) => Ok(false),
        Err(_) => Err(LookError::NoStore),
    }
}
