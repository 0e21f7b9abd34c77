//! Claims of the smallest proposal, settled with what a record of a chain says.

use std::{num::NonZeroUsize, time::Duration};

use pnyx_core::{
    ballot::compose,
    chain::{BlockHash, BlockNumber, ChainId, Pin, SnapshotRule},
    id::Place,
    power::Power,
    proposal::{Abstentions, Definition, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
    signature_check::{ContractCheck, SignatureRuling},
    time::{TimestampMs, Window},
    wire::{archive::ArchivedRecord, record},
};
use pnyx_verification::RecordedRulings;
use tokio::time::sleep;

use super::*;
use crate::count::{Claims, Counter, HashedRecord};

const OPENS_AT_MS: u64 = 1_760_000_000_000;

fn pin() -> Pin {
    let (chain, number) = (ChainId::new(1).unwrap(), BlockNumber(7));
    Pin { chain, number, hash: BlockHash::new([1; 32]), timestamp_s: OPENS_AT_MS / 1_000 }
}

/// Everybody has a power of 1, and contracts sign.
fn definition() -> Arc<Definition> {
    let proposal = Proposal::new(ProposalParts {
        platform: "test".to_owned(),
        namespace: "default".to_owned(),
        name: "claims".to_owned(),
        space: "grants.example.org".to_owned(),
        title: "A vote".to_owned(),
        body: String::new(),
        discussion: String::new(),
        author: String::new(),
        choices: ["Yes", "No", "Abstain"].map(str::to_owned).to_vec(),
        voting: Voting {
            system: VotingSystem::Basic,
            quorum: None,
            approval_threshold: None,
            abstentions: Abstentions::default(),
        },
        window: Window::new(TimestampMs(OPENS_AT_MS), TimestampMs(OPENS_AT_MS + 3_600_000)).unwrap(),
        strategies: vec![Strategy::Ticket(Power::ONE)],
        snapshots: BTreeMap::from([(pin().chain, SnapshotRule::Block(pin().number))]),
        signers: Some(pin().chain),
        clock_skew_s: 300,
    });
    Arc::new(Definition::new(proposal.unwrap(), 1, 1).unwrap())
}

fn account(number: u8) -> Voter {
    Voter::new([number; 20])
}

/// A claim of that account.
fn claimed(definition: &Definition, number: u8, reason: &str) -> HashedRecord {
    let proposal = definition.proposal();
    let (space, signed_at_s) = (&proposal.parts().space, OPENS_AT_MS / 1_000 + 60);
    let unsigned = compose(account(number), space, signed_at_s, proposal.id(), "1", reason, "pnyx").unwrap();
    let (place, record) =
        (Place { partition: 0, offset: number.into() }, record::encode(&unsigned.body_with(&[7; 65])));
    HashedRecord::from(ArchivedRecord { place, appended_at: TimestampMs(OPENS_AT_MS + 70_000), record })
}

/// A chain that accepts these and knows of no others.
fn accepting(records: &[&HashedRecord]) -> ContractSigners {
    let ruling = |record: &&HashedRecord| {
        let number = u8::try_from(record.archived.place.offset).unwrap();
        (record.hash, (account(number), SignatureRuling::Accepted(ContractCheck::Eip1271)))
    };
    let rulings: RecordedRulings = records.iter().map(ruling).collect();
    ContractSigners::Recorded { pin: pin(), rulings: Arc::new(rulings) }
}

fn counter(definition: &Arc<Definition>) -> (Counter, ClaimReceiver) {
    let (sender, receiver) = queue(&Handle::current());
    let claims = Some(Claims::HandedOver(sender));
    (Counter::start_with(definition, NonZeroUsize::MIN, [].into(), claims), receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_not_asked_again() {
    let definition = definition();
    let power = PowerSource::listed(definition.proposal());
    let records = [1, 2].map(|number| claimed(&definition, number, ""));
    let facts = Facts::default();
    facts.begin_try();
    let (first, receiver) = counter(&definition);
    let settling = tokio::spawn(settle_all(power.clone(), accepting(&[&records[0]]), receiver, facts.clone()));
    first.submit(vec![records[0].clone()]);
    // Once its power is known a claim is in a batch that no other one joins.
    while !facts.unknown([account(1)]).is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    first.submit(vec![records[1].clone()]);
    let failure = settling.await.unwrap().unwrap_err();
    assert!(matches!(failure, RecountError::Signatures(RulingsUnavailable::NotRecorded { .. })), "{failure}");
    drop(first.finish());

    facts.begin_try();
    let (second, receiver) = counter(&definition);
    let settling = tokio::spawn(settle_all(power.clone(), accepting(&[&records[1]]), receiver, facts.clone()));
    second.submit(records.to_vec());
    let signed = second.finish().with(settling.await.unwrap().unwrap());
    assert_eq!(signed.signers(), [account(1), account(2)]);
    let known = facts.take();
    assert_eq!(known.powers.into_keys().collect::<Vec<_>>(), [account(1), account(2)]);
    assert_eq!(known.rulings.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_try_asks_for_is_evidence() {
    let definition = definition();
    let power = PowerSource::listed(definition.proposal());
    let facts = Facts::default();
    facts.begin_try();
    look_up::learn(&power, [1, 2].map(account), &facts).await.unwrap();
    facts.begin_try();
    assert_eq!(facts.unknown([2, 3, 3].map(account)), [account(3)]);
    look_up::learn(&power, [2, 3].map(account), &facts).await.unwrap();
    assert_eq!(facts.take().powers.into_keys().collect::<Vec<_>>(), [2, 3].map(account));
    assert_eq!(facts.unknown([1, 2].map(account)), [1, 2].map(account), "a recount that ended leaves nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_wait_are_bounded_by_their_bytes() {
    let definition = definition();
    let reason = "x".repeat(60_000);
    let records: Vec<_> = (1..=250).map(|number| claimed(&definition, number, &reason)).collect();
    assert!(records.len() * reason.len() > CLAIM_BYTES_MAX);
    let (counter, receiver) = counter(&definition);
    counter.submit(records);
    // As many as there is room for, and then none for a while.
    let mut waiting = 0;
    while waiting == 0 || waiting < receiver.0.len() {
        waiting = receiver.0.len();
        sleep(Duration::from_millis(300)).await;
    }
    assert!((100..=CLAIM_BYTES_MAX / reason.len()).contains(&waiting), "{waiting}");
    // Where nobody receives any more, nobody waits.
    drop(receiver);
    assert_eq!(counter.finish().signers(), []);
}

#[test]
fn what_failed_is_asked_last() {
    let map = BTreeMap::from([1, 2, 3].map(|number| (number, number)));
    for (last, order) in [(None, [1, 2, 3]), (Some(1), [2, 3, 1]), (Some(2), [3, 1, 2]), (Some(3), [1, 2, 3])] {
        assert_eq!(beginning_behind(&map, last).copied().collect::<Vec<_>>(), order, "{last:?}");
    }
}
