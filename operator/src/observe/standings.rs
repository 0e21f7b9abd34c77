//! How votes stand, as the tallies of their platforms last said.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pnyx_core::{
    id::ProposalId,
    power::{PowerError, parse_units},
};

use crate::kinds::ObjectKey;

/// How a vote stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    ballots: u64,
    total_power: String,
    leaders: Vec<usize>,
    score: String,
}

impl Standing {
    /// From standing ballots, their power, and a score for each choice, as decimal texts.
    ///
    /// # Errors
    /// A text is no decimal number.
    pub fn new(ballots: u64, total_power: String, scores: &[String]) -> Result<Self, PowerError> {
        parse_units(&total_power)?;
        let units = scores.iter().map(|score| parse_units(score)).collect::<Result<Vec<_>, _>>()?;
        let highest = units.iter().max().filter(|highest| !highest.is_zero());
        let is_leader = |index: &usize| highest.is_some() && units.get(*index) == highest;
        let leaders: Vec<usize> = (0..units.len()).filter(is_leader).collect();
        let score = leaders.first().and_then(|leader| scores.get(*leader)).cloned().unwrap_or_default();
        Ok(Self { ballots, total_power, leaders, score })
    }

    /// Standing ballots: one a voter.
    pub const fn ballots(&self) -> u64 {
        self.ballots
    }

    /// The power of all of them, a decimal text.
    pub fn total_power(&self) -> &str {
        &self.total_power
    }

    /// Which choices have the highest score, the first choice being 0; none where nobody voted.
    pub fn leaders(&self) -> &[usize] {
        &self.leaders
    }

    /// The highest score, a decimal text; empty where nobody leads.
    pub fn score(&self) -> &str {
        &self.score
    }
}

/// How the votes of each platform stand. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Standings {
    platforms: Arc<Mutex<BTreeMap<ObjectKey, BTreeMap<ProposalId, Standing>>>>,
}

impl Standings {
    /// What a platform's tally said of all votes that are not over.
    pub fn set(&self, platform: ObjectKey, standings: BTreeMap<ProposalId, Standing>) {
        self.platforms().insert(platform, standings);
    }

    /// Forgets the platforms that are none of these.
    pub fn retain(&self, platforms: &[ObjectKey]) {
        self.platforms().retain(|platform, _| platforms.contains(platform));
    }

    /// How a vote stands; nothing if nobody said it.
    pub fn get(&self, platform: &ObjectKey, proposal: ProposalId) -> Option<Standing> {
        self.platforms().get(platform)?.get(&proposal).cloned()
    }

    fn platforms(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, BTreeMap<ProposalId, Standing>>> {
        self.platforms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(scores: &[&str]) -> Standing {
        let scores: Vec<String> = scores.iter().map(|&score| score.to_owned()).collect();
        Standing::new(3, "12.5".to_owned(), &scores).expect("decimal numbers")
    }

    #[test]
    fn who_leads_has_the_highest_score() {
        assert_eq!(standing(&["9", "10", "1.5"]).leaders(), [1]);
        assert_eq!(
            (standing(&["2.50", "1", "2.5"]).leaders(), standing(&["2.50", "2.5"]).score()),
            (&[0, 2][..], "2.50")
        );
        assert_eq!((standing(&["0", "0"]).leaders(), standing(&[]).score()), (&[][..], ""));
        assert!(Standing::new(1, "1".to_owned(), &["many".to_owned()]).is_err());
        assert!(Standing::new(1, "-1".to_owned(), &[]).is_err());
    }

    #[test]
    fn what_a_platform_said_stands_until_it_says_otherwise_or_is_gone() {
        let (standings, here, id) = (Standings::default(), ObjectKey::new("n", "here"), ProposalId::new([1; 32]));
        standings.set(here.clone(), [(id, standing(&["1"]))].into());
        standings.set(ObjectKey::new("n", "there"), BTreeMap::new());
        assert_eq!(standings.get(&here, id), Some(standing(&["1"])));
        assert_eq!(standings.get(&ObjectKey::new("n", "there"), id), None);
        standings.retain(&[ObjectKey::new("n", "there")]);
        assert_eq!(standings.get(&here, id), None);
    }
}
