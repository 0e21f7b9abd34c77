//! The custom resources of Pnyx: Rust types, the YAML generated from them, and the way from a resource to a proposal.
//!
//! The same files serve `kubectl apply` and `pnyx dev`: a resource that the API server refuses by its schema is
//! refused here too, and every problem is reported with its path in the resource.

pub mod conditions;

mod binding;
mod duration;
mod platform;
mod power;
mod proposal;
mod proposal_status;
mod scaling;
mod scaling_status;
mod secret;

mod conversion;

mod reader;
mod schema;

pub use conversion::{remembered, remembered_status, resolve, resolve_scaling, scaling_status};
pub use platform::{
    ArchiveSpec, ChainSpec, EdgeSpec, EndpointSpec, GovernancePlatform, GovernancePlatformSpec,
    GovernancePlatformStatus, GroupProtocol, ImagesSpec, KafkaSaslSpec, KafkaSpec, LimitsSpec, LogArchiveSpec,
    PersistentVolumeClaimArchiveSpec, PullPolicy, RedisClusterSpec, RedisSentinelSpec, RedisSingleSpec, RedisSpec,
    ReplicasSpec, ReplicasStatus, S3ArchiveSpec, SaslMechanism, SpaceLimits, SpaceLimitsSpec, TracesSpec, WorkloadSpec,
    denied_setting,
};
pub use power::{
    ChainStrategySpec, CollectionSpec, CollectionTokenSpec, ContractCallSpec, MultichainSpec, NativeSpec, PowerSpec,
    SnapshotSpec, StrategySpec, TicketSpec, TokenSpec, WhitelistSpec, WhitelistWeightedSpec,
};
pub use proposal::{
    Abstentions, DeletionPolicy, GovernanceProposal, GovernanceProposalSpec, PLATFORM_NAME_DEFAULT, PlatformRef,
    QuorumKind, QuorumSpec, SignersSpec, VotingSpec, VotingSystem, WindowSpec,
};
pub use proposal_status::{
    ArchiveReference, GovernanceProposalStatus, LeadingStatus, OutcomeWord, PinStatus, ProposalPhase, ResultStatus,
    ScoreStatus, ShardsStatus, TopicsStatus, TurnoutStatus,
};
pub use reader::{FILE_BYTES_MAX, FILES_MAX, FileProblem, ReadError, Resource, read_platforms, read_resources};
pub use scaling::{PartitionsSpec, ScalingSpec};
pub use scaling_status::{
    ScalingCandidate, ScalingChoice, ScalingInputs, ScalingRemembered, ScalingStart, ScalingStatus,
};
pub use schema::{Kind, crd_yaml};
pub use secret::{SecretKeyRef, SecretRef, TlsSpec};
