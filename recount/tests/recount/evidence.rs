//! What archives will be made of is compared before anything is published: where verdicts and recount differ in what
//! chains said, that is a dispute, although the same ballots count.

use pnyx_backbone::{clock, log::Topic};
use pnyx_core::{
    id::{Digest, Place, RecordHash, Voter},
    lifecycle::Phase,
    power::{Power, VoterPower},
    proposal::Definition,
    rejection::Rejection,
    signature_check::SignatureRuling,
    verdict::{RejectedRecord, Ruling, Verdict},
    wire,
};
use pnyx_testbed::evm::OddWallet;

use crate::{
    chain::{Rig, chains, propose, record_of, voter},
    pipeline::{Platform, Says},
};

/// Closes a proposal with one claim that its contract refuses, of which the verifier hears what `says` says; gives the
/// record and what the dispute says. `meddle` may do what it likes before the close.
async fn disputed(
    says: Says,
    meddle: impl AsyncFnOnce(&Platform, &Definition, Place, RecordHash, Voter),
) -> (RecordHash, Vec<String>) {
    let rig = Rig::start(31_337);
    let account = rig.odd_wallet(OddWallet::ReturnsNothing);
    let mut platform = Platform::start().await;
    platform.chains = chains([(rig.id(), rig.evm.url())]);
    let definition = propose(&platform, &rig, account, 500, says).await;
    let claim = record_of(&definition, account, clock::now().0 / 1_000 - 5, &|_| vec![7; 65]);
    let record = RecordHash::of(&claim);
    let place = platform.append(&definition, claim).await;
    meddle(&platform, &definition, place, record, voter(account)).await;
    platform.close();
    platform.phases_until(Phase::Disputed).await;
    let decisions = platform.proposals.book().get(definition.proposal().id()).unwrap().clone();
    assert_eq!(decisions.result, None);
    (record, decisions.dispute.unwrap().differences().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ruling_that_differs_without_consequence_is_a_dispute() {
    let (record, differences) = disputed(|_| SignatureRuling::NoContract, async |_, _, _, _, _| {}).await;
    let [difference] = &differences[..] else { panic!("{differences:?}") };
    assert!(difference.starts_with(&format!("contract signature of record {record}: by a verdict noContract")));
    assert!(difference.contains("recount refused"), "{difference}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_verdicts_of_one_record_that_differ_are_a_dispute() {
    let (record, differences) = disputed(
        |_| SignatureRuling::Refused,
        async |platform, definition, place, record, account| {
            let rejected = RejectedRecord {
                rejection: Rejection::WrongSigner,
                record,
                digest: Some(Digest::new([1; 32])),
                claimed_voter: Some(account),
                claimed_power: Some(VoterPower::Known(Power::parse("7").unwrap())),
            };
            let verdict = Verdict { place, appended_at: clock::now(), ruling: Ruling::Rejected(rejected) };
            let topic = Topic::verdicts(definition.proposal().id());
            platform.log.append_batch(&topic, vec![(0, wire::verdict::encode(&verdict))]).await.unwrap();
        },
    )
    .await;
    let [of_voter, of_record] = &differences[..] else { panic!("{differences:?}") };
    assert!(of_voter.starts_with("power of voter 0x") && of_voter.ends_with("by a verdict 7, recount 1"), "{of_voter}");
    assert!(of_record.contains(&record.to_string()) && of_record.contains("noContract"), "{of_record}");
}
