//! What happens in a round: all of it follows from seed and number.

use std::fmt;

use rand::{Rng as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

use crate::{common::proposals::examples, faults::Fault};

/// Of so many rounds one has three brokers.
const THREE_BROKERS_ONE_IN: u64 = 4;
/// Of so many rounds one begins with a Redis that belongs to another log.
const OTHER_LOG_ONE_IN: u64 = 3;
/// Proposals of a round beside the probe's, each of another voting system.
const PROPOSALS: usize = 4;

/// The name of a fault in reports.
pub(crate) const OTHER_LOG: &str = "a Redis of another log";
/// The name of a fault in reports.
pub(crate) const FULL_DISK: &str = "a full disk under the embedded log";

/// A round.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) index: u64,
    /// One or three.
    pub(crate) brokers: usize,
    /// Whether Redis still holds the same proposals as another log had them.
    pub(crate) has_other_log: bool,
    /// Whether the small scenario of a full disk is run as well.
    pub(crate) has_full_disk: bool,
    /// Names of examples.
    pub(crate) proposals: Vec<String>,
    /// While ballots are sent, in this order.
    pub(crate) faults: Vec<Fault>,
}

impl Plan {
    /// Round `index` of `seed`; only with faults whose name contains one of `chosen`, or with all if there is none.
    pub(crate) fn new(seed: u64, index: u64, chosen: &[String]) -> Self {
        let mut random = random_of(seed, index, "plan");
        let brokers = if index % THREE_BROKERS_ONE_IN == THREE_BROKERS_ONE_IN - 1 { 3 } else { 1 };
        let mut proposals = examples();
        proposals.shuffle(&mut random);
        proposals.truncate(PROPOSALS);
        let mut faults = Fault::all(brokers);
        faults.shuffle(&mut random);
        let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|text| name.contains(text.as_str()));
        faults.retain(|fault| is_chosen(fault.name(brokers)));
        let has_other_log = index.is_multiple_of(OTHER_LOG_ONE_IN) && is_chosen(OTHER_LOG);
        Self { seed, index, brokers, has_other_log, has_full_disk: is_chosen(FULL_DISK), proposals, faults }
    }

    /// Random numbers of one part of the round.
    pub(crate) fn random(&self, part: &str) -> ChaCha8Rng {
        random_of(self.seed, self.index, part)
    }

    /// The seed of the round's ballots.
    pub(crate) fn load_seed(&self) -> u64 {
        self.random("ballots").random()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broker(s), {}", self.brokers, self.proposals.join(" "))?;
        if self.has_other_log { f.write_str(", a Redis of another log") } else { Ok(()) }
    }
}

fn random_of(seed: u64, index: u64, part: &str) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(Sha256::digest(format!("pnyx chaos {seed} {index} {part}")).into())
}
