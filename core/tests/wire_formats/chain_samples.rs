//! One small vote whose power is read from chains: what the golden files of chains show.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use pnyx_core::{
    chain::{BlockHash, BlockNumber, ChainId, ContractAddress, Pin, Pins, SnapshotRule},
    choice::Choice,
    counting::Scores,
    decisions::Decision,
    id::{Digest, Place, ProposalId, RecordHash, Voter},
    merkle::{self, RootBuilder},
    outcome::{Outcome, OutcomeDecision},
    power::{Power, VoterPower},
    proposal::{
        Abstentions, ChainRead, ChainStrategy, Decimals, Definition, MethodName, Proposal, ProposalParts, Strategy,
        TokenId, Voting, VotingSystem,
    },
    rejection::Rejection,
    result::{ChainEvidence, Cut, CutPartition, Provenance, PublishedResult, ResultCore},
    tally::StandingBallot,
    verdict::{RejectedRecord, Ruling, Verdict},
    wire::{
        archive::{ArchiveLine, ArchivedBallot, ArchivedPower, ArchivedRecord},
        record,
    },
};

use crate::samples::{self, at, power, voter};

pub(crate) fn chain(number: u64) -> ChainId {
    ChainId::new(number).unwrap()
}

fn on(chain_number: u64, read: ChainRead) -> ChainStrategy {
    ChainStrategy { network: chain(chain_number), read }
}

pub(crate) fn definition() -> Definition {
    let address = |head| ContractAddress::new([head; 20]);
    let decimals = |number| Decimals::new(number).unwrap();
    let method = MethodName::new("stakedOf").unwrap();
    let token_id = TokenId(U256::from(7));
    let proposal = Proposal::new(ProposalParts {
        name: "token-holders".to_owned(),
        voting: Voting {
            system: VotingSystem::Basic,
            quorum: None,
            approval_threshold: None,
            abstentions: Abstentions::Quorum,
        },
        strategies: vec![
            Strategy::OnChain(on(1, ChainRead::Erc20BalanceOf { address: address(0xc0), decimals: decimals(6) })),
            Strategy::Multichain(vec![
                on(1, ChainRead::Erc20Votes { address: address(0xc1), decimals: decimals(18) }),
                on(1, ChainRead::EthBalance),
                on(10, ChainRead::Erc721 { address: address(0xc2) }),
                on(10, ChainRead::Erc1155BalanceOf { address: address(0xc3), token_id, decimals: decimals(0) }),
                on(10, ChainRead::ContractCall { address: address(0xc4), method, decimals: decimals(24) }),
            ]),
        ],
        snapshots: BTreeMap::from([
            (chain(10), SnapshotRule::Block(BlockNumber(150_000_000))),
            (chain(1), SnapshotRule::AtOrBefore(at(0))),
        ]),
        ..samples::definition().proposal().parts().clone()
    });
    Definition::new(proposal.unwrap(), 4, 2).unwrap()
}

pub(crate) fn proposal_id() -> ProposalId {
    definition().proposal().id()
}

pub(crate) fn pins() -> Pins {
    let pin = |number, block, head, timestamp_s| Pin {
        chain: chain(number),
        number: BlockNumber(block),
        hash: BlockHash::new([head; 32]),
        timestamp_s,
    };
    let opens_at_s = at(0).0 / 1_000;
    Pins::new(proposal_id(), [pin(1, 27_123_456, 0xe1, opens_at_s - 1), pin(10, 150_000_000, 0xe2, opens_at_s - 90)])
        .unwrap()
}

/// One that counts, one without a signature, one of a voter with nothing, one of a voter for whom a contract reverts.
pub(crate) fn records() -> [ArchivedRecord; 4] {
    let archived = |partition, offset, body: &[u8]| ArchivedRecord {
        place: Place { partition, offset },
        appended_at: at(60 + offset),
        record: record::encode(body),
    };
    [
        archived(0, 0, b"{\"first\":1}"),
        archived(0, 1, b"not json"),
        archived(1, 0, b"{\"second\":2}"),
        archived(1, 1, b"{\"third\":3}"),
    ]
}

pub(crate) fn powers() -> [(Voter, VoterPower); 3] {
    [
        (voter(0xaa), VoterPower::Known(power("12.500001"))),
        (voter(0xbb), VoterPower::Known(Power::ZERO)),
        (voter(0xcc), VoterPower::Unavailable),
    ]
}

fn standing() -> (Voter, StandingBallot) {
    let ballot = StandingBallot {
        digest: Digest::new([0x11; 32]),
        signed_at_s: at(55).0 / 1_000,
        choice: Choice::Single(2),
        power: power("12.500001"),
        place: Place { partition: 0, offset: 0 },
    };
    (voter(0xaa), ballot)
}

fn cut() -> Cut {
    let partition = |number| {
        let mut builder = RootBuilder::default();
        let of_partition = records().into_iter().filter(|archived| archived.place.partition == number);
        of_partition.for_each(|archived| builder.push(&merkle::record_leaf(RecordHash::of(&archived.record))));
        CutPartition { end_offset: 2, records_root: builder.root() }
    };
    Cut { proposal: proposal_id(), decided_at: at(3_610), partitions: vec![partition(0), partition(1)] }
}

pub(crate) fn evidence() -> ChainEvidence {
    let mut builder = RootBuilder::default();
    powers().into_iter().for_each(|(voter, power)| builder.push(&merkle::power_leaf(voter, power)));
    ChainEvidence { pins: pins(), powers_root: builder.root() }
}

pub(crate) fn result() -> PublishedResult {
    let (voter, ballot) = standing();
    let mut builder = RootBuilder::default();
    builder.push(&merkle::ballot_leaf(voter, &ballot));
    let units = ballot.power.units();
    let outcome = Outcome {
        scores: Scores(vec![U256::ZERO, units, U256::ZERO]),
        total_power: units,
        quorum_reached: None,
        threshold_reached: None,
        decision: OutcomeDecision::Failed,
    };
    let core = ResultCore { proposal: proposal_id(), ballots: 1, outcome, ballots_root: builder.root() };
    let rejected = [Rejection::MalformedEnvelope, Rejection::NoPower, Rejection::PowerUnavailable].map(|it| (it, 1));
    let provenance =
        Provenance { cut: cut(), records: 4, rejected: BTreeMap::from(rejected), chains: Some(evidence()) };
    PublishedResult::sign(core, provenance, &samples::platform_key())
}

pub(crate) fn decisions() -> [Decision; 3] {
    [Decision::Definition(Box::new(definition())), Decision::Pins(pins()), Decision::Result(Box::new(result()))]
}

pub(crate) fn archive() -> Vec<ArchiveLine> {
    let mut lines = vec![
        ArchiveLine::Header { proposal: proposal_id() },
        ArchiveLine::Definition(Box::new(definition())),
        ArchiveLine::Cut(cut()),
        ArchiveLine::Pins(pins()),
    ];
    lines.extend(records().map(ArchiveLine::Record));
    lines.extend(powers().map(|(voter, power)| ArchiveLine::Power(ArchivedPower { voter, power })));
    let (voter, StandingBallot { digest, choice, power, .. }) = standing();
    let record = RecordHash::of(&records()[0].record);
    lines.push(ArchiveLine::Ballot(ArchivedBallot { voter, digest, choice, power, record }));
    lines.push(ArchiveLine::Result(Box::new(result())));
    lines.push(ArchiveLine::End { lines: u64::try_from(lines.len()).unwrap() });
    lines
}

/// The verdict on the record of the voter for whom a contract reverts.
pub(crate) fn verdict() -> Verdict {
    let [.., record] = records();
    Verdict {
        place: record.place,
        appended_at: record.appended_at,
        ruling: Ruling::Rejected(RejectedRecord {
            rejection: Rejection::PowerUnavailable,
            record: RecordHash::of(&record.record),
            digest: Some(Digest::new([0x22; 32])),
            claimed_voter: Some(voter(0xcc)),
        }),
    }
}
