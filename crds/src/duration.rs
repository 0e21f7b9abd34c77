//! Durations as people write them in resources.

/// How a duration is written: "24h", "90s", "1h30m". Go reads the same, and so do the rules in the schema.
pub(crate) const DURATION_PATTERN: &str = r"^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?$";
