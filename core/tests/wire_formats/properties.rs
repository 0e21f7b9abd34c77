//! Properties of the decoders: what was written is read back, and no bytes make them panic or mean two things.

use alloy_primitives::U256;
use pnyx_core::{
    chain::{BlockHash, BlockNumber, ChainId, Pin, Pins},
    choice::{ApprovalSet, Choice, Ranking, Weights},
    counting::Scores,
    id::{Digest, Place, RecordHash, Root, Voter},
    merkle::InclusionPath,
    outcome::{Outcome, OutcomeDecision},
    power::{Power, PowerError, VoterPower, format_units, parse_units},
    receipt::{Receipt, SignedReceipt},
    rejection::Rejection,
    result::{ChainEvidence, Cut, CutPartition, Provenance, PublishedResult, ResultCore},
    time::TimestampMs,
    verdict::{CountingBallot, RejectedRecord, Ruling, Verdict},
    wire::{
        archive::{self, ArchiveLine, ArchivedBallot, ArchivedPower, ArchivedRecord},
        decision, receipt, record, result, verdict,
    },
};
use proptest::{collection::vec, option, prelude::*, sample::select, strategy::Union};

use crate::{chain_samples, samples};

fn hash<T: std::fmt::Debug>(new: fn([u8; 32]) -> T) -> impl Strategy<Value = T> {
    any::<[u8; 32]>().prop_map(new)
}

fn voter() -> impl Strategy<Value = Voter> {
    any::<[u8; 20]>().prop_map(Voter::new)
}

fn units() -> impl Strategy<Value = U256> {
    (any::<[u8; 32]>(), 0_usize..256).prop_map(|(bytes, shift)| U256::from_be_bytes(bytes) >> shift)
}

fn power() -> impl Strategy<Value = Power> {
    units().prop_map(|units| Power::from_units((units >> 64_usize).max(U256::ONE)).unwrap())
}

fn place() -> impl Strategy<Value = Place> {
    (any::<u32>(), any::<u64>()).prop_map(|(partition, offset)| Place { partition, offset })
}

fn time() -> impl Strategy<Value = TimestampMs> {
    any::<u64>().prop_map(TimestampMs)
}

fn choice() -> impl Strategy<Value = Choice> {
    let weight = 1..Weights::BILLIONTHS_BOUND;
    let weights = prop::collection::btree_map(1_u8..=64, weight, 1..10)
        .prop_map(|entries| Choice::Weights(Weights::new(entries.into_iter().collect()).unwrap()));
    let ranking = (1_u8..=20)
        .prop_flat_map(|count| Just((1..=count).collect::<Vec<_>>()).prop_shuffle())
        .prop_map(|order| Choice::Ranking(Ranking::new(&order).unwrap()));
    Union::new([
        (1_u8..=64).prop_map(Choice::Single).boxed(),
        any::<u64>().prop_map(|bits| Choice::Approval(ApprovalSet::from_bits(bits))).boxed(),
        weights.boxed(),
        ranking.boxed(),
    ])
}

fn ruling() -> impl Strategy<Value = Ruling> {
    let counts = (voter(), hash(Digest::new), any::<u64>(), choice(), power()).prop_map(
        |(voter, digest, signed_at_s, choice, power)| {
            Ruling::Counts(CountingBallot { voter, digest, signed_at_s, choice, power })
        },
    );
    let rejected =
        (select(Rejection::ALL.to_vec()), hash(RecordHash::new), option::of(hash(Digest::new)), option::of(voter()))
            .prop_map(|(rejection, record, digest, claimed_voter)| {
                Ruling::Rejected(RejectedRecord { rejection, record, digest, claimed_voter })
            });
    Union::new([counts.boxed(), rejected.boxed()])
}

fn verdict() -> impl Strategy<Value = Verdict> {
    (place(), time(), ruling()).prop_map(|(place, appended_at, ruling)| Verdict { place, appended_at, ruling })
}

fn cut() -> impl Strategy<Value = Cut> {
    let partition = (any::<u64>(), hash(Root::new))
        .prop_map(|(end_offset, records_root)| CutPartition { end_offset, records_root });
    (time(), vec(partition, 0..5)).prop_map(|(decided_at, partitions)| Cut {
        proposal: samples::proposal_id(),
        decided_at,
        partitions,
    })
}

fn pins() -> impl Strategy<Value = Pins> {
    let block = (any::<u64>(), hash(BlockHash::new), any::<u64>());
    prop::collection::btree_map(1..=u64::MAX, block, 1..5).prop_map(|blocks| {
        let pin = |(chain, (number, hash, timestamp_s))| Pin {
            chain: ChainId::new(chain).unwrap(),
            number: BlockNumber(number),
            hash,
            timestamp_s,
        };
        Pins::new(samples::proposal_id(), blocks.into_iter().map(pin)).unwrap()
    })
}

fn evidence() -> impl Strategy<Value = ChainEvidence> {
    (pins(), hash(Root::new)).prop_map(|(pins, powers_root)| ChainEvidence { pins, powers_root })
}

fn voter_power() -> impl Strategy<Value = VoterPower> {
    let zero = Just(VoterPower::Known(Power::ZERO));
    prop_oneof![power().prop_map(VoterPower::Known), zero, Just(VoterPower::Unavailable)]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let decision = select(vec![
        OutcomeDecision::NoBallots,
        OutcomeDecision::Passed,
        OutcomeDecision::Failed,
        OutcomeDecision::Won(1),
        OutcomeDecision::Tied(vec![1, 3]),
        OutcomeDecision::ConditionsNotMet,
    ]);
    (vec(units(), 3..64), units(), any::<Option<bool>>(), any::<Option<bool>>(), decision).prop_map(
        |(scores, total_power, quorum_reached, threshold_reached, decision)| Outcome {
            scores: Scores(scores),
            total_power,
            quorum_reached,
            threshold_reached,
            decision,
        },
    )
}

fn published() -> impl Strategy<Value = PublishedResult> {
    let core = (any::<u64>(), outcome(), hash(Root::new)).prop_map(|(ballots, outcome, ballots_root)| ResultCore {
        proposal: samples::proposal_id(),
        ballots,
        outcome,
        ballots_root,
    });
    let rejected = prop::collection::btree_map(select(Rejection::ALL.to_vec()), 1..u64::MAX, 0..16);
    let provenance = (cut(), any::<u64>(), rejected, option::of(evidence()))
        .prop_map(|(cut, records, rejected, chains)| Provenance { cut, records, rejected, chains });
    (core, provenance).prop_map(|(core, provenance)| PublishedResult::sign(core, provenance, &samples::platform_key()))
}

fn line() -> impl Strategy<Value = ArchiveLine> {
    let archived = (place(), time(), vec(any::<u8>(), 0..100))
        .prop_map(|(place, appended_at, record)| ArchiveLine::Record(ArchivedRecord { place, appended_at, record }));
    let ballot = (voter(), hash(Digest::new), choice(), power(), hash(RecordHash::new)).prop_map(
        |(voter, digest, choice, power, record)| {
            ArchiveLine::Ballot(ArchivedBallot { voter, digest, choice, power, record })
        },
    );
    Union::new([
        archived.boxed(),
        ballot.boxed(),
        cut().prop_map(ArchiveLine::Cut).boxed(),
        pins().prop_map(ArchiveLine::Pins).boxed(),
        (voter(), voter_power()).prop_map(|(voter, power)| ArchiveLine::Power(ArchivedPower { voter, power })).boxed(),
        published().prop_map(|result| ArchiveLine::Result(Box::new(result))).boxed(),
        any::<u64>().prop_map(|lines| ArchiveLine::End { lines }).boxed(),
        select(samples::archive()).boxed(),
        select(chain_samples::archive()).boxed(),
    ])
}

fn signed_receipt() -> impl Strategy<Value = SignedReceipt> {
    let path = (any::<u64>(), any::<u64>(), vec(any::<[u8; 32]>(), 0..=64))
        .prop_map(|(index, size, hashes)| InclusionPath { index, size, hashes });
    let receipt =
        (hash(Digest::new), hash(RecordHash::new), place(), time()).prop_map(|(digest, record, place, appended_at)| {
            Receipt { proposal: samples::proposal_id(), digest, record, place, appended_at }
        });
    (receipt, path, voter(), any::<u8>()).prop_map(|(receipt, path, key, fill)| SignedReceipt {
        receipt,
        path,
        key,
        signature: [fill; 65],
    })
}

/// A change of bytes: cut off, replaced, inserted or removed.
#[derive(Debug, Clone)]
enum Edit {
    Truncate(prop::sample::Index),
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<prop::sample::Index>;
    // Bytes that JSON is made of come often, others sometimes.
    let byte = prop_oneof![select(b" 0123456789.eE-+abcdefxAF\"{}[],:nulltrue\\\t\n".to_vec()), any::<u8>()];
    prop_oneof![
        index().prop_map(Edit::Truncate),
        (index(), byte.clone()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        (index(), byte).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        index().prop_map(Edit::Remove),
    ]
}

fn edited(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let len = bytes.len();
        match edit {
            Edit::Insert(at, byte) => bytes.insert(at.index(len + 1), *byte),
            Edit::Truncate(_) | Edit::Replace(..) | Edit::Remove(_) if len == 0 => {}
            Edit::Truncate(at) => bytes.truncate(at.index(len)),
            Edit::Replace(at, byte) => bytes[at.index(len)] = *byte,
            Edit::Remove(at) => drop(bytes.remove(at.index(len))),
        }
    }
    bytes
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    vec(edit(), 1..4)
}

proptest! {
    #[test]
    fn verdicts_are_read_back(verdict in verdict()) {
        prop_assert_eq!(verdict::decode(&verdict::encode(&verdict)), Ok(verdict));
    }

    #[test]
    fn a_verdict_has_one_encoding(verdict in verdict(), edits in edits()) {
        let bytes = edited(verdict::encode(&verdict), &edits);
        if let Ok(read) = verdict::decode(&bytes) {
            prop_assert_eq!(verdict::encode(&read), bytes);
        }
    }

    #[test]
    fn a_verdict_cut_short_or_extended_is_refused(verdict in verdict(), at in any::<prop::sample::Index>(), more in any::<u8>()) {
        let mut bytes = verdict::encode(&verdict);
        prop_assert!(verdict::decode(&bytes[..at.index(bytes.len())]).is_err());
        bytes.push(more);
        prop_assert!(verdict::decode(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_judged_without_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = record::decode(&bytes);
        let _ = decision::decode(&bytes);
        if let Ok(read) = verdict::decode(&bytes) {
            prop_assert_eq!(verdict::encode(&read), bytes);
        }
    }

    #[test]
    fn archive_lines_are_read_back(line in line()) {
        prop_assert_eq!(archive::decode(&archive::encode(&line)), Ok(line));
    }

    #[test]
    fn an_archive_line_has_one_encoding(line in line(), edits in edits()) {
        let bytes = edited(archive::encode(&line).into_bytes(), &edits);
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(read) = archive::decode(&text) {
            prop_assert_eq!(archive::encode(&read), text);
        }
    }

    #[test]
    fn a_decision_has_one_encoding(
        decision in select([samples::decisions().to_vec(), chain_samples::decisions().to_vec()].concat()),
        edits in edits(),
    ) {
        let bytes = edited(decision::encode(&decision), &edits);
        if let Ok(read) = decision::decode(&bytes) {
            prop_assert_eq!(decision::encode(&read), bytes);
        }
    }

    #[test]
    fn results_are_read_back_and_verify(published in published()) {
        let read = result::decode(&result::encode(&published));
        prop_assert!(published.verify());
        prop_assert_eq!(read, Ok(published));
    }

    #[test]
    fn receipts_are_read_back(signed in signed_receipt()) {
        prop_assert_eq!(receipt::decode(&receipt::encode(&signed)), Ok(signed));
    }

    #[test]
    fn an_edited_receipt_is_refused_or_means_what_it_says(signed in signed_receipt(), edits in edits()) {
        let bytes = edited(receipt::encode(&signed).into_bytes(), &edits);
        if let Ok(read) = receipt::decode(&String::from_utf8_lossy(&bytes)) {
            prop_assert_eq!(receipt::decode(&receipt::encode(&read)), Ok(read));
        }
    }

    #[test]
    fn units_are_read_back(units in units()) {
        prop_assert_eq!(parse_units(&format_units(units)), Ok(units));
    }

    #[test]
    fn any_text_is_units_or_an_error(text in "[0-9]{0,90}[.]?[0-9]{0,20}") {
        if let Ok(units) = parse_units(&text) {
            let canonical = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
            prop_assert_eq!(format_units(units), canonical);
        }
    }
}

#[test]
fn units_end_at_256_bits() {
    let max = "115792089237316195423570985008687907853269984665640564039457.584007913129639935";
    assert_eq!(parse_units(max), Ok(U256::MAX));
    assert_eq!(format_units(U256::MAX), max);
    let above = "115792089237316195423570985008687907853269984665640564039457.584007913129639936";
    assert_eq!(parse_units(above), Err(PowerError::TooLarge));
    assert_eq!(parse_units(&"9".repeat(10_000)), Err(PowerError::TooLarge));
    for text in ["", ".", "1.", ".5", "01", "-1", "+1", "1e3", "1_0", " 1", "٣"] {
        assert_eq!(parse_units(text), Err(PowerError::Syntax), "{text:?}");
    }
    assert_eq!(parse_units("0.0000000000000000001"), Err(PowerError::TooPrecise));
}
