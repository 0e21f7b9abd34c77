//! Standing ballots and running totals of one lane. Which of two ballots of a voter stands is decided by what they
//! carry, never by arrival.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, btree_map::Entry},
};

use crate::{
    choice::Choice,
    counting::{CountingRules, Totals, TotalsDelta},
    id::{Digest, Place, Voter},
    power::Power,
    verdict::CountingBallot,
};

/// The one ballot of a voter that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingBallot {
    /// The ballot's identity.
    pub digest: Digest,
    /// The voter's claim of when, in seconds; with the digest it decides which ballot stands.
    pub signed_at_s: u64,
    /// What the voter meant.
    pub choice: Choice,
    /// The voter's weight.
    pub power: Power,
    /// The lowest place known of a counting record of this ballot.
    pub place: Place,
}

/// The standing ballots of a lane and their totals.
#[derive(Debug, Clone)]
pub struct LaneTally {
    rules: CountingRules,
    standing: BTreeMap<Voter, StandingBallot>,
    totals: Totals,
}

/// What a counting record changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// The voter's first ballot: it stands.
    First,
    /// A later ballot than the one that stood: it stands instead.
    Replaced,
    /// A copy of the ballot that stands.
    Repeated,
    /// An earlier ballot than the one that stands.
    Superseded,
}

impl LaneTally {
    /// A lane without ballots.
    pub fn new(rules: CountingRules) -> Self {
        Self { rules, standing: BTreeMap::new(), totals: Totals::empty(rules) }
    }

    /// Applies a counting record, adds the change of the totals to `delta`, and says what changed.
    ///
    /// Of a voter's ballots the one with the highest (signed time, digest) stands, whatever the order in which their
    /// records arrive and however often. `delta` accumulates: it may carry the changes of many calls.
    pub fn apply(&mut self, place: Place, ballot: CountingBallot, delta: &mut TotalsDelta) -> Applied {
        let CountingBallot { voter, digest, signed_at_s, choice, power, check: _ } = ballot;
        let mut entry = match self.standing.entry(voter) {
            Entry::Vacant(entry) => {
                let added = self.rules.contribution(&choice, power);
                self.totals.add(&added);
                delta.added.add(&added);
                entry.insert(StandingBallot { digest, signed_at_s, choice, power, place });
                return Applied::First;
            }
            Entry::Occupied(entry) => entry,
        };
        let standing = entry.get_mut();
        match (signed_at_s, digest).cmp(&(standing.signed_at_s, standing.digest)) {
            Ordering::Less => Applied::Superseded,
            Ordering::Equal => {
                standing.place = standing.place.min(place);
                Applied::Repeated
            }
            Ordering::Greater => {
                let removed = self.rules.contribution(&standing.choice, standing.power);
                let added = self.rules.contribution(&choice, power);
                self.totals.subtract(&removed);
                self.totals.add(&added);
                delta.removed.add(&removed);
                delta.added.add(&added);
                *standing = StandingBallot { digest, signed_at_s, choice, power, place };
                Applied::Replaced
            }
        }
    }

    /// The rules it counts by.
    pub const fn rules(&self) -> CountingRules {
        self.rules
    }

    /// Standing ballots by voter.
    pub const fn standing(&self) -> &BTreeMap<Voter, StandingBallot> {
        &self.standing
    }

    /// What they add up to.
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lane holds one of these and a voter for everybody who voted: a byte here is a megabyte for a million voters.
    #[test]
    fn a_standing_ballot_stays_small() {
        assert_eq!(size_of::<StandingBallot>(), 128);
        assert_eq!(size_of::<Voter>(), 20);
    }
}
