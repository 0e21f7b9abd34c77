//! Under which names the operator writes: one a concern, so that each owns its fields and none of another's.

/// What children are made of.
pub(crate) const CHILDREN: &str = "pnyx-operator/children";

/// How many replicas they have.
pub(crate) const SCALING: &str = "pnyx-operator/scaling";

/// What is said of our own resources.
pub(crate) const STATUS: &str = "pnyx-operator/status";

/// What a deletion waits for.
pub(crate) const FINALIZERS: &str = "pnyx-operator/finalizers";
