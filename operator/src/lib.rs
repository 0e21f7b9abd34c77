//! The operator: GovernancePlatform and GovernanceProposal become what runs them, and their status says what is true.

pub mod validate;

pub mod plan;

pub mod build;

mod kinds;

pub use kinds::{ChildKind, Key, ObjectKey, Primary};
