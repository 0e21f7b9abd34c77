//! The largest decisions fit in a record of the log, or a proposal could be made that is never recorded or closed.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use pnyx_core::{
    chain::{BlockHash, BlockNumber, ChainId, ContractAddress, Pin, Pins, SnapshotRule},
    decisions::Decision,
    id::{Root, Voter},
    outcome::OutcomeDecision,
    power::Power,
    proposal::{
        Abstentions, BODY_BYTES_MAX, CHAIN_READS_MAX, CHAINS_MAX, CHOICES_MAX, CLOCK_SKEW_S_MAX, ChainRead,
        ChainStrategy, DISCUSSION_BYTES_MAX, Decimals, Definition, DefinitionError, Fraction, LISTED_VOTERS_MAX,
        MULTICHAIN_STRATEGIES_MAX, MethodName, NAME_BYTES_MAX, Proposal, ProposalParts, Quorum, STRATEGIES_MAX,
        Strategy, TITLE_BYTES_MAX, Voting, VotingSystem,
    },
    rejection::Rejection,
    result::{
        ChainEvidence, Cut, CutPartition, DISPUTE_DIFFERENCES_MAX, Dispute, Provenance, PublishedResult, ResultCore,
    },
    stored_archive::{LOCATION_BYTES_MAX, StoredArchive},
    time::{TimestampMs, Window},
    wire::decision,
};

use crate::samples;

/// The log's largest record, `RECORD_BYTES_MAX` in the backbone.
const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Of the characters that a text may have, those that JSON writes with the most bytes for each of their own: control
/// characters that need six are refused, quotes and backslashes (and a body's line breaks) need two.
const ESCAPED: [char; 2] = ['"', '\\'];

fn escaped(bytes: usize) -> String {
    String::from(ESCAPED[0]).repeat(bytes)
}

/// Choices that differ in which of the two characters stands where.
fn choice(number: usize) -> String {
    (0..TITLE_BYTES_MAX).map(|bit| ESCAPED[if bit < 8 { (number >> bit) & 1 } else { 0 }]).collect()
}

/// A power whose decimal is as long as the highest's, and of which six add up to less than 2^192 units.
fn longest_power() -> Power {
    let power = Power::parse(&format!("1{}.{}1", "0".repeat(39), "0".repeat(17))).unwrap();
    assert_eq!(power.to_string().len(), Power::max().to_string().len());
    power
}

fn chain(number: usize) -> ChainId {
    ChainId::new(u64::MAX - u64::try_from(number).unwrap()).unwrap()
}

/// As many reads as a proposal may have, each of a chain of its own.
fn longest_reads() -> Vec<ChainStrategy> {
    let read = ChainRead::ContractCall {
        address: ContractAddress::new([0xff; 20]),
        method: MethodName::new("m".repeat(MethodName::BYTES_MAX)).unwrap(),
        decimals: Decimals::new(Decimals::MAX).unwrap(),
    };
    (0..CHAIN_READS_MAX).map(|number| ChainStrategy { network: chain(number), read: read.clone() }).collect()
}

fn largest_evidence() -> ChainEvidence {
    let pin = |number| Pin {
        chain: chain(number),
        number: BlockNumber(u64::MAX),
        hash: BlockHash::new([0xff; 32]),
        timestamp_s: u64::MAX,
    };
    let pins = Pins::new(samples::proposal_id(), (0..CHAINS_MAX).map(pin)).unwrap();
    let root = Root::new([0xff; 32]);
    ChainEvidence { pins, powers_root: root, signatures_root: Some(root) }
}

fn largest_proposal() -> ProposalParts {
    let listed = (0..LISTED_VOTERS_MAX).map(|number| {
        let mut address = [0xff; 20];
        address[12..].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        (Voter::new(address), longest_power())
    });
    let mut strategies = vec![Strategy::WhitelistWeighted(listed.collect())];
    strategies.extend([(); 5].map(|()| Strategy::Ticket(longest_power())));
    let reads = longest_reads();
    strategies.extend(reads.chunks(MULTICHAIN_STRATEGIES_MAX).map(|members| Strategy::Multichain(members.to_vec())));
    assert_eq!(strategies.len(), STRATEGIES_MAX);
    let snapshot = SnapshotRule::AtOrBefore(TimestampMs(u64::MAX));
    ProposalParts {
        platform: escaped(NAME_BYTES_MAX),
        namespace: escaped(NAME_BYTES_MAX),
        name: escaped(NAME_BYTES_MAX),
        space: escaped(NAME_BYTES_MAX),
        title: escaped(TITLE_BYTES_MAX),
        body: escaped(BODY_BYTES_MAX),
        discussion: escaped(DISCUSSION_BYTES_MAX),
        author: escaped(NAME_BYTES_MAX),
        choices: (0..CHOICES_MAX).map(choice).collect(),
        voting: Voting {
            system: VotingSystem::SingleChoice,
            quorum: Some(Quorum::Participation(Power::max())),
            approval_threshold: Fraction::from_millionths(1_000_000),
            abstentions: Abstentions::default(),
        },
        window: Window::new(TimestampMs(u64::MAX - 1), TimestampMs(u64::MAX)).unwrap(),
        strategies,
        snapshots: (0..CHAINS_MAX).map(|number| (chain(number), snapshot)).collect(),
        signers: Some(chain(CHAIN_READS_MAX)),
        clock_skew_s: CLOCK_SKEW_S_MAX,
    }
}

fn largest_cut() -> Cut {
    let partition = CutPartition { end_offset: u64::MAX, records_root: Root::new([0xff; 32]) };
    let partitions = vec![partition; usize::try_from(Definition::PARTITIONS_MAX).unwrap()];
    Cut { proposal: samples::proposal_id(), decided_at: TimestampMs(u64::MAX), partitions }
}

fn largest_result() -> PublishedResult {
    let mut core = ResultCore { ballots: u64::MAX, ..samples::core() };
    core.outcome.scores.0 = vec![U256::MAX; CHOICES_MAX];
    core.outcome.total_power = U256::MAX;
    core.outcome.decision = OutcomeDecision::Tied((1..=u8::try_from(CHOICES_MAX).unwrap()).collect());
    let rejected: BTreeMap<_, _> = Rejection::ALL.into_iter().map(|rejection| (rejection, u64::MAX)).collect();
    PublishedResult::sign(
        core,
        Provenance { cut: largest_cut(), records: u64::MAX, rejected, chains: Some(largest_evidence()) },
        &samples::platform_key(),
    )
}

#[test]
fn every_proposal_can_be_recorded() {
    let proposal = Proposal::new(largest_proposal()).unwrap();
    let definition = Definition::new(proposal, Definition::LANES_MAX, Definition::PARTITIONS_MAX).unwrap();
    let decision = Decision::Definition(Box::new(definition));
    let record = decision::encode(&decision);
    assert!(record.len() < RECORD_BYTES_MAX, "{} bytes", record.len());
    assert_eq!(decision::decode(&record).unwrap(), decision);
}

/// Control characters would need six bytes each, so the bounds hold only while they are refused.
#[test]
fn no_text_takes_characters_that_json_writes_with_six_bytes() {
    for control in (0..0x20_u8).map(char::from).filter(|control| !matches!(control, '\n' | '\r' | '\t')) {
        let parts = ProposalParts { body: control.into(), ..samples::definition().proposal().parts().clone() };
        assert!(Proposal::new(parts).is_err(), "{control:?}");
    }
}

#[test]
fn every_cut_result_and_pin_fit_far_below_a_record() {
    let pins = Decision::Pins(largest_evidence().pins);
    for decision in [Decision::Cut(largest_cut()), Decision::Result(Box::new(largest_result())), pins] {
        let bytes = decision::encode(&decision).len();
        assert!(bytes < RECORD_BYTES_MAX / 4, "{bytes} bytes");
    }
}

/// Differences are our own sentences, but even text that JSON writes with six bytes a character fits.
#[test]
fn every_dispute_fits_into_a_record_and_stays_as_it_is() {
    let longest = "\u{1}".repeat(RECORD_BYTES_MAX);
    let dispute = Dispute::new(samples::proposal_id(), vec![longest; 2 * DISPUTE_DIFFERENCES_MAX]);
    assert_eq!(dispute.differences().len(), DISPUTE_DIFFERENCES_MAX);
    let record = decision::encode(&Decision::Dispute(dispute.clone()));
    assert!(record.len() < RECORD_BYTES_MAX / 4, "{} bytes", record.len());
    assert_eq!(decision::decode(&record), Ok(Decision::Dispute(dispute)));
}

#[test]
fn every_place_of_an_archive_fits_into_a_record_and_stays_as_it_is() {
    let sample = samples::stored_archive();
    let place = |bytes: usize| {
        StoredArchive::new(sample.proposal, "\u{1}".repeat(bytes), sample.bytes, sample.sha256, sample.verified_at)
    };
    assert!(place(LOCATION_BYTES_MAX + 1).is_err());
    let longest = Decision::Archive(place(LOCATION_BYTES_MAX).expect("it is at the bound"));
    let record = decision::encode(&longest);
    assert!(record.len() < RECORD_BYTES_MAX / 4, "{} bytes", record.len());
    assert_eq!(decision::decode(&record), Ok(longest));
}

#[test]
fn a_layout_has_bounds() {
    let proposal = || samples::definition().proposal().clone();
    let partitions_max = Definition::PARTITIONS_MAX;
    assert!(Definition::new(proposal(), 1, partitions_max).is_ok());
    for partitions in [0, partitions_max + 1, u32::MAX] {
        assert_eq!(Definition::new(proposal(), 1, partitions), Err(DefinitionError::Partitions));
    }
    for lanes in [0, Definition::LANES_MAX + 1] {
        assert_eq!(Definition::new(proposal(), lanes, 1), Err(DefinitionError::Lanes));
    }
}
