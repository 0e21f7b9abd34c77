//! Writing to the terminal: one place, so that a closed pipe is not a panic.

use std::io::{self, Write as _};

/// Writes a line to standard output. A reader that has gone away is its own business.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Writes a line to standard error.
pub(crate) fn error_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Shortens `0x` and 64 digits to `0x51ab…09` for people.
pub(crate) fn short(id: &str) -> String {
    match (id.get(..6), id.get(id.len().saturating_sub(2)..)) {
        (Some(head), Some(tail)) if id.len() > 12 => format!("{head}…{tail}"),
        _ => id.to_owned(),
    }
}

/// Groups the digits of the whole part of a decimal: `1250.5` → `1,250.5`.
pub(crate) fn grouped(decimal: &str) -> String {
    let (whole, fraction) = decimal.split_once('.').map_or((decimal, ""), |(whole, fraction)| (whole, fraction));
    let mut text = String::new();
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_in_threes_before_the_point_only() {
        assert_eq!(grouped("0"), "0");
        assert_eq!(grouped("999"), "999");
        assert_eq!(grouped("1250.51234"), "1,250.51234");
        assert_eq!(grouped("1234567"), "1,234,567");
    }

    #[test]
    fn ids_are_shortened_and_short_texts_kept() {
        assert_eq!(short("0x51ab000000000009"), "0x51ab…09");
        assert_eq!(short("grants"), "grants");
    }
}
