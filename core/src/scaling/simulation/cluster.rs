//! The reckoned cluster: a topic with its partitions, and shards that start, share the partitions and work.
//!
//! Second by second, in thousandths of a ballot. It is a model: pods start in the same time each, a rebalance stops all
//! shards, and partitions are divided by number and not by what is in them.

use crate::{
    scaling::{Offsets, PartitionOffsets, Rate, Shards},
    time::TimestampMs,
};

/// How long edges and verifiers take to see new partitions.
const NEW_PARTITIONS_SEEN_S: u64 = 2;

/// What a cluster is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cluster {
    /// What one shard verifies.
    pub rate_per_shard: Rate,
    /// From asking for a shard until it works.
    pub start_up_s: u64,
    /// How long shards stand still when one comes or goes, or partitions are added.
    pub rebalance_pause_s: u64,
    /// How often the operator looks while ballots may come; never less than a second.
    pub sample_every_s: u64,
    /// How long after a ballot is verified that is committed.
    pub commit_lag_s: u64,
    /// Which part of all ballots goes to the first partition, before the rest is spread evenly; at most 100.
    pub hot_partition_percent: u64,
    /// By how much what is measured errs at most: arrivals, backlog and rates, each for itself.
    pub noise_percent: u64,
    /// What the errors are drawn from.
    pub noise_seed: u64,
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
    ready: usize,
    /// Until when they stand still.
    paused_until: u64,
    /// Since when they stand still or start.
    unsettled_since: Option<u64>,
}

/// Thousandths of ballots.
#[derive(Debug, Clone, Copy, Default)]
struct Partition {
    written: u64,
    verified: u64,
}

impl Partition {
    const fn waiting(&self) -> u64 {
        self.written.saturating_sub(self.verified)
    }
}

impl State {
    /// What comes about by itself at second `now`: shards that have started, partitions that are seen. Says how many
    /// shards have started.
    pub(super) fn turn(&mut self, cluster: &Cluster, now: u64) -> usize {
        if let Some((_, partitions)) = self.growing.take_if(|(seen_at, _)| *seen_at <= now) {
            let is_growth = !self.partitions.is_empty();
            self.partitions.resize(index(partitions), Partition::default());
            if is_growth {
                self.rebalance(cluster, now);
            }
        }
        let started = self.shards.iter().filter(|ready_at| **ready_at <= now).count();
        let new = started.saturating_sub(self.ready);
        if started != self.ready {
            self.ready = started;
            self.rebalance(cluster, now);
        }
        let is_unsettled = now < self.paused_until || self.ready < self.shards.len();
        self.unsettled_since = is_unsettled.then(|| self.unsettled_since.unwrap_or(now));
        new
    }

    /// Ballots of one second are written: whole ones, what is left of one comes with the next.
    pub(super) fn write(&mut self, cluster: &Cluster, milli: u64) {
        self.begun = self.begun.saturating_add(milli);
        let ballots = self.begun.div_euclid(1_000);
        self.begun = self.begun.rem_euclid(1_000);
        let hot = ballots.saturating_mul(cluster.hot_partition_percent.min(100)).div_euclid(100);
        let others = ballots.saturating_sub(hot);
        let count = size(self.partitions.len()).max(1);
        let (each, odd) = (others.div_euclid(count), others.rem_euclid(count));
        for partition in &mut self.partitions {
            partition.written = partition.written.saturating_add(each.saturating_mul(1_000));
        }
        if let Some(first) = self.partitions.first_mut() {
            first.written = first.written.saturating_add(hot.saturating_mul(1_000));
        }
        // What cannot be divided goes to partitions in turn.
        for _ in 0..odd {
            self.next = self.next.saturating_add(1);
            if self.next >= self.partitions.len() {
                self.next = 0;
            }
            if let Some(partition) = self.partitions.get_mut(self.next) {
                partition.written = partition.written.saturating_add(1_000);
            }
        }
    }

    /// Shards work for one second: each reads every so many-th partition.
    pub(super) fn verify(&mut self, cluster: &Cluster, now: u64) {
        if now < self.paused_until || self.ready == 0 {
            return;
        }
        let (count, ready) = (self.partitions.len(), self.ready);
        for shard in 0..ready.min(count) {
            let mut left = cluster.rate_per_shard.milli();
            let own = count.saturating_sub(shard).div_ceil(ready);
            // Each begins with another of its partitions every second, as a consumer that fetches in turn does.
            let first = usize::try_from(now).unwrap_or(0).checked_rem(own).unwrap_or(0);
            for position in (first..own).chain(0..first) {
                let Some(partition) = self.partitions.get_mut(shard.saturating_add(position.saturating_mul(ready)))
                else {
                    continue;
                };
                let done = left.min(partition.waiting());
                partition.verified = partition.verified.saturating_add(done);
                left = left.saturating_sub(done);
            }
        }
    }

    /// The operator asks for so many shards and partitions.
    pub(super) fn apply(&mut self, cluster: &Cluster, shards: u32, partitions: u32, now: u64) {
        if index(partitions) > self.partitions.len() && self.growing.is_none() {
            let seen_after_s = if self.partitions.is_empty() { 0 } else { NEW_PARTITIONS_SEEN_S };
            self.growing = Some((now.saturating_add(seen_after_s), partitions));
        }
        let asked = self.shards.len();
        self.shards.resize(index(shards), now.saturating_add(cluster.start_up_s));
        if self.shards.len() < asked {
            self.ready = self.shards.iter().filter(|ready_at| **ready_at <= now).count();
            self.rebalance(cluster, now);
        }
        if self.shards.len() != asked {
            self.unsettled_since.get_or_insert(now);
        }
    }

    fn rebalance(&mut self, cluster: &Cluster, now: u64) {
        self.paused_until = self.paused_until.max(now.saturating_add(cluster.rebalance_pause_s));
    }

    /// The shards there are.
    pub(super) fn shards(&self) -> Shards {
        Shards { desired: small(self.shards.len()), ready: small(self.ready) }
    }

    /// Partitions, those included that are not seen yet.
    pub(super) fn partitions(&self) -> u32 {
        self.growing.map_or_else(|| small(self.partitions.len()), |(_, growing)| growing)
    }

    /// Since when shards stand still or are still to come.
    pub(super) const fn unsettled_since(&self) -> Option<u64> {
        self.unsettled_since
    }

    /// Thousandths of ballots that wait in each partition.
    pub(super) fn backlogs(&self) -> impl Iterator<Item = u64> {
        self.partitions.iter().map(Partition::waiting)
    }

    /// Whether shards have ever verified anything, and so measured their rate.
    pub(super) fn has_verified(&self) -> bool {
        self.partitions.iter().any(|partition| partition.verified > 0)
    }

    /// What a broker would answer: whole ballots. One that has come in part is not there yet.
    pub(super) fn offsets(&self, taken_at: TimestampMs) -> Offsets {
        let whole = |partition: &Partition| PartitionOffsets {
            committed: partition.verified.div_euclid(1_000),
            end: partition.written.div_euclid(1_000),
        };
        Offsets { taken_at, partitions: self.partitions.iter().map(whole).collect() }
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
