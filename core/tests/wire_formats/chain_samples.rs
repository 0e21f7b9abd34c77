//! One small vote whose power is read from chains, and for whose voters contracts sign: what the golden files of chains show.

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
    signature_check::{ContractCheck, SignatureCheck, SignatureRuling},
    tally::StandingBallot,
    verdict::{CountingBallot, RejectedRecord, Ruling, Verdict},
    wire::{
        archive::{ArchiveLine, ArchivedBallot, ArchivedContractSignature, ArchivedPower, ArchivedRecord},
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
        signers: Some(chain(1)),
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

/// One that counts, one without a signature, one of a voter with nothing, one of a voter for whom a contract reverts. Then
/// those that no key signed: one that a contract accepts, one that it refuses, one of a voter without contract, one of a
/// voter with nothing.
pub(crate) fn records() -> [ArchivedRecord; 8] {
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
        archived(0, 2, b"{\"fourth\":4}"),
        archived(0, 3, b"{\"fifth\":5}"),
        archived(1, 2, b"{\"sixth\":6}"),
        archived(1, 3, b"{\"seventh\":7}"),
    ]
}

pub(crate) fn powers() -> [(Voter, VoterPower); 4] {
    [
        (voter(0xaa), VoterPower::Known(power("12.500001"))),
        (voter(0xbb), VoterPower::Known(Power::ZERO)),
        (voter(0xcc), VoterPower::Unavailable),
        (voter(0xdd), VoterPower::Known(power("3"))),
    ]
}

/// By record.
pub(crate) fn signatures() -> [ArchivedContractSignature; 3] {
    let [.., accepted, refused, no_contract, _without_power] =
        records().map(|archived| RecordHash::of(&archived.record));
    let mut signatures = [
        (accepted, voter(0xdd), SignatureRuling::Accepted(ContractCheck::Eip1271)),
        (refused, voter(0xdd), SignatureRuling::Refused),
        (no_contract, voter(0xaa), SignatureRuling::NoContract),
    ]
    .map(|(record, voter, ruling)| ArchivedContractSignature { record, voter, ruling });
    signatures.sort_by_key(|signature| signature.record);
    signatures
}

fn standing() -> [(Voter, StandingBallot); 2] {
    let ballot = |digest, number, power_text, place| StandingBallot {
        digest: Digest::new([digest; 32]),
        signed_at_s: at(55).0 / 1_000,
        choice: Choice::Single(number),
        power: power(power_text),
        place,
    };
    let [by_key, .., by_contract, _, _, _] = records().map(|archived| archived.place);
    [(voter(0xaa), ballot(0x11, 2, "12.500001", by_key)), (voter(0xdd), ballot(0x44, 1, "3", by_contract))]
}

fn cut() -> Cut {
    let partition = |number| {
        let mut builder = RootBuilder::default();
        let of_partition = records().into_iter().filter(|archived| archived.place.partition == number);
        of_partition.for_each(|archived| builder.push(&merkle::record_leaf(RecordHash::of(&archived.record))));
        CutPartition { end_offset: 4, records_root: builder.root() }
    };
    Cut { proposal: proposal_id(), decided_at: at(3_610), partitions: vec![partition(0), partition(1)] }
}

pub(crate) fn evidence() -> ChainEvidence {
    let mut builder = RootBuilder::default();
    powers().into_iter().for_each(|(voter, power)| builder.push(&merkle::power_leaf(voter, power)));
    let mut signed = RootBuilder::default();
    for ArchivedContractSignature { record, voter, ruling } in signatures() {
        signed.push(&merkle::signature_leaf(record, voter, ruling));
    }
    ChainEvidence { pins: pins(), powers_root: builder.root(), signatures_root: Some(signed.root()) }
}

pub(crate) fn result() -> PublishedResult {
    let mut builder = RootBuilder::default();
    standing().iter().for_each(|(voter, ballot)| builder.push(&merkle::ballot_leaf(*voter, ballot)));
    let [against, in_favour] = standing().map(|(_, ballot)| ballot.power.units());
    let outcome = Outcome {
        scores: Scores(vec![in_favour, against, U256::ZERO]),
        total_power: in_favour + against,
        quorum_reached: None,
        threshold_reached: None,
        decision: OutcomeDecision::Failed,
    };
    let core = ResultCore { proposal: proposal_id(), ballots: 2, outcome, ballots_root: builder.root() };
    let rejected = [
        Rejection::MalformedEnvelope,
        Rejection::WrongSigner,
        Rejection::SignerWithoutPower,
        Rejection::ContractRefused,
        Rejection::NoPower,
        Rejection::PowerUnavailable,
    ]
    .map(|rejection| (rejection, 1));
    let provenance =
        Provenance { cut: cut(), records: 8, rejected: BTreeMap::from(rejected), chains: Some(evidence()) };
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
    let mut records = records();
    records.sort_by_key(|archived| archived.place);
    lines.extend(powers().map(|(voter, power)| ArchiveLine::Power(ArchivedPower { voter, power })));
    lines.extend(signatures().map(ArchiveLine::ContractSignature));
    lines.extend(records.iter().cloned().map(ArchiveLine::Record));
    for (voter, StandingBallot { digest, choice, power, place, .. }) in standing() {
        let record = records.iter().find(|archived| archived.place == place).map(|it| RecordHash::of(&it.record));
        lines.push(ArchiveLine::Ballot(ArchivedBallot { voter, digest, choice, power, record: record.unwrap() }));
    }
    lines.push(ArchiveLine::Result(Box::new(result())));
    lines.push(ArchiveLine::End { lines: u64::try_from(lines.len()).unwrap() });
    lines
}

/// The verdict on the record of the voter for whom a contract reverts.
pub(crate) fn rejecting_verdict() -> Verdict {
    let [_, _, _, unavailable, ..] = records();
    rejected(&unavailable, Rejection::PowerUnavailable, 0x22, 0xcc, None)
}

/// Verdicts on the record that a contract accepts, in each way in which one can. Then on those of accounts without power
/// or with none that can be found, of a contract that refuses, and of an account without contract.
pub(crate) fn contract_verdicts() -> [Verdict; 7] {
    let [.., accepted, refused, no_contract, without_power] = records();
    let [_, (voter, ballot)] = standing();
    let pin = *pins().get(chain(1)).unwrap();
    let [eip1271, legacy, eip6492] = ContractCheck::ALL.map(|kind| Verdict {
        place: accepted.place,
        appended_at: accepted.appended_at,
        ruling: Ruling::Counts(CountingBallot {
            voter,
            digest: ballot.digest,
            signed_at_s: ballot.signed_at_s,
            choice: ballot.choice.clone(),
            power: ballot.power,
            check: SignatureCheck::Contract { kind, block: pin.number, record: RecordHash::of(&accepted.record) },
        }),
    });
    let [(_, of_aa), (_, zero), (_, unavailable), (_, of_dd)] = powers();
    [
        eip1271,
        legacy,
        eip6492,
        rejected(&without_power, Rejection::SignerWithoutPower, 0x55, 0xbb, Some(zero)),
        rejected(&without_power, Rejection::SignerWithoutPower, 0x55, 0xcc, Some(unavailable)),
        rejected(&refused, Rejection::ContractRefused, 0x66, 0xdd, Some(of_dd)),
        rejected(&no_contract, Rejection::WrongSigner, 0x77, 0xaa, Some(of_aa)),
    ]
}

fn rejected(
    record: &ArchivedRecord,
    rejection: Rejection,
    digest: u8,
    head: u8,
    claimed_power: Option<VoterPower>,
) -> Verdict {
    Verdict {
        place: record.place,
        appended_at: record.appended_at,
        ruling: Ruling::Rejected(RejectedRecord {
            rejection,
            record: RecordHash::of(&record.record),
            digest: Some(Digest::new([digest; 32])),
            claimed_voter: Some(voter(head)),
            claimed_power,
        }),
    }
}
