//! Arrival curves: how many ballots a second voters send, and whether the broker is there.

use thiserror::Error;

use crate::scaling::{RATE_PER_SECOND_MAX, Rate};

/// Steps in order: each holds until the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Curve(Vec<Step>);

/// What holds from a second on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Seconds after the window opened.
    pub second: u64,
    /// What voters send.
    pub arrivals: Rate,
    /// Whether the broker answers.
    pub broker: Broker,
}

/// Whether the broker answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broker {
    /// It does.
    Up,
    /// Nothing is written, verified or known; voters send again once it is back.
    Away,
}

/// What is wrong with the steps; of which, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CurveError {
    /// There are none.
    #[error("no line says what arrives")]
    Empty,
    /// Not after the one before.
    #[error("second {second} must be after {earlier} of the line before")]
    Order {
        /// Which step.
        index: usize,
        /// Where it stands.
        second: u64,
        /// Where the one before it stands.
        earlier: u64,
    },
    /// More than any topic takes.
    #[error("{arrivals} are more than {RATE_PER_SECOND_MAX}/s")]
    Rate {
        /// Which step.
        index: usize,
        /// What it says.
        arrivals: Rate,
    },
}

impl CurveError {
    /// The step that is wrong, if it is one.
    pub const fn index(&self) -> Option<usize> {
        match self {
            Self::Empty => None,
            Self::Order { index, .. } | Self::Rate { index, .. } => Some(*index),
        }
    }
}

impl Curve {
    /// The curve of these steps.
    ///
    /// # Errors
    /// The first step that is out of order or too large, or that there is none.
    pub fn new(steps: Vec<Step>) -> Result<Self, CurveError> {
        if steps.is_empty() {
            return Err(CurveError::Empty);
        }
        let mut before: Option<u64> = None;
        for (index, Step { second, arrivals, broker: _ }) in steps.iter().copied().enumerate() {
            if let Some(earlier) = before.filter(|earlier| *earlier >= second) {
                return Err(CurveError::Order { index, second, earlier });
            }
            if arrivals > Rate::per_second(RATE_PER_SECOND_MAX) {
                return Err(CurveError::Rate { index, arrivals });
            }
            before = Some(second);
        }
        Ok(Self(steps))
    }

    /// The first step that comes at or after the window's end: a mistake in the curve or in the window.
    pub fn beyond(&self, window_s: u64) -> Option<usize> {
        self.0.iter().position(|step| step.second >= window_s)
    }

    /// What holds in the given second; nothing arrives before the first step.
    pub(super) fn at(&self, second: u64) -> Step {
        let next = self.0.partition_point(|step| step.second <= second);
        let before = Step { second: 0, arrivals: Rate::ZERO, broker: Broker::Up };
        next.checked_sub(1).and_then(|index| self.0.get(index)).copied().unwrap_or(before)
    }
}
