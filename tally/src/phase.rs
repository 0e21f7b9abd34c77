//! A proposal's phase, derived from what is known of it.

use pnyx_core::{
    lifecycle::{Event, Phase},
    time::{TimestampMs, Window},
};

/// What is known of a proposal beside its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    /// The cut is in the log.
    pub has_cut: bool,
    /// The live tally reached the cut.
    pub is_drained: bool,
    /// The recount differs from the live tally.
    pub is_disputed: bool,
    /// The result is in the log.
    pub has_result: bool,
}

/// The phase at `now`. What is in the log counts more than the clock: whoever has a cut is past its close.
pub fn phase(window: Window, now: TimestampMs, evidence: Evidence) -> Phase {
    let Evidence { has_cut, is_drained, is_disputed, has_result } = evidence;
    let is_recounted = has_result || is_disputed;
    let recount = if has_result { Event::RecountAgreed } else { Event::RecountDiffered };
    let happened = [
        (Event::WindowOpened, now >= window.opens_at() || has_cut),
        (Event::WindowClosed, now >= window.closes_at() || has_cut),
        (Event::CutRecorded, has_cut),
        (Event::DrainCompleted, is_drained || is_recounted),
        (recount, is_recounted),
    ];
    let events = happened.into_iter().take_while(|(_, happened)| *happened).map(|(event, _)| event);
    events.fold(Phase::ALL[0], |phase, event| phase.after(event).expect("these events are in the order of a life"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(now: u64, evidence: Evidence, expected: Phase) {
        let window = Window::new(TimestampMs(10), TimestampMs(20)).unwrap();
        assert_eq!(phase(window, TimestampMs(now), evidence), expected);
    }

    #[test]
    fn the_window_decides_until_there_is_a_cut() {
        let nothing = Evidence::default();
        check(9, nothing, Phase::Pending);
        check(10, nothing, Phase::Open);
        check(19, nothing, Phase::Open);
        check(20, nothing, Phase::Closed);
    }

    #[test]
    fn the_log_decides_from_the_cut_on() {
        let cut = Evidence { has_cut: true, ..Evidence::default() };
        check(25, cut, Phase::Draining);
        check(15, cut, Phase::Draining);
        check(25, Evidence { is_drained: true, ..cut }, Phase::Recounting);
        check(25, Evidence { is_drained: true, is_disputed: true, ..cut }, Phase::Disputed);
        check(25, Evidence { has_result: true, ..cut }, Phase::Final);
        check(25, Evidence { has_result: true, is_disputed: true, ..cut }, Phase::Final);
    }

    #[test]
    fn a_drain_before_the_cut_means_nothing() {
        check(25, Evidence { is_drained: true, ..Evidence::default() }, Phase::Closed);
    }
}
