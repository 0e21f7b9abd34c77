//! From files to proposals: the same resources a cluster takes, opened now if asked, and remembered by the log.
//!
//! A proposal's topics are made before its definition is written, so that whoever reads of it finds them. Partitions may be
//! added to the ballots while the vote is open, because nothing depends on order there; lanes are fixed.

use std::{cmp::Ordering, path::PathBuf};

use anyhow::{Context as _, bail, ensure};
use pnyx_backbone::{
    log::{Log, Topic},
    proposals::Proposals,
};
use pnyx_chains::Chains;
use pnyx_core::{
    chain::SnapshotRule,
    decisions::{Decision, DecisionBook, Recorded},
    id::ProposalId,
    proposal::{Definition, Proposal, ProposalParts},
    time::{TimestampMs, Window},
};
use pnyx_crds::{Resource, read_resources};

use crate::{
    cli::LayoutArgs,
    trying::{self, Tried},
};

/// Partitions of a new ballots topic unless told otherwise: enough that four verifiers share the work.
const BALLOTS_PARTITIONS_DEFAULT: u32 = 4;

/// No partition is added later than this before the close. Edges and verifiers see a new one within 2 s; one that was cut
/// off for a while should not do so only after the cut.
const GROW_BEFORE_CLOSE_MIN_MS: u64 = 2 * 60 * 1_000;

/// How new proposals are laid out and when they open.
pub(crate) struct Layout {
    /// The platform's domain.
    pub(crate) domain: String,
    /// Verdict lanes.
    pub(crate) lanes: u16,
    /// Partitions of the ballots topic, where they are asked for.
    pub(crate) ballots_partitions: Option<u32>,
    /// Opens proposals now for this long, whatever their files say.
    pub(crate) open_for_ms: Option<u64>,
}

impl Layout {
    /// As the command line says.
    pub(crate) fn new(args: &LayoutArgs, domain: String) -> anyhow::Result<Self> {
        let LayoutArgs { open_for, partitions, lanes } = args;
        let open_for_ms = open_for.map(|open_for| u64::try_from(open_for.as_millis())).transpose()?;
        if let Some(partitions) = partitions {
            let range = 1..=Definition::PARTITIONS_MAX;
            ensure!(range.contains(partitions), "--partitions must be 1 to {}", Definition::PARTITIONS_MAX);
        }
        Ok(Self { domain, lanes: *lanes, ballots_partitions: *partitions, open_for_ms })
    }
}

/// A proposal of the files, which is in the log now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposed {
    /// Its id.
    pub(crate) id: ProposalId,
    /// What became of the partitions that were asked for.
    pub(crate) growth: Growth,
    /// What is to be said of its strategies.
    pub(crate) strategies: Option<String>,
}

/// What became of the partitions of a ballots topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Growth {
    /// It is new, or has as many as were asked for, or nothing was asked.
    None,
    /// It got more.
    Grown { from: u32, to: u32 },
    /// It has more than were asked for.
    NeverShrinks { partitions: u32, asked: u32 },
    /// It has fewer, but the vote is about to close or over.
    TooLate { partitions: u32, asked: u32 },
}

impl Growth {
    /// What is said of it, if anything is.
    pub(crate) fn words(self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Grown { from, to } => Some(format!("its ballots topic grew from {from} to {to} partitions")),
            Self::NeverShrinks { partitions, asked } => Some(format!(
                "its ballots topic keeps its {partitions} partitions, although {asked} were asked for: none is ever taken away"
            )),
            Self::TooLate { partitions, asked } => Some(format!(
                "its ballots topic keeps its {partitions} partitions, although {asked} were asked for: none is added in the \
                 last {} minutes or after the close",
                GROW_BEFORE_CLOSE_MIN_MS / 60_000
            )),
        }
    }
}

/// Records every proposal of the files that the log does not know yet, and adds partitions to those it knows where more
/// are asked for; returns all of them in the order of the files.
pub(crate) async fn propose(
    paths: &[PathBuf],
    layout: &Layout,
    log: &Log,
    chains: &Chains,
    proposals: &Proposals,
    now: TimestampMs,
) -> anyhow::Result<Vec<Proposed>> {
    // Everything is read before anything is recorded: what the log has once it has for ever.
    let mut resolved: Vec<(Resource, Proposal, Option<String>)> = Vec::new();
    for path in paths {
        for resource in read_resources(path)? {
            let proposal = resolve(&resource, layout, &proposals.book(), now)?;
            let id = proposal.id();
            if resolved.iter().any(|(_, earlier, _)| earlier.id() == id) {
                bail!("{}: this proposal is given twice: a duplicate of id {id}", resource.file().display());
            }
            refuse_past(&resource, &proposal, proposals, now)?;
            let strategies = match proposals.book().get(id) {
                Some(_) => None,
                None => trying::strategies(&proposal, chains)
                    .await
                    .and_then(Tried::for_proposing)
                    .with_context(|| place(&resource, &proposal))?,
            };
            resolved.push((resource, proposal, strategies));
        }
    }
    let mut proposed = Vec::with_capacity(resolved.len());
    for (resource, proposal, strategies) in resolved {
        let (id, closes_at) = (proposal.id(), proposal.window().closes_at());
        let known = proposals.book().get(id).cloned();
        if known.is_none() {
            record(&resource, proposal, layout, log, proposals).await?;
        }
        let growth = if known.is_some_and(|decisions| decisions.result.is_some()) {
            // Its topics may be gone, and nothing needs them any more.
            Growth::None
        } else {
            let may_grow = now.saturating_add_ms(GROW_BEFORE_CLOSE_MIN_MS) <= closes_at;
            grow(log, id, layout.ballots_partitions, may_grow).await?
        };
        proposed.push(Proposed { id, growth, strategies });
    }
    Ok(proposed)
}

/// Tries every proposal of the files and records nothing; returns what came of each, in the order of the files.
pub(crate) async fn try_only(
    paths: &[PathBuf],
    layout: &Layout,
    chains: &Chains,
    now: TimestampMs,
) -> anyhow::Result<Vec<(Resource, Proposal, Tried)>> {
    let mut tried = Vec::new();
    for path in paths {
        for resource in read_resources(path)? {
            let proposal = resolve(&resource, layout, &DecisionBook::default(), now)?;
            let came = trying::strategies(&proposal, chains).await.with_context(|| place(&resource, &proposal))?;
            tried.push((resource, proposal, came));
        }
    }
    Ok(tried)
}

/// Where a proposal stands, for whoever wrote it.
pub(crate) fn place(resource: &Resource, proposal: &Proposal) -> String {
    format!("{}: {}", resource.file().display(), proposal.parts().name)
}

/// Gives the ballots topic as many partitions as are asked for, if it has fewer.
async fn grow(log: &Log, id: ProposalId, asked: Option<u32>, may_grow: bool) -> anyhow::Result<Growth> {
    let Some(asked) = asked else { return Ok(Growth::None) };
    let topic = Topic::ballots(id);
    let partitions = log.partitions(&topic).await.context("reading the partitions of the ballots topic")?;
    match asked.cmp(&partitions) {
        Ordering::Equal => Ok(Growth::None),
        Ordering::Less => Ok(Growth::NeverShrinks { partitions, asked }),
        Ordering::Greater if !may_grow => Ok(Growth::TooLate { partitions, asked }),
        Ordering::Greater => {
            log.grow_topic(&topic, asked).await.context("adding partitions to the ballots topic")?;
            Ok(Growth::Grown { from: partitions, to: asked })
        }
    }
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

/// Snapshots that follow the opening move with it.
fn is_same_but_for_window(known: &ProposalParts, fresh: &ProposalParts) -> bool {
    let at_opening = |window: Window| SnapshotRule::AtOrBefore(window.opens_at());
    let moved_rule = |rule| if rule == at_opening(known.window) { at_opening(fresh.window) } else { rule };
    let snapshots = known.snapshots.iter().map(|(chain, rule)| (*chain, moved_rule(*rule))).collect();
    let moved = ProposalParts { window: fresh.window, snapshots, ..known.clone() };
    moved == *fresh
}

/// Makes the topics of a new proposal, then writes its definition. Nobody does so again: of a proposal that is known a
/// topic may be gone in which ballots lay.
async fn record(
    resource: &Resource,
    proposal: Proposal,
    layout: &Layout,
    log: &Log,
    proposals: &Proposals,
) -> anyhow::Result<()> {
    let id = proposal.id();
    let partitions = layout.ballots_partitions.unwrap_or(BALLOTS_PARTITIONS_DEFAULT);
    let definition = Definition::new(proposal, layout.lanes, partitions)?;
    log.ensure_topic(&Topic::ballots(id), definition.ballots_partitions()).await.context("making the ballots topic")?;
    log.ensure_topic(&Topic::verdicts(id), definition.lanes().into()).await.context("making the verdicts topic")?;
    if definition.proposal().signers().is_some() {
        log.ensure_topic(&Topic::deferred(id), definition.lanes().into()).await.context("making the deferred topic")?;
    }
    match proposals.decide(Decision::Definition(Box::new(definition))).await? {
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path, sync::Arc};

    use pnyx_backbone::{clock, log::EmbeddedLog, shutdown::Shutdown};
    use pnyx_core::{
        counting::{CountingRules, Totals},
        id::Root,
        outcome::outcome,
        result::{Cut, Provenance, PublishedResult, ResultCore},
        signing::SigningKey,
    };

    use super::*;

    #[tokio::test]
    async fn partitions_are_added_to_what_is_there_and_never_taken_away() {
        let data = tempfile::tempdir().unwrap();
        let log = Log::Embedded(EmbeddedLog::open(data.path()).unwrap());
        let shutdown = Shutdown::new();
        let proposals = Proposals::start(log.clone(), &shutdown).await.unwrap();
        let paths = [Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/grants-round.yaml")];
        let opened_at = clock::now();
        let at = async |asked, minutes: u64| {
            let args = LayoutArgs { open_for: Some(std::time::Duration::from_secs(600)), partitions: asked, lanes: 2 };
            let layout = Layout::new(&args, "test".to_owned()).unwrap();
            let now = opened_at.saturating_add_ms(minutes * 60_000);
            let [Proposed { id, growth, strategies: None }] =
                propose(&paths, &layout, &log, &Chains::none(), &proposals, now).await.unwrap()[..]
            else {
                panic!("the file has one proposal");
            };
            (log.partitions(&Topic::ballots(id)).await.unwrap(), growth)
        };
        assert_eq!(at(None, 0).await, (4, Growth::None));
        assert_eq!(at(None, 0).await, (4, Growth::None));
        assert_eq!(at(Some(4), 0).await, (4, Growth::None));
        assert_eq!(at(Some(12), 1).await, (12, Growth::Grown { from: 4, to: 12 }));
        assert_eq!(at(Some(2), 1).await, (12, Growth::NeverShrinks { partitions: 12, asked: 2 }));
        assert_eq!(at(Some(13), 9).await, (12, Growth::TooLate { partitions: 12, asked: 13 }));
        assert_eq!(at(Some(13), 60).await, (12, Growth::TooLate { partitions: 12, asked: 13 }));
        assert_eq!(at(None, 60).await, (12, Growth::None));
        assert_eq!(proposals.book().proposals().len(), 1);
    }

    #[tokio::test]
    async fn only_proposals_for_whose_voters_contracts_sign_have_a_deferred_topic() {
        let data = tempfile::tempdir().unwrap();
        let log = Log::Embedded(EmbeddedLog::open(data.path()).unwrap());
        let proposals = Proposals::start(log.clone(), &Shutdown::new()).await.unwrap();
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let paths = ["grants-round.yaml", "chains/token-holders.yaml"].map(|file| examples.join(file));
        let args = LayoutArgs { open_for: Some(std::time::Duration::from_secs(600)), partitions: None, lanes: 3 };
        let layout = Layout::new(&args, "test".to_owned()).unwrap();
        let proposed = propose(&paths, &layout, &log, &Chains::none(), &proposals, clock::now()).await.unwrap();
        let [plain, with_contracts] = &proposed[..] else { panic!("each file has one proposal") };
        assert!(log.partitions(&Topic::deferred(plain.id)).await.is_err());
        assert_eq!(log.partitions(&Topic::deferred(with_contracts.id)).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_proposal_with_a_result_is_only_listed() {
        let data = tempfile::tempdir().unwrap();
        let log = Log::Embedded(EmbeddedLog::open(data.path()).unwrap());
        let proposals = Proposals::start(log.clone(), &Shutdown::new()).await.unwrap();
        let paths = [Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/grants-round.yaml")];
        let args = LayoutArgs { open_for: Some(std::time::Duration::from_secs(600)), partitions: Some(2), lanes: 2 };
        let now = clock::now();
        let layout = Layout::new(&args, "test".to_owned()).unwrap();
        let first = propose(&paths, &layout, &log, &Chains::none(), &proposals, now).await.unwrap();
        let [Proposed { id, growth: Growth::None, strategies: None }] = first[..] else { panic!("{first:?}") };

        let cut = Cut { proposal: id, decided_at: now, partitions: Vec::new() };
        let definition = Arc::clone(&proposals.book().get(id).unwrap().definition);
        let voting = &definition.proposal().parts().voting;
        let rules = CountingRules::of(definition.proposal());
        let outcome = outcome(voting, rules, &Totals::empty(rules));
        let core = ResultCore { proposal: id, ballots: 0, outcome, ballots_root: Root::new([0; 32]) };
        let provenance = Provenance { cut: cut.clone(), records: 0, rejected: BTreeMap::new(), chains: None };
        let result = PublishedResult::sign(core, provenance, &SigningKey::from_bytes([1; 32]).unwrap());
        for decision in [Decision::Cut(cut), Decision::Result(Box::new(result))] {
            assert_eq!(proposals.decide(decision).await.unwrap(), Recorded::Stands);
        }
        let more = LayoutArgs { partitions: Some(12), ..args };
        let layout = Layout::new(&more, "test".to_owned()).unwrap();
        assert_eq!(propose(&paths, &layout, &log, &Chains::none(), &proposals, now).await.unwrap(), first);
        assert_eq!(log.partitions(&Topic::ballots(id)).await.unwrap(), 2);
    }

    #[test]
    fn a_number_of_partitions_that_no_topic_has_is_refused() {
        for partitions in [0, 1_025] {
            let args = LayoutArgs { open_for: None, partitions: Some(partitions), lanes: 2 };
            let refused = Layout::new(&args, "test".to_owned()).err().expect("it is refused");
            assert_eq!(refused.to_string(), "--partitions must be 1 to 1024");
        }
    }
}
