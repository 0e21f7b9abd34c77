//! The names of everything in Redis. All keys of a proposal have one hash tag, so that one Function call may touch them in
//! a cluster too, and the state's version, so that builds with another layout never read each other's bytes.

use pnyx_core::id::{Lane, ProposalId};

use super::config::KeyPrefix;

/// Version of the state's layout: every change of what lies under the keys needs another.
const LAYOUT_VERSION: u8 = 1;

/// The keys of one proposal.
#[derive(Debug, Clone)]
pub(super) struct ProposalKeys {
    base: String,
}

/// The keys of one lane, or of a lane that is being staged.
#[derive(Debug, Clone)]
pub(super) struct LaneKeys {
    /// String: header, counters, ballots, power and slots (`words`).
    pub(super) totals: String,
    /// Hash: ranking and part → number.
    pub(super) rankings: String,
    /// Hash: voter → standing ballot.
    pub(super) standing: String,
    /// Sorted set by voter.
    pub(super) voters: String,
    /// Sorted set by power descending, then voter.
    pub(super) leaders: String,
    /// Hash: partition and block → bits.
    pub(super) places: String,
}

impl ProposalKeys {
    pub(super) fn new(prefix: &KeyPrefix, proposal: ProposalId) -> Self {
        let id = proposal.to_string();
        let digits = id.strip_prefix("0x").unwrap_or(&id);
        Self { base: format!("{prefix}:{LAYOUT_VERSION}:{{{digits}}}") }
    }

    /// What the proposal was registered with.
    pub(super) fn descriptor(&self) -> String {
        format!("{}:d", self.base)
    }

    pub(super) fn lane(&self, lane: Lane) -> LaneKeys {
        self.keys(|kind| format!("{}:{kind}:{}", self.base, lane.0))
    }

    /// Where a writer of a whole lane prepares it; `nonce` keeps writers apart.
    pub(super) fn staged(&self, lane: Lane, nonce: u64) -> LaneKeys {
        self.keys(|kind| format!("{}:x:{}:{nonce:016x}:{kind}", self.base, lane.0))
    }

    fn keys(&self, key: impl Fn(char) -> String) -> LaneKeys {
        LaneKeys {
            totals: key('t'),
            rankings: key('r'),
            standing: key('s'),
            voters: key('v'),
            leaders: key('l'),
            places: key('p'),
        }
    }
}

impl LaneKeys {
    /// All, the totals first, in the order in which the Functions take them.
    pub(super) fn all(&self) -> [&str; 6] {
        let [rankings, standing, voters, leaders, places] = self.companions();
        [&self.totals, rankings, standing, voters, leaders, places]
    }

    /// All but the totals.
    pub(super) fn companions(&self) -> [&str; 5] {
        [&self.rankings, &self.standing, &self.voters, &self.leaders, &self.places]
    }
}

/// The channel on which a proposal's id is published at each of its changes.
pub(super) fn changes_channel(prefix: &KeyPrefix) -> String {
    format!("{prefix}:{LAYOUT_VERSION}:changes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_layout_proposal_kind_and_lane() {
        let keys = ProposalKeys::new(&KeyPrefix::default(), ProposalId::new([0xab; 32]));
        let base = format!("pnyx:1:{{{}}}", "ab".repeat(32));
        assert_eq!(keys.descriptor(), format!("{base}:d"));
        assert_eq!(keys.lane(Lane(7)).totals, format!("{base}:t:7"));
        assert_eq!(keys.staged(Lane(7), 10).places, format!("{base}:x:7:000000000000000a:p"));
        assert_eq!(changes_channel(&KeyPrefix::default()), "pnyx:1:changes");
    }
}
