//! The wall clock, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

use pnyx_core::time::TimestampMs;

/// Now, in milliseconds since the epoch.
pub fn now() -> TimestampMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set to after 1970");
    TimestampMs(u64::try_from(since_epoch.as_millis()).expect("milliseconds since 1970 fit in 64 bits"))
}
