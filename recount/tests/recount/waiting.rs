//! Recounts that wait for a signers' chain: they hold nobody up, and nothing is published before it answers.

use std::{sync::Arc, time::Duration};

use alloy_primitives::Address;
use pnyx_backbone::clock;
use pnyx_core::{
    chain::Pins,
    decisions::{Decision, Recorded},
    id::ProposalId,
    lifecycle::Phase,
    proposal::{Definition, VotingSystem},
    signature_check::{ContractCheck, SignatureRuling},
};
use pnyx_recount::PhaseChange;
use pnyx_testbed::evm::{Fault, FaultyEndpoint, OddWallet};

use crate::{
    chain::{Rig, chains, record_of, with_signers},
    pipeline::{PATIENCE, Platform, window_closing_in},
    sample::{ballot, definition},
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

/// A proposal where contracts may sign, with a ballot of a key.
async fn propose(platform: &Platform, rig: &Rig, account: Address, closes_in_ms: u64) -> Arc<Definition> {
    let pin = rig.pin_head();
    let definition = with_signers(&[account], &pin, window_closing_in(closes_in_ms));
    platform.propose(&definition).await;
    let pins = Pins::new(definition.proposal().id(), [pin]).unwrap();
    assert_eq!(platform.proposals.decide(Decision::Pins(pins)).await.unwrap(), Recorded::Stands);
    platform.append(&definition, ballot(&definition, 1, "1", clock::now().0 / 1_000 - 5)).await;
    platform.count_with(&definition, |_| SignatureRuling::Accepted(ContractCheck::Eip1271)).await;
    definition
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recount_that_waits_for_contracts_holds_nobody_up() {
    let rig = Rig::start(31_337);
    let account = rig.odd_wallet(OddWallet::Not);
    let endpoint = FaultyEndpoint::start(&rig.evm).unwrap();
    let mut platform = Platform::start().await;
    platform.chains = chains([(rig.id(), endpoint.url())]);

    let waiting = propose(&platform, &rig, account, 500).await;
    let claim = record_of(&waiting, account, clock::now().0 / 1_000 - 5, &|_| vec![7; 65]);
    platform.append(&waiting, claim).await;
    let keys_sign = propose(&platform, &rig, account, 1_500).await;
    let listed = definition(VotingSystem::SingleChoice, window_closing_in(2_500), 1);
    platform.propose(&listed).await;
    platform.append(&listed, ballot(&listed, 1, "1", clock::now().0 / 1_000 - 5)).await;
    platform.count(&listed).await;
    endpoint.set(&[Fault::GasCap(GAS_TOO_LITTLE)]).unwrap();

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
}
