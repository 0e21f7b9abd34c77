//! The custom resources of Pnyx: Rust types, the YAML generated from them, and the way from a resource to a proposal.
//!
//! The same files serve `kubectl apply` and `pnyx dev`: a resource that the API server refuses by its schema is
//! refused here too, and every problem is reported with its path in the resource.

mod proposal;

mod conversion;

mod reader;
mod schema;

pub use conversion::resolve;
pub use proposal::{
    Abstentions, GovernanceProposal, GovernanceProposalSpec, PowerSpec, QuorumKind, QuorumSpec, StrategySpec,
    TicketSpec, VotingSpec, VotingSystem, WhitelistSpec, WhitelistWeightedSpec, WindowSpec,
};
pub use reader::{FILE_BYTES_MAX, FILES_MAX, FileProblem, ReadError, Resource, read_resources};
pub use schema::crd_yaml;
