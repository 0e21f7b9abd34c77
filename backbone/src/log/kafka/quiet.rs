//! Tells a partition where nothing happens from one that its client no longer fetches. The library comes back by itself
//! from nearly everything; a lane that was not read for minutes, while every other lane of its process was, has been seen
//! after a broker was killed on a starved machine.

use std::time::Duration;

use tokio::time::Instant;

/// Nothing came for so long: whether there is something is asked. Well above what a fetch takes from a busy broker.
const LOOK_PAUSE_MIN: Duration = Duration::from_secs(10);

/// Where there was nothing, it is asked less and less often, and no less often than this: hundreds of quiet partitions
/// cost the brokers a few questions a second.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(60);

/// What is still not there so long after it was seen at the end of the partition is not being fetched.
const CONFIRM_AFTER: Duration = Duration::from_secs(5);

/// What does not come from a new client either is asked about less and less often, down to this: whatever keeps it away, new
/// clients do not help, and others share them.
const HOLD_MAX: Duration = Duration::from_secs(600);

/// Of a partition that nobody has asked for records for so long nothing is missed. Whoever wants some asks more often.
const ASKED_WITHIN: Duration = Duration::from_secs(2);

/// How long nothing has come from a partition, and what is known about why.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quiet {
    asked_at: Instant,
    look_at: Instant,
    pause: Duration,
    /// There was more than was read up to this offset.
    missing_at: Option<u64>,
    /// Where it stalled last, and how long it is left alone after the next time.
    stalled: Option<(u64, Duration)>,
}

impl Quiet {
    /// Something came, or is only now asked for.
    pub(super) fn since(now: Instant) -> Self {
        Self { asked_at: now, look_at: now + LOOK_PAUSE_MIN, pause: LOOK_PAUSE_MIN, missing_at: None, stalled: None }
    }

    /// Another client fetches from now on, or somebody asks for records again: it has as long as at first.
    pub(super) fn begin_again(&mut self, now: Instant) {
        let look_at = if self.stalled.is_some() { self.look_at } else { now };
        *self = Self { look_at: look_at.max(now + LOOK_PAUSE_MIN), stalled: self.stalled, ..Self::since(now) };
    }

    /// Somebody wants records and there were none.
    pub(super) fn note_empty(&mut self, now: Instant) {
        if now.saturating_duration_since(self.asked_at) > ASKED_WITHIN {
            self.begin_again(now);
        }
        self.asked_at = now;
    }

    /// Whether it is time to ask where the partition ends. Then it is not time again for a while, whatever becomes of the
    /// question.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now >= self.look_at && now.saturating_duration_since(self.asked_at) <= ASKED_WITHIN;
        if is_due {
            self.look_at = now + CONFIRM_AFTER;
        }
        is_due
    }

    /// Notes where the partition ends, `None` if nobody says. Whether records below the end have not come for so long
    /// that they will not come any more.
    pub(super) fn is_stalled(&mut self, next: u64, end: Option<u64>, now: Instant) -> bool {
        match end {
            Some(end) if end > next => {
                if self.missing_at == Some(next) {
                    let again = self.stalled.filter(|(stalled_at, _)| *stalled_at == next);
                    let hold = again.map_or(LOOK_PAUSE_MIN, |(_, hold)| hold.saturating_mul(2).min(HOLD_MAX));
                    *self = Self { look_at: now + hold, stalled: Some((next, hold)), ..Self::since(now) };
                    return true;
                }
                self.missing_at = Some(next);
                self.look_at = now + CONFIRM_AFTER;
            }
            Some(_) => {
                self.missing_at = None;
                self.pause = self.pause.saturating_mul(2).min(LOOK_PAUSE_MAX);
                self.look_at = now + self.pause;
            }
            // Brokers that do not answer give nobody anything.
            None => {
                self.missing_at = None;
                self.look_at = now + self.pause;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn records_that_stay_away_twice_are_not_fetched() {
        let start = Instant::now();
        let mut quiet = Quiet::since(start);
        let is_due = |quiet: &mut Quiet, second| {
            quiet.note_empty(start + s(second));
            quiet.is_due(start + s(second))
        };
        assert!((1..10).all(|second| !is_due(&mut quiet, second)));
        assert!(is_due(&mut quiet, 10));
        assert!(!quiet.is_stalled(7, Some(9), start + s(10)), "they may be on their way");
        assert!((11..15).all(|second| !is_due(&mut quiet, second)));
        assert!(is_due(&mut quiet, 15));
        assert!(quiet.is_stalled(7, Some(9), start + s(15)));
        assert!((16..25).all(|second| !is_due(&mut quiet, second)), "whoever fetches now has as long again");
        assert!(is_due(&mut quiet, 25));
        assert!((26..30).all(|second| !is_due(&mut quiet, second)), "the question may have been dropped");
        assert!(is_due(&mut quiet, 30));
        assert!(!quiet.is_stalled(7, Some(9), start + s(30)));
    }

    #[test]
    fn what_new_clients_do_not_get_is_left_alone_for_longer_and_longer() {
        let start = Instant::now();
        let mut quiet = Quiet::since(start);
        let mut stalled_at = Vec::new();
        for second in 1..3_000 {
            quiet.note_empty(start + s(second));
            if quiet.is_due(start + s(second)) && quiet.is_stalled(7, Some(8), start + s(second)) {
                stalled_at.push(second);
                quiet.begin_again(start + s(second));
            }
        }
        assert_eq!(stalled_at, [15, 30, 55, 100, 185, 350, 675, 1_280, 1_885, 2_490]);
        quiet = Quiet::since(start + s(3_000));
        quiet.note_empty(start + s(3_001));
        quiet.note_empty(start + s(3_003));
        assert!((3_004..3_010).all(|second| {
            quiet.note_empty(start + s(second));
            !quiet.is_due(start + s(second))
        }));
        quiet.note_empty(start + s(3_010));
        assert!(quiet.is_due(start + s(3_010)), "whoever got a record is as at first");
    }

    #[test]
    fn nothing_is_missed_while_nobody_asks() {
        let start = Instant::now();
        let mut quiet = Quiet::since(start);
        quiet.note_empty(start + s(1));
        assert!(!quiet.is_due(start + s(60)));
        quiet.note_empty(start + s(61));
        assert!(!quiet.is_due(start + s(62)), "it has as long as at first");
    }

    #[test]
    fn whoever_goes_on_or_has_everything_is_not_stalled() {
        let start = Instant::now();
        let mut quiet = Quiet::since(start);
        assert!(!quiet.is_stalled(7, Some(9), start));
        assert!(!quiet.is_stalled(8, Some(9), start), "one came meanwhile");
        assert!(!quiet.is_stalled(8, None, start), "nobody knows");
        assert!(!quiet.is_stalled(8, Some(9), start));
        assert!(!quiet.is_stalled(9, Some(9), start));
        assert!(!quiet.is_stalled(9, Some(10), start));
        assert!(quiet.is_stalled(9, Some(10), start));
    }

    #[test]
    fn a_partition_at_its_end_is_asked_about_less_and_less() {
        let start = Instant::now();
        let mut quiet = Quiet::since(start);
        let mut asked_at = Vec::new();
        for second in 1..=200 {
            quiet.note_empty(start + s(second));
            if quiet.is_due(start + s(second)) {
                assert!(!quiet.is_stalled(4, Some(4), start + s(second)));
                asked_at.push(second);
            }
        }
        assert_eq!(asked_at, [10, 30, 70, 130, 190]);
    }
}
