//! Many questions to a chain at one pin: as many in each call as the endpoints answer, and alone what failed among
//! others.

use std::{collections::VecDeque, ops::Range, time::Duration};

use futures_util::stream::{self, FuturesUnordered, StreamExt as _, TryStreamExt as _};
use tokio::time::sleep;

use crate::{
    aggregate::BatchSize,
    chain::{Chain, ChainError, Question, Subject},
    endpoint::Endpoint,
    failure::Failure,
    metrics::{BatchMetrics, Raised},
    rpc::{self, Request},
};

/// Calls one after another that may have been too large and failed, before it is no longer believed that size is their
/// trouble: more than it takes to come down from the largest batches to single questions with several in flight.
const TOO_LARGE_MAX: usize = 128;

/// Most times that a batch is halved in one go because of failures that may as well be the endpoint's: from the largest
/// one to a dozen questions, for which no proxy is too narrow.
const HALVINGS_IN_DOUBT_MAX: u32 = 6;

/// Pause before the halves of such a batch, longer with each halving: an endpoint that asks to be asked less is.
const PAUSE_IN_DOUBT: Duration = Duration::from_millis(200);

/// Questions, numbered through, that can be put together or alone.
pub(crate) trait Batched: Sync {
    /// What a chain says to one of them.
    type Fact: Copy + Eq + Send + Sync;

    /// Whether voters chose the contracts that are called.
    const IS_OF_VOTERS: bool;

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
    fn read_alone(&self, answer: &[u8]) -> Result<Self::Fact, Failure>;
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
        self.ask(&Alone { request: questions.alone(index), questions }).await
    }

    /// Facts by question; `None` for those that must be put alone.
    async fn facts_in_batches<B: Batched>(&self, questions: &B) -> Result<Vec<Option<B::Fact>>, ChainError> {
        let size = questions.size(self);
        let mut facts = vec![None; questions.count()];
        let mut waiting = VecDeque::from([Part { range: 0..facts.len(), in_doubt: 0 }]);
        let mut running = FuturesUnordered::new();
        let mut too_large = 0;
        // How many questions a call may have in here, while it is in doubt whether the endpoints take more.
        let mut doubtful = usize::MAX;
        loop {
            while running.len() < self.concurrency()
                && let Some(Part { range, in_doubt }) = waiting.pop_front()
            {
                let most = questions.fitting(range.clone()).min(size.get()).min(doubtful);
                let (batch, rest) = split(range, most);
                if !rest.is_empty() {
                    waiting.push_front(Part { range: rest, in_doubt });
                }
                running.push(self.batch(questions, Part { range: batch, in_doubt }));
            }
            let Some((Part { range: batch, in_doubt }, answer)) = running.next().await else { return Ok(facts) };
            let count = batch.len();
            match answer {
                Ok(found) => {
                    too_large = 0;
                    if count >= doubtful {
                        // Fewer were answered, so it was their number.
                        size.lower(count);
                        doubtful = usize::MAX;
                    }
                    size.answered(count);
                    questions.metrics(self).per_call.observe(count as f64);
                    facts[batch].copy_from_slice(&found);
                }
                Err(error) if error.may_be_size() && count > 1 && too_large < TOO_LARGE_MAX => {
                    let is_ambiguous = error.is_ambiguous();
                    if is_ambiguous && in_doubt >= HALVINGS_IN_DOUBT_MAX {
                        return Err(error);
                    }
                    too_large += 1;
                    if is_ambiguous {
                        doubtful = doubtful.min(count / 2);
                    } else {
                        size.lower(count / 2);
                    }
                    let (one, other) = split(batch, count / 2);
                    let in_doubt = in_doubt + u32::from(is_ambiguous);
                    // The halves first: the rest need not fail for the same reason.
                    waiting.push_front(Part { range: other, in_doubt });
                    waiting.push_front(Part { range: one, in_doubt });
                }
                // Alone it gets more gas than in a batch, even a batch of one.
                Err(error) if error.may_be_size() && count == 1 => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn batch<B: Batched>(&self, questions: &B, part: Part) -> (Part, Result<Vec<Option<B::Fact>>, ChainError>) {
        if part.in_doubt > 0 {
            sleep(PAUSE_IN_DOUBT * part.in_doubt).await;
        }
        let range = part.range.clone();
        let question = Batch { request: questions.batch(range.clone()), questions, range };
        let answer = self.ask(&question).await;
        (part, answer)
    }
}

/// Some of the questions.
struct Part {
    range: Range<usize>,
    /// How often what it was a part of failed in a way that may as well be the endpoint's fault.
    in_doubt: u32,
}

fn split(part: Range<usize>, size: usize) -> (Range<usize>, Range<usize>) {
    let middle = part.start.saturating_add(size).min(part.end);
    (part.start..middle, middle..part.end)
}

struct Batch<'a, B> {
    request: Request,
    questions: &'a B,
    range: Range<usize>,
}

impl<B: Batched> Batch<'_, B> {
    /// What one of its questions asks about, known again where it is put alone or among others.
    fn subject_of(&self, index: usize) -> Subject {
        self.questions.alone(self.range.start + index).subject()
    }
}

impl<B: Batched> Question for Batch<'_, B> {
    type Answer = Vec<Option<B::Fact>>;

    const IS_HEAVY: bool = true;
    const IS_OF_VOTERS: bool = B::IS_OF_VOTERS;

    async fn ask(&self, endpoint: &Endpoint) -> Result<Self::Answer, Failure> {
        endpoint.call(&self.request, |value| self.questions.read_batch(&rpc::bytes(value)?, self.range.len())).await
    }

    fn subject(&self) -> Subject {
        self.request.subject()
    }

    fn dispute(&self, one: &Self::Answer, other: &Self::Answer) -> Subject {
        let mut facts = one.iter().zip(other);
        let differ = facts.position(|(one, other)| one.is_some() && other.is_some() && one != other);
        differ.map_or_else(|| self.subject(), |index| self.subject_of(index))
    }

    fn settles(&self, answer: &Self::Answer, subject: Subject) -> bool {
        (0..answer.len()).any(|index| answer[index].is_some() && self.subject_of(index) == subject)
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
}

impl<B: Batched> Question for Alone<'_, B> {
    type Answer = B::Fact;

    const IS_HEAVY: bool = false;
    const IS_OF_VOTERS: bool = B::IS_OF_VOTERS;

    async fn ask(&self, endpoint: &Endpoint) -> Result<B::Fact, Failure> {
        endpoint.call(&self.request, |value| self.questions.read_alone(&rpc::bytes(value)?)).await
    }

    fn subject(&self) -> Subject {
        self.request.subject()
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
