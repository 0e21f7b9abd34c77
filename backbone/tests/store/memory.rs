//! The suite over the store in memory.

use pnyx_backbone::store::{MemoryStore, Store};
use pnyx_core::id::ProposalId;
use proptest::prelude::*;

use crate::{
    owners::{self, Script},
    suite,
};

const PROPOSAL: ProposalId = ProposalId::new([1; 32]);

fn store() -> Store {
    Store::Memory(MemoryStore::new())
}

proptest! {
    #[test]
    fn any_batching_repetition_and_loss_gives_the_same_totals(script in owners::scripts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(Script::run(script, &store(), PROPOSAL));
    }
}

#[tokio::test]
async fn a_stale_owner_is_fenced() {
    suite::a_stale_owner_is_fenced(&store(), PROPOSAL).await;
}

#[tokio::test]
async fn what_lies_below_the_cut_stays_there_until_the_lane_is_lost() {
    suite::what_lies_below_the_cut_stays_there_until_the_lane_is_lost(&store(), PROPOSAL).await;
}

#[tokio::test]
async fn a_stamp_is_that_of_one_write() {
    suite::a_stamp_is_that_of_one_write(&store(), PROPOSAL).await;
}

#[tokio::test]
async fn what_was_never_registered_is_unknown() {
    suite::what_was_never_registered_is_unknown(&store(), PROPOSAL).await;
}

#[tokio::test]
async fn a_lane_is_loaded_as_it_was_written() {
    suite::a_lane_is_loaded_as_it_was_written(&store(), PROPOSAL).await;
}

#[tokio::test]
async fn the_largest_powers_are_exact() {
    suite::the_largest_powers_are_exact(&store(), PROPOSAL).await;
}
