//! How a new proposal is laid out in the log: what is recorded with what voters sign, and never changes.

use pnyx_core::proposal::{Definition, DefinitionError};

use crate::validate::ValidatedProposal;

/// Verdict lanes: as many tallies may share one proposal. One of them takes more verdicts in a second than ten shards
/// write, so this is for votes of more than a hundred shards.
const LANES: u16 = 8;

/// The definition of a proposal that is not in the log yet: as many partitions as it may have shards, unless it asks for
/// fewer. More are added while the window is open.
///
/// # Errors
/// If the numbers are out of the core's bounds, which the schema keeps them from.
pub(super) fn definition(validated: &ValidatedProposal) -> Result<Definition, DefinitionError> {
    Definition::new(validated.proposal().clone(), LANES, validated.scaling().partitions_initial())
}
