//! What readers are shown of a whole proposal, and single entries.

use std::collections::BTreeMap;

use pnyx_core::{
    choice::Ranking,
    counting::{RankingTotal, Totals},
    id::{Lane, ProposalId, Voter},
    proposal::VotingSystem,
    tally::StandingBallot,
};

use super::{
    RedisStore, Registered, ballot,
    keys::LaneKeys,
    words::{self, HEADER_BYTES},
};
use crate::store::{LaneCounters, LanePosition, LaneStamp, ProposalView, StoreError};

/// A hash as it is read.
pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

impl RedisStore {
    pub(in crate::store) async fn lane_position(
        &self,
        proposal: ProposalId,
        lane: Lane,
    ) -> Result<Option<LanePosition>, StoreError> {
        let registered = self.registered(proposal)?;
        self.position_at(&registered, &registered.lane(lane)?).await
    }

    /// The heads of the lanes' strings.
    pub(in crate::store) async fn lane_stamps(
        &self,
        proposal: ProposalId,
    ) -> Result<Vec<Option<LaneStamp>>, StoreError> {
        let registered = self.registered(proposal)?;
        let mut commands = redis::pipe();
        for lane in registered.all_lanes() {
            commands.cmd("GETRANGE").arg(lane.totals).arg(0).arg(HEADER_BYTES - 1);
        }
        let headers: Vec<Vec<u8>> = self.query_all(&registered, &commands).await?;
        let stamp = |header: &Vec<u8>| words::decode_stamp(header).map_err(|problem| registered.damaged(problem));
        headers.iter().map(|header| if header.is_empty() { Ok(None) } else { stamp(header).map(Some) }).collect()
    }

    /// One `MGET`, or with rankings one transaction, so that all lanes are of one instant.
    pub(in crate::store) async fn view(&self, proposal: ProposalId) -> Result<Option<ProposalView>, StoreError> {
        let Ok(registered) = self.registered(proposal) else { return Ok(None) };
        let lanes = registered.all_lanes();
        let (strings, rankings) = self.read_lanes(&registered, &lanes).await?;
        let mut totals = Totals::empty(registered.rules);
        let mut counters = LaneCounters::default();
        let mut positions = Vec::with_capacity(lanes.len());
        for string in strings {
            let Some(string) = string else {
                positions.push(None);
                continue;
            };
            let lane = words::decode(registered.rules, &string).map_err(|problem| registered.damaged(problem))?;
            totals.merge(&lane.totals);
            counters.merge(&lane.counters);
            positions.push(Some(lane.position));
        }
        for (fields, _) in rankings.into_iter().zip(&positions).filter(|(_, position)| position.is_some()) {
            totals.merge(&Totals { rankings: registered.rankings(fields)?, ..Totals::empty(registered.rules) });
        }
        Ok(Some(ProposalView { totals, counters, positions }))
    }

    pub(in crate::store) async fn standing_ballot(
        &self,
        proposal: ProposalId,
        voter: Voter,
    ) -> Result<Option<StandingBallot>, StoreError> {
        let registered = self.registered(proposal)?;
        let lane = registered.lane(Lane::of_voter(voter, registered.lanes))?;
        let mut command = redis::cmd("HGET");
        command.arg(&lane.standing).arg(voter.as_bytes());
        let bytes: Option<Vec<u8>> = self.query(&registered, &command).await?;
        let Some(bytes) = bytes else { return Ok(None) };
        let ballot = ballot::decode(registered.rules, &bytes);
        ballot.map(Some).ok_or_else(|| registered.damaged(format!("the ballot of {voter} is none")))
    }

    async fn read_lanes(
        &self,
        registered: &Registered,
        lanes: &[LaneKeys],
    ) -> Result<(Vec<Option<Vec<u8>>>, Vec<Fields>), StoreError> {
        let totals: Vec<_> = lanes.iter().map(|lane| &lane.totals).collect();
        let mut read_totals = redis::cmd("MGET");
        read_totals.arg(&totals);
        if registered.rules.system != VotingSystem::RankedChoice {
            return Ok((self.query(registered, &read_totals).await?, Vec::new()));
        }
        let mut commands = redis::pipe();
        commands.atomic().add_command(read_totals);
        for lane in lanes {
            commands.cmd("HGETALL").arg(&lane.rankings);
        }
        let mut answers: Vec<redis::Value> = self.query_all(registered, &commands).await?;
        let rankings = answers.split_off(1);
        let strings = answers.pop().unwrap_or_default();
        let unread = |error: redis::ParsingError| registered.damaged(error.to_string());
        let rankings: Result<_, _> = rankings.into_iter().map(redis::from_redis_value).collect();
        Ok((redis::from_redis_value(strings).map_err(unread)?, rankings.map_err(unread)?))
    }
}

impl Registered {
    /// The rankings of a lane.
    pub(super) fn rankings(&self, fields: Fields) -> Result<BTreeMap<Ranking, RankingTotal>, StoreError> {
        let mut parts: BTreeMap<Ranking, ballot::RankingParts> = BTreeMap::new();
        for (field, value) in fields {
            let value = std::str::from_utf8(&value).ok().and_then(|value| value.parse().ok());
            let known = ballot::decode_ranking_field(self.rules, &field)
                .zip(value)
                .and_then(|((ranking, part), value)| parts.entry(ranking).or_default().set(part, value));
            known.ok_or_else(|| self.damaged("a field of the rankings is none"))?;
        }
        let totals = parts.into_iter().map(|(ranking, parts)| Ok((ranking, parts.total()?)));
        let totals: Result<BTreeMap<_, _>, String> = totals.collect();
        let mut totals = totals.map_err(|problem| self.damaged(problem))?;
        totals.retain(|_, total| total.ballots > 0);
        Ok(totals)
    }
}
