//! Durations as people write them in resources.

/// Seconds of a minute, and minutes of an hour.
const SIXTY: u64 = 60;

/// Reads "24h", "90s" or "1h30m": hours, minutes and seconds, in this order, at least one of them.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let problem = || format!("{text:?} is not a duration; write one such as 90s, 10m or 1h30m");
    let (mut rest, mut total, mut is_empty) = (text, 0_u64, true);
    for (unit, factor) in [('h', SIXTY * SIXTY), ('m', SIXTY), ('s', 1)] {
        let Some((digits, after)) = rest.split_once(unit) else { continue };
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let count: u64 = digits.parse().ok().filter(|_| is_number).ok_or_else(problem)?;
        total = count.checked_mul(factor).and_then(|part| total.checked_add(part)).ok_or_else(problem)?;
        (rest, is_empty) = (after, false);
    }
    if is_empty || !rest.is_empty() { Err(problem()) } else { Ok(total) }
}

/// As [`seconds`], within bounds.
pub(super) fn seconds_within(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let value = seconds(text)?;
    if (least..=most).contains(&value) { Ok(value) } else { Err(format!("{text} is not {least}s to {most}s")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_schema_has_them() {
        for (text, expected) in [("5s", 5), ("90s", 90), ("10m", 600), ("1h30m", 5_400), ("1h1m1s", 3_661), ("0s", 0)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "5", "s", "5 s", "-5s", "+5s", "1m1h", "1.5h", "5s5s", "99999999999999999999h", "5ms"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(seconds_within("4s", 5, 3_600), Err("4s is not 5s to 3600s".to_owned()));
    }
}
