//! A snapshot that somebody pinned at another block than the rule names: nothing is published from it.

use std::{collections::BTreeMap, sync::Arc};

use pnyx_chains::Chain;
use pnyx_core::{
    chain::{ChainId, Pin, Pins, SnapshotRule},
    decisions::{Decision, Recorded},
    lifecycle::Phase,
    proposal::{ChainRead, ChainStrategy, Definition, Proposal, ProposalParts, Strategy, VotingSystem},
    time::TimestampMs,
};

use crate::{
    chain::{Rig, chains},
    pipeline::{Platform, window_closing_in},
    sample::definition,
};

/// The sample's proposal, but power is what accounts hold of the chain's currency.
fn on_chain(network: ChainId, rule: SnapshotRule) -> Arc<Definition> {
    let listed = definition(VotingSystem::Basic, window_closing_in(300), 1);
    let strategies = vec![Strategy::OnChain(ChainStrategy { network, read: ChainRead::EthBalance })];
    let snapshots = BTreeMap::from([(network, rule)]);
    let parts = ProposalParts { strategies, snapshots, ..listed.proposal().parts().clone() };
    Arc::new(Definition::new(Proposal::new(parts).unwrap(), 1, 1).unwrap())
}

async fn block(chain: &Chain, number: u64) -> Pin {
    chain.pin(SnapshotRule::Block(pnyx_core::chain::BlockNumber(number))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_the_rule_does_not_name_is_a_dispute() {
    let rig = Rig::start(31_337);
    let (evm, network) = (&rig.evm, rig.id());
    // Apart, so that the time names one block.
    evm.mine_spaced(20, 12).unwrap();
    evm.finalize(20).unwrap();
    let chains = chains([(network, evm.url())]);
    let chain = chains.get(network).unwrap();
    let named = block(chain, 12).await;
    let rule = SnapshotRule::AtOrBefore(TimestampMs(named.timestamp_s * 1_000));
    assert_eq!(chain.pin(rule).await, Ok(named));
    let definition = on_chain(network, rule);
    let proposal = definition.proposal().id();
    let mut platform = Platform::start().await;
    platform.chains = chains.clone();
    platform.propose(&definition).await;
    // A block of that chain, final and before the time, and yet not the one.
    let pins = Pins::new(proposal, [block(chain, 11).await]).unwrap();
    assert_eq!(platform.proposals.decide(Decision::Pins(pins)).await.unwrap(), Recorded::Stands);
    platform.count(&definition).await;
    platform.close();
    platform.phases_until(Phase::Disputed).await;
    let decisions = platform.proposals.book().get(proposal).unwrap().clone();
    let dispute = decisions.dispute.unwrap();
    let [difference] = dispute.differences() else { panic!("{dispute:?}") };
    assert!(difference.starts_with("chain 31337: pinned block 11 (0x"), "{difference}");
    assert!(difference.contains("but the snapshot rule names block 12 (0x"), "{difference}");
    assert_eq!(decisions.result, None);
}
