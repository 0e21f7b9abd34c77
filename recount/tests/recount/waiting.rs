//! Recounts that wait for a signers' chain: they hold nobody up, and nothing is published before it answers.

use std::{sync::Arc, time::Duration};

use pnyx_backbone::clock;
use pnyx_core::{
    id::ProposalId,
    lifecycle::Phase,
    proposal::{Definition, VotingSystem},
    signature_check::{ContractCheck, SignatureRuling},
};
use pnyx_recount::{
    AuditOptions, PhaseChange,
    audit::{AuditedSignatures, audit, look_up_again},
};
use pnyx_testbed::evm::{Fault, FaultyEndpoint, OddWallet};

use crate::{
    chain::{Rig, chains, propose, record_of},
    pipeline::{PATIENCE, Platform, Says, window_closing_in},
    sample::{self, ballot, options},
};

/// Less gas than any question to a contract needs: blocks are found, and contracts are not asked.
const GAS_TOO_LITTLE: u64 = 50_000;

/// Waits until a proposal is in a phase; fails if another one of `never` comes to its end before.
async fn until(platform: &mut Platform, proposal: ProposalId, phase: Phase, never: &[ProposalId]) {
    let found = async {
        loop {
            let change = platform.phases.recv().await.unwrap();
            assert!(change.phase != Phase::Final || !never.contains(&change.proposal), "{change:?}");
            if change == (PhaseChange { proposal, phase }) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("never {phase:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recount_that_waits_for_contracts_holds_nobody_up() {
    let rig = Rig::start(31_337);
    let account = rig.odd_wallet(OddWallet::Not);
    let endpoint = FaultyEndpoint::start(&rig.evm).unwrap();
    let mut platform = Platform::start().await;
    platform.chains = chains([(rig.id(), endpoint.url())]);

    let accepts: Says = |_| SignatureRuling::Accepted(ContractCheck::Eip1271);
    let waiting = propose(&platform, &rig, account, 500, accepts).await;
    let claim = record_of(&waiting, account, clock::now().0 / 1_000 - 5, &|_| vec![7; 65]);
    platform.append(&waiting, claim).await;
    let keys_sign = propose(&platform, &rig, account, 1_500, accepts).await;
    let listed = sample::definition(VotingSystem::SingleChoice, window_closing_in(2_500), 1);
    platform.propose(&listed).await;
    platform.append(&listed, ballot(&listed, 1, "1", clock::now().0 / 1_000 - 5)).await;
    platform.count(&listed).await;
    endpoint.set(&[Fault::GasCap(GAS_TOO_LITTLE)]).unwrap();

    let definition = Arc::clone(&waiting);
    let [waiting, keys_sign, listed] = [waiting, keys_sign, listed].map(|definition| definition.proposal().id());
    platform.close();
    until(&mut platform, waiting, Phase::Recounting, &[]).await;
    until(&mut platform, keys_sign, Phase::Final, &[waiting]).await;
    until(&mut platform, listed, Phase::Final, &[waiting]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(platform.proposals.book().get(waiting).unwrap().result, None);

    endpoint.heal().unwrap();
    until(&mut platform, waiting, Phase::Final, &[]).await;
    let result = platform.proposals.book().get(waiting).unwrap().result.clone().unwrap();
    assert_eq!(result.core.ballots, 2);
    assert_eq!(platform.metrics.disputes(), 0);
    is_asked_again_only_if_it_was_kept(&platform, &definition).await;
}

/// An auditor who asks contracts without having kept what they were asked does not say so.
async fn is_asked_again_only_if_it_was_kept(platform: &Platform, definition: &Definition) {
    let archive = platform.archive(definition).await;
    for asks_again in [false, true] {
        let options = AuditOptions { asks_again, ..options() };
        let mut report = audit(&archive[..], &[], &options, &mut |_| {}).unwrap();
        let difference = look_up_again(&mut report, &platform.chains, &mut |_| {}).await.unwrap();
        assert_eq!(difference, None);
        assert_eq!(report.signatures, Some(AuditedSignatures { asked: 1, are_asked_again: asks_again }));
    }
}
