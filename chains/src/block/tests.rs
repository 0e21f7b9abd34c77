//! The search for a rule's block, on chains that exist only in memory.

use std::{
    cell::Cell,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use pnyx_core::chain::BlockHash;
use proptest::prelude::*;

use super::*;

/// A chain by its blocks' timestamps.
struct Model {
    timestamps_s: Vec<u64>,
    asked: Cell<u64>,
}

impl Model {
    fn new(timestamps_s: Vec<u64>) -> Self {
        Self { timestamps_s, asked: Cell::new(0) }
    }

    fn at(&self, number: u64) -> Block {
        let hash = |number: u64| {
            let mut bytes = [7; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            BlockHash::new(bytes)
        };
        let timestamp_s = self.timestamps_s[usize::try_from(number).unwrap()];
        Block { number: BlockNumber(number), hash: hash(number), parent: hash(number.wrapping_sub(1)), timestamp_s }
    }

    fn search(&self, finalized: u64, time_ms: u64) -> Option<Search> {
        now(last_at_or_before(self, self.at(finalized), TimestampMs(time_ms))).unwrap()
    }
}

impl Headers for Model {
    async fn block(&self, number: BlockNumber) -> Result<Block, Failure> {
        self.asked.set(self.asked.get() + 1);
        Ok(self.at(number.0))
    }
}

/// Runs what never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the model answers at once"),
    }
}

fn block_of(found: Option<Search>) -> u64 {
    match found {
        Some(Search::Block(block)) => block.number.0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_block_is_the_last_one_not_after_the_time() {
    let chain = Model::new(vec![10, 20, 30, 30, 40, 50]);
    assert_eq!(block_of(chain.search(5, 30_000)), 3, "of equal timestamps the last");
    assert_eq!(block_of(chain.search(5, 39_999)), 3);
    assert_eq!(block_of(chain.search(5, 40_000)), 4);
    assert_eq!(block_of(chain.search(5, 10_000)), 0);
    assert_eq!(chain.search(5, 9_999), Some(Search::BeforeFirst));
}

#[test]
fn a_block_is_named_only_once_a_later_one_is_finalized() {
    let chain = Model::new(vec![10, 20, 30]);
    assert_eq!(chain.search(2, 30_000), None, "the next block may have the same timestamp");
    assert_eq!(chain.search(2, 60_000), None);
    assert_eq!(block_of(chain.search(2, 29_999)), 1);
}

#[test]
fn a_recent_block_of_a_long_chain_costs_few_requests() {
    let chain = Model::new((0..1_000_000).map(|number| number * 12).collect());
    assert_eq!(block_of(chain.search(999_999, 999_900 * 12_000)), 999_900);
    assert!(chain.asked.get() <= 16, "{}", chain.asked.get());
    chain.asked.set(0);
    assert_eq!(block_of(chain.search(999_999, 3 * 12_000)), 3);
    assert!(chain.asked.get() <= 42, "{}", chain.asked.get());
}

#[test]
fn an_endpoint_that_changes_its_mind_names_no_block() {
    struct Torn(Model);
    impl Headers for Torn {
        async fn block(&self, number: BlockNumber) -> Result<Block, Failure> {
            let block = self.0.block(number).await?;
            Ok(Block { hash: BlockHash::new([9; 32]), ..block })
        }
    }
    let chain = Torn(Model::new(vec![10, 20, 30]));
    let finalized = chain.0.at(2);
    assert_eq!(now(last_at_or_before(&chain, finalized, TimestampMs(20_000))), Ok(Some(Search::Torn)));
}

proptest! {
    #[test]
    fn the_search_equals_a_look_at_every_block(
        steps in prop::collection::vec(0_u64..4, 1..200),
        time_s in 0_u64..450,
        finalized in any::<prop::sample::Index>(),
    ) {
        let timestamps_s: Vec<u64> = steps.iter().scan(1, |at, step| { *at += step; Some(*at) }).collect();
        let finalized = finalized.index(timestamps_s.len());
        let expected = timestamps_s[..=finalized].iter().rposition(|timestamp| *timestamp <= time_s);
        let chain = Model::new(timestamps_s.clone());
        let found = chain.search(finalized as u64, time_s * 1_000);
        match found {
            None => prop_assert!(timestamps_s[finalized] <= time_s),
            Some(Search::BeforeFirst) => prop_assert_eq!(expected, None),
            Some(Search::Block(block)) => prop_assert_eq!(usize::try_from(block.number.0).ok(), expected),
            Some(Search::Torn) => prop_assert!(false, "the model is one chain"),
        }
    }
}
