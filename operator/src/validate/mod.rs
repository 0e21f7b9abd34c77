//! What the schema cannot check, checked at each look. What is refused is refused in a condition, in words for whoever
//! wrote it; nothing that is wrong with one resource concerns another.

mod platform;
mod proposal;

pub use platform::{ValidatedPlatform, platform};
pub use proposal::{ValidatedProposal, proposal};

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
