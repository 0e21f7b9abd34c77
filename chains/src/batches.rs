//! Many questions to a chain at one pin: as many in each call as the endpoints answer, and alone what failed among
//! others.

use std::{collections::VecDeque, ops::Range};

use futures_util::stream::{self, FuturesUnordered, StreamExt as _, TryStreamExt as _};

use crate::{
    aggregate::BatchSize,
    chain::{Chain, ChainError, Question},
    endpoint::Endpoint,
    failure::Failure,
    metrics::{BatchMetrics, Raised},
    rpc::{self, Request},
};

/// Calls one after another that may have been too large and failed, before it is no longer believed that size is their
/// trouble: more than it takes to come down from the largest batches to single questions with several in flight.
const TOO_LARGE_MAX: usize = 128;

/// Questions, numbered through, that can be put together or alone.
pub(crate) trait Batched: Sync {
    /// What a chain says to one of them.
    type Fact: Copy + Eq + Send + Sync;

    /// How many they are.
    fn count(&self) -> usize;

    /// How many of them go in one call of this chain.
    fn size<'a>(&self, chain: &'a Chain) -> &'a BatchSize;

    /// What the chain counts of them.
    fn metrics<'a>(&self, chain: &'a Chain) -> &'a BatchMetrics;

    /// How many of the first of a part have room in one call, at least one.
    fn fitting(&self, part: Range<usize>) -> usize;

    /// The call that puts all of a part.
    fn batch(&self, part: Range<usize>) -> Request;

    /// Reads the answer to [`Batched::batch`] with so many questions; `None` for one that must be put alone.
    fn read_batch(&self, answer: &[u8], count: usize) -> Result<Vec<Option<Self::Fact>>, Failure>;

    /// The call that puts one alone.
    fn alone(&self, index: usize) -> Request;

    /// Reads the answer to [`Batched::alone`].
    fn read_alone(&self, answer: &[u8], index: usize) -> Result<Self::Fact, Failure>;
}

impl Chain {
    /// The facts, one for each question. Whatever an endpoint fails at is an error.
    pub(crate) async fn facts<B: Batched>(&self, questions: &B) -> Result<Vec<B::Fact>, ChainError> {
        if questions.count() == 0 {
            return Ok(Vec::new());
        }
        let metrics = questions.metrics(self);
        let _waiting = Raised::by(&metrics.waiting, questions.count());
        let mut facts = self.facts_in_batches(questions).await?;
        let open: Vec<usize> = (0..facts.len()).filter(|index| facts[*index].is_none()).collect();
        metrics.repeated_alone.inc_by(open.len() as u64);
        let alone = stream::iter(open).map(async |index| Ok((index, self.fact(questions, index).await?)));
        let mut alone = alone.buffer_unordered(self.concurrency());
        while let Some((index, fact)) = alone.try_next().await? {
            facts[index] = Some(fact);
        }
        drop(alone);
        Ok(facts.into_iter().map(|fact| fact.expect("what failed in a batch was repeated alone")).collect())
    }

    /// What the chain says to one question, put alone.
    pub(crate) async fn fact<B: Batched>(&self, questions: &B, index: usize) -> Result<B::Fact, ChainError> {
        self.ask(&Alone { request: questions.alone(index), questions, index }).await
    }

    /// Facts by question; `None` for those that must be put alone.
    async fn facts_in_batches<B: Batched>(&self, questions: &B) -> Result<Vec<Option<B::Fact>>, ChainError> {
        let size = questions.size(self);
        let mut facts = vec![None; questions.count()];
        let mut waiting = VecDeque::new();
        waiting.push_back(0..facts.len());
        let mut running = FuturesUnordered::new();
        let mut too_large = 0;
        loop {
            while running.len() < self.concurrency()
                && let Some(part) = waiting.pop_front()
            {
                let (batch, rest) = split(part.clone(), questions.fitting(part).min(size.get()));
                waiting.extend((!rest.is_empty()).then_some(rest));
                running.push(self.batch(questions, batch));
            }
            let Some((batch, answer)) = running.next().await else { return Ok(facts) };
            let count = batch.len();
            match answer {
                Ok(found) => {
                    too_large = 0;
                    size.answered(count);
                    questions.metrics(self).per_call.observe(count as f64);
                    facts[batch].copy_from_slice(&found);
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

    async fn batch<B: Batched>(
        &self,
        questions: &B,
        batch: Range<usize>,
    ) -> (Range<usize>, Result<Vec<Option<B::Fact>>, ChainError>) {
        let question = Batch { request: questions.batch(batch.clone()), questions, count: batch.len() };
        let answer = self.ask(&question).await;
        (batch, answer)
    }
}

fn split(part: Range<usize>, size: usize) -> (Range<usize>, Range<usize>) {
    let middle = part.start.saturating_add(size).min(part.end);
    (part.start..middle, middle..part.end)
}

struct Batch<'a, B> {
    request: Request,
    questions: &'a B,
    count: usize,
}

impl<B: Batched> Question for Batch<'_, B> {
    type Answer = Vec<Option<B::Fact>>;

    const IS_HEAVY: bool = true;

    async fn ask(&self, endpoint: &Endpoint) -> Result<Self::Answer, Failure> {
        endpoint.call(&self.request, |value| self.questions.read_batch(&rpc::bytes(value)?, self.count)).await
    }

    fn agree(one: &Self::Answer, other: &Self::Answer) -> bool {
        agree(one, other)
    }

    fn merge(one: Self::Answer, other: &Self::Answer) -> Self::Answer {
        merge(one, other)
    }
}

/// In a batch a call may fail for want of gas, of which endpoints grant different amounts: that contradicts nothing.
fn agree<F: Eq>(one: &[Option<F>], other: &[Option<F>]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| one.is_none() || other.is_none() || one == other)
}

/// What failed at one of them is repeated alone.
fn merge<F: Copy>(mut one: Vec<Option<F>>, other: &[Option<F>]) -> Vec<Option<F>> {
    for (fact, other) in one.iter_mut().zip(other) {
        if other.is_none() {
            *fact = None;
        }
    }
    one
}

struct Alone<'a, B> {
    request: Request,
    questions: &'a B,
    index: usize,
}

impl<B: Batched> Question for Alone<'_, B> {
    type Answer = B::Fact;

    const IS_HEAVY: bool = false;

    async fn ask(&self, endpoint: &Endpoint) -> Result<B::Fact, Failure> {
        endpoint.call(&self.request, |value| self.questions.read_alone(&rpc::bytes(value)?, self.index)).await
    }

    fn agree(one: &B::Fact, other: &B::Fact) -> bool {
        one == other
    }

    fn merge(one: B::Fact, _: &B::Fact) -> B::Fact {
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_in_a_batch_contradicts_nothing_and_is_repeated() {
        let (one, other) = (vec![Some(1), None, Some(3)], vec![Some(1), Some(2), None]);
        assert!(agree(&one, &other));
        assert_eq!(merge(one.clone(), &other), [Some(1), None, None]);
        assert!(!agree(&one, &[Some(2), Some(2), Some(3)]));
        assert!(!agree(&one, &[Some(1)]));
    }
}
