//! What is to be done for a proposal.

mod archive;
mod result;
mod said;

use std::time::Duration;

use jiff::Timestamp;
use pnyx_core::{scaling::ScalingPhase, time::WindowPosition};
use pnyx_crds::{
    GovernanceProposalStatus, ProposalPhase, ShardsStatus,
    conditions::{proposal as types, reasons},
};

use super::{
    Child, Deletion, Effect, Note, NoteKind, Plan, ProposalScaling, children_effects,
    definition::definition,
    deletion::DELETION_AGAIN,
    finalizer, jobs, rollout,
    trial::{self, Trial},
    workload,
};
use crate::{
    build::Component,
    clock::since_epoch,
    kinds::ObjectKey,
    log::LogWrite,
    observe::{ProposalObserved, TopicsSeen},
    status::{Conditions, Said, State},
    validate::{Refusal, ValidatedProposal},
};

/// Between two looks at a proposal of which nothing is heard.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What only the log and samples of it tell.
const FROM_THE_LOG: &[&str] = &[types::SNAPSHOT_PINNED, types::TOPICS_READY, types::DRAINED, types::RECOUNTED];

/// No look is planned sooner than this: a window that opens now is looked at right after.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(100);

/// Between the look that holds and binds a new proposal and the one that records it: soon, and no burden where the API server
/// refuses what is written.
const BEGIN_AGAIN: Duration = Duration::from_millis(500);

/// Plans for a proposal, from what it wants to have (`children`: of its trial, before its definition stands), what it has,
/// and what its log shows of it.
pub fn proposal(
    observed: &ProposalObserved,
    validated: Result<&ValidatedProposal, &Refusal>,
    children: Vec<Child>,
    topics: &TopicsSeen,
    scaling: Option<&ProposalScaling>,
    deletion: &Deletion,
    now: Timestamp,
) -> Plan<GovernanceProposalStatus> {
    let mut conditions = Conditions::unknown(types::ALL, reasons::NOT_OBSERVED);
    // What was said of the log and of scaling stays until something else is known.
    conditions.keep(&observed.seen.conditions, FROM_THE_LOG);
    conditions.set(types::PAUSED, paused(observed));
    let status = GovernanceProposalStatus {
        observed_generation: observed.seen.generation,
        phase: Some(ProposalPhase::Pending),
        conditions: Vec::new(),
        shards: None,
        selector: None,
        ..(*observed.before).clone()
    };
    let mut plan = Plan { effects: Vec::new(), conditions, status, again: Some(LOOK_AGAIN) };
    let may_act = !plan.conditions.is_true(types::PAUSED) && deletion.keeps_running();
    match validated {
        Err(refusal) => refused(&mut plan, observed, refusal),
        Ok(validated) => {
            accepted(&mut plan, observed, validated, children, topics, may_act, now);
            scaled(&mut plan, observed, validated, scaling, may_act);
        }
    }
    let for_deletion = deletion.effects(observed);
    if !for_deletion.is_empty() {
        plan.effects.extend(for_deletion);
        plan.again = plan.again.map(|again| again.min(DELETION_AGAIN));
    }
    if let Some(replicas) = workload::replicas(&observed.children, Component::Verifier.word()) {
        plan.status.selector = workload::selector(&observed.children, Component::Verifier.word());
        plan.status.shards = Some(ShardsStatus { desired: replicas.desired, ready: replicas.ready });
    }
    let ready = match (deletion.said(), validated) {
        (Some(deleting), _) => deleting,
        (None, Err(refusal)) if stands(observed) => Said::new(false, refusal.reason, &refusal.message),
        (None, Ok(validated)) => without_archive(observed, validated).unwrap_or_else(|| summary(&plan.conditions)),
        (None, Err(_)) => summary(&plan.conditions),
    };
    plan.conditions.set(types::READY, ready);
    plan
}

/// As [`archive::missing`], if the log was read.
fn without_archive(observed: &ProposalObserved, validated: &ValidatedProposal) -> Option<Said> {
    archive::missing(observed, validated, observed.book.as_ref()?.get(validated.proposal().id())?)
}

/// Of one that cannot be run. Where its definition stands in the log it stays accepted, whatever else is wrong now: voters
/// signed it, and the API server lets nobody change what is accepted. Nothing holds the deletion of one that never was.
fn refused(plan: &mut Plan<GovernanceProposalStatus>, observed: &ProposalObserved, refusal: &Refusal) {
    if !observed.seen.is_deleted {
        plan.effects.push(note(NoteKind::Warning, refusal.reason, "Validate", refusal.message.clone()));
    }
    if stands(observed) {
        plan.conditions.keep(&observed.seen.conditions, types::ALL);
        plan.conditions.set(types::PAUSED, paused(observed));
        plan.status.phase = observed.before.phase;
    } else {
        plan.conditions.set(types::ACCEPTED, Said::new(false, refusal.reason, &refusal.message));
        if !observed.seen.is_deleted && !plan.conditions.is_true(types::PAUSED) {
            plan.effects.extend(finalizer::release(&observed.seen.resource.metadata));
        }
    }
}

/// Whether it was accepted, or was about to be, and nothing says that its definition does not stand.
fn stands(observed: &ProposalObserved) -> bool {
    let was_accepted = observed.seen.conditions.iter().any(|it| it.type_ == types::ACCEPTED && it.status == "True");
    let is_in_book = |id| observed.book.as_ref().is_none_or(|book| book.get(id).is_some());
    (was_accepted || observed.is_recording()) && observed.status_id().is_some_and(is_in_book)
}

/// Of one that can be voted on. No ballot counts, and nobody has anything to do, before the log says what is voted on. What
/// is there stays as it is meanwhile: that nothing is known is no reason to take it away.
fn accepted(
    plan: &mut Plan<GovernanceProposalStatus>,
    observed: &ProposalObserved,
    validated: &ValidatedProposal,
    children: Vec<Child>,
    topics: &TopicsSeen,
    may_act: bool,
    now: Timestamp,
) {
    let (proposal, at) = (validated.proposal(), since_epoch(now));
    plan.conditions.set(types::ACCEPTED, said::accepted(validated, observed));
    plan.status.proposal_id = Some(proposal.id().to_string());
    let may_begin = may_act && !observed.seen.is_deleted;
    if !validated.is_defined() {
        if observed.book.is_some() && may_begin {
            begin(plan, observed, validated, children, now);
        }
        return;
    }
    if may_begin {
        plan.effects.extend(finalizer::hold(&observed.seen.resource.metadata));
    }
    let position = proposal.window().position(at);
    let decisions = observed.book.as_ref().and_then(|book| book.get(proposal.id()));
    said::decided(&mut plan.conditions, validated, decisions, topics, position);
    plan.status.phase = Some(match (decisions, observed.before.phase) {
        // Nobody reads the log, and a phase after the window is one that only the log tells.
        (None, Some(phase)) if position == WindowPosition::After && phase > ProposalPhase::Open => phase,
        (_, _) => said::phase(decisions, position, &plan.conditions),
    });
    if let Some(decisions) = decisions {
        plan.status.topics = Some(said::topics(validated, decisions, topics, observed.before.topics.as_ref()));
        plan.status.pins = result::pins(decisions);
        plan.status.result = result::result(decisions);
        result::stand(&mut plan.status, decisions, observed.standing.as_ref());
        plan.effects.extend(result::news(decisions).filter(|_| observed.before.result.is_none()));
        plan.effects.extend(archive::news(decisions, observed));
        let until_pins = Duration::from_millis(proposal.snapshots_from().saturating_since_ms(at)).max(LOOK_AGAIN_MIN);
        let waits = decisions.waits_for_pins() && at < proposal.snapshots_from();
        plan.again = plan.again.map(|again| if waits { again.min(until_pins) } else { again });
    }
    if plan.status.result.is_none() {
        said::failed(plan, &observed.children);
    }
    if may_act {
        let mut effects = children_effects(children, &observed.children).0;
        let is_final = topics.is_drained == Some(true) || plan.status.result.is_some();
        let is_busy = match position {
            WindowPosition::Before => false,
            WindowPosition::Inside => true,
            WindowPosition::After => !is_final,
        };
        // What does not work, or works for another vote of this name, is no reason to wait.
        let is_held = is_busy && workload::works_for(&observed.children, Component::Verifier.word(), proposal.id());
        let held = rollout::hold(&mut effects, is_held, &observed.seen.resource.metadata);
        plan.conditions.set(types::UPGRADE_PENDING, held);
        plan.effects.extend(effects);
        let is_disputed = plan.status.phase == Some(ProposalPhase::Disputed);
        plan.effects.extend(jobs::begin_anew(&observed.children, proposal.id(), is_disputed, now));
        let retention = |decisions| archive::retention(observed, validated, decisions, topics, at);
        plan.effects.extend(decisions.map(retention).unwrap_or_default());
    }
}

/// How it is scaled, if its scaling was planned.
fn scaled(
    plan: &mut Plan<GovernanceProposalStatus>,
    observed: &ProposalObserved,
    validated: &ValidatedProposal,
    scaling: Option<&ProposalScaling>,
    may_act: bool,
) {
    let Some(scaling) = scaling else { return };
    for (kind, said) in &scaling.conditions {
        plan.conditions.set(kind, said.clone());
    }
    if scaling.plan.phase == ScalingPhase::Warming && plan.status.phase == Some(ProposalPhase::Scheduled) {
        plan.status.phase = Some(ProposalPhase::Warming);
    }
    plan.status.scaling = Some(scaling.status.clone());
    plan.status.learnt_lead.clone_from(&scaling.learnt_lead);
    plan.again = plan.again.map(|again| again.min(scaling.again));
    if !may_act {
        return;
    }
    if let Some(to) = scaling.partitions {
        let (platform, proposal) = (observed.platform_key(), validated.proposal().id());
        plan.effects.push(Effect::Log(LogWrite::Grow { platform, proposal, from: scaling.plan.partitions.from, to }));
    }
    plan.effects.extend(scaling.note.clone().map(Effect::Note));
}

/// What comes before voters are bound: the resource can no longer vanish without a word, and what it binds can no longer
/// change. Only once both are seen to be so is anything recorded, so nothing that stands in the log has lost its resource.
///
/// What is bound was tried before. It is not asked again: its definition may have been written since.
fn begin(
    plan: &mut Plan<GovernanceProposalStatus>,
    observed: &ProposalObserved,
    validated: &ValidatedProposal,
    children: Vec<Child>,
    now: Timestamp,
) {
    let is_bound = observed.is_recording() && observed.status_id() == Some(validated.proposal().id());
    if !is_bound && trial::reads_chains(validated.proposal()) && !is_tried(plan, observed, validated, children, now) {
        return;
    }
    let message = "what voters sign is being recorded in the log";
    plan.conditions.set(types::ACCEPTED, Said::new(State::Unknown, reasons::RECORDING, message));
    let hold = finalizer::hold(&observed.seen.resource.metadata);
    if hold.is_none() && is_bound {
        plan.effects.extend(define(observed, validated));
    } else {
        plan.effects.extend(hold);
        plan.again = Some(BEGIN_AGAIN);
    }
}

/// Whether nothing speaks against its strategies. What is tried may still be mended, so the resource is neither held nor
/// bound; another spec has another id, and gets a trial of its own at once. A Job that found something wrong stays, because
/// its log says what.
fn is_tried(
    plan: &mut Plan<GovernanceProposalStatus>,
    observed: &ProposalObserved,
    validated: &ValidatedProposal,
    children: Vec<Child>,
    now: Timestamp,
) -> bool {
    let (there, id) = (trial::children(&observed.children), validated.proposal().id());
    let trial = trial::trial(&there, id);
    let (state, reason, message) = match &trial {
        Trial::Passed => return true,
        Trial::Awaited => {
            let message = "whether its strategies can answer is being tried on their chains; it may still be changed";
            (State::Unknown, reasons::TRYING_STRATEGIES, message.to_owned())
        }
        Trial::Failed(failure) => (State::Unknown, reasons::TRYING_STRATEGIES, failure.clone()),
        Trial::Refuted(ObjectKey { namespace, name }) => {
            let message = format!("a strategy can never answer: `kubectl logs job/{name} -n {namespace}` says which");
            (State::False, reasons::STRATEGY_FAILS, message)
        }
    };
    let is_refuted = matches!(trial, Trial::Refuted(_));
    if trial != Trial::Awaited {
        plan.effects.push(note(NoteKind::Warning, reason, "Try", message.clone()));
    }
    plan.conditions.set(types::ACCEPTED, Said::new(state, reason, message));
    plan.effects.extend(children_effects(children, &there).0);
    plan.effects.extend(jobs::begin_anew(&there, id, is_refuted, now));
    plan.effects.extend(finalizer::release(&observed.seen.resource.metadata).filter(|_| is_refuted));
    false
}

/// The topics and what voters sign.
fn define(observed: &ProposalObserved, validated: &ValidatedProposal) -> Option<Effect> {
    let platform = validated.platform().parts();
    let platform = ObjectKey::new(&platform.namespace, &platform.name);
    match definition(validated) {
        Ok(definition) => Some(Effect::Log(LogWrite::Define { platform, definition: Box::new(definition) })),
        Err(error) => {
            // The schema keeps the numbers in their bounds.
            tracing::error!(key = %observed.seen.owner.key(), %error, "no definition can be made");
            None
        }
    }
}

fn note(kind: NoteKind, reason: &'static str, action: &'static str, message: String) -> Effect {
    Effect::Note(Note { kind, reason, action, message })
}

fn paused(observed: &ProposalObserved) -> Said {
    match (observed.seen.resource.spec.paused, observed.is_paused()) {
        (true, _) => Said::new(true, reasons::PAUSED_BY_SPEC, "spec.paused is set: nothing is changed"),
        (false, true) => Said::new(true, reasons::PAUSED_BY_PLATFORM, "spec.paused of the platform is set"),
        (false, false) => Said::new(false, reasons::AS_EXPECTED, ""),
    }
}

/// What of a proposal is not as it should be.
fn summary(conditions: &Conditions) -> Said {
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
    let is_false = |kind: &&str| conditions.get(kind).is_some_and(|said| said.state == State::False);
    // Blocks that are not final yet are nothing to mend.
    let is_waited_for =
        |kind: &&str| conditions.get(kind).is_some_and(|said| said.reason == reasons::WAITING_FOR_FINALITY);
    let needed = [types::TOPICS_READY, types::SNAPSHOT_PINNED];
    if let Some(kind) = needed.into_iter().find(|kind| is_false(kind) && !is_waited_for(kind)) {
        return Said::new(false, reasons::CONDITION_NOT_MET, format!("{kind} is not true"));
    }
    if let Some(said) = conditions.get(types::RECOUNTED)
        && [reasons::DISPUTED, reasons::RECOUNT_FAILED].contains(&said.reason)
    {
        return Said::new(false, said.reason, &said.message);
    }
    match needed.into_iter().find(|kind| !conditions.is_true(kind) && !is_waited_for(kind)) {
        Some(kind) => Said::new(State::Unknown, reasons::NOT_OBSERVED, format!("{kind} is not known")),
        None => Said::new(true, reasons::AS_EXPECTED, ""),
    }
}

#[cfg(test)]
pub(super) mod tests;
