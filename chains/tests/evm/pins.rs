//! Which block a rule names.

use pnyx_chains::{PinError, Run};
use pnyx_core::{
    chain::{BlockHash, BlockNumber, Pin, SnapshotRule},
    time::TimestampMs,
};
use pnyx_testbed::evm::{EvmOptions, Fault, FaultyEndpoint};

use crate::rig::{Rig, chains, only};

const BEGIN_S: u64 = 1_790_000_000;

/// Sixty blocks, 12 s apart from the second on.
fn sixty_blocks() -> Rig {
    let rig = Rig::with(EvmOptions::new().genesis_timestamp_s(BEGIN_S));
    rig.evm.set_next_timestamp(BEGIN_S + 12).unwrap();
    rig.evm.mine_spaced(60, 12).unwrap();
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_names_the_last_block_not_after_it() {
    let rig = sixty_blocks();
    let chains = rig.chains();
    let chain = only(&chains);
    let finalized = rig.evm.finalized().unwrap();
    for number in [0, 1, 2, 30, finalized.number - 1] {
        let block = rig.evm.block(number).unwrap().unwrap();
        let next = rig.evm.block(number + 1).unwrap().unwrap();
        for time_ms in [block.timestamp_s * 1_000, next.timestamp_s * 1_000 - 1] {
            let pin = chain.pin(SnapshotRule::AtOrBefore(TimestampMs(time_ms))).await.unwrap();
            assert_eq!(pin, rig.pin(block), "{number} at {time_ms}");
        }
    }
    let first = rig.evm.block(0).unwrap().unwrap();
    let before = SnapshotRule::AtOrBefore(TimestampMs(first.timestamp_s * 1_000 - 1));
    assert_eq!(chain.pin(before).await, Err(PinError::BeforeFirstBlock));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pinned_before_it_is_final() {
    let rig = sixty_blocks();
    let chains = rig.chains();
    let chain = only(&chains);
    let finalized = rig.evm.finalized().unwrap();
    let not_yet = Err(PinError::NotYet { finalized: BlockNumber(finalized.number) });
    let at = |time_s: u64| SnapshotRule::AtOrBefore(TimestampMs(time_s * 1_000));
    assert_eq!(chain.pin(at(finalized.timestamp_s)).await, not_yet, "the next block could have the same time");
    assert_eq!(chain.pin(SnapshotRule::Block(BlockNumber(finalized.number + 1))).await, not_yet);
    assert_eq!(chain.pin(SnapshotRule::Block(BlockNumber(9_999))).await, not_yet);
    assert_eq!(chain.pin(SnapshotRule::Block(BlockNumber(finalized.number))).await, Ok(rig.pin(finalized)));
    rig.evm.mine(1).unwrap();
    assert_eq!(chain.pin(at(finalized.timestamp_s)).await, Ok(rig.pin(finalized)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_after_the_pin_changes_nothing_and_nothing_is_read_at_a_wrong_one() {
    let rig = sixty_blocks();
    let chains = rig.chains();
    let chain = only(&chains);
    let finalized = rig.evm.finalized().unwrap();
    let rule = SnapshotRule::Block(BlockNumber(finalized.number));
    let pin = chain.pin(rule).await.unwrap();
    rig.evm.reorg(2).unwrap();
    assert_eq!(chain.pin(rule).await, Ok(pin));
    let wrong = Pin { hash: BlockHash::new([7; 32]), ..pin };
    let read = pnyx_core::proposal::ChainRead::EthBalance;
    let voter = crate::rig::voter(crate::rig::account(1));
    let error = chain.read_alone(&wrong, &read, voter).await.unwrap_err();
    let outcomes: Vec<_> = error.failures().iter().map(|failure| failure.failure.outcome()).collect();
    assert_eq!(outcomes, ["unknown-block"], "{error}");
}

/// Finalized blocks are not replaced, but a node may have been told wrongly what is final.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_at_a_block_that_was_replaced() {
    let rig = sixty_blocks();
    let chains = rig.chains();
    let chain = only(&chains);
    let replaced = rig.pin_head();
    let voters = [crate::rig::voter(crate::rig::account(1))];
    let read = pnyx_core::proposal::ChainRead::EthBalance;
    chain.read_alone(&replaced, &read, voters[0]).await.unwrap();
    rig.evm.reorg(3).unwrap();
    rig.evm.mine(3).unwrap();
    let again = rig.pin(rig.evm.block(replaced.number.0).unwrap().unwrap());
    assert_ne!(again.hash, replaced.hash);
    let alone = chain.read_alone(&replaced, &read, voters[0]).await.map(|_| ());
    let together = chain.read(&replaced, &[Run { read: &read, voters: &voters }]).await.map(|_| ());
    for asked in [alone, together] {
        let error = asked.unwrap_err();
        let outcomes: Vec<_> = error.failures().iter().map(|failure| failure.failure.outcome()).collect();
        assert_eq!(outcomes, ["unknown-block"], "{error}");
    }
    chain.read_alone(&again, &read, voters[0]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_endpoints_must_name_the_same_block() {
    let rig = sixty_blocks();
    let endpoints = [(); 3].map(|()| FaultyEndpoint::start(&rig.evm).unwrap());
    let urls = || endpoints.iter().map(FaultyEndpoint::url).collect::<Vec<_>>();
    let rule = SnapshotRule::Block(BlockNumber(30));
    let expected = rig.pin(rig.evm.block(30).unwrap().unwrap());
    // One on another fork is named and left out.
    endpoints[0].set(&[Fault::OtherHash]).unwrap();
    let chains_of_three = chains([(rig.id(), urls(), 2)]);
    for _ in 0..3 {
        assert_eq!(only(&chains_of_three).pin(rule).await, Ok(expected));
    }
    // With two of them nobody knows which one is wrong.
    let chains_of_two = chains([(rig.id(), urls()[..2].to_vec(), 2)]);
    let error = only(&chains_of_two).pin(rule).await.unwrap_err();
    assert!(matches!(error, PinError::Chain(pnyx_chains::ChainError::Contradiction { .. })), "{error}");
    assert!(only(&chains_of_two).status().is_stopped());
    endpoints[0].heal().unwrap();
    assert_eq!(only(&chains_of_two).pin(rule).await, Ok(expected));
    assert!(!only(&chains_of_two).status().is_stopped());
    // One that stopped following says nothing about the others.
    endpoints[0].set(&[Fault::StuckAt(20)]).unwrap();
    let chains_of_three = chains([(rig.id(), urls(), 2)]);
    assert_eq!(only(&chains_of_three).pin(rule).await, Ok(expected));
    let error = only(&chains_of_two).pin(rule).await.unwrap_err();
    assert!(matches!(error, PinError::NotYet { .. }), "{error}");
}
