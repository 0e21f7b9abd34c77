//! Points in time and the voting window. Nothing here reads a clock.

use thiserror::Error;

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampMs(pub u64);

impl TimestampMs {
    /// This time plus `duration_ms`, held at the end of time instead of wrapping.
    pub const fn saturating_add_ms(self, duration_ms: u64) -> Self {
        Self(self.0.saturating_add(duration_ms))
    }

    /// Milliseconds from `earlier` to this time, 0 when this time is not after it.
    pub const fn saturating_since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The voting window `[opens_at, closes_at)`, judged by the append time of each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    opens_at: TimestampMs,
    closes_at: TimestampMs,
}

/// A window that ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be after opensAt")]
pub struct WindowOrderError;

/// Where a time lies relative to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowPosition {
    /// Before `opens_at`.
    Before,
    /// At or after `opens_at` and before `closes_at`.
    Inside,
    /// At or after `closes_at`.
    After,
}

impl Window {
    /// A window that lasts at least one millisecond.
    pub fn new(opens_at: TimestampMs, closes_at: TimestampMs) -> Result<Self, WindowOrderError> {
        if opens_at < closes_at { Ok(Self { opens_at, closes_at }) } else { Err(WindowOrderError) }
    }

    /// The first instant at which a record counts.
    pub const fn opens_at(&self) -> TimestampMs {
        self.opens_at
    }

    /// The first instant at which a record no longer counts.
    pub const fn closes_at(&self) -> TimestampMs {
        self.closes_at
    }

    /// Where `time` lies; the end is exclusive.
    pub fn position(&self, time: TimestampMs) -> WindowPosition {
        if time < self.opens_at {
            WindowPosition::Before
        } else if time < self.closes_at {
            WindowPosition::Inside
        } else {
            WindowPosition::After
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_at_its_first_instant_and_ends_before_its_last() {
        let window = Window::new(TimestampMs(10), TimestampMs(20)).unwrap();
        let positions = [0, 9, 10, 19, 20, u64::MAX].map(|time| window.position(TimestampMs(time)));
        let expected = [
            WindowPosition::Before,
            WindowPosition::Before,
            WindowPosition::Inside,
            WindowPosition::Inside,
            WindowPosition::After,
            WindowPosition::After,
        ];
        assert_eq!(positions, expected);
    }

    #[test]
    fn a_window_lasts_at_least_a_millisecond() {
        assert!(Window::new(TimestampMs(10), TimestampMs(11)).is_ok());
        assert_eq!(Window::new(TimestampMs(10), TimestampMs(10)), Err(WindowOrderError));
        assert_eq!(Window::new(TimestampMs(11), TimestampMs(10)), Err(WindowOrderError));
    }

    #[test]
    fn time_neither_wraps_nor_turns_negative() {
        assert_eq!(TimestampMs(u64::MAX).saturating_add_ms(1), TimestampMs(u64::MAX));
        assert_eq!(TimestampMs(5).saturating_since_ms(TimestampMs(6)), 0);
        assert_eq!(TimestampMs(6).saturating_since_ms(TimestampMs(5)), 1);
    }
}
