//! What the schema cannot check, checked at each look. What is refused is refused in a condition, in words for whoever
//! wrote it; nothing that is wrong with one resource concerns another.

mod platform;
mod proposal;

mod archive;
mod chains;
mod edge;
mod image;
mod kafka;
mod redis;
mod secret;
mod workload;

mod duration;
mod problems;

#[cfg(test)]
mod tests;

pub use archive::{ArchiveBucket, ArchiveStorage};
pub use chains::{Chain, ChainEndpoint};
pub use edge::{Edge, Traces};
pub use image::{Image, OwnImage, OwnImageError};
pub use kafka::{Kafka, KafkaSasl};
pub use platform::{PlatformParts, ValidatedPlatform, platform};
pub use proposal::{ValidatedProposal, proposal};
pub use redis::{Redis, RedisPlace};
pub use secret::{Credentials, Tls, TlsClient};
pub use workload::{Replicas, Workload};

/// Why a resource is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// One word for programs, one of `pnyx_crds::conditions::reasons`.
    pub reason: &'static str,
    /// For people: everything that is wrong, not only the first.
    pub message: String,
}

impl Refusal {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
