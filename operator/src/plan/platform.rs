//! What is to be done for a platform.

use std::time::Duration;

use jiff::Timestamp;
use pnyx_crds::{
    GovernancePlatformStatus, ReplicasStatus,
    conditions::{platform as types, reasons},
};

use super::{Child, Effect, Note, NoteKind, Plan, PlatformScaling, children_effects, workload};
use crate::{
    build::Component,
    log::LogState,
    observe::PlatformObserved,
    status::{Conditions, Said, State},
    validate::{Refusal, ValidatedPlatform},
};

/// Between two looks at a platform of which nothing is heard: Secrets are not watched.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Plans for a platform, from what it wants to have (`children`) and what it has.
pub fn platform(
    observed: &PlatformObserved,
    validated: Result<&ValidatedPlatform, &Refusal>,
    children: Vec<Child>,
    scaling: Option<&PlatformScaling>,
    now: Timestamp,
) -> Plan<GovernancePlatformStatus> {
    let spec = &observed.seen.resource.spec;
    let mut conditions = Conditions::unknown(types::ALL, reasons::NOT_OBSERVED);
    let mut effects = Vec::new();
    conditions.set(
        types::PAUSED,
        match spec.paused {
            true => Said::new(true, reasons::PAUSED_BY_SPEC, "spec.paused is set: nothing is changed"),
            false => Said::new(false, reasons::AS_EXPECTED, ""),
        },
    );
    match validated {
        Err(refusal) => {
            conditions.set(types::ACCEPTED, Said::new(false, refusal.reason, &refusal.message));
            effects.push(refused(refusal));
        }
        Ok(_) => {
            conditions.set(types::ACCEPTED, Said::new(true, reasons::AS_EXPECTED, ""));
            if !spec.paused && !observed.seen.is_deleted {
                let (wanted, foreign) = children_effects(children, &observed.children);
                effects.extend(wanted);
                // Where somebody else chooses, nothing of this is done.
                let scaling = scaling.filter(|_| foreign.is_empty());
                effects.extend(scaling.into_iter().flat_map(|scaling| scaling.notes.iter().cloned().map(Effect::Note)));
            }
        }
    }
    let ingest = workload::replicas(&observed.children, Component::Ingest.word());
    let tally = workload::replicas(&observed.children, Component::Tally.word());
    conditions.set(types::INGEST_READY, replicas_said(ingest.as_ref(), "ingest"));
    conditions.set(types::TALLY_READY, replicas_said(tally.as_ref(), "tally"));
    conditions.set(types::KAFKA_READY, kafka_said(observed.log.as_ref()));
    conditions.set(types::REDIS_READY, redis_said(tally.as_ref()));
    let ready = summary(&conditions, observed.seen.is_deleted);
    conditions.set(types::READY, ready);
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let open = observed.proposals.iter().filter(|proposal| proposal.is_open(now)).count();
    let status = GovernancePlatformStatus {
        observed_generation: observed.seen.generation,
        ingest,
        tally,
        proposals: Some(count(observed.proposals.len())),
        open_proposals: Some(count(open)),
        ..GovernancePlatformStatus::default()
    };
    let again = scaling.and_then(|scaling| scaling.again).map_or(LOOK_AGAIN, |again| again.min(LOOK_AGAIN));
    Plan { effects, conditions, status, again: Some(again) }
}

fn refused(refusal: &Refusal) -> Effect {
    let message = refusal.message.clone();
    Effect::Note(Note { kind: NoteKind::Warning, reason: refusal.reason, action: "Validate", message })
}

fn replicas_said(replicas: Option<&ReplicasStatus>, name: &str) -> Said {
    match replicas {
        None => Said::new(false, reasons::REPLICAS_NOT_READY, format!("{name} is not there")),
        Some(ReplicasStatus { desired, ready }) if ready >= desired => Said::new(true, reasons::AS_EXPECTED, ""),
        Some(ReplicasStatus { desired, ready: 0 }) => {
            Said::new(false, reasons::REPLICAS_NOT_READY, format!("none of {desired} replicas of {name} is ready"))
        }
        // It serves; how many are ready stands in status, and is no reason to write a condition at each step.
        Some(_) => Said::new(true, reasons::REPLICAS_NOT_READY, format!("some replicas of {name} are not ready")),
    }
}

fn kafka_said(log: Option<&LogState>) -> Said {
    match log {
        None | Some(LogState::Opening) => Said::new(State::Unknown, reasons::NOT_OBSERVED, "nobody has answered yet"),
        Some(LogState::Followed) => Said::new(true, reasons::AS_EXPECTED, ""),
        Some(LogState::Failing { reason, problem }) => Said::new(false, reason, problem),
    }
}

/// The operator itself does not speak with the store; a tally is ready once it does and the store is as it must be.
fn redis_said(tally: Option<&ReplicasStatus>) -> Said {
    match tally {
        Some(ReplicasStatus { desired: _, ready: 1.. }) => Said::new(true, reasons::AS_EXPECTED, "the tally reads it"),
        Some(_) | None => Said::new(State::Unknown, reasons::NOT_OBSERVED, "no tally is ready, so nobody has said so"),
    }
}

/// What has to be so before proposals can be voted on, in the order in which it is mended.
fn summary(conditions: &Conditions, is_deleted: bool) -> Said {
    if is_deleted {
        return Said::new(false, reasons::DELETING, "the platform is being deleted");
    }
    let needed = [types::ACCEPTED, types::KAFKA_READY, types::REDIS_READY, types::INGEST_READY, types::TALLY_READY];
    let of =
        |state: State| needed.into_iter().find(|kind| conditions.get(kind).is_some_and(|said| said.state == state));
    match (of(State::False), of(State::Unknown)) {
        (Some(kind), _) => Said::new(false, reasons::CONDITION_NOT_MET, format!("{kind} is not true")),
        (None, Some(kind)) => Said::new(State::Unknown, reasons::NOT_OBSERVED, format!("{kind} is not known")),
        (None, None) => Said::new(true, reasons::AS_EXPECTED, ""),
    }
}
