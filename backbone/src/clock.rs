//! The wall clock, read in one place, and how a time is written.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use pnyx_core::time::TimestampMs;

/// Now, in milliseconds since the epoch.
pub fn now() -> TimestampMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set to after 1970");
    TimestampMs(u64::try_from(since_epoch.as_millis()).expect("milliseconds since 1970 fit in 64 bits"))
}

/// RFC 3339 in UTC with milliseconds, held at the end of the calendar.
pub fn time_text(time: TimestampMs) -> String {
    let time = i64::try_from(time.0).ok().and_then(|time_ms| Timestamp::from_millisecond(time_ms).ok());
    format!("{:.3}", time.unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_width_up_to_the_end_of_the_calendar() {
        for (time_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_798_761_599_007, "2026-12-31T23:59:59.007Z"),
            (u64::MAX, "9999-12-30T22:00:00.999Z"),
        ] {
            assert_eq!(time_text(TimestampMs(time_ms)), text);
        }
    }
}
