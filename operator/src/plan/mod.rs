//! What is to be done, as data.

mod child;

pub use child::{APPLIED_ANNOTATION, Child, ChildError, MANAGED_BY, MANAGED_BY_LABEL, OWNER_LABEL, Owner};

/// The label that says which part of a platform an object is.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
