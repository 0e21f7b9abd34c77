//! Raw integers of many voters at a pin: batches, and alone what failed in a batch.

use std::{collections::VecDeque, ops::Range};

use alloy_primitives::U256;
use futures_util::stream::{self, FuturesUnordered, StreamExt as _, TryStreamExt as _};
use pnyx_core::{chain::Pin, id::Voter, power::VoterPower, proposal::ChainRead};

use crate::{
    aggregate::{self, Entry, LOOK_UPS_MAX, Run},
    chain::{Chain, ChainError, Question},
    endpoint::Endpoint,
    failure::Failure,
    metrics::Raised,
    rpc::{self, Request},
};

/// Calls one after another that may have been too large and failed, before it is no longer believed that size is their
/// trouble: more than it takes to come down from the largest batches to single look-ups with several in flight.
const TOO_LARGE_MAX: usize = 128;

/// What a chain says of one voter at the pin: a fact, the same for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw {
    /// The integer.
    Integer(U256),
    /// Alone and with the full gas ([`crate::STRATEGY_GAS`]) the call fails.
    Reverts,
    /// The call returns something else than one integer.
    OtherShape,
}

impl Raw {
    /// The power that this is.
    pub fn power(self, read: &ChainRead) -> VoterPower {
        match self {
            Self::Integer(raw) => read.power(raw).map_or(VoterPower::Unavailable, VoterPower::Known),
            Self::Reverts | Self::OtherShape => VoterPower::Unavailable,
        }
    }
}

impl Chain {
    /// What the chain says at the pin for every run and voter, in their order. Facts only: whatever an endpoint fails
    /// at is an error.
    pub async fn read(&self, pin: &Pin, runs: &[Run<'_>]) -> Result<Vec<Vec<Raw>>, ChainError> {
        let look_ups = LookUps::new(runs);
        if look_ups.count == 0 {
            return Ok(runs.iter().map(|_| Vec::new()).collect());
        }
        let _waiting = Raised::by(&self.inner.metrics.waiting, look_ups.count);
        let mut entries = self.read_batches(pin, &look_ups).await?;
        let failed: Vec<usize> = (0..look_ups.count).filter(|index| entries[*index].is_none()).collect();
        self.inner.metrics.repeated_alone.inc_by(failed.len() as u64);
        let alone = stream::iter(failed).map(|index| async move {
            let (read, voter) = look_ups.at(index);
            Ok((index, self.read_alone(pin, read, voter).await?))
        });
        let mut alone = alone.buffer_unordered(self.concurrency());
        while let Some((index, raw)) = alone.try_next().await? {
            entries[index] = Some(raw);
        }
        drop(alone);
        let mut raws = entries.into_iter().map(|entry| entry.expect("what failed in a batch was repeated alone"));
        Ok(runs.iter().map(|run| raws.by_ref().take(run.voters.len()).collect()).collect())
    }

    /// What the chain says of one voter, asked alone with the full gas.
    pub async fn read_alone(&self, pin: &Pin, read: &ChainRead, voter: Voter) -> Result<Raw, ChainError> {
        self.ask(&Alone { request: aggregate::alone(read, voter, pin), pin }).await
    }

    /// Integers by look-up; `None` for what must be repeated alone.
    async fn read_batches(&self, pin: &Pin, look_ups: &LookUps<'_>) -> Result<Vec<Option<Raw>>, ChainError> {
        let size = &self.inner.batch_size;
        let mut entries = vec![None; look_ups.count];
        let mut waiting = VecDeque::new();
        waiting.push_back(0..look_ups.count);
        let mut running = FuturesUnordered::new();
        let mut too_large = 0;
        loop {
            while running.len() < self.concurrency()
                && let Some(part) = waiting.pop_front()
            {
                let (batch, rest) = split(part, size.get());
                waiting.extend((!rest.is_empty()).then_some(rest));
                running.push(self.read_batch(pin, look_ups, batch));
            }
            let Some((batch, answer)) = running.next().await else { return Ok(entries) };
            let count = batch.len();
            match answer {
                Ok(found) => {
                    too_large = 0;
                    size.answered(count, LOOK_UPS_MAX);
                    self.inner.metrics.look_ups_per_call.observe(count as f64);
                    for (index, entry) in batch.zip(found) {
                        if let Entry::Integer(raw) = entry {
                            entries[index] = Some(Raw::Integer(raw));
                        }
                    }
                }
                Err(error) if error.may_be_size() && count > 1 && too_large < TOO_LARGE_MAX => {
                    too_large += 1;
                    size.too_large(count);
                    let (one, other) = split(batch, count / 2);
                    waiting.extend([one, other]);
                }
                // Alone it gets more gas than in a batch, even a batch of one.
                Err(error) if error.may_be_size() && count == 1 => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn read_batch(
        &self,
        pin: &Pin,
        look_ups: &LookUps<'_>,
        batch: Range<usize>,
    ) -> (Range<usize>, Result<Vec<Entry>, ChainError>) {
        let request = aggregate::batch(&look_ups.runs_of(&batch), pin);
        let question = Batch { request, pin, count: batch.len() };
        let answer = self.ask(&question).await;
        (batch, answer)
    }
}

/// The look-ups of all runs, numbered through.
#[derive(Clone, Copy)]
struct LookUps<'a> {
    runs: &'a [Run<'a>],
    count: usize,
}

impl<'a> LookUps<'a> {
    fn new(runs: &'a [Run<'a>]) -> Self {
        Self { runs, count: runs.iter().map(|run| run.voters.len()).sum() }
    }

    /// The part of the runs that these look-ups are.
    fn runs_of(&self, part: &Range<usize>) -> Vec<Run<'a>> {
        let mut runs = Vec::new();
        let mut first = 0;
        for run in self.runs {
            let end = first + run.voters.len();
            let (from, to) = (part.start.max(first), part.end.min(end));
            if from < to {
                runs.push(Run { read: run.read, voters: &run.voters[from - first..to - first] });
            }
            first = end;
        }
        runs
    }

    fn at(&self, index: usize) -> (&'a ChainRead, Voter) {
        let runs = self.runs_of(&(index..index + 1));
        let run = runs.first().expect("the number of a look-up is below their count");
        (run.read, run.voters[0])
    }
}

fn split(part: Range<usize>, size: usize) -> (Range<usize>, Range<usize>) {
    let middle = part.start.saturating_add(size).min(part.end);
    (part.start..middle, middle..part.end)
}

struct Batch<'a> {
    request: Request,
    pin: &'a Pin,
    count: usize,
}

impl Question for Batch<'_> {
    type Answer = Vec<Entry>;

    const IS_HEAVY: bool = true;

    async fn ask(&self, endpoint: &Endpoint) -> Result<Vec<Entry>, Failure> {
        endpoint.call(&self.request, |value| aggregate::read_batch(&rpc::bytes(value)?, self.count, self.pin)).await
    }

    /// In a batch a call may fail for want of gas, of which endpoints grant different amounts: that contradicts
    /// nothing.
    fn agree(one: &Vec<Entry>, other: &Vec<Entry>) -> bool {
        one.len() == other.len()
            && one.iter().zip(other).all(|pair| match pair {
                (Entry::Integer(one), Entry::Integer(other)) => one == other,
                (Entry::Failed | Entry::OtherShape, _) | (_, Entry::Failed | Entry::OtherShape) => true,
            })
    }

    /// What failed at one of them is repeated alone.
    fn merge(mut one: Vec<Entry>, other: &Vec<Entry>) -> Vec<Entry> {
        for (entry, other) in one.iter_mut().zip(other) {
            if !matches!(other, Entry::Integer(_)) {
                *entry = *other;
            }
        }
        one
    }
}

struct Alone<'a> {
    request: Request,
    pin: &'a Pin,
}

impl Question for Alone<'_> {
    type Answer = Raw;

    const IS_HEAVY: bool = false;

    async fn ask(&self, endpoint: &Endpoint) -> Result<Raw, Failure> {
        let entry = endpoint.call(&self.request, |value| aggregate::read_alone(&rpc::bytes(value)?, self.pin)).await?;
        Ok(match entry {
            Entry::Integer(raw) => Raw::Integer(raw),
            Entry::Failed => Raw::Reverts,
            Entry::OtherShape => Raw::OtherShape,
        })
    }

    fn agree(one: &Raw, other: &Raw) -> bool {
        one == other
    }

    fn merge(one: Raw, _: &Raw) -> Raw {
        one
    }
}

#[cfg(test)]
mod tests {
    use pnyx_core::{chain::ContractAddress, proposal::ChainRead};

    use super::*;

    #[test]
    fn parts_are_cut_along_the_runs() {
        let reads = [ChainRead::EthBalance, ChainRead::Erc721 { address: ContractAddress::new([1; 20]) }];
        let voters: Vec<Voter> = (0..5).map(|byte| Voter::new([byte; 20])).collect();
        let runs = [
            Run { read: &reads[0], voters: &voters },
            Run { read: &reads[1], voters: &[] },
            Run { read: &reads[1], voters: &voters[..3] },
        ];
        let look_ups = LookUps::new(&runs);
        assert_eq!(look_ups.count, 8);
        for size in 1..=9 {
            let mut part = 0..8;
            let mut seen = Vec::new();
            while !part.is_empty() {
                let (batch, rest) = split(part, size);
                let cut = look_ups.runs_of(&batch);
                assert_eq!(cut.iter().map(|run| run.voters.len()).sum::<usize>(), batch.len());
                seen.extend(cut.iter().flat_map(|run| run.voters.iter().map(|voter| (run.read.name(), *voter))));
                part = rest;
            }
            let expected: Vec<_> =
                (0..8).map(|index| look_ups.at(index)).map(|(read, who)| (read.name(), who)).collect();
            assert_eq!(seen, expected, "{size}");
        }
        assert_eq!(look_ups.at(5), (&reads[1], voters[0]));
    }

    #[test]
    fn a_failure_in_a_batch_contradicts_nothing_and_is_repeated() {
        let integer = |number: u64| Entry::Integer(U256::from(number));
        let (one, other) =
            (vec![integer(1), Entry::Failed, integer(3)], vec![integer(1), integer(2), Entry::OtherShape]);
        assert!(Batch::agree(&one, &other));
        let merged = Batch::merge(one.clone(), &other);
        assert_eq!(merged, [integer(1), Entry::Failed, Entry::OtherShape]);
        assert!(!Batch::agree(&one, &vec![integer(2), integer(2), integer(3)]));
        assert!(!Batch::agree(&one, &vec![integer(1)]));
    }
}
