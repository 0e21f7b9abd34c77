//! The writes of a lane: a batch, all of it, nothing of it.

use std::time::Duration;

use pnyx_core::{
    choice::Ranking,
    counting::{RankingTotal, TotalsDelta},
    id::{Lane, ProposalId},
};
use redis::{Cmd, Pipeline, Value};

use super::{
    RedisStore, Registered, ballot,
    connection::CallError,
    keys::LaneKeys,
    library,
    words::{self, POSITION_BYTES, START_BYTES},
};
use crate::store::{ApplyOutcome, LaneBatch, LanePosition, LaneState, StoreError};

/// Entries that are staged with one request: about 300 kB, some milliseconds of Redis's time.
const STAGED_ENTRIES: usize = 2_000;

/// How long a staged part is kept when nothing more comes: longer than any stage takes, and soon gone when its writer is.
const STAGED_TTL: Duration = Duration::from_secs(120);

impl RedisStore {
    pub(in crate::store) async fn apply(
        &self,
        proposal: ProposalId,
        lane: Lane,
        batch: LaneBatch,
    ) -> Result<ApplyOutcome, StoreError> {
        let registered = self.registered(proposal)?;
        let command = self.apply_command(&registered, &registered.lane(lane)?, &batch);
        self.call(&registered, &command).await
    }

    pub(in crate::store) async fn replace(
        &self,
        proposal: ProposalId,
        lane: Lane,
        seen: Option<LanePosition>,
        state: LaneState,
    ) -> Result<ApplyOutcome, StoreError> {
        let registered = self.registered(proposal)?;
        let keys = registered.lane(lane)?;
        let stored = self.position_at(&registered, &keys).await?;
        if stored != seen {
            return Ok(fenced(stored));
        }
        let staged = registered.keys.staged(lane, rand::random());
        let sizes = self.stage(&registered, &staged, &state).await?;
        let mut command = library::replace(&keys, &staged);
        let seen = seen.map(words::encode_position);
        command.arg(seen.as_ref().map_or(&[][..], |seen| &seen[..]));
        command.arg(words::encode(state.position, &state.totals, &state.counters));
        command.arg(&self.inner.channel).arg(proposal.as_bytes()).arg(&sizes);
        let outcome = self.call(&registered, &command).await;
        if !matches!(outcome, Ok(ApplyOutcome::Applied)) {
            // If this fails too, they expire.
            let _: Result<(), _> = self.query(&registered, redis::cmd("UNLINK").arg(&staged.companions())).await;
        }
        outcome
    }

    pub(in crate::store) async fn drop_lane(&self, proposal: ProposalId, lane: Lane) -> Result<(), StoreError> {
        let registered = self.registered(proposal)?;
        self.unlink(&registered, &[registered.lane(lane)?]).await
    }

    pub(in crate::store) async fn flush(&self) -> Result<(), StoreError> {
        let proposals: Vec<_> = {
            let proposals = self.inner.proposals.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            proposals.values().cloned().collect()
        };
        for registered in proposals {
            self.unlink(&registered, &registered.all_lanes()).await?;
        }
        Ok(())
    }

    async fn unlink(&self, registered: &Registered, lanes: &[LaneKeys]) -> Result<(), StoreError> {
        let mut commands = redis::pipe();
        for lane in lanes {
            commands.cmd("UNLINK").arg(&lane.all());
        }
        self.query_all::<()>(registered, &commands).await?;
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&self.inner.channel).arg(registered.proposal.as_bytes());
        self.query(registered, &publish).await
    }

    fn apply_command(&self, registered: &Registered, lane: &LaneKeys, batch: &LaneBatch) -> Cmd {
        let LaneBatch { log, from_offset, next_offset, below_cut, delta, counters, standing, places } = batch;
        let position = |next_offset| LanePosition { log: *log, next_offset, below_cut: *below_cut };
        let mut command = library::apply(lane);
        command
            .arg(&words::encode_position(position(*from_offset))[..START_BYTES])
            .arg(&words::encode_position(position(*next_offset))[..])
            .arg(words::string_bytes(registered.rules))
            .arg(&self.inner.channel)
            .arg(registered.proposal.as_bytes());
        let increments = words::increments(delta, counters);
        let rankings: Vec<_> = changed_rankings(delta).collect();
        command.arg(increments.len() * 4).arg(rankings.len() * 2);
        command.arg(standing.len() * 2).arg(standing.len() * 2).arg(standing.len() * 2).arg(places.len() * 2);
        for (word, change) in increments {
            command.arg("INCRBY").arg("i64").arg(format!("#{word}")).arg(change);
        }
        for (field, change) in rankings {
            command.arg(&field).arg(change);
        }
        for (voter, ballot) in standing {
            command.arg(voter.as_bytes()).arg(ballot::encode(ballot));
        }
        for (voter, _) in standing {
            command.arg("0").arg(voter.as_bytes());
        }
        for (voter, ballot) in standing {
            command.arg("0").arg(&ballot::encode_leader(ballot.power, *voter));
        }
        for block in places {
            command.arg(&ballot::encode_block_key(block)).arg(ballot::encode_block_bits(block));
        }
        command
    }

    /// Writes a lane under its staged keys, less its totals, and says how many entries each has.
    async fn stage(
        &self,
        registered: &Registered,
        staged: &LaneKeys,
        state: &LaneState,
    ) -> Result<[usize; 5], StoreError> {
        let LaneState { position: _, totals, counters: _, standing, places } = state;
        let rankings = totals
            .rankings
            .iter()
            .flat_map(|(ranking, total)| ballot::ranking_increments(*ranking, *total, RankingTotal::default()));
        let rankings: Vec<_> = rankings.collect();
        for part in rankings.chunks(STAGED_ENTRIES) {
            let mut hset = redis::cmd("HSET");
            hset.arg(&staged.rankings);
            for (field, value) in part {
                hset.arg(field).arg(*value);
            }
            self.stage_part(registered, &[(&staged.rankings, hset)]).await?;
        }
        for part in standing.chunks(STAGED_ENTRIES) {
            let (mut hset, mut by_voter) = (redis::cmd("HSET"), redis::cmd("ZADD"));
            hset.arg(&staged.standing);
            by_voter.arg(&staged.voters);
            for (voter, ballot) in part {
                hset.arg(voter.as_bytes()).arg(ballot::encode(ballot));
                by_voter.arg("0").arg(voter.as_bytes());
            }
            self.stage_part(registered, &[(&staged.standing, hset), (&staged.voters, by_voter)]).await?;
        }
        // Sorted, because a sorted set takes members in their order several times faster than scattered ones.
        let mut leaders: Vec<_> =
            standing.iter().map(|(voter, ballot)| ballot::encode_leader(ballot.power, *voter)).collect();
        leaders.sort_unstable();
        for part in leaders.chunks(STAGED_ENTRIES) {
            let mut by_power = redis::cmd("ZADD");
            by_power.arg(&staged.leaders);
            for member in part {
                by_power.arg("0").arg(member);
            }
            self.stage_part(registered, &[(&staged.leaders, by_power)]).await?;
        }
        for part in places.chunks(STAGED_ENTRIES) {
            let mut hset = redis::cmd("HSET");
            hset.arg(&staged.places);
            for block in part {
                hset.arg(&ballot::encode_block_key(block)).arg(ballot::encode_block_bits(block));
            }
            self.stage_part(registered, &[(&staged.places, hset)]).await?;
        }
        // Each voter, ranking and block is there once, so these are the sizes of the keys.
        Ok([rankings.len(), standing.len(), standing.len(), standing.len(), places.len()])
    }

    async fn stage_part(&self, registered: &Registered, parts: &[(&String, Cmd)]) -> Result<(), StoreError> {
        let mut commands = Pipeline::new();
        for (key, command) in parts {
            commands.add_command(command.clone()).ignore();
            commands.cmd("EXPIRE").arg(key).arg(STAGED_TTL.as_secs()).ignore();
        }
        self.query_all(registered, &commands).await
    }

    /// Calls a function; loads the library if it is not there.
    async fn call(&self, registered: &Registered, command: &Cmd) -> Result<ApplyOutcome, StoreError> {
        let connection = &self.inner.connection;
        let answer = match connection.query(command).await {
            Err(CallError::Redis(error)) if library::is_missing(&error) => {
                match connection.query::<Value>(&library::load()).await {
                    Err(CallError::Redis(error)) if library::is_loaded(&error) => {}
                    Err(error) => return Err(registered.failed(error)),
                    Ok(_) => {}
                }
                connection.query(command).await
            }
            answer => answer,
        };
        match answer.map_err(|error| registered.failed(error))? {
            Value::Int(1) => Ok(ApplyOutcome::Applied),
            Value::BulkString(stored) => registered.position(&stored).map(fenced),
            other => Err(registered.damaged(format!("the function returned {other:?}"))),
        }
    }

    /// Where a lane stands, asked alone.
    pub(super) async fn position_at(
        &self,
        registered: &Registered,
        lane: &LaneKeys,
    ) -> Result<Option<LanePosition>, StoreError> {
        let mut command = redis::cmd("GETRANGE");
        command.arg(&lane.totals).arg(0).arg(POSITION_BYTES - 1);
        let bytes: Vec<u8> = self.query(registered, &command).await?;
        registered.position(&bytes)
    }
}

fn fenced(stored: Option<LanePosition>) -> ApplyOutcome {
    ApplyOutcome::Fenced { stored_next_offset: stored.map_or(0, |stored| stored.next_offset) }
}

fn changed_rankings(delta: &TotalsDelta) -> impl Iterator<Item = ([u8; 17], i64)> {
    let (added, removed) = (&delta.added.rankings, &delta.removed.rankings);
    let only_removed = removed.keys().filter(|ranking| !added.contains_key(ranking));
    let of = |totals: &std::collections::BTreeMap<Ranking, RankingTotal>, ranking| {
        totals.get(ranking).copied().unwrap_or_default()
    };
    added
        .keys()
        .chain(only_removed)
        .flat_map(move |ranking| ballot::ranking_increments(*ranking, of(added, ranking), of(removed, ranking)))
}
