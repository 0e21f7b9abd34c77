//! Numbers as people read them.

use pnyx_core::scaling::Rate;

use crate::screen;

/// A time relative to the opening: `00:58:10`, `-00:02:00`.
pub(crate) fn clock(second: i64) -> String {
    let sign = if second < 0 { "-" } else { "" };
    let second = second.unsigned_abs();
    format!("{sign}{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

/// A length of time: `1h 30m`, `12s`.
pub(crate) fn duration(seconds: u64) -> String {
    let parts = [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let told: Vec<String> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}")).collect();
    if told.is_empty() { "0s".to_owned() } else { told.join(" ") }
}

/// `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    screen::grouped(&number.to_string())
}

/// Whole ballots a second: `9,800`; below ten also what comes in a thousandth: `0.5`.
pub(crate) fn ballots(rate: Rate) -> String {
    rate.to_string().trim_end_matches("/s").to_owned()
}
