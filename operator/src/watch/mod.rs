//! What the cluster has, as the operator sees it: a watch of each kind, with a cache behind.
//!
//! Each watch has a back-off of its own, so that one kind that cannot be read (a right is missing, a resource is not
//! installed yet) leaves the others alone, and each beats a pulse of liveness whenever the API server says anything on it.
//! kube's own watcher is not used, because it keeps bookmarks and the regular end of a quiet watch to itself: from outside
//! a watch that is quiet looks like one that is dead. Objects are cached as they came: one that a newer or older version
//! wrote, and that does not parse, stops nobody else and is reported on itself.

mod backoff;
mod cache;
mod intent;
mod queue;
mod schedule;
mod stream;
mod triggers;

pub use backoff::Backoff;
pub use cache::{Cache, Change};
pub use queue::WorkQueue;
pub use stream::{PROGRESS_LIMIT, Watch};
pub use triggers::Triggers;
