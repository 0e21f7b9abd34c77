//! The way from a voter's standing ballot to the root in the published result.

use std::time::Duration;

use alloy_primitives::hex;
use pnyx_backbone::{
    blocking::{RuntimeEnded, blocking},
    store::StoreError,
};
use pnyx_core::{
    id::{ProposalId, Root, Voter},
    merkle::{InclusionPath, ballot_leaf, path},
    tally::StandingBallot,
};
use serde::Serialize;
use tokio::{runtime::Handle, time};
use utoipa::ToSchema;

use super::ApiState;
use crate::Tally;

/// Most paths computed at the same time: each reads and hashes every standing ballot, on a core of its own.
pub(super) const PATHS_AT_ONCE_MAX: usize = 1;

/// How long a request waits for its turn before it is answered without a path: less than clients wait for an answer.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);

/// Standing ballots read from the store at once: about a megabyte.
const READ_BALLOTS_MAX: usize = 4096;

/// Why there is no path at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoInclusion {
    /// Others are asking for one.
    Busy,
    /// The store does not hold what the result was made of.
    Behind,
}

impl NoInclusion {
    /// What a reader is told.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Busy => "too many requests for inclusion paths; try again in a few seconds",
            Self::Behind => "the tally is being rebuilt; the result stands, and its proofs are served again afterwards",
        }
    }
}

/// Proof that a standing ballot is in the published result: hash the leaf, then up to the root (RFC 6962).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InclusionDto {
    /// Leaf data: voter, digest, power and canonical choice, as hexadecimal digits.
    leaf: String,
    /// The leaf's index among the standing ballots by voter, from 0.
    index: u64,
    /// How many leaves there are.
    size: u64,
    /// Sibling hashes, the lowest first.
    hashes: Vec<String>,
    /// The published root that they lead to.
    root: String,
}

impl ApiState {
    /// The path of a standing ballot of a final proposal, checked against the published root.
    pub(super) async fn inclusion(
        &self,
        id: ProposalId,
        voter: Voter,
        ballot: &StandingBallot,
        root: Root,
    ) -> Result<Result<InclusionDto, NoInclusion>, StoreError> {
        let Ok(Ok(_turn)) = time::timeout(TURN_WAIT_MAX, self.0.inclusion_paths.acquire()).await else {
            return Ok(Err(NoInclusion::Busy));
        };
        let (tally, runtime) = (self.0.tally.clone(), Handle::current());
        let found = match blocking(move || find_path(&tally, &runtime, id, voter)).await {
            Ok(found) => found?,
            Err(RuntimeEnded) => return Ok(Err(NoInclusion::Busy)),
        };
        let leaf = ballot_leaf(voter, ballot);
        let Some(path) = found.filter(|path| path.root_from(&leaf) == Some(root)) else {
            return Ok(Err(NoInclusion::Behind));
        };
        let hashes = path.hashes.iter().map(hex::encode_prefixed).collect();
        let leaf = hex::encode_prefixed(leaf);
        Ok(Ok(InclusionDto { leaf, index: path.index, size: path.size, hashes, root: root.to_string() }))
    }
}

/// Reads all standing ballots twice: to find the voter's index, and to hash them.
fn find_path(
    tally: &Tally,
    runtime: &Handle,
    id: ProposalId,
    voter: Voter,
) -> Result<Option<InclusionPath>, StoreError> {
    let mut failure = None;
    let index = Standing::new(tally, runtime, id, &mut failure).take_while(|(other, _)| *other < voter).count();
    let index = u64::try_from(index).expect("a usize has at most 64 bits");
    let leaves = Standing::new(tally, runtime, id, &mut failure).map(|(voter, ballot)| ballot_leaf(voter, &ballot));
    let found = path(leaves, index);
    failure.map_or(Ok(found), Err)
}

/// Standing ballots by voter, page by page; ends early and notes why if the store fails.
struct Standing<'a> {
    tally: &'a Tally,
    runtime: &'a Handle,
    id: ProposalId,
    after: Option<Voter>,
    page: std::vec::IntoIter<(Voter, StandingBallot)>,
    failure: &'a mut Option<StoreError>,
}

impl<'a> Standing<'a> {
    fn new(tally: &'a Tally, runtime: &'a Handle, id: ProposalId, failure: &'a mut Option<StoreError>) -> Self {
        Self { tally, runtime, id, after: None, page: Vec::new().into_iter(), failure }
    }
}

impl Iterator for Standing<'_> {
    type Item = (Voter, StandingBallot);

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            let reading = self.tally.store.standing_after(self.id, self.after, READ_BALLOTS_MAX);
            match self.runtime.block_on(reading) {
                Ok(page) => self.page = page.into_iter(),
                Err(problem) => *self.failure = Some(problem),
            }
        }
        let next = self.page.next()?;
        self.after = Some(next.0);
        Some(next)
    }
}
