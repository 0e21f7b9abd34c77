//! The phases of a proposal and the only legal ways between them.

use thiserror::Error;

use crate::time::{TimestampMs, Window};

/// Where a proposal is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Recorded; its window has not opened.
    Pending,
    /// Ballots count.
    Open,
    /// The window is over; late acknowledgements may still be in flight until the grace ends.
    Closed,
    /// The cut is recorded; verifiers and tally work up to it.
    Draining,
    /// The live tally reached the cut; the recount runs.
    Recounting,
    /// The recount agreed and the result is published.
    Final,
    /// The recount differs from the live tally: nothing is published until a person has looked.
    Disputed,
}

/// What happens to a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// `opensAt` was reached.
    WindowOpened,
    /// `closesAt` was reached.
    WindowClosed,
    /// The cut was read back from the log.
    CutRecorded,
    /// Verifiers and tally reached the cut.
    DrainCompleted,
    /// The recount equals the live tally and the result was read back from the log.
    RecountAgreed,
    /// The recount differs from the live tally.
    RecountDiffered,
}

/// An event that cannot happen in this phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{event:?} cannot happen to a proposal that is {phase:?}")]
pub struct IllegalTransition {
    /// The phase it was in.
    pub phase: Phase,
    /// What should have happened.
    pub event: Event,
}

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
    events.fold(Phase::Pending, |phase, event| phase.after(event).expect("these events are in the order of a life"))
}

impl Phase {
    /// Every phase, in the order of a life.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Open, Self::Closed, Self::Draining, Self::Recounting, Self::Final, Self::Disputed];

    /// The phase after `event`. A disputed proposal may be recounted again and then agree.
    pub fn after(self, event: Event) -> Result<Self, IllegalTransition> {
        match (self, event) {
            (Self::Pending, Event::WindowOpened) => Ok(Self::Open),
            (Self::Open, Event::WindowClosed) => Ok(Self::Closed),
            (Self::Closed, Event::CutRecorded) => Ok(Self::Draining),
            (Self::Draining, Event::DrainCompleted) => Ok(Self::Recounting),
            (Self::Recounting | Self::Disputed, Event::RecountAgreed) => Ok(Self::Final),
            (Self::Recounting | Self::Disputed, Event::RecountDiffered) => Ok(Self::Disputed),
            (
                phase,
                event @ (Event::WindowOpened
                | Event::WindowClosed
                | Event::CutRecorded
                | Event::DrainCompleted
                | Event::RecountAgreed
                | Event::RecountDiffered),
            ) => Err(IllegalTransition { phase, event }),
        }
    }

    /// Lower-case name in JSON and on terminals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Draining => "draining",
            Self::Recounting => "recounting",
            Self::Final => "final",
            Self::Disputed => "disputed",
        }
    }
}

impl Event {
    /// Every event, in the order of a life.
    pub const ALL: [Self; 6] = [
        Self::WindowOpened,
        Self::WindowClosed,
        Self::CutRecorded,
        Self::DrainCompleted,
        Self::RecountAgreed,
        Self::RecountDiffered,
    ];
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn every_phase_and_event() {
        let row = |phase: Phase, event: Event| {
            let next = phase.after(event).map_or("-", Phase::name);
            format!("{:<10}  {:<15}  {next}\n", phase.name(), format!("{event:?}"))
        };
        let table: String =
            Phase::ALL.into_iter().flat_map(|phase| Event::ALL.map(|event| row(phase, event))).collect();
        expect![[r#"
            pending     WindowOpened     open
            pending     WindowClosed     -
            pending     CutRecorded      -
            pending     DrainCompleted   -
            pending     RecountAgreed    -
            pending     RecountDiffered  -
            open        WindowOpened     -
            open        WindowClosed     closed
            open        CutRecorded      -
            open        DrainCompleted   -
            open        RecountAgreed    -
            open        RecountDiffered  -
            closed      WindowOpened     -
            closed      WindowClosed     -
            closed      CutRecorded      draining
            closed      DrainCompleted   -
            closed      RecountAgreed    -
            closed      RecountDiffered  -
            draining    WindowOpened     -
            draining    WindowClosed     -
            draining    CutRecorded      -
            draining    DrainCompleted   recounting
            draining    RecountAgreed    -
            draining    RecountDiffered  -
            recounting  WindowOpened     -
            recounting  WindowClosed     -
            recounting  CutRecorded      -
            recounting  DrainCompleted   -
            recounting  RecountAgreed    final
            recounting  RecountDiffered  disputed
            final       WindowOpened     -
            final       WindowClosed     -
            final       CutRecorded      -
            final       DrainCompleted   -
            final       RecountAgreed    -
            final       RecountDiffered  -
            disputed    WindowOpened     -
            disputed    WindowClosed     -
            disputed    CutRecorded      -
            disputed    DrainCompleted   -
            disputed    RecountAgreed    final
            disputed    RecountDiffered  disputed
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn an_illegal_transition_names_both() {
        let error = Phase::Final.after(Event::WindowOpened).unwrap_err();
        assert_eq!(error.to_string(), "WindowOpened cannot happen to a proposal that is Final");
    }

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
