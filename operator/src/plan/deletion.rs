//! When a proposal whose deletion was asked for may go: what came before is verified first, or counted where its window is
//! over. No deletion waits longer than a limit, or for what cannot come.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pnyx_core::{decisions::ProposalDecisions, id::ProposalId, time::WindowPosition};
use pnyx_crds::{
    DeletionPolicy,
    conditions::{proposal as types, reasons},
};

use super::{Effect, Note, NoteKind, finalizer, workload};
use crate::{
    build::Component,
    clock::since_epoch,
    kinds::ObjectKey,
    log::LogWrite,
    observe::{PlatformSeen, ProposalObserved, TopicsSeen},
    status::Said,
};

/// Longest that a deletion waits: a vote that keeps up is verified within seconds, and closed and counted within a few
/// minutes; and whoever stands before `kubectl delete`, or before a namespace that does not end, waits no longer than that.
pub const DELETION_LIMIT: Duration = Duration::from_secs(300);

/// Between two looks while a deletion waits: somebody stands before it.
pub(super) const DELETION_AGAIN: Duration = Duration::from_secs(2);

/// The API tells in which second a deletion was asked for.
const ASKED_WITHIN: SignedDuration = SignedDuration::from_secs(1);

/// Reasons of Events.
const RELEASED: &str = "Released";
const RELEASED_UNDONE: &str = "ReleasedUndone";

/// What each Event is about.
const ACTION: &str = "Delete";

/// What stays, and why, where ballots were not counted.
const TOPICS_STAY: &str =
    "its topics stay in the log, because only what is counted, and archived where that is asked for, is removed";

/// What becomes of a proposal, as far as its deletion is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// Nobody asked for it.
    Unasked,
    /// It was asked for, and does not wait for the operator.
    Unheld,
    /// It waits until something is so.
    Waits(&'static str),
    /// It waits until its topics are removed.
    RemovesTopics(ProposalId),
    /// It goes.
    Goes {
        /// What was not done that should have been.
        undone: Vec<String>,
    },
}

impl Deletion {
    /// Whether what runs for the proposal still has work to do.
    pub const fn keeps_running(&self) -> bool {
        matches!(self, Self::Unasked | Self::Waits(_))
    }

    /// What the condition `Ready` says of it; nothing where nobody asked for it.
    pub(super) fn said(&self) -> Option<Said> {
        let message = match self {
            Self::Unasked => return None,
            Self::Unheld | Self::Goes { .. } => "the proposal is being deleted".to_owned(),
            Self::Waits(what) => format!("the proposal is being deleted once {what}"),
            Self::RemovesTopics(_) => "the proposal is being deleted once its topics are removed".to_owned(),
        };
        Some(Said::new(false, reasons::DELETING, message))
    }

    /// What is done for it, and said to people.
    pub(super) fn effects(&self, observed: &ProposalObserved) -> Vec<Effect> {
        let note = |kind, reason, message| Effect::Note(Note { kind, reason, action: ACTION, message });
        match self {
            Self::Unasked | Self::Unheld => Vec::new(),
            Self::Waits(what) => vec![note(NoteKind::Normal, reasons::DELETING, format!("waits until {what}"))],
            Self::RemovesTopics(proposal) => {
                let (platform, proposal) = (observed.platform_key(), *proposal);
                let message = "its topics are being removed, because spec.deletionPolicy says so".to_owned();
                let remove = Effect::Log(LogWrite::Remove { platform, proposal });
                vec![note(NoteKind::Normal, reasons::DELETING, message), remove]
            }
            Self::Goes { undone } => {
                let note = match undone.as_slice() {
                    [] => note(NoteKind::Normal, RELEASED, "nothing is left to do for it".to_owned()),
                    undone => note(NoteKind::Warning, RELEASED_UNDONE, undone.join("; ")),
                };
                [note].into_iter().chain(finalizer::release(&observed.seen.resource.metadata)).collect()
            }
        }
    }
}

/// What is known of a proposal when its deletion is decided.
#[derive(Debug, Clone)]
struct Facts<'a> {
    policy: DeletionPolicy,
    is_paused: bool,
    has_platform: bool,
    /// Verifiers are there, and nobody takes them away.
    has_verifiers: bool,
    /// Its platform keeps archives outside the log, or nobody knows.
    keeps_archives: Option<bool>,
    log: LogSays<'a>,
    topics: &'a TopicsSeen,
    asked_at: Timestamp,
    limit: Duration,
}

/// What stands in the log of a proposal.
#[derive(Debug, Clone, Copy)]
enum LogSays<'a> {
    /// It was not read.
    Unread {
        /// Its definition was recorded, or may have been.
        is_recorded: bool,
        has_result: bool,
    },
    /// Nothing of this resource stands there.
    Nothing,
    Stands(ProposalId, &'a ProposalDecisions),
}

/// What becomes of a proposal whose id is `id`, when a deletion waits for `limit` at most.
pub fn deletion(
    observed: &ProposalObserved,
    id: Option<ProposalId>,
    topics: &TopicsSeen,
    limit: Duration,
    now: Timestamp,
) -> Deletion {
    let metadata = &observed.seen.resource.metadata;
    let Some(asked_at) = &metadata.deletion_timestamp else { return Deletion::Unasked };
    if !finalizer::is_held(metadata) {
        return Deletion::Unheld;
    }
    let verifiers = workload::deployment(&observed.children, Component::Verifier.word());
    let facts = Facts {
        policy: observed.seen.resource.spec.deletion_policy,
        is_paused: observed.is_paused(),
        has_platform: !matches!(observed.platform, PlatformSeen::Missing),
        has_verifiers: verifiers.is_some_and(|object| object.metadata.deletion_timestamp.is_none()),
        keeps_archives: keeps_archives(observed, topics),
        log: log_says(observed, id),
        topics,
        asked_at: asked_at.0,
        limit,
    };
    decide(&facts, now)
}

/// As the platform says, or said before it was gone or could no longer be read.
fn keeps_archives(observed: &ProposalObserved, topics: &TopicsSeen) -> Option<bool> {
    let PlatformSeen::Found(platform) = &observed.platform else { return topics.keeps_archives };
    let archive = platform.resource.spec.archive.as_ref();
    Some(archive.is_some_and(|archive| archive.persistent_volume_claim.is_some() || archive.s3.is_some()))
}

/// An id that is another resource's is none: anybody may have written it into this one's status.
fn log_says(observed: &ProposalObserved, id: Option<ProposalId>) -> LogSays<'_> {
    let Some(book) = &observed.book else {
        let is_accepted = observed.seen.conditions.iter().any(|it| it.type_ == types::ACCEPTED && it.status == "True");
        let is_recorded = is_accepted || observed.is_recording();
        return LogSays::Unread { is_recorded, has_result: observed.before.result.is_some() };
    };
    let Some((id, decisions)) = id.and_then(|id| Some((id, book.get(id)?))) else { return LogSays::Nothing };
    let parts = decisions.definition.proposal().parts();
    let is_its_own = ObjectKey::new(&parts.namespace, &parts.name) == observed.seen.owner.key().object;
    if is_its_own { LogSays::Stands(id, decisions) } else { LogSays::Nothing }
}

fn decide(facts: &Facts<'_>, now: Timestamp) -> Deletion {
    let waited = now.duration_since(facts.asked_at);
    let is_late = waited >= SignedDuration::try_from(facts.limit).unwrap_or(SignedDuration::MAX);
    let late = || format!("waited for no longer than {} s", facts.limit.as_secs());
    match within_limit(facts, now) {
        Deletion::Waits(what) if is_late => {
            let mut undone = vec![late(), format!("not waited until {what}")];
            undone.extend(topics_stay(facts));
            Deletion::Goes { undone }
        }
        Deletion::RemovesTopics(_) if is_late => {
            Deletion::Goes { undone: vec![late(), "its topics could not all be removed from the log".to_owned()] }
        }
        decided => decided,
    }
}

/// What becomes of it while there is time.
fn within_limit(facts: &Facts<'_>, now: Timestamp) -> Deletion {
    let goes = |undone: Option<&str>| Deletion::Goes { undone: undone.map(str::to_owned).into_iter().collect() };
    let gives_up = |why: &str| {
        let mut undone = vec![why.to_owned()];
        undone.extend(topics_stay(facts));
        Deletion::Goes { undone }
    };
    let is_kept = facts.policy == DeletionPolicy::Retain;
    let (id, decisions) = match facts.log {
        LogSays::Nothing | LogSays::Unread { is_recorded: false, .. } => return goes(None),
        LogSays::Unread { has_result: true, .. } if is_kept => return goes(None),
        LogSays::Unread { .. } if facts.is_paused => return gives_up("it is paused, so nothing was waited for"),
        LogSays::Unread { .. } if !facts.has_platform => return gives_up("its platform is gone, and with it the log"),
        LogSays::Unread { .. } => return Deletion::Waits("its log can be read"),
        LogSays::Stands(id, decisions) => (id, decisions),
    };
    if decisions.result.is_some() {
        return match facts.policy {
            DeletionPolicy::Retain => goes(None),
            DeletionPolicy::Delete if facts.topics.are_removed => goes(None),
            DeletionPolicy::Delete if facts.is_paused => goes(Some("it is paused, so its topics stay in the log")),
            // Nobody would mend that any more: a whole namespace may be going.
            DeletionPolicy::Delete if !facts.has_platform && !facts.topics.is_followed => {
                goes(Some("its platform is gone and its log cannot be reached, so its topics stay there"))
            }
            // Where a copy is meant to stay, or may be, nothing goes before it is there.
            DeletionPolicy::Delete if facts.keeps_archives != Some(false) && decisions.archive.is_none() => {
                Deletion::Waits("its archive is stored")
            }
            DeletionPolicy::Delete => Deletion::RemovesTopics(id),
        };
    }
    if facts.is_paused {
        return gives_up("it is paused, so nothing was waited for");
    }
    if decisions.dispute.is_some() {
        return gives_up("its recount differs from the live tally, and no result is published");
    }
    // Clocks may be set back, a cut is not.
    let position = decisions.definition.proposal().window().position(since_epoch(now));
    let position = if decisions.cut.is_some() { WindowPosition::After } else { position };
    let asked_by = since_epoch(facts.asked_at + ASKED_WITHIN);
    let is_verified = facts.topics.verified_to.is_some_and(|to| to >= asked_by);
    match position {
        WindowPosition::Before => goes(topics_stay(facts).as_deref()),
        WindowPosition::Inside if is_verified => goes(topics_stay(facts).as_deref()),
        WindowPosition::Inside | WindowPosition::After if !facts.has_platform => gives_up("its platform is gone"),
        WindowPosition::Inside | WindowPosition::After if !facts.has_verifiers => gives_up("its verifiers are gone"),
        WindowPosition::Inside => Deletion::Waits("the ballots that came before it are verified"),
        WindowPosition::After => Deletion::Waits("its result is published"),
    }
}

/// What is said where topics should go and ballots in them were not counted.
fn topics_stay(facts: &Facts<'_>) -> Option<String> {
    (facts.policy == DeletionPolicy::Delete).then(|| TOPICS_STAY.to_owned())
}

#[cfg(test)]
mod tests;
