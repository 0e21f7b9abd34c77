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

/// Of a partition that nobody has asked for records for so long nothing is missed. Whoever wants some asks more often.
const ASKED_WITHIN: Duration = Duration::from_secs(2);

/// How long nothing has come from a partition, and what is known about why.
#[derive(Debug)]
pub(super) struct Quiet {
    asked_at: Instant,
    look_at: Instant,
    pause: Duration,
    /// There was more than was read up to this offset.
    missing_at: Option<u64>,
}

impl Quiet {
    /// Something came, or is only now asked for.
    pub(super) fn since(now: Instant) -> Self {
        Self { asked_at: now, look_at: now + LOOK_PAUSE_MIN, pause: LOOK_PAUSE_MIN, missing_at: None }
    }

    /// Somebody wants records and there were none.
    pub(super) fn note_empty(&mut self, now: Instant) {
        if now.saturating_duration_since(self.asked_at) > ASKED_WITHIN {
            *self = Self::since(now);
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
                    *self = Self::since(now);
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
