//! Durations such as `90s`, `10m` or `1h30m`.

/// The text in milliseconds: hours, minutes and seconds in this order, each at most once.
pub(super) fn read(text: &str) -> Result<u64, String> {
    milliseconds(text).ok_or_else(|| format!("must be a duration such as \"90s\", \"2m\" or \"1h30m\", not \"{text}\""))
}

fn milliseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut seconds = 0_u64;
    for (unit, unit_s) in [('h', 3_600), ('m', 60), ('s', 1)] {
        let Some((number, after)) = rest.split_once(unit) else { continue };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(unit_s)?)?;
        rest = after;
    }
    if text.is_empty() || !rest.is_empty() { None } else { seconds.checked_mul(1_000) }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn durations_are_read_exactly_or_not_at_all() {
        let read = ["0s", "90s", "2m", "1h", "1h30m", "1h0m5s", "24h"].map(|text| read(text).unwrap());
        assert_eq!(read, [0, 90_000, 120_000, 3_600_000, 5_400_000, 3_605_000, 86_400_000]);
        for text in ["", "90", "s", "1.5h", "-1s", "1m1h", "1s1s", "1 h", "1d", "500ms", "+1s", "99999999999999999999h"]
        {
            assert!(super::read(text).is_err(), "{text}");
        }
    }
}
