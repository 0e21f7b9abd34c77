//! Pages of standing ballots, by voter or by power, merged over the lanes.

use pnyx_core::{
    choice::Choice,
    id::{ProposalId, Voter},
    power::Power,
    tally::StandingBallot,
};

use super::{RedisStore, Registered, ballot, keys::LaneKeys};
use crate::store::StoreError;

/// Most entries that are asked for at once over all lanes: about 200 kB of answers, a millisecond of Redis's time.
const ENTRIES_MAX: usize = 2_000;

/// Entries asked of each lane beyond its even share of a page, so that one round is usually enough.
const LANE_SLACK: usize = 16;

/// A sorted set of each lane and how its members read.
struct Order {
    key: fn(&LaneKeys) -> &String,
    voter: fn(&[u8]) -> Option<Voter>,
    /// Whether a member belongs to the ballot that stands.
    is_current: fn(&[u8], &StandingBallot) -> bool,
}

const BY_VOTER: Order =
    Order { key: |lane| &lane.voters, voter: |member| member.try_into().ok().map(Voter::new), is_current: |_, _| true };

const BY_POWER: Order = Order {
    key: |lane| &lane.leaders,
    voter: |member| ballot::decode_leader(member).map(|(_, voter)| voter),
    // A voter has one power, so only a lane that was written by other rules could have others.
    is_current: |member, ballot| ballot::decode_leader(member).is_some_and(|(power, _)| power == ballot.power),
};

/// Members of one round, ascending, each with its lane.
struct Round {
    members: Vec<(Vec<u8>, usize)>,
    is_last: bool,
}

impl RedisStore {
    pub(in crate::store) async fn standing_after(
        &self,
        proposal: ProposalId,
        after: Option<Voter>,
        limit: usize,
    ) -> Result<Vec<(Voter, StandingBallot)>, StoreError> {
        let registered = self.registered(proposal)?;
        self.page(&registered, &BY_VOTER, after.map(|voter| voter.as_bytes().to_vec()), limit).await
    }

    pub(in crate::store) async fn leaderboard(
        &self,
        proposal: ProposalId,
        after: Option<(Power, Voter)>,
        limit: usize,
    ) -> Result<Vec<(Voter, Power, Choice)>, StoreError> {
        let registered = self.registered(proposal)?;
        let after = after.map(|(power, voter)| ballot::encode_leader(power, voter).to_vec());
        let page = self.page(&registered, &BY_POWER, after, limit).await?;
        Ok(page.into_iter().map(|(voter, StandingBallot { power, choice, .. })| (voter, power, choice)).collect())
    }

    async fn page(
        &self,
        registered: &Registered,
        order: &Order,
        mut after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(Voter, StandingBallot)>, StoreError> {
        let lanes = registered.all_lanes();
        let mut page = Vec::new();
        while page.len() < limit {
            let wanted = (limit - page.len()).min(ENTRIES_MAX);
            let Round { members, is_last } = self.round(registered, order, &lanes, after.as_deref(), wanted).await?;
            self.read_ballots(registered, order, &lanes, &members, &mut page).await?;
            let Some((last, _)) = members.into_iter().next_back() else { break };
            if is_last {
                break;
            }
            after = Some(last);
        }
        Ok(page)
    }

    /// The next members after one, at most `wanted`; at least one if there is any.
    async fn round(
        &self,
        registered: &Registered,
        order: &Order,
        lanes: &[LaneKeys],
        after: Option<&[u8]>,
        wanted: usize,
    ) -> Result<Round, StoreError> {
        let share = (wanted / lanes.len().max(1) + LANE_SLACK).min(wanted);
        let start = after.map_or_else(|| b"-".to_vec(), |after| [b"(", after].concat());
        let mut commands = redis::pipe();
        for lane in lanes {
            commands.cmd("ZRANGEBYLEX").arg((order.key)(lane)).arg(&start).arg("+").arg("LIMIT").arg(0).arg(share);
        }
        let by_lane: Vec<Vec<Vec<u8>>> = self.query_all(registered, &commands).await?;
        // Beyond the end of a lane that has more, others may have what comes before its next.
        let known_to = by_lane.iter().filter(|lane| lane.len() == share).filter_map(|lane| lane.last()).min().cloned();
        let mut members: Vec<_> = by_lane
            .into_iter()
            .enumerate()
            .flat_map(|(lane, members)| members.into_iter().map(move |m| (m, lane)))
            .collect();
        members.sort_unstable();
        if let Some(known_to) = &known_to {
            members.retain(|(member, _)| member <= known_to);
        }
        let is_last = known_to.is_none() && members.len() <= wanted;
        members.truncate(wanted);
        Ok(Round { members, is_last })
    }

    /// Reads the members' ballots, and leaves out what has none.
    async fn read_ballots(
        &self,
        registered: &Registered,
        order: &Order,
        lanes: &[LaneKeys],
        members: &[(Vec<u8>, usize)],
        page: &mut Vec<(Voter, StandingBallot)>,
    ) -> Result<(), StoreError> {
        let mut by_lane: Vec<Vec<Voter>> = vec![Vec::new(); lanes.len()];
        for (member, lane) in members {
            by_lane[*lane].extend((order.voter)(member));
        }
        let mut commands = redis::pipe();
        for (keys, voters) in lanes.iter().zip(&by_lane).filter(|(_, voters)| !voters.is_empty()) {
            commands.cmd("HMGET").arg(&keys.standing);
            for voter in voters {
                commands.arg(voter.as_bytes());
            }
        }
        if members.is_empty() {
            return Ok(());
        }
        let answers: Vec<Vec<Option<Vec<u8>>>> = self.query_all(registered, &commands).await?;
        let mut answers = answers.into_iter();
        let mut ballots: Vec<_> = by_lane
            .iter()
            .map(|voters| if voters.is_empty() { Vec::new() } else { answers.next().unwrap_or_default() }.into_iter())
            .collect();
        for (member, lane) in members {
            let voter = (order.voter)(member);
            let bytes = voter.and_then(|_| ballots[*lane].next()).flatten();
            let ballot = bytes.and_then(|bytes| ballot::decode(registered.rules, &bytes));
            match voter.zip(ballot) {
                Some((_, ballot)) if !(order.is_current)(member, &ballot) => {}
                Some(entry) => page.push(entry),
                None => _ = self.inner.metrics.damaged.inc(),
            }
        }
        Ok(())
    }
}
