//! What conditions and phase say of a proposal, by what its log says and by its window.

use pnyx_backbone::log::{Topic, kafka::TOPIC_PREFIX_DEFAULT};
use pnyx_core::{decisions::ProposalDecisions, time::WindowPosition};
use pnyx_crds::{
    GovernanceProposalStatus, ProposalPhase, TopicsStatus,
    conditions::{proposal as types, reasons},
};

use crate::{
    build::Component,
    observe::{LiveChildren, ProposalObserved, TopicsSeen},
    plan::{Effect, Note, NoteKind, Plan, jobs},
    status::{Conditions, Said, State},
    validate::ValidatedProposal,
};

/// That it is valid is not enough: voters may rely on it once it stands in the log.
pub(super) fn accepted(validated: &ValidatedProposal, observed: &ProposalObserved) -> Said {
    // What may have been written while it is not known is still what binds.
    let is_recording = observed.is_recording() && observed.status_id() == Some(validated.proposal().id());
    let reason = if is_recording { reasons::RECORDING } else { reasons::NOT_OBSERVED };
    let unknown = |message: &str| Said::new(State::Unknown, reason, message);
    match (validated.is_defined(), observed.book.is_some()) {
        (true, _) => Said::new(true, reasons::AS_EXPECTED, ""),
        (false, true) => unknown("it is valid, but its definition is not recorded in the log yet"),
        (false, false) => {
            unknown("it is valid, but whether its definition is recorded is not known: the log was not read")
        }
    }
}

/// All that follows from what is decided.
pub(super) fn decided(
    conditions: &mut Conditions,
    validated: &ValidatedProposal,
    decisions: Option<&ProposalDecisions>,
    seen: &TopicsSeen,
    position: WindowPosition,
) {
    conditions.set(types::OPEN, open(position));
    // What was there is not known to be gone while nobody answers, and a result needs no topics.
    match (seen.partitions, decisions.is_some_and(|it| it.result.is_some())) {
        (_, true) | (Some(1..), _) => conditions.set(types::TOPICS_READY, Said::new(true, reasons::AS_EXPECTED, "")),
        (Some(0), false) => {
            let message =
                "its definition stands in the log, but the topic of its ballots is not there: somebody removed it";
            conditions.set(types::TOPICS_READY, Said::new(false, reasons::TOPICS_NOT_READY, message));
        }
        (None, false) => {}
    }
    if validated.proposal().chains().len() == 0 {
        conditions.set(types::SNAPSHOT_PINNED, Said::new(true, reasons::NOT_NEEDED, "no chain is read"));
    }
    // Where nobody reads the log, what it said stays.
    let Some(decisions) = decisions else { return };
    if validated.proposal().chains().len() > 0 {
        conditions.set(types::SNAPSHOT_PINNED, pinned(decisions));
    }
    // Clocks may be set back, a cut is not.
    let position = if decisions.cut.is_some() { WindowPosition::After } else { position };
    conditions.set(types::DRAINED, drained(decisions, seen, position));
    conditions.set(types::RECOUNTED, recounted(decisions, seen, position));
}

fn open(position: WindowPosition) -> Said {
    match position {
        WindowPosition::Before => Said::new(false, reasons::WINDOW_NOT_OPEN, ""),
        WindowPosition::Inside => Said::new(true, reasons::WINDOW_OPEN, ""),
        WindowPosition::After => Said::new(false, reasons::WINDOW_CLOSED, ""),
    }
}

fn pinned(decisions: &ProposalDecisions) -> Said {
    if decisions.pins.is_some() {
        return Said::new(true, reasons::AS_EXPECTED, "");
    }
    let message = "the blocks that the snapshot rules name are not final yet; ballots are taken and wait";
    Said::new(false, reasons::WAITING_FOR_FINALITY, message)
}

fn drained(decisions: &ProposalDecisions, seen: &TopicsSeen, position: WindowPosition) -> Said {
    match (position, &decisions.cut, decisions.result.is_some(), seen.is_drained) {
        (_, _, true, _) => Said::new(true, reasons::AS_EXPECTED, ""),
        (WindowPosition::Before, _, _, _) => Said::new(false, reasons::WINDOW_NOT_OPEN, ""),
        (WindowPosition::Inside, _, _, _) => Said::new(false, reasons::WINDOW_OPEN, ""),
        (WindowPosition::After, None, _, _) => Said::new(false, reasons::DRAINING, "the cut is not made yet"),
        (WindowPosition::After, Some(_), _, Some(true)) => {
            Said::new(true, reasons::AS_EXPECTED, "every ballot below the cut is verified")
        }
        (WindowPosition::After, Some(_), _, Some(false) | None) => {
            Said::new(false, reasons::DRAINING, "ballots below the cut are being verified")
        }
    }
}

fn recounted(decisions: &ProposalDecisions, seen: &TopicsSeen, position: WindowPosition) -> Said {
    if decisions.result.is_some() {
        return Said::new(true, reasons::PUBLISHED, "the recount agrees with the live tally");
    }
    if let Some(dispute) = &decisions.dispute {
        let message = format!("nothing is published until a person has looked: {}", dispute.differences().join("; "));
        return Said::new(false, reasons::DISPUTED, message);
    }
    match (position, seen.is_drained) {
        (WindowPosition::Before, _) => Said::new(false, reasons::WINDOW_NOT_OPEN, ""),
        (WindowPosition::Inside, _) => Said::new(false, reasons::WINDOW_OPEN, ""),
        (WindowPosition::After, Some(true)) => Said::new(false, reasons::RECOUNTING, "the recount runs"),
        (WindowPosition::After, Some(false) | None) => Said::new(false, reasons::DRAINING, ""),
    }
}

/// Which of its Jobs failed, and wait to be begun anew.
pub(super) fn failed(plan: &mut Plan<GovernanceProposalStatus>, children: &LiveChildren) {
    let kinds = [
        (Component::Pin, types::SNAPSHOT_PINNED, reasons::CHAIN_UNAVAILABLE, "Pin"),
        (Component::Recount, types::RECOUNTED, reasons::RECOUNT_FAILED, "Recount"),
    ];
    for (component, kind, reason, action) in kinds {
        let is_said = plan.conditions.is_true(kind) || plan.status.phase == Some(ProposalPhase::Disputed);
        let Some(message) = jobs::failed(children, component).filter(|_| !is_said) else { continue };
        plan.conditions.set(kind, Said::new(false, reason, &message));
        plan.effects.push(Effect::Note(Note { kind: NoteKind::Warning, reason, action, message }));
    }
}

/// Where it is in its life.
pub(super) fn phase(
    decisions: Option<&ProposalDecisions>,
    position: WindowPosition,
    conditions: &Conditions,
) -> ProposalPhase {
    if let Some(decisions) = decisions {
        if decisions.result.is_some() {
            return ProposalPhase::Final;
        }
        if decisions.dispute.is_some() {
            return ProposalPhase::Disputed;
        }
    }
    let has_cut = decisions.is_some_and(|decisions| decisions.cut.is_some());
    match if has_cut { WindowPosition::After } else { position } {
        WindowPosition::Before => ProposalPhase::Scheduled,
        WindowPosition::Inside => ProposalPhase::Open,
        WindowPosition::After if !has_cut => ProposalPhase::Closed,
        WindowPosition::After if conditions.is_true(types::DRAINED) => ProposalPhase::Recounting,
        WindowPosition::After => ProposalPhase::Draining,
    }
}

/// Where its records lie.
pub(super) fn topics(
    validated: &ValidatedProposal,
    decisions: &ProposalDecisions,
    seen: &TopicsSeen,
    before: Option<&TopicsStatus>,
) -> TopicsStatus {
    let definition = &decisions.definition;
    let prefix = &validated.platform().parts().kafka.topic_prefix;
    let name = |topic: Topic| {
        let rest = topic.name().strip_prefix(TOPIC_PREFIX_DEFAULT).unwrap_or_default();
        format!("{prefix}{rest}")
    };
    let id = definition.proposal().id();
    TopicsStatus {
        ballots: name(Topic::ballots(id)),
        verdicts: name(Topic::verdicts(id)),
        deferred: definition.proposal().signers().map(|_| name(Topic::deferred(id))),
        // None is ever taken away.
        partitions: i64::from(seen.partitions.unwrap_or_else(|| definition.ballots_partitions()))
            .max(before.map_or(0, |before| before.partitions)),
        lanes: definition.lanes().into(),
    }
}
