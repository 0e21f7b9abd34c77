//! What was asked for lately, and when that is reason enough to change a number: the same for shards and for instances.

use std::collections::VecDeque;

use super::{CONFIRM_MS, FRESH_MS, GIVE_BACK_PERCENT_MIN, LOOK_AGAIN_MS};
use crate::time::TimestampMs;

/// What one look asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ask {
    /// What cannot wait: fewer would fall behind.
    pub(super) urgent: u32,
    /// What there should be.
    pub(super) wanted: u32,
    /// What there should be if a little more arrived.
    pub(super) roomy: u32,
}

impl Ask {
    /// The same where more than `cap` would be of no use.
    pub(super) fn at_most(self, cap: u32) -> Self {
        let Self { urgent, wanted, roomy } = self;
        Self { urgent: urgent.min(cap), wanted: wanted.min(cap), roomy: roomy.min(cap) }
    }
}

/// Whether less is reason enough to change a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fall {
    /// It is: to this.
    To(u32),
    /// A little more than now would not fit.
    NoRoom,
    /// More was asked for a moment ago.
    TooSoon,
    /// Too little would be saved.
    TooLittle,
}

/// The asks of the last while, one entry for looks that lie close together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Recent(VecDeque<Entry>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    at: TimestampMs,
    least: u32,
    most: u32,
    roomy: u32,
}

impl Recent {
    /// Notes an ask and forgets those older than `kept_ms`.
    pub(super) fn record(&mut self, now: TimestampMs, ask: Ask, kept_ms: u64) {
        while self.0.front().is_some_and(|entry| now.saturating_since_ms(entry.at) > kept_ms) {
            self.0.pop_front();
        }
        let slot = |at: TimestampMs| at.0.checked_div(LOOK_AGAIN_MS);
        match self.0.back_mut().filter(|entry| slot(entry.at) == slot(now)) {
            Some(entry) => {
                *entry = Entry {
                    at: now.max(entry.at),
                    least: entry.least.min(ask.wanted),
                    most: entry.most.max(ask.wanted),
                    roomy: entry.roomy.max(ask.roomy),
                };
            }
            None => self.0.push_back(Entry { at: now, least: ask.wanted, most: ask.wanted, roomy: ask.roomy }),
        }
    }

    /// The most that was wanted in the last `time_ms`, this ask included.
    pub(super) fn most(&self, now: TimestampMs, ask: Ask, time_ms: u64) -> u32 {
        self.within(now, time_ms).map(|entry| entry.most).fold(ask.wanted, u32::max)
    }

    /// The number to rise to from `from` in one jump, if there is reason enough: what cannot wait goes to the most that was
    /// wanted lately, and what every look of the last [`CONFIRM_MS`] asked for, without a gap, to the middle of what they did.
    pub(super) fn risen(&self, now: TimestampMs, ask: Ask, from: u32) -> Option<u32> {
        if ask.urgent > from {
            return Some(self.most(now, ask, CONFIRM_MS).max(ask.urgent));
        }
        let mut asked: Vec<u32> = self.within(now, CONFIRM_MS).map(|entry| entry.least).collect();
        asked.push(ask.wanted);
        asked.sort_unstable();
        let is_confirmed = asked.first().is_some_and(|least| *least > from) && self.is_watched(now);
        let middle = asked.get(asked.len().div_euclid(2)).copied();
        middle.filter(|_| is_confirmed)
    }

    /// The number to fall to from `from`, if even a little more than the most of the last `time_ms` would fit into fewer, and
    /// that is worth it.
    pub(super) fn fallen(&self, now: TimestampMs, ask: Ask, time_ms: u64, from: u32) -> Fall {
        let roomy = self.within(now, time_ms).map(|entry| entry.roomy).fold(ask.roomy, u32::max);
        let to = self.most(now, ask, time_ms);
        if roomy >= from {
            return if ask.roomy >= from { Fall::NoRoom } else { Fall::TooSoon };
        }
        let least = from.saturating_mul(GIVE_BACK_PERCENT_MIN).div_ceil(100);
        if from.saturating_sub(to) < least { Fall::TooLittle } else { Fall::To(to) }
    }

    /// Whether there was a look every few seconds of the last [`CONFIRM_MS`]: one alone does not confirm itself.
    fn is_watched(&self, now: TimestampMs) -> bool {
        let near = |later: TimestampMs, earlier: TimestampMs| later.saturating_since_ms(earlier) <= FRESH_MS;
        let entries = self.0.iter().rev().map(|entry| entry.at);
        let seen_from = entries.fold(now, |later, earlier| if near(later, earlier) { earlier } else { later });
        now.saturating_since_ms(seen_from) >= CONFIRM_MS.saturating_sub(FRESH_MS)
    }

    fn within(&self, now: TimestampMs, time_ms: u64) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(move |entry| now.saturating_since_ms(entry.at) <= time_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ask(wanted: u32) -> Ask {
        Ask { urgent: 0, wanted, roomy: wanted.saturating_add(1) }
    }

    fn recent(wanted: &[u32]) -> Recent {
        let mut recent = Recent::default();
        for (look, wanted) in (0..).zip(wanted) {
            recent.record(TimestampMs(0).saturating_add_ms(LOOK_AGAIN_MS.saturating_mul(look)), ask(*wanted), 120_000);
        }
        recent
    }

    #[test]
    fn a_rise_is_confirmed_by_every_look_or_cannot_wait() {
        let now = TimestampMs(30_000);
        let minute = TimestampMs(60_000);
        let looks = [[9; 6], [6, 5, 7, 4, 4, 4]].concat();
        assert_eq!(recent(&looks).risen(minute, ask(5), 3), Some(7));
        assert_eq!(recent(&[4, 5, 7, 4, 4, 4]).risen(now, ask(4), 3), None, "half a minute is too short");
        assert_eq!(recent(&[looks.clone(), vec![3]].concat()).risen(minute, ask(5), 3), None, "one look did not agree");
        let forgotten = recent(&[[3; 3].as_slice(), &[4; 13]].concat());
        assert_eq!(forgotten.risen(TimestampMs(80_000), ask(4), 3), Some(4));
        let urgent = Ask { urgent: 4, wanted: 6, roomy: 7 };
        assert_eq!(recent(&[1, 1]).risen(now, urgent, 3), Some(6));
        assert_eq!(recent(&[1, 8]).risen(now, urgent, 3), Some(8));
    }

    #[test]
    fn one_look_does_not_confirm_itself() {
        assert_eq!(Recent::default().risen(TimestampMs(0), ask(4), 3), None, "the first of all");
        let after_a_gap = TimestampMs(CONFIRM_MS.saturating_mul(2));
        assert_eq!(recent(&[4; 12]).risen(after_a_gap, ask(4), 3), None, "the first after a gap");
        let mut gap = recent(&[4; 3]);
        gap.record(TimestampMs(50_000), ask(4), 120_000);
        assert_eq!(gap.risen(TimestampMs(55_000), ask(4), 3), None, "a gap within the minute");
    }

    #[test]
    fn a_fall_leaves_room_and_goes_to_the_most() {
        let now = TimestampMs(30_000);
        assert_eq!(recent(&[4, 2, 3]).fallen(now, ask(1), 120_000, 6), Fall::To(4));
        assert_eq!(recent(&[4, 2, 3]).fallen(now, ask(1), 120_000, 5), Fall::TooSoon, "a little more needed 5");
        assert_eq!(recent(&[4, 2, 3]).fallen(now, ask(4), 120_000, 5), Fall::NoRoom, "a little more needs 5");
        assert_eq!(recent(&[4, 2, 3]).fallen(TimestampMs(120_001), ask(1), 120_000, 5), Fall::To(3));
        assert_eq!(recent(&[18]).fallen(now, ask(1), 120_000, 20), Fall::To(18));
        assert_eq!(recent(&[19]).fallen(now, ask(1), 120_000, 21), Fall::TooLittle);
    }

    #[test]
    fn looks_that_lie_close_together_are_one() {
        let mut recent = Recent::default();
        (0..10_000).for_each(|at| recent.record(TimestampMs(at), ask(2), 1_000_000));
        assert_eq!(recent.0.len(), 2);
    }
}
