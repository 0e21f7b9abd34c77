//! What is to be done for a proposal.

use std::time::Duration;

use jiff::Timestamp;
use pnyx_core::time::{TimestampMs, Window, WindowPosition};
use pnyx_crds::{
    GovernanceProposalStatus, ProposalPhase, ShardsStatus,
    conditions::{proposal as types, reasons},
};

use super::{Child, Effect, Note, NoteKind, Plan, children_effects, workload};
use crate::{
    build::Component,
    clock::since_epoch,
    observe::{PlatformSeen, ProposalObserved},
    status::{Conditions, Said, State},
    validate::{Refusal, ValidatedProposal},
};

/// Between two looks at a proposal of which nothing is heard.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// No look is planned sooner than this: a window that opens now is looked at right after.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(100);

/// Plans for a proposal, from what it wants to have (`children`) and what it has.
pub fn proposal(
    observed: &ProposalObserved,
    validated: Result<&ValidatedProposal, &Refusal>,
    children: Vec<Child>,
    now: Timestamp,
) -> Plan<GovernanceProposalStatus> {
    let mut conditions = Conditions::unknown(types::ALL, reasons::NOT_OBSERVED);
    let mut effects = Vec::new();
    let paused = paused(observed);
    let is_paused = paused.state == State::True;
    conditions.set(types::PAUSED, paused);
    let mut status = GovernanceProposalStatus {
        observed_generation: observed.seen.generation,
        phase: Some(ProposalPhase::Pending),
        ..GovernanceProposalStatus::default()
    };
    let mut again = LOOK_AGAIN;
    match validated {
        Err(refusal) => {
            conditions.set(types::ACCEPTED, Said::new(false, refusal.reason, &refusal.message));
            let message = refusal.message.clone();
            let note = Note { kind: NoteKind::Warning, reason: refusal.reason, action: "Validate", message };
            effects.push(Effect::Note(note));
        }
        Ok(validated) => {
            let window = validated.proposal().window();
            conditions.set(types::ACCEPTED, accepted(validated, observed));
            status.proposal_id = Some(validated.proposal().id().to_string());
            again = again.min(until_next_edge(window, validated.lead_ms(), since_epoch(now)));
            // No ballot counts, and nobody has anything to do, before the log says what is voted on. What is there
            // stays as it is: that nothing is known is no reason to take it away.
            if validated.is_defined() {
                let position = window.position(since_epoch(now));
                conditions.set(types::OPEN, open(position));
                status.phase = Some(phase(position));
                if !is_paused && !observed.seen.is_deleted {
                    effects.extend(children_effects(children, &observed.children).0);
                }
            }
        }
    }
    if let Some(replicas) = workload::replicas(&observed.children, Component::Verifier.word()) {
        conditions.set(types::PREWARMED, prewarmed(replicas.desired, replicas.ready));
        status.shards = Some(ShardsStatus { desired: replicas.desired, ready: replicas.ready });
    }
    let ready = summary(&conditions, observed.seen.is_deleted);
    conditions.set(types::READY, ready);
    Plan { effects, conditions, status, again: Some(again) }
}

fn paused(observed: &ProposalObserved) -> Said {
    let is_platform_paused = match &observed.platform {
        PlatformSeen::Found(platform) => platform.resource.spec.paused,
        PlatformSeen::Missing | PlatformSeen::Unreadable => false,
    };
    match (observed.seen.resource.spec.paused, is_platform_paused) {
        (true, _) => Said::new(true, reasons::PAUSED_BY_SPEC, "spec.paused is set: nothing is changed"),
        (false, true) => Said::new(true, reasons::PAUSED_BY_PLATFORM, "spec.paused of the platform is set"),
        (false, false) => Said::new(false, reasons::AS_EXPECTED, ""),
    }
}

/// That it is valid is not enough: voters may rely on it once it stands in the log.
fn accepted(validated: &ValidatedProposal, observed: &ProposalObserved) -> Said {
    match (validated.is_defined(), &observed.book) {
        (true, _) => Said::new(true, reasons::AS_EXPECTED, ""),
        (false, Some(_)) => Said::new(
            State::Unknown,
            reasons::NOT_OBSERVED,
            "it is valid, but its definition is not recorded in the log yet",
        ),
        (false, None) => {
            let message = "it is valid, but whether its definition is recorded is not known: the log was not read";
            Said::new(State::Unknown, reasons::NOT_OBSERVED, message)
        }
    }
}

fn open(position: WindowPosition) -> Said {
    match position {
        WindowPosition::Before => Said::new(false, reasons::WINDOW_NOT_OPEN, ""),
        WindowPosition::Inside => Said::new(true, reasons::WINDOW_OPEN, ""),
        WindowPosition::After => Said::new(false, reasons::WINDOW_CLOSED, ""),
    }
}

fn phase(position: WindowPosition) -> ProposalPhase {
    match position {
        WindowPosition::Before => ProposalPhase::Scheduled,
        WindowPosition::Inside => ProposalPhase::Open,
        WindowPosition::After => ProposalPhase::Closed,
    }
}

/// The next moment at which the clock alone changes something.
fn until_next_edge(window: Window, lead_ms: u64, now: TimestampMs) -> Duration {
    let warm_from = TimestampMs(window.opens_at().0.saturating_sub(lead_ms));
    let edge = match window.position(now) {
        WindowPosition::Before if now < warm_from => warm_from,
        WindowPosition::Before => window.opens_at(),
        WindowPosition::Inside => window.closes_at(),
        WindowPosition::After => return Duration::MAX,
    };
    Duration::from_millis(edge.saturating_since_ms(now)).max(LOOK_AGAIN_MIN)
}

fn prewarmed(desired: i64, ready: i64) -> Said {
    match (desired, ready) {
        (0, _) => Said::new(false, reasons::WAITING_FOR_LEAD, "no shards are wanted now"),
        (desired, ready) if ready >= desired => Said::new(true, reasons::AS_EXPECTED, ""),
        (_, _) => Said::new(false, reasons::WARMING, "shards are starting"),
    }
}

/// What of a proposal is not as it should be.
fn summary(conditions: &Conditions, is_deleted: bool) -> Said {
    if is_deleted {
        return Said::new(false, reasons::DELETING, "the proposal is being deleted");
    }
    match conditions.get(types::ACCEPTED).map(|said| said.state) {
        Some(State::True) => {}
        Some(State::False) => {
            return Said::new(false, reasons::CONDITION_NOT_MET, format!("{} is not true", types::ACCEPTED));
        }
        Some(State::Unknown) | None => {
            let message = format!("{} is not known", types::ACCEPTED);
            return Said::new(State::Unknown, reasons::NOT_OBSERVED, message);
        }
    }
    let needed = [types::TOPICS_READY, types::SNAPSHOT_PINNED];
    match needed.into_iter().find(|kind| !conditions.is_true(kind)) {
        Some(kind) => Said::new(State::Unknown, reasons::NOT_OBSERVED, format!("{kind} is not known")),
        None => Said::new(true, reasons::AS_EXPECTED, ""),
    }
}

#[cfg(test)]
mod tests;
