//! From files to proposals: the same resources a cluster takes, opened now if asked, and remembered by the log.
//!
//! A proposal's topics are made before its definition is written, so that whoever reads of it finds them.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use pnyx_backbone::{
    log::{Log, Topic},
    proposals::Proposals,
};
use pnyx_core::{
    decisions::{Decision, DecisionBook, Recorded},
    id::ProposalId,
    proposal::{Definition, Proposal, ProposalParts},
    time::{TimestampMs, Window},
};
use pnyx_crds::{Resource, read_resources};

use crate::cli::LayoutArgs;

/// How new proposals are laid out and when they open.
pub(crate) struct Layout {
    /// The platform's domain.
    pub(crate) domain: String,
    /// Verdict lanes.
    pub(crate) lanes: u16,
    /// Partitions of the ballots topic.
    pub(crate) ballots_partitions: u32,
    /// Opens proposals now for this long, whatever their files say.
    pub(crate) open_for_ms: Option<u64>,
}

impl Layout {
    /// As the command line says.
    pub(crate) fn new(args: &LayoutArgs, domain: String) -> anyhow::Result<Self> {
        let LayoutArgs { open_for, partitions, lanes } = args;
        let open_for_ms = open_for.map(|open_for| u64::try_from(open_for.as_millis())).transpose()?;
        Ok(Self { domain, lanes: *lanes, ballots_partitions: *partitions, open_for_ms })
    }
}

/// Records every proposal of the files that the log does not know yet; returns all of them in the order of the files.
pub(crate) async fn propose(
    paths: &[PathBuf],
    layout: &Layout,
    log: &Log,
    proposals: &Proposals,
    now: TimestampMs,
) -> anyhow::Result<Vec<ProposalId>> {
    // Everything is read before anything is recorded: what the log has once it has for ever.
    let mut resolved: Vec<(Resource, Proposal)> = Vec::new();
    for path in paths {
        for resource in read_resources(path)? {
            let proposal = resolve(&resource, layout, &proposals.book(), now)?;
            let id = proposal.id();
            if resolved.iter().any(|(_, earlier)| earlier.id() == id) {
                bail!("{}: this proposal is given twice: a duplicate of id {id}", resource.file().display());
            }
            refuse_past(&resource, &proposal, proposals, now)?;
            resolved.push((resource, proposal));
        }
    }
    let ids = resolved.iter().map(|(_, proposal)| proposal.id()).collect();
    for (resource, proposal) in resolved {
        record(&resource, proposal, layout, log, proposals).await?;
    }
    Ok(ids)
}

/// The proposal of a resource. With `open_for` the window is the one it was first given, if it was given one before.
fn resolve(resource: &Resource, layout: &Layout, book: &DecisionBook, now: TimestampMs) -> anyhow::Result<Proposal> {
    let Some(open_for_ms) = layout.open_for_ms else {
        return Ok(resource.resolve(&layout.domain, None)?);
    };
    let opens_at = TimestampMs(now.0 - now.0 % 1000);
    let window = Window::new(opens_at, opens_at.saturating_add_ms(open_for_ms)).context("--open-for")?;
    let fresh = resource.resolve(&layout.domain, Some(window))?;
    let known = book.proposals().values().map(|decisions| decisions.definition.proposal());
    let remembered = known.filter(|known| is_same_but_for_window(known.parts(), fresh.parts()));
    Ok(remembered.max_by_key(|known| known.window().opens_at()).cloned().unwrap_or(fresh))
}

fn is_same_but_for_window(known: &ProposalParts, fresh: &ProposalParts) -> bool {
    let moved = ProposalParts { window: fresh.window, ..known.clone() };
    moved == *fresh
}

async fn record(
    resource: &Resource,
    proposal: Proposal,
    layout: &Layout,
    log: &Log,
    proposals: &Proposals,
) -> anyhow::Result<()> {
    let id = proposal.id();
    let known = proposals.book().get(id).map(|decisions| Arc::clone(&decisions.definition));
    let definition = match &known {
        Some(definition) => Arc::clone(definition),
        None => Arc::new(Definition::new(proposal, layout.lanes, layout.ballots_partitions)?),
    };
    log.ensure_topic(&Topic::ballots(id), definition.ballots_partitions()).await.context("making the ballots topic")?;
    log.ensure_topic(&Topic::verdicts(id), definition.lanes().into()).await.context("making the verdicts topic")?;
    if known.is_some() {
        return Ok(());
    }
    match proposals.decide(Decision::Definition(Box::new(Definition::clone(&definition)))).await? {
        Recorded::Stands | Recorded::Repeated => Ok(()),
        recorded @ (Recorded::Conflicts | Recorded::Unknown) => {
            bail!("{}: proposal {id} could not be recorded: {recorded:?}", resource.file().display())
        }
    }
}

/// Refuses a new proposal whose window is over; one that the log has is only listed.
fn refuse_past(
    resource: &Resource,
    proposal: &Proposal,
    proposals: &Proposals,
    now: TimestampMs,
) -> anyhow::Result<()> {
    let is_new = proposals.book().get(proposal.id()).is_none();
    if is_new && proposal.window().closes_at() <= now {
        bail!(
            "{}: spec.window.closesAt: is in the past, so the proposal could never take a ballot; choose a later time, or \
             open it now with --open-for 10m",
            resource.file().display()
        );
    }
    Ok(())
}
