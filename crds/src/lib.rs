//! The custom resources of Pnyx: Rust types, the YAML generated from them, and the way from a resource to a proposal.
//!
//! The same files serve `kubectl apply` and `pnyx dev`: a resource that the API server refuses by its schema is
//! refused here too, and every problem is reported with its path in the resource.

mod power;
mod proposal;

mod conversion;

mod reader;
mod schema;

pub use conversion::resolve;
pub use power::{
    ChainStrategySpec, CollectionSpec, CollectionTokenSpec, ContractCallSpec, MultichainSpec, NativeSpec, PowerSpec,
    SnapshotSpec, StrategySpec, TicketSpec, TokenSpec, WhitelistSpec, WhitelistWeightedSpec,
};
pub use proposal::{
    Abstentions, GovernanceProposal, GovernanceProposalSpec, QuorumKind, QuorumSpec, SignersSpec, VotingSpec,
    VotingSystem, WindowSpec,
};
pub use reader::{FILE_BYTES_MAX, FILES_MAX, FileProblem, ReadError, Resource, read_resources};
pub use schema::crd_yaml;
