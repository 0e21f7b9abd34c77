//! All of a lane, read in pages, for an owner that goes on from there. What is read must add up to the stored totals: else
//! something is missing, and the log has to be read again.

use std::collections::BTreeMap;

use pnyx_core::{
    counting::Totals,
    id::{Lane, ProposalId, Voter},
    proposal::VotingSystem,
    tally::StandingBallot,
};
use thiserror::Error;

use super::{RedisStore, Registered, ballot, keys::LaneKeys, view::Fields, words};
use crate::store::{LaneState, PlaceBlock, StoreError};

/// Entries a page: about 200 kB, a millisecond of Redis's time, so that others are not kept waiting.
const PAGE_ENTRIES: usize = 2_000;

/// How often a lane that changes meanwhile is read again. Its owner is at work then, so whoever asks has time.
const ATTEMPTS_MAX: u32 = 5;

/// The lane has another owner that is at work.
#[derive(Debug, Error)]
#[error("the lane changed whenever it was read, {ATTEMPTS_MAX} times")]
struct Busy;

impl RedisStore {
    pub(in crate::store) async fn load_lane(
        &self,
        proposal: ProposalId,
        lane: Lane,
    ) -> Result<Option<LaneState>, StoreError> {
        let registered = self.registered(proposal)?;
        let keys = registered.lane(lane)?;
        let mut before = self.string(&registered, &keys).await?;
        for _ in 0..ATTEMPTS_MAX {
            let Some(string) = before else { return Ok(None) };
            let state = self.read(&registered, &keys, &string).await;
            // What was read of a lane that changed meanwhile proves nothing, not even damage.
            let after = self.string(&registered, &keys).await?;
            if after.as_ref() == Some(&string) {
                return state.map(Some);
            }
            before = after;
        }
        Err(StoreError::Unavailable { source: std::sync::Arc::new(Busy) })
    }

    async fn string(&self, registered: &Registered, keys: &LaneKeys) -> Result<Option<Vec<u8>>, StoreError> {
        self.query(registered, redis::cmd("GET").arg(&keys.totals)).await
    }

    async fn read(&self, registered: &Registered, keys: &LaneKeys, string: &[u8]) -> Result<LaneState, StoreError> {
        let lane = words::decode(registered.rules, string).map_err(|problem| registered.damaged(problem))?;
        let mut totals = lane.totals;
        if registered.rules.system == VotingSystem::RankedChoice {
            let mut fields = Fields::new();
            self.scan(registered, &keys.rankings, |field, value| fields.push((field, value))).await?;
            totals.rankings = registered.rankings(fields)?;
        }
        let standing = self.read_standing(registered, keys).await?;
        let mut sum = Totals::empty(registered.rules);
        for (_, ballot) in &standing {
            sum.add(&registered.rules.contribution(&ballot.choice, ballot.power));
        }
        if sum != totals {
            return Err(registered.damaged("a lane's ballots do not add up to its totals"));
        }
        let places = self.read_places(registered, keys).await?;
        Ok(LaneState { position: lane.position, totals, counters: lane.counters, standing, places })
    }

    async fn read_standing(
        &self,
        registered: &Registered,
        keys: &LaneKeys,
    ) -> Result<Vec<(Voter, StandingBallot)>, StoreError> {
        let mut standing = Vec::new();
        let mut unread = 0_usize;
        self.scan(registered, &keys.standing, |voter, bytes| {
            let voter = <[u8; 20]>::try_from(voter).ok().map(Voter::new);
            match voter.zip(ballot::decode(registered.rules, &bytes)) {
                Some(entry) => standing.push(entry),
                None => unread += 1,
            }
        })
        .await?;
        if unread > 0 {
            return Err(registered.damaged(format!("{unread} standing ballots are none")));
        }
        standing.sort_unstable_by_key(|(voter, _)| *voter);
        standing.dedup_by_key(|(voter, _)| *voter);
        let mut commands = redis::pipe();
        commands.cmd("ZCARD").arg(&keys.voters).cmd("ZCARD").arg(&keys.leaders);
        let (by_voter, by_power): (usize, usize) = self.query_all(registered, &commands).await?;
        if (by_voter, by_power) == (standing.len(), standing.len()) {
            return Ok(standing);
        }
        let ballots = standing.len();
        Err(registered.damaged(format!("of {ballots} ballots {by_voter} are listed by voter and {by_power} by power")))
    }

    async fn read_places(&self, registered: &Registered, keys: &LaneKeys) -> Result<Vec<PlaceBlock>, StoreError> {
        let mut places = BTreeMap::new();
        let mut unread = 0_usize;
        self.scan(registered, &keys.places, |key, bits| match ballot::decode_block(&key, &bits) {
            Some(block) => _ = places.insert((block.partition, block.block), block),
            None => unread += 1,
        })
        .await?;
        if unread > 0 {
            return Err(registered.damaged(format!("{unread} blocks of places are none")));
        }
        Ok(places.into_values().collect())
    }

    /// Reads a hash in pages; the next is on its way while one is taken. An entry may come twice.
    async fn scan(
        &self,
        registered: &Registered,
        key: &str,
        mut entry: impl FnMut(Vec<u8>, Vec<u8>) + Send,
    ) -> Result<(), StoreError> {
        let (mut cursor, mut fields) = self.scan_page(registered, key, 0).await?;
        while cursor != 0 {
            let take = async { fields.into_iter().for_each(|(field, value)| entry(field, value)) };
            let (next, ()) = tokio::join!(self.scan_page(registered, key, cursor), take);
            (cursor, fields) = next?;
        }
        fields.into_iter().for_each(|(field, value)| entry(field, value));
        Ok(())
    }

    async fn scan_page(&self, registered: &Registered, key: &str, cursor: u64) -> Result<(u64, Fields), StoreError> {
        let mut command = redis::cmd("HSCAN");
        command.arg(key).arg(cursor).arg("COUNT").arg(PAGE_ENTRIES);
        self.query(registered, &command).await
    }
}
