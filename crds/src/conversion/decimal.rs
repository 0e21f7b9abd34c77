//! Decimal strings, read exactly.

use pnyx_core::power::Power;

/// Most digits after the point of a fraction: millionths.
const FRACTION_DECIMALS: usize = 6;

/// A power such as `"12.5"`.
pub(super) fn power(text: &str) -> Result<Power, String> {
    Power::parse(text).map_err(|error| format!("{error}, not \"{text}\""))
}

/// A fraction such as `"0.666667"` in millionths; nothing where the text is not one or finer than millionths.
pub(super) fn millionths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole, "0" | "1") || !is_digits(fraction) || fraction.len() > FRACTION_DECIMALS {
        return None;
    }
    format!("{whole}{fraction:0<FRACTION_DECIMALS$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::millionths;

    #[test]
    fn fractions_are_read_exactly_or_not_at_all() {
        let read = ["1", "1.0", "0.5", "0.666667", "0.000001", "1.000001", "0"].map(millionths);
        let expected = [1_000_000, 1_000_000, 500_000, 666_667, 1, 1_000_001, 0].map(Some);
        assert_eq!(read, expected);
        for text in ["", ".5", "0.", "0.6666667", "2", "00.5", "+0.5", "0.5 ", "5e-1", "0,5", "٠.٥"] {
            assert_eq!(millionths(text), None, "{text}");
        }
    }
}
