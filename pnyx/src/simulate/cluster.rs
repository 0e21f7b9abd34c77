//! The reckoned cluster: a topic with its partitions, and shards that start, share the partitions and work.
//!
//! Second by second, in thousandths of a ballot. It is a model: pods start in the same time each, a rebalance stops all
//! shards, and partitions are divided by number and not by what is in them.

use pnyx_core::{
    scaling::{Offsets, PartitionOffsets, Rate, Shards},
    time::TimestampMs,
};

/// How long edges and verifiers take to see new partitions.
const NEW_PARTITIONS_SEEN_S: u64 = 2;

/// What a cluster is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cluster {
    /// What one shard verifies.
    pub(super) rate_per_shard: Rate,
    /// From asking for a shard until it works.
    pub(super) start_up_s: u64,
    /// How long shards stand still when one comes or goes, or partitions are added.
    pub(super) rebalance_pause_s: u64,
    /// How often the operator looks.
    pub(super) sample_every_s: u64,
    /// Which part of all ballots goes to the first partition, before the rest is spread evenly.
    pub(super) hot_partition_percent: u64,
}

/// The topic and its shards at one second.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    partitions: Vec<Partition>,
    /// Thousandths of a ballot that is still to come, and the partition that got the last odd one.
    begun: u64,
    next: usize,
    /// Partitions that were asked for, and when they are seen.
    growing: Option<(u64, u32)>,
    /// When each shard works, in the order in which they were asked for.
    shards: Vec<u64>,
    /// How many of them work.
    ready: u32,
    /// Until when they stand still.
    paused_until: u64,
}

/// Thousandths of ballots.
#[derive(Debug, Clone, Copy, Default)]
struct Partition {
    written: u64,
    verified: u64,
}

impl State {
    /// What comes about by itself at second `now`: shards that have started, partitions that are seen.
    pub(super) fn turn(&mut self, cluster: &Cluster, now: u64) {
        if let Some((_, partitions)) = self.growing.take_if(|(seen_at, _)| *seen_at <= now) {
            let is_growth = !self.partitions.is_empty();
            self.partitions.resize(index(partitions), Partition::default());
            if is_growth {
                self.rebalance(cluster, now);
            }
        }
        let started = self.shards.iter().filter(|ready_at| **ready_at <= now).count();
        if started != index(self.ready) {
            self.ready = u32::try_from(started).expect("at most 1,024 shards");
            self.rebalance(cluster, now);
        }
    }

    /// Ballots of one second are written: whole ones, what is left of one comes with the next.
    pub(super) fn write(&mut self, cluster: &Cluster, milli: u64) {
        let count = self.partitions.len();
        if count == 0 {
            return;
        }
        self.begun += milli;
        let ballots = self.begun / 1_000;
        self.begun %= 1_000;
        let hot = ballots * cluster.hot_partition_percent / 100;
        self.partitions[0].written += hot * 1_000;
        let (each, odd) = ((ballots - hot) / size(count), (ballots - hot) % size(count));
        for partition in &mut self.partitions {
            partition.written += each * 1_000;
        }
        // What cannot be divided goes to partitions in turn.
        for _ in 0..odd {
            self.next = (self.next + 1) % count;
            self.partitions[self.next].written += 1_000;
        }
    }

    /// Shards work for one second.
    pub(super) fn verify(&mut self, cluster: &Cluster, now: u64) {
        if now < self.paused_until || self.ready == 0 {
            return;
        }
        let (count, ready) = (self.partitions.len(), index(self.ready));
        for shard in 0..ready.min(count) {
            let mut left = cluster.rate_per_shard.milli();
            let own = (count - shard).div_ceil(ready);
            // Each begins with another of its partitions every second, as a consumer that fetches in turn does.
            for turn in 0..own {
                let position = (turn + index_of(now)) % own;
                let partition = &mut self.partitions[shard + position * ready];
                let done = left.min(partition.written - partition.verified);
                partition.verified += done;
                left -= done;
            }
        }
    }

    /// The operator asks for so many shards and partitions.
    pub(super) fn apply(&mut self, cluster: &Cluster, shards: u32, partitions: u32, now: u64) {
        if index(partitions) > self.partitions.len() && self.growing.is_none() {
            let is_new = self.partitions.is_empty();
            self.growing = Some((if is_new { now } else { now + NEW_PARTITIONS_SEEN_S }, partitions));
        }
        let asked = self.shards.len();
        self.shards.resize(index(shards), now + cluster.start_up_s);
        if self.shards.len() < asked {
            let left = u32::try_from(self.shards.iter().filter(|ready_at| **ready_at <= now).count());
            self.ready = left.expect("at most 1,024 shards");
            self.rebalance(cluster, now);
        }
    }

    fn rebalance(&mut self, cluster: &Cluster, now: u64) {
        self.paused_until = self.paused_until.max(now + cluster.rebalance_pause_s);
    }

    /// The shards there are.
    pub(super) fn shards(&self) -> Shards {
        Shards { desired: u32::try_from(self.shards.len()).expect("at most 1,024 shards"), ready: self.ready }
    }

    /// Partitions, those included that are not seen yet.
    pub(super) fn partitions(&self) -> u32 {
        let seen = u32::try_from(self.partitions.len()).expect("at most 1,024 partitions");
        self.growing.map_or(seen, |(_, growing)| growing)
    }

    /// Whether shards stand still or are still to come.
    pub(super) fn is_rebalancing(&self, now: u64) -> bool {
        now < self.paused_until || index(self.ready) < self.shards.len()
    }

    /// Thousandths of ballots that wait in each partition.
    pub(super) fn backlogs(&self) -> impl Iterator<Item = u64> {
        self.partitions.iter().map(|partition| partition.written - partition.verified)
    }

    /// Whether shards have ever verified anything, and so measured their rate.
    pub(super) fn has_verified(&self) -> bool {
        self.partitions.iter().any(|partition| partition.verified > 0)
    }

    /// What a broker would answer: whole ballots. One that has come in part is not there yet.
    pub(super) fn offsets(&self, taken_at: TimestampMs) -> Offsets {
        let whole = |partition: &Partition| PartitionOffsets {
            committed: partition.verified / 1_000,
            end: partition.written / 1_000,
        };
        Offsets { taken_at, partitions: self.partitions.iter().map(whole).collect() }
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("32 bits fit")
}

fn size(length: usize) -> u64 {
    u64::try_from(length).expect("a length fits")
}

fn index_of(number: u64) -> usize {
    usize::try_from(number).expect("64 bits fit")
}
