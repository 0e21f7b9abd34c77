//! Records that only contracts can judge: settled while records are read, archived from the verdicts, audited from the
//! archive alone.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use pnyx_backbone::{clock, log::Topic};
use pnyx_core::{
    ballot::HashMemo,
    chain::{BlockHash, BlockNumber, ChainId, Pin, Pins, SnapshotRule},
    decisions::Decision,
    id::{Place, Voter},
    power::{Power, VoterPower},
    proposal::{Definition, Proposal, ProposalParts, VotingSystem},
    rejection::Rejection,
    result::PublishedResult,
    signature_check::{ContractCheck, SignatureRuling},
    wire::{
        self,
        archive::{ArchiveLine, ArchivedPower, decode, encode},
    },
};
use pnyx_recount::{
    AuditFailure,
    audit::{AuditedSignatures, PowerEvidence, PowersFailure, SignaturesFailure},
    offline::{self, CompareError, Comparison},
};
use pnyx_verification::{BallotRecord, ClaimAnswer, Judged, ListedPower, ProposalVerifier};

use crate::{
    pipeline::{Platform, window_closing_in},
    sample::{audit_with, ballot, definition, garbage_copy, platform_key, wallet},
};

/// Wallets by what the chain says of signatures that are not their key's.
const ACCEPTS: u8 = 2;
const REFUSES: u8 = 3;
const NO_CONTRACT: u8 = 4;

/// One of no power.
const STRANGER: u8 = 200;

const PINNED: BlockNumber = BlockNumber(1_000);

/// The sample's proposal, but contracts of chain 1 may sign.
fn with_contracts() -> Arc<Definition> {
    let keys_only = definition(VotingSystem::Basic, window_closing_in(600_000), 2);
    let chain = ChainId::new(1).unwrap();
    let snapshots = BTreeMap::from([(chain, SnapshotRule::Block(PINNED))]);
    let parts = ProposalParts { snapshots, signers: Some(chain), ..keys_only.proposal().parts().clone() };
    Arc::new(Definition::new(Proposal::new(parts).unwrap(), 3, 2).unwrap())
}

fn pin(definition: &Definition) -> Pin {
    let chain = definition.proposal().signers().unwrap();
    Pin { chain, number: PINNED, hash: BlockHash::new([0xe1; 32]), timestamp_s: 1_760_000_000 }
}

fn says(number: u8) -> SignatureRuling {
    match number {
        ACCEPTS => SignatureRuling::Accepted(ContractCheck::Eip1271),
        REFUSES => SignatureRuling::Refused,
        NO_CONTRACT => SignatureRuling::NoContract,
        _ => panic!("nobody is asked about wallet {number}"),
    }
}

/// A ballot of a key; then claims of which one counts, one of them twice, beside an earlier ballot of the same account
/// that its key signed.
async fn vote(platform: &Platform, definition: &Definition) {
    let now_s = clock::now().0 / 1_000;
    let by_key = ballot(definition, 1, "1", now_s - 5);
    let earlier = ballot(definition, ACCEPTS, "1", now_s - 9);
    let claim = |number| garbage_copy(&ballot(definition, number, "2", now_s - 5));
    let claims = [ACCEPTS, ACCEPTS, REFUSES, NO_CONTRACT, STRANGER].map(claim);
    for record in [by_key, earlier].into_iter().chain(claims) {
        platform.append(definition, record).await;
    }
}

/// What verifiers write, with a chain that [`says`] what it does.
async fn verify(platform: &Platform, definition: &Arc<Definition>) {
    let proposal = definition.proposal().id();
    let (verifier, listed) = (ProposalVerifier::new(Arc::clone(definition)), ListedPower::of(definition.proposal()));
    let number_of = |voter| (1..=STRANGER).find(|number| wallet(*number).address() == voter).unwrap();
    let mut memo = HashMemo::default();
    let mut verdicts = Vec::new();
    for partition in 0..2 {
        let mut reader = platform.log.reader(&Topic::ballots(proposal), partition, 0).unwrap();
        for stored in reader.read_available(100).await.unwrap() {
            let (place, appended_at) = (Place { partition, offset: stored.offset }, stored.appended_at);
            let record = BallotRecord { place, appended_at, bytes: &stored.value };
            let verdict = match verifier.judge(record, &mut memo) {
                Judged::Record(judged) => judged.weigh(record, |voter| VoterPower::Known(listed.power(voter))),
                Judged::Claim(claim) => {
                    let voter = claim.claimed_voter();
                    let power = VoterPower::Known(listed.power(voter));
                    let asked = || ClaimAnswer::Asked(power, says(number_of(voter)));
                    claim.verdict(record, ClaimAnswer::unasked(power).unwrap_or_else(asked), &pin(definition))
                }
            };
            verdicts.push((verdict.lane(definition.lanes()).0.into(), wire::verdict::encode(&verdict)));
        }
    }
    platform.log.append_batch(&Topic::verdicts(proposal), verdicts).await.unwrap();
}

async fn compare(platform: &Platform, definition: &Definition) -> Result<Comparison, CompareError> {
    let threads = NonZeroUsize::new(2).unwrap();
    offline::compare(&platform.log, &platform.proposals, definition.proposal().id(), threads, |_| {}).await
}

/// A platform with a published result, and its archive.
async fn published() -> (Platform, Arc<Definition>, Comparison) {
    let (platform, definition) = (Platform::start().await, with_contracts());
    platform.propose(&definition).await;
    vote(&platform, &definition).await;
    verify(&platform, &definition).await;
    assert!(matches!(compare(&platform, &definition).await, Err(CompareError::NotPinned { .. })));
    let pins = Pins::new(definition.proposal().id(), [pin(&definition)]).unwrap();
    platform.proposals.decide(Decision::Pins(pins)).await.unwrap();
    let comparison = compare(&platform, &definition).await.unwrap();
    let recounted = comparison.recounted.clone();
    platform.proposals.decide(Decision::Cut(recounted.provenance.cut.clone())).await.unwrap();
    let result = PublishedResult::sign(recounted.core, recounted.provenance, &platform_key());
    platform.proposals.decide(Decision::Result(Box::new(result))).await.unwrap();
    (platform, definition, comparison)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contracts_accept_counts_and_is_archived() {
    let (platform, definition, comparison) = published().await;
    let recounted = comparison.recounted;
    assert_eq!(recounted.core.ballots, 2);
    assert_eq!(recounted.core.outcome.scores.0.len(), 3);
    let standing: Vec<_> = recounted
        .ballots
        .iter()
        .map(|ballot| (ballot.voter, ballot.choice.to_string(), ballot.power.to_string()))
        .collect();
    let mut expected = vec![
        (wallet(1).address(), "1".to_owned(), "1.25".to_owned()),
        (wallet(ACCEPTS).address(), "2".to_owned(), "2.25".to_owned()),
    ];
    expected.sort();
    assert_eq!(standing, expected, "the later ballot stands, whoever signed it");
    let rejected = [Rejection::WrongSigner, Rejection::SignerWithoutPower, Rejection::ContractRefused];
    assert_eq!(recounted.provenance.rejected, BTreeMap::from(rejected.map(|rejection| (rejection, 1))));
    assert_eq!(recounted.provenance.records, 7);
    let mut voters = [1, ACCEPTS, REFUSES, NO_CONTRACT, STRANGER].map(|number| wallet(number).address());
    voters.sort();
    assert_eq!(recounted.powers.iter().map(|(voter, _)| *voter).collect::<Vec<_>>(), voters);
    let mut rulings: Vec<_> = recounted.signatures.iter().map(|it| (it.voter, it.ruling)).collect();
    rulings.sort();
    let mut said: Vec<_> =
        [ACCEPTS, REFUSES, NO_CONTRACT].map(|number| (wallet(number).address(), says(number))).into();
    said.sort();
    assert_eq!(rulings, said, "each record once, and none of an account without power");

    let archive = platform.archive(&definition).await;
    let report = audit_with(&archive, &[]).unwrap();
    assert_eq!(report.core, recounted.core);
    assert_eq!(report.signatures, Some(AuditedSignatures { asked: 3, are_asked_again: false }));
    assert_eq!(report.power, PowerEvidence::Definition, "nothing is believed of what the definition lists");
    assert_eq!(platform.restart().await.archive(&definition).await, archive);
}

/// Audits the archive with some of its lines changed.
fn altered(archive: &[u8], change: impl FnOnce(&mut Vec<ArchiveLine>)) -> AuditFailure {
    let text = String::from_utf8(archive.to_vec()).unwrap();
    let mut lines: Vec<ArchiveLine> = text.lines().map(|line| decode(line).unwrap()).collect();
    lines.pop();
    change(&mut lines);
    lines.push(ArchiveLine::End { lines: lines.len() as u64 });
    let text: String = lines.iter().map(|line| encode(line) + "\n").collect();
    audit_with(text.as_bytes(), &[]).unwrap_err()
}

/// The line of the n-th ruling.
fn ruling_at(lines: &[ArchiveLine], index: usize) -> usize {
    let is_ruling = |(_, line): &(usize, &ArchiveLine)| matches!(line, ArchiveLine::ContractSignature(_));
    lines.iter().enumerate().filter(is_ruling).nth(index).unwrap().0
}

/// The line of the n-th power.
fn power_at(lines: &[ArchiveLine], index: usize) -> usize {
    let is_power = |(_, line): &(usize, &ArchiveLine)| matches!(line, ArchiveLine::Power(_));
    lines.iter().enumerate().filter(is_power).nth(index).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn altered_evidence_shows_as_itself() {
    use SignaturesFailure::{LeftOut, OtherVoter, OutOfOrder, Root, WithoutClaim};
    let (platform, definition, _) = published().await;
    let archive = platform.archive(&definition).await;
    let failure = |change: fn(&mut Vec<ArchiveLine>)| altered(&archive, change);
    let signatures = |failure| match failure {
        AuditFailure::Signatures(failure) => failure,
        other => panic!("{other}"),
    };
    let left_out = failure(|lines| drop(lines.remove(ruling_at(lines, 1))));
    assert!(matches!(signatures(left_out), LeftOut { .. }));
    let last_left_out = failure(|lines| drop(lines.remove(ruling_at(lines, 2))));
    assert!(matches!(signatures(last_left_out), LeftOut { .. }));
    let repeated = failure(|lines| lines.insert(ruling_at(lines, 1), lines[ruling_at(lines, 1)].clone()));
    assert!(matches!(signatures(repeated), OutOfOrder { .. }));
    let of_another = failure(|lines| {
        let at = ruling_at(lines, 0);
        if let ArchiveLine::ContractSignature(ruling) = &mut lines[at] {
            ruling.voter = wallet(1).address();
        }
    });
    assert!(matches!(signatures(of_another), OtherVoter { .. }));
    let invented = failure(|lines| {
        let at = ruling_at(lines, 0);
        if let ArchiveLine::ContractSignature(ruling) = &mut lines[at] {
            ruling.record = pnyx_core::id::RecordHash::new([0; 32]);
        }
    });
    assert!(matches!(signatures(invented), WithoutClaim { .. }));
    // The same ballots count, and it is not what was signed.
    let another_way = failure(|lines| {
        for line in lines {
            if let ArchiveLine::ContractSignature(ruling) = line
                && let SignatureRuling::Accepted(kind) = &mut ruling.ruling
            {
                *kind = ContractCheck::Eip6492;
            }
        }
    });
    assert!(matches!(signatures(another_way), Root { .. }));
    let accepted_after_all = failure(|lines| {
        for line in lines {
            if let ArchiveLine::ContractSignature(ruling) = line {
                ruling.ruling = SignatureRuling::Accepted(ContractCheck::Eip1271);
            }
        }
    });
    assert!(matches!(accepted_after_all, AuditFailure::BallotLeftOut { .. }), "{accepted_after_all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn altered_powers_and_lines_that_were_moved_show_as_themselves() {
    let (platform, definition, _) = published().await;
    let archive = platform.archive(&definition).await;
    let failure = |change: fn(&mut Vec<ArchiveLine>)| altered(&archive, change);
    let powers = |failure| match failure {
        AuditFailure::Powers(failure) => failure,
        other => panic!("{other}"),
    };
    let no_power = failure(|lines| drop(lines.remove(power_at(lines, 2))));
    assert!(matches!(powers(no_power), PowersFailure::PowerLeftOut { .. }));
    let power_of_nobody = failure(|lines| {
        let voter = Voter::new([0; 20]);
        let power = VoterPower::Known(Power::ZERO);
        lines.insert(power_at(lines, 0), ArchiveLine::Power(ArchivedPower { voter, power }));
    });
    assert!(matches!(powers(power_of_nobody), PowersFailure::PowerWithoutRecord { line: 5, .. }));
    let powers_exchanged = failure(|lines| {
        let at = power_at(lines, 0);
        lines.swap(at, at + 1);
    });
    assert!(matches!(powers(powers_exchanged), PowersFailure::PowerOutOfOrder { line: 6, .. }));
    let said_later = failure(|lines| {
        let said = lines.remove(ruling_at(lines, 2));
        let behind = lines.iter().rposition(|line| matches!(line, ArchiveLine::Record(_))).unwrap() + 1;
        lines.insert(behind, said);
    });
    assert!(matches!(said_later, AuditFailure::UnexpectedLine { found: "a contract's signature", .. }), "{said_later}");
    let weightier = failure(|lines| {
        for line in lines {
            if let ArchiveLine::Power(power) = line {
                power.power = VoterPower::Known(Power::ONE);
            }
        }
    });
    assert!(matches!(weightier, AuditFailure::Powers(PowersFailure::PowerUnlisted { .. })), "{weightier}");
}
