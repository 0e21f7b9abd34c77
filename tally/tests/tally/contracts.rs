//! Proposals for whose voters contracts may sign: what readers are told, and what a drain waits for.

use pnyx_backbone::{
    drain,
    log::{DEFERRED_GROUP, Topic, VERIFIER_GROUP},
};
use pnyx_core::{
    chain::{BlockNumber, ChainId, SnapshotRule},
    choice::Choice,
    id::RecordHash,
    proposal::{Definition, Proposal, ProposalParts, VotingSystem},
    signature_check::{ContractCheck, SignatureCheck},
    verdict::{Ruling, Verdict},
};
use serde_json::json;

use crate::rig::{Rig, counts, definition, eventually, voter};

/// The same proposal with contracts of chain 1.
fn with_contracts(name: &str) -> Definition {
    let plain = definition(name, VotingSystem::SingleChoice, &["A", "B"]);
    let parts = plain.proposal().parts();
    let chain = ChainId::new(1).unwrap();
    let snapshots = [(chain, SnapshotRule::AtOrBefore(parts.window.opens_at()))].into();
    let parts = ProposalParts { snapshots, signers: Some(chain), ..parts.clone() };
    Definition::new(Proposal::new(parts).unwrap(), plain.lanes(), plain.ballots_partitions()).unwrap()
}

/// The verdict, but a contract accepted the signature.
fn by_contract(mut verdict: Verdict) -> Verdict {
    if let Ruling::Counts(ballot) = &mut verdict.ruling {
        let record = RecordHash::of(ballot.digest.as_bytes());
        ballot.check =
            SignatureCheck::Contract { kind: ContractCheck::Eip6492, block: BlockNumber(27_123_456), record };
    }
    verdict
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_ballot_is_shown_with_what_proved_it() {
    let rig = Rig::new().await;
    let id = rig.propose(&with_contracts("contracts")).await;
    let verdicts = [counts(0, voter(1), Choice::Single(1), "1"), counts(1, voter(2), Choice::Single(2), "2")];
    let [by_key, accepted] = verdicts;
    // An earlier ballot of the same account was signed otherwise.
    let earlier = counts(2, voter(2), Choice::Single(1), "2");
    let mut later = by_contract(accepted);
    if let Ruling::Counts(ballot) = &mut later.ruling {
        ballot.signed_at_s += 60;
    }
    rig.judge(id, &[by_key, earlier, later]).await;
    rig.counted(id).await;
    let signature =
        async |number| rig.get(&format!("/v1/proposals/{id}/voters/{}", voter(number))).await.body["signature"].clone();
    assert_eq!(signature(1).await, json!({ "check": "key", "chain": null, "block": null }));
    assert_eq!(signature(2).await, json!({ "check": "eip6492", "chain": "1", "block": 27_123_456 }));
    assert_eq!(signature(3).await, json!(null), "no ballot stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn drained_means_that_contracts_were_heard() {
    let rig = Rig::new().await;
    let definition = with_contracts("deferred");
    let id = rig.propose(&definition).await;
    let (ballots, deferred) = (Topic::ballots(id), Topic::deferred(id));
    rig.log.ensure_topic(&deferred, definition.lanes().into()).await.unwrap();
    rig.log.append_batch(&ballots, vec![(0, vec![1]), (1, vec![1])]).await.unwrap();
    let cut = rig.cut(id, &[1, 1]).await;
    let verified = async || drain::verifiers_reached(&rig.log, definition.proposal(), &cut).await.unwrap();
    let at = async |path: &str, field: &str| rig.get(&format!("/v1/proposals/{id}{path}")).await.body[field].clone();
    rig.log.append_batch(&deferred, vec![(3, vec![1])]).await.unwrap();
    rig.judge(id, &[counts(0, voter(1), Choice::Single(1), "1")]).await;
    let of_ballots = rig.log.subscribe(&ballots, VERIFIER_GROUP).unwrap();
    for partition in [0, 1] {
        of_ballots.commit(partition, 1).await.unwrap();
    }
    assert_eq!(verified().await, None, "one record waits for its contract");
    assert_eq!(at("/progress", "lagVerify").await, 1);
    assert_eq!(at("/progress", "verified").await, 1);
    assert_eq!(at("", "phase").await, "draining");

    // It is put back: the same record once more, behind the one that is committed then.
    rig.log.append_batch(&deferred, vec![(3, vec![1])]).await.unwrap();
    let of_deferred = rig.log.subscribe(&deferred, DEFERRED_GROUP).unwrap();
    of_deferred.commit(3, 1).await.unwrap();
    assert_eq!(verified().await, None, "it waits again");

    rig.judge(id, &[by_contract(counts(1, voter(2), Choice::Single(2), "1"))]).await;
    of_deferred.commit(3, 2).await.unwrap();
    let ends = verified().await.expect("everything is verified");
    assert_eq!(ends.iter().sum::<u64>(), 2, "both verdicts lie below the lanes' ends");
    eventually("nothing waits", async || at("/progress", "lag").await == 0).await;
    eventually("the phase says so", async || at("", "phase").await == "recounting").await;
}
