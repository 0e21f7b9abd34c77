//! What is said and done once the archive of a proposal is kept outside the log, or should be.

use pnyx_core::{decisions::ProposalDecisions, time::TimestampMs};
use pnyx_crds::{
    ArchiveReference,
    conditions::{proposal::READY, reasons},
};

use super::result::time;
use crate::{
    build::Component,
    log::LogWrite,
    observe::{ProposalObserved, TopicsSeen},
    plan::{Effect, Note, NoteKind, jobs},
    status::Said,
    validate::ValidatedProposal,
};

/// Reasons of Events.
const STORED: &str = "ArchiveStored";
const RETENTION_OVER: &str = "RetentionOver";

/// What the Events are about.
const ACTION: &str = "Archive";

/// Where it is, once it was stored and read back.
pub(super) fn reference(decisions: &ProposalDecisions) -> Option<ArchiveReference> {
    let stored = decisions.archive.as_ref()?;
    let digits = stored.sha256.iter().map(|byte| format!("{byte:02x}"));
    Some(ArchiveReference {
        location: stored.location().to_owned(),
        sha256: Some(digits.collect()),
        verified_at: Some(time(stored.verified_at)),
    })
}

/// What people are told once it is so.
pub(super) fn news(decisions: &ProposalDecisions, observed: &ProposalObserved) -> Option<Effect> {
    let stored = decisions.archive.as_ref()?;
    let is_said = observed.before.result.as_ref().is_some_and(|result| result.archive.is_some());
    let message = format!("{} bytes, read back and audited: {}", stored.bytes, stored.location());
    let note = Note { kind: NoteKind::Normal, reason: STORED, action: ACTION, message };
    (!is_said).then_some(Effect::Note(note))
}

/// What the summary says where a result stands and its archive cannot be stored.
pub(super) fn missing(
    observed: &ProposalObserved,
    validated: &ValidatedProposal,
    decisions: &ProposalDecisions,
) -> Option<Said> {
    if decisions.result.is_none() || !waits(validated, decisions) {
        return None;
    }
    let Some(failure) = jobs::failed(&observed.children, Component::Recount) else {
        // Said once, it is so until the archive is there, whatever its Job does meanwhile.
        let mut conditions = observed.seen.conditions.iter();
        let said = conditions.find(|it| it.type_ == READY && it.reason == reasons::ARCHIVE_NOT_STORED)?;
        return Some(Said::new(false, reasons::ARCHIVE_NOT_STORED, &said.message));
    };
    let message = format!("the result is published, but its archive is not stored: {failure}");
    Some(Said::new(false, reasons::ARCHIVE_NOT_STORED, message))
}

/// Whether the archive shall be kept outside the log and is not yet.
fn waits(validated: &ValidatedProposal, decisions: &ProposalDecisions) -> bool {
    validated.platform().parts().archive.is_outside_log() && decisions.archive.is_none()
}

/// Topics go once the archive was kept for as long as the proposal says.
pub(super) fn retention(
    observed: &ProposalObserved,
    validated: &ValidatedProposal,
    decisions: &ProposalDecisions,
    topics: &TopicsSeen,
    now: TimestampMs,
) -> Vec<Effect> {
    let (Some(retention_s), Some(stored)) = (validated.retention_s(), &decisions.archive) else { return Vec::new() };
    let until = stored.verified_at.saturating_add_ms(retention_s.saturating_mul(1_000));
    let are_there = topics.is_followed && !topics.are_removed && topics.partitions.is_some_and(|count| count > 0);
    if now < until || !are_there {
        return Vec::new();
    }
    let message = format!("its topics are being removed: the archive is kept since {}", time(stored.verified_at));
    let note = Note { kind: NoteKind::Normal, reason: RETENTION_OVER, action: ACTION, message };
    let (platform, proposal) = (observed.platform_key(), validated.proposal().id());
    vec![Effect::Log(LogWrite::Remove { platform, proposal }), Effect::Note(note)]
}

#[cfg(test)]
mod tests;
