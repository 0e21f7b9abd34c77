//! Times of the Kubernetes API and times of the core.

use jiff::Timestamp;
use pnyx_core::time::TimestampMs;

/// A time as the core has it; what lies before 1970 is 0.
pub(crate) fn since_epoch(time: Timestamp) -> TimestampMs {
    TimestampMs(u64::try_from(time.as_millisecond()).unwrap_or(0))
}
