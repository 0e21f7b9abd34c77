//! Times of a window, RFC 3339.

use jiff::Timestamp;
use pnyx_core::time::TimestampMs;

/// A time such as `2026-12-01T12:00:00Z` or `2026-12-01T13:00:00+01:00`, not before 1970.
pub(super) fn read(text: &str) -> Result<TimestampMs, String> {
    let time: Timestamp = rfc3339(text)
        .ok_or_else(|| format!("must be an RFC 3339 time such as \"2026-12-01T12:00:00Z\", not \"{text}\""))?;
    if time.subsec_nanosecond() % 1_000_000 != 0 {
        return Err("must not be finer than a millisecond".to_owned());
    }
    u64::try_from(time.as_millisecond()).map(TimestampMs).map_err(|_| "must not be before 1970".to_owned())
}

/// jiff also reads other ISO 8601 forms, which the API server refuses.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let has_form = |form: &str| {
        text.len() >= form.len()
            && form.bytes().zip(text.bytes()).all(|(form, byte)| match form {
                b'd' => byte.is_ascii_digit(),
                _ => form == byte,
            })
    };
    if !has_form("dddd-dd-ddTdd:dd:dd") || text.contains('[') {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn only_rfc_3339_is_a_time() {
        for text in ["2026-12-01T12:00:00Z", "2026-12-01T13:00:00+01:00", "2026-12-01T12:00:00.000Z"] {
            assert_eq!(read(text).map(|time| time.0), Ok(1_796_126_400_000), "{text}");
        }
        for text in [
            "",
            "2026-12-01",
            "2026-12-01 12:00:00Z",
            "2026-12-01T12:00Z",
            "2026-12-01T12:00:00",
            "2026-12-01T12:00:00Z[UTC]",
            "2026-13-01T12:00:00Z",
            "+002026-12-01T12:00:00Z",
            "2026-12-01T12:00:00.0001Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
