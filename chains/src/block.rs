//! Blocks: which one a snapshot rule names, once that can no longer change.

use pnyx_core::{
    chain::{BlockNumber, ContractAddress, Pin, SnapshotRule},
    time::TimestampMs,
};
use thiserror::Error;

use crate::{
    chain::{Chain, ChainError, Question, Subject},
    endpoint::Endpoint,
    failure::Failure,
    rpc::{self, Block, Request},
};

/// Why a rule names no block yet, or none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PinError {
    /// The rule's block is not finalized yet.
    #[error("the block is not finalized yet, block {finalized} is")]
    NotYet {
        /// The highest finalized block that an endpoint told of.
        finalized: BlockNumber,
    },
    /// The chain began after the rule's time, and will always have done so.
    #[error("the chain began after that time")]
    BeforeFirstBlock,
    /// The chain cannot be read now.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl Chain {
    /// The pin that a rule names. Once given it never changes: the block is finalized, and so is the fact that it is
    /// the rule's.
    pub async fn pin(&self, rule: SnapshotRule) -> Result<Pin, PinError> {
        let found = self.ask(&RuleBlock { chain: self.clone(), rule }).await;
        match found {
            Ok(Found::Pin(pin)) => Ok(pin),
            Ok(Found::BeforeFirstBlock) => Err(PinError::BeforeFirstBlock),
            Err(error) => {
                // Endpoints that are behind do not say that the others are wrong; it is too early where there are no
                // others.
                let behind = error.failures().iter().filter_map(|failure| match failure.failure {
                    Failure::Behind { finalized } => Some(finalized),
                    _ => None,
                });
                let is_only_early =
                    error.failures().iter().all(|failure| matches!(failure.failure, Failure::Behind { .. }));
                match behind.max() {
                    Some(finalized) if is_only_early => Err(PinError::NotYet { finalized: BlockNumber(finalized) }),
                    _ => Err(error.into()),
                }
            }
        }
    }

    /// The highest finalized block, for what may be asked at any recent one.
    pub async fn finalized(&self) -> Result<Pin, PinError> {
        // No chain has a block of this number: the answer is how far it is.
        match self.pin(SnapshotRule::Block(BlockNumber(u64::MAX))).await {
            Err(PinError::NotYet { finalized }) => self.pin(SnapshotRule::Block(finalized)).await,
            other => other,
        }
    }

    /// An account's code at the pin; empty for none.
    pub async fn code(&self, address: ContractAddress, pin: &Pin) -> Result<Vec<u8>, ChainError> {
        self.ask(&Code(Request::code(address, pin))).await
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Pin(Pin),
    BeforeFirstBlock,
}

struct RuleBlock {
    chain: Chain,
    rule: SnapshotRule,
}

impl Question for RuleBlock {
    type Answer = Found;

    const IS_HEAVY: bool = false;

    async fn ask(&self, endpoint: &Endpoint) -> Result<Found, Failure> {
        let read = |value: &serde_json::value::RawValue| rpc::block(value)?.ok_or(NO_FINALIZED);
        let finalized = endpoint.call(&Request::finalized_block(), read).await?;
        let gauge = &self.chain.inner.metrics.finalized_block;
        let number = i64::try_from(finalized.number.0).unwrap_or(i64::MAX);
        gauge.set(gauge.get().max(number));
        let headers = EndpointHeaders { endpoint, finalized };
        let found = match self.rule {
            SnapshotRule::Block(number) if number > finalized.number => None,
            SnapshotRule::Block(number) => Some(Search::Block(headers.block(number).await?)),
            SnapshotRule::AtOrBefore(time) => last_at_or_before(&headers, finalized, time).await?,
        };
        let pin = |block: Block| Pin {
            chain: self.chain.id(),
            number: block.number,
            hash: block.hash,
            timestamp_s: block.timestamp_s,
        };
        match found {
            None => Err(endpoint.note(Failure::Behind { finalized: finalized.number.0 })),
            Some(Search::Block(block)) => Ok(Found::Pin(pin(block))),
            Some(Search::BeforeFirst) => Ok(Found::BeforeFirstBlock),
            Some(Search::Torn) => Err(endpoint.note(Failure::WrongBlock)),
        }
    }

    fn subject(&self) -> Subject {
        Subject::new(&format!("{:?}", self.rule))
    }

    fn agree(one: &Found, other: &Found) -> bool {
        one == other
    }

    fn merge(one: Found, _: &Found) -> Found {
        one
    }
}

struct Code(Request);

impl Question for Code {
    type Answer = Vec<u8>;

    const IS_HEAVY: bool = false;

    async fn ask(&self, endpoint: &Endpoint) -> Result<Vec<u8>, Failure> {
        endpoint.call(&self.0, rpc::bytes).await
    }

    fn subject(&self) -> Subject {
        self.0.subject()
    }

    fn agree(one: &Vec<u8>, other: &Vec<u8>) -> bool {
        one == other
    }

    fn merge(one: Vec<u8>, _: &Vec<u8>) -> Vec<u8> {
        one
    }
}

const NO_FINALIZED: Failure = Failure::Malformed("no finalized block");

/// Canonical blocks by number, up to the finalized one.
trait Headers {
    async fn block(&self, number: BlockNumber) -> Result<Block, Failure>;
}

struct EndpointHeaders<'a> {
    endpoint: &'a Endpoint,
    finalized: Block,
}

impl Headers for EndpointHeaders<'_> {
    async fn block(&self, number: BlockNumber) -> Result<Block, Failure> {
        if number == self.finalized.number {
            return Ok(self.finalized);
        }
        let read = |value: &serde_json::value::RawValue| match rpc::block(value)? {
            Some(block) if block.number == number => Ok(block),
            Some(_) => Err(Failure::WrongBlock),
            None => Err(Failure::UnknownBlock("null".to_owned())),
        };
        self.endpoint.call(&Request::block(number), read).await
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    Block(Block),
    BeforeFirst,
    /// The blocks found do not follow each other: the endpoint changed its mind in between.
    Torn,
}

/// The last block whose timestamp is not after `time`; `None` until a finalized block is after it, because the next one
/// might not be. Timestamps never fall from a block to the next. Steps back from the finalized block in doubling steps,
/// since the time is mostly recent, and halves what is between the last two.
async fn last_at_or_before(
    headers: &impl Headers,
    finalized: Block,
    time: TimestampMs,
) -> Result<Option<Search>, Failure> {
    let is_after = |block: &Block| block.timestamp_s.checked_mul(1_000).is_none_or(|ms| ms > time.0);
    if !is_after(&finalized) {
        return Ok(None);
    }
    let mut after = finalized;
    let mut step = 1;
    let mut not_after = loop {
        if after.number.0 == 0 {
            return Ok(Some(Search::BeforeFirst));
        }
        let block = headers.block(BlockNumber(after.number.0.saturating_sub(step))).await?;
        if !is_after(&block) {
            break block;
        }
        after = block;
        step = step.saturating_mul(2);
    };
    while after.number.0 - not_after.number.0 > 1 {
        let middle = not_after.number.0 + (after.number.0 - not_after.number.0) / 2;
        let block = headers.block(BlockNumber(middle)).await?;
        *(if is_after(&block) { &mut after } else { &mut not_after }) = block;
    }
    Ok(Some(if after.parent == not_after.hash { Search::Block(not_after) } else { Search::Torn }))
}

#[cfg(test)]
mod tests;
