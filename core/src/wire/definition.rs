//! Definitions as JSON: what the log, the API and the archive say of a proposal.

use serde::{Deserialize, Serialize};

use super::{
    WireError,
    json::{Format, to_json},
    strategies::{SnapshotDto, StrategyDto, read_snapshots},
};
use crate::{
    proposal::{
        Abstentions, Definition, Fraction, Proposal, ProposalError, ProposalParts, Quorum, Voting, VotingSystem,
    },
    time::{TimestampMs, Window},
};

/// The JSON object of a definition: always the same bytes for the same definition.
pub fn definition_json(definition: &Definition) -> String {
    to_json(&DefinitionDto::of(definition))
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DefinitionDto {
    proposal: String,
    platform: String,
    namespace: String,
    name: String,
    space: String,
    title: String,
    body: String,
    discussion: String,
    author: String,
    choices: Vec<String>,
    voting: VotingDto,
    window: WindowDto,
    clock_skew_seconds: u64,
    strategies: Vec<StrategyDto>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    snapshots: Vec<SnapshotDto>,
    lanes: u16,
    ballots_partitions: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VotingDto {
    system: String,
    quorum: Option<QuorumDto>,
    approval_threshold: Option<u32>,
    abstentions: AbstentionsDto,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
enum QuorumDto {
    Participation { power: String },
    Rejection { power: String },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum AbstentionsDto {
    Quorum,
    QuorumAndThreshold,
    Neither,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WindowDto {
    opens_at_ms: u64,
    closes_at_ms: u64,
}

impl DefinitionDto {
    pub(super) fn of(definition: &Definition) -> Self {
        let proposal = definition.proposal();
        let ProposalParts {
            platform,
            namespace,
            name,
            space,
            title,
            body,
            discussion,
            author,
            choices,
            voting,
            window,
            strategies,
            snapshots,
            clock_skew_s,
        } = proposal.parts().clone();
        Self {
            proposal: proposal.id().to_string(),
            platform,
            namespace,
            name,
            space,
            title,
            body,
            discussion,
            author,
            choices,
            voting: VotingDto::of(voting),
            window: WindowDto { opens_at_ms: window.opens_at().0, closes_at_ms: window.closes_at().0 },
            clock_skew_seconds: clock_skew_s,
            strategies: strategies.iter().map(StrategyDto::of).collect(),
            snapshots: snapshots.into_iter().map(SnapshotDto::of).collect(),
            lanes: definition.lanes(),
            ballots_partitions: definition.ballots_partitions(),
        }
    }

    /// The definition, if its parts make a proposal and that proposal has the id it says.
    pub(super) fn into_definition(self, format: Format) -> Result<Definition, WireError> {
        let WindowDto { opens_at_ms, closes_at_ms } = self.window;
        let window = Window::new(TimestampMs(opens_at_ms), TimestampMs(closes_at_ms));
        let strategies = self.strategies.into_iter().map(|strategy| strategy.into_strategy(format));
        let proposal = Proposal::new(ProposalParts {
            platform: self.platform,
            namespace: self.namespace,
            name: self.name,
            space: self.space,
            title: self.title,
            body: self.body,
            discussion: self.discussion,
            author: self.author,
            choices: self.choices,
            voting: self.voting.into_voting(format)?,
            window: format.field("window.closesAtMs", window)?,
            strategies: strategies.collect::<Result<_, _>>()?,
            snapshots: read_snapshots(self.snapshots, format)?,
            clock_skew_s: self.clock_skew_seconds,
        })
        .map_err(|problems| format.malformed(list(&problems)))?;
        let (stated, computed) = (format.field("proposal", self.proposal.parse())?, proposal.id());
        if stated != computed {
            return Err(WireError::ProposalId { format: format.0, stated, computed });
        }
        Definition::new(proposal, self.lanes, self.ballots_partitions).map_err(|error| format.malformed(error))
    }
}

impl VotingDto {
    fn of(voting: Voting) -> Self {
        let Voting { system, quorum, approval_threshold, abstentions } = voting;
        Self {
            system: system.name().to_owned(),
            quorum: quorum.map(|quorum| match quorum {
                Quorum::Participation(power) => QuorumDto::Participation { power: power.to_string() },
                Quorum::Rejection(power) => QuorumDto::Rejection { power: power.to_string() },
            }),
            approval_threshold: approval_threshold.map(Fraction::millionths),
            abstentions: match abstentions {
                Abstentions::Quorum => AbstentionsDto::Quorum,
                Abstentions::QuorumAndThreshold => AbstentionsDto::QuorumAndThreshold,
                Abstentions::Neither => AbstentionsDto::Neither,
            },
        }
    }

    fn into_voting(self, format: Format) -> Result<Voting, WireError> {
        let Self { system, quorum, approval_threshold, abstentions } = self;
        let fraction = |millionths| Fraction::from_millionths(millionths).ok_or("must be 1 to 1000000 millionths");
        let quorum = match quorum {
            Some(QuorumDto::Participation { power }) => {
                Some(Quorum::Participation(format.power("voting.quorum.power", &power)?))
            }
            Some(QuorumDto::Rejection { power }) => {
                Some(Quorum::Rejection(format.power("voting.quorum.power", &power)?))
            }
            None => None,
        };
        Ok(Voting {
            system: format.field("voting.system", VotingSystem::from_name(&system).ok_or("is not a voting system"))?,
            quorum,
            approval_threshold: format
                .field("voting.approvalThreshold", approval_threshold.map(fraction).transpose())?,
            abstentions: match abstentions {
                AbstentionsDto::Quorum => Abstentions::Quorum,
                AbstentionsDto::QuorumAndThreshold => Abstentions::QuorumAndThreshold,
                AbstentionsDto::Neither => Abstentions::Neither,
            },
        })
    }
}

fn list(problems: &[ProposalError]) -> String {
    problems.iter().map(ProposalError::to_string).collect::<Vec<_>>().join("; ")
}
