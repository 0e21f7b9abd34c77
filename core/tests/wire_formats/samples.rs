//! One small vote whose parts the golden files show.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use pnyx_core::{
    choice::{ApprovalSet, Choice, Ranking, Weights},
    counting::Scores,
    decisions::Decision,
    id::{Digest, LogIdentity, Place, ProposalId, RecordHash, Root, Voter},
    merkle::{self, RootBuilder},
    outcome::{Outcome, OutcomeDecision},
    power::Power,
    proposal::{Abstentions, Definition, Fraction, Proposal, ProposalParts, Quorum, Strategy, Voting, VotingSystem},
    receipt::{Receipt, SignedReceipt, sign_receipts},
    rejection::Rejection,
    result::{Cut, CutPartition, Dispute, Provenance, PublishedResult, ResultCore},
    signature_check::SignatureCheck,
    signing::SigningKey,
    stored_archive::StoredArchive,
    tally::StandingBallot,
    time::{TimestampMs, Window},
    verdict::{CountingBallot, RejectedRecord, Ruling, Verdict},
    wire::{
        archive::{ArchiveLine, ArchivedBallot, ArchivedRecord},
        record,
    },
};

/// 2026-12-01T12:00:00Z.
const OPENS_AT_MS: u64 = 1_796_126_400_000;

pub(crate) fn platform_key() -> SigningKey {
    SigningKey::from_bytes([0x46; 32]).unwrap()
}

pub(crate) fn voter(number: u8) -> Voter {
    Voter::new([number; 20])
}

pub(crate) fn power(text: &str) -> Power {
    Power::parse(text).unwrap()
}

pub(crate) fn at(seconds: u64) -> TimestampMs {
    TimestampMs(OPENS_AT_MS + seconds * 1_000)
}

pub(crate) fn definition() -> Definition {
    let proposal = Proposal::new(ProposalParts {
        platform: "dev".to_owned(),
        namespace: "default".to_owned(),
        name: "grants-round".to_owned(),
        space: "grants.eth".to_owned(),
        title: "Fund the \"spring\" grants round".to_owned(),
        body: "First line.\nΔεύτερη γραμμή.".to_owned(),
        discussion: "https://forum.example.org/t/1".to_owned(),
        author: "council".to_owned(),
        choices: ["For", "Against", "Abstain"].map(str::to_owned).to_vec(),
        voting: Voting {
            system: VotingSystem::Basic,
            quorum: Some(Quorum::Participation(power("1000"))),
            approval_threshold: Fraction::from_millionths(666_667),
            abstentions: Abstentions::QuorumAndThreshold,
        },
        window: Window::new(at(0), at(3_600)).unwrap(),
        strategies: vec![
            Strategy::Whitelist(BTreeSet::from([voter(0xaa), voter(0xbb)])),
            Strategy::WhitelistWeighted(BTreeMap::from([(voter(0xbb), power("1250.5")), (voter(0xaa), power("3"))])),
            Strategy::Ticket(power("0.000000000000000001")),
        ],
        snapshots: BTreeMap::new(),
        signers: None,
        clock_skew_s: 300,
    });
    Definition::new(proposal.unwrap(), 4, 2).unwrap()
}

pub(crate) fn proposal_id() -> ProposalId {
    definition().proposal().id()
}

/// The three records of the vote: two count, one does not.
pub(crate) fn records() -> [ArchivedRecord; 3] {
    let archived = |partition, offset, body: &[u8]| ArchivedRecord {
        place: Place { partition, offset },
        appended_at: at(60 + offset),
        record: record::encode(body),
    };
    [archived(0, 0, b"{\"first\":1}"), archived(0, 1, b"not json"), archived(1, 0, b"{\"second\":2}")]
}

/// The standing ballots, by voter.
pub(crate) fn standing() -> [(Voter, StandingBallot); 2] {
    let ballot = |digest, number, power_text, place| StandingBallot {
        digest: Digest::new([digest; 32]),
        signed_at_s: at(55).0 / 1_000,
        choice: Choice::Single(number),
        power: power(power_text),
        place,
    };
    let [first, _, second] = records();
    [
        (voter(0xaa), ballot(0x11, 2, "4.000000000000000001", first.place)),
        (voter(0xbb), ballot(0x22, 1, "1251.500000000000000001", second.place)),
    ]
}

pub(crate) fn cut() -> Cut {
    let root_of = |partition| {
        let mut builder = RootBuilder::default();
        for archived in records().iter().filter(|archived| archived.place.partition == partition) {
            builder.push(&merkle::record_leaf(RecordHash::of(&archived.record)));
        }
        builder.root()
    };
    let partitions = vec![
        CutPartition { end_offset: 2, records_root: root_of(0) },
        CutPartition { end_offset: 1, records_root: root_of(1) },
    ];
    Cut { proposal: proposal_id(), decided_at: at(3_610), partitions }
}

pub(crate) fn ballots_root() -> Root {
    let mut builder = RootBuilder::default();
    for (voter, ballot) in standing() {
        builder.push(&merkle::ballot_leaf(voter, &ballot));
    }
    builder.root()
}

pub(crate) fn core() -> ResultCore {
    let units = |text| power(text).units();
    ResultCore {
        proposal: proposal_id(),
        ballots: 2,
        outcome: Outcome {
            scores: Scores(vec![units("1251.500000000000000001"), units("4.000000000000000001"), U256::ZERO]),
            total_power: units("1255.500000000000000002"),
            quorum_reached: Some(true),
            threshold_reached: Some(true),
            decision: OutcomeDecision::Passed,
        },
        ballots_root: ballots_root(),
    }
}

pub(crate) fn provenance() -> Provenance {
    Provenance { cut: cut(), records: 3, rejected: BTreeMap::from([(Rejection::MalformedEnvelope, 1)]), chains: None }
}

pub(crate) fn result() -> PublishedResult {
    PublishedResult::sign(core(), provenance(), &platform_key())
}

pub(crate) fn receipts() -> Vec<SignedReceipt> {
    let receipts = records().map(|archived| Receipt {
        proposal: proposal_id(),
        digest: Digest::new([0x11; 32]),
        record: RecordHash::of(&archived.record),
        place: archived.place,
        appended_at: archived.appended_at,
    });
    sign_receipts(&receipts, &platform_key())
}

/// In the order in which the kinds were introduced: golden lines are only ever added.
pub(crate) fn decisions() -> [Decision; 7] {
    [
        Decision::PlatformKey(platform_key().address()),
        Decision::Definition(Box::new(definition())),
        Decision::Cut(cut()),
        Decision::Result(Box::new(result())),
        Decision::Log(LogIdentity([0x44; 16])),
        Decision::Dispute(dispute()),
        Decision::Archive(stored_archive()),
    ]
}

pub(crate) fn stored_archive() -> StoredArchive {
    let location = format!("s3://votes/archives/{}.jsonl", proposal_id());
    StoredArchive::new(proposal_id(), location, 1_234, [0x55; 32], TimestampMs(1_800_000_000_000)).expect("short")
}

pub(crate) fn dispute() -> Dispute {
    let differences = ["ballots: live 3, recount 2", "power: live 1256.5, recount 1255.500000000000000002"];
    Dispute::new(proposal_id(), differences.map(str::to_owned))
}

pub(crate) fn archive() -> Vec<ArchiveLine> {
    let mut lines = vec![
        ArchiveLine::Header { proposal: proposal_id() },
        ArchiveLine::Definition(Box::new(definition())),
        ArchiveLine::Cut(cut()),
    ];
    lines.extend(records().map(ArchiveLine::Record));
    for (voter, ballot) in standing() {
        let StandingBallot { digest, choice, power, place, .. } = ballot;
        let record =
            records().iter().find(|archived| archived.place == place).map(|found| RecordHash::of(&found.record));
        let record = record.unwrap();
        lines.push(ArchiveLine::Ballot(ArchivedBallot { voter, digest, choice, power, record }));
    }
    lines.push(ArchiveLine::Result(Box::new(result())));
    lines.push(ArchiveLine::End { lines: u64::try_from(lines.len()).unwrap() });
    lines
}

/// A choice of each kind.
pub(crate) fn choices() -> [Choice; 4] {
    [
        Choice::Single(2),
        Choice::Approval(ApprovalSet::from_bits(0b101)),
        Choice::Weights(Weights::new(vec![(1, 2_500_000_000), (3, 1)]).unwrap()),
        Choice::Ranking(Ranking::new(&[3, 1, 2]).unwrap()),
    ]
}

/// A counting verdict for each kind of choice, and rejections with each set of optional fields.
pub(crate) fn verdicts() -> Vec<Verdict> {
    let place = Place { partition: 1, offset: 17 };
    let counts = choices().map(|choice| {
        Ruling::Counts(CountingBallot {
            voter: voter(0xaa),
            digest: Digest::new([0x11; 32]),
            signed_at_s: at(55).0 / 1_000,
            choice,
            power: power("1250.5"),
            check: SignatureCheck::Key,
        })
    });
    let rejected = [
        (Rejection::TooLarge, None, None),
        (Rejection::UnknownProposal, Some(Digest::new([0x22; 32])), None),
        (Rejection::MalformedMessage, None, Some(voter(0xbb))),
        (Rejection::NoPower, Some(Digest::new([0x22; 32])), Some(voter(0xbb))),
    ];
    let rejected = rejected.map(|(rejection, digest, claimed_voter)| {
        let record = RecordHash::new([0x33; 32]);
        Ruling::Rejected(RejectedRecord { rejection, record, digest, claimed_voter, claimed_power: None })
    });
    counts.into_iter().chain(rejected).map(|ruling| Verdict { place, appended_at: at(60), ruling }).collect()
}
