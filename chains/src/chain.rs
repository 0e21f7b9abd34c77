//! One chain: questions are put to its endpoints until enough of them gave the same answer.

use std::{
    fmt,
    future::{Future, pending},
    hash::{DefaultHasher, Hash, Hasher as _},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use pnyx_core::chain::ChainId;
use reqwest::Client;
use thiserror::Error;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, info};

use crate::{
    aggregate::{BatchSize, CHECKS_MAX, LOOK_UPS_MAX},
    config::{ChainConfig, EndpointName},
    endpoint::{Endpoint, EndpointStatus},
    failure::{EndpointFailure, Failure},
    metrics::{ChainMetrics, ChainsMetrics},
};

/// Pauses before a question is put to all endpoints once more: what passes soon, such as a restarted proxy, need not
/// reach those who wait; what does not is theirs to wait for.
const PAUSES: [Duration; 2] = [Duration::from_millis(150), Duration::from_millis(600)];

/// How long a chain counts as stopped after its endpoints were last heard contradicting each other, unless they agree
/// about the same thing before: many times the longest pause after which those who wait ask again, so that it ends only
/// where nobody does.
const STOPPED_FOR: Duration = Duration::from_secs(20);

/// A chain and its endpoints. Clones share them.
#[derive(Clone)]
pub struct Chain {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    id: ChainId,
    endpoints: Vec<Endpoint>,
    agreement: NonZeroUsize,
    stop: Mutex<Option<Stop>>,
    differing: Mutex<Option<Differing>>,
    pub(crate) look_ups_size: BatchSize,
    pub(crate) checks_size: BatchSize,
    pub(crate) metrics: ChainMetrics,
}

/// Endpoints contradict each other, and too few agree.
struct Stop {
    endpoints: Vec<EndpointName>,
    about: Subject,
    until: Instant,
}

/// Endpoints contradict each other about what a voter's contract says. That stops nothing.
struct Differing {
    endpoints: Vec<EndpointName>,
    until: Instant,
}

/// What answers may contradict each other about: equal for the same thing, whatever it is asked together with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject(u64);

/// How a chain does, for the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainStatus {
    /// Which chain.
    pub chain: ChainId,
    /// How many endpoints must give the same answer.
    pub agreement: NonZeroUsize,
    /// The endpoints that contradict each other while too few agree, so that nothing is read; empty otherwise.
    pub contradicting: Vec<EndpointName>,
    /// The endpoints that were lately heard contradicting each other about what a voter's contract says, so that ballots
    /// wait that it signs, and no others; empty otherwise.
    pub differing: Vec<EndpointName>,
    /// The endpoints, as configured.
    pub endpoints: Vec<EndpointStatus>,
}

/// Why a chain has no answer now. It delays whoever asked and decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChainError {
    /// Too few endpoints answered.
    #[error("chain {chain} cannot be read now: {}", list(.failures))]
    Unavailable {
        /// Which chain.
        chain: ChainId,
        /// What each endpoint that was asked failed at.
        failures: Vec<EndpointFailure>,
    },
    /// Endpoints contradict each other, and no group of them is large enough.
    #[error("the endpoints of chain {chain} contradict each other: {}", list(.endpoints))]
    Contradiction {
        /// Which chain.
        chain: ChainId,
        /// Those that answered.
        endpoints: Vec<EndpointName>,
    },
}

/// Something that every endpoint of a chain should answer alike.
pub(crate) trait Question: Sync {
    type Answer: Send;

    /// Whether the node has to work for it.
    const IS_HEAVY: bool;

    /// Whether voters chose the contract that answers. Endpoints that differ about it may both be honest, because a contract
    /// can look at what each makes up for a call, such as the base fee: so nobody is left out, and the chain not stopped.
    const IS_OF_VOTERS: bool = false;

    /// Asks one endpoint.
    fn ask(&self, endpoint: &Endpoint) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;

    /// What it asks about.
    fn subject(&self) -> Subject;

    /// What two answers contradict each other about.
    fn dispute(&self, _: &Self::Answer, _: &Self::Answer) -> Subject {
        self.subject()
    }

    /// Whether an answer says something about a subject.
    fn settles(&self, _: &Self::Answer, subject: Subject) -> bool {
        self.subject() == subject
    }

    /// Whether two answers do not contradict each other.
    fn agree(one: &Self::Answer, other: &Self::Answer) -> bool;

    /// What answers that agree say together.
    fn merge(one: Self::Answer, other: &Self::Answer) -> Self::Answer;
}

impl Chain {
    pub(crate) fn new(id: ChainId, config: &ChainConfig, client: &Client, metrics: &ChainsMetrics) -> Self {
        let endpoints = config.endpoints().iter().map(|endpoint| {
            let metrics = metrics.endpoint(id.get(), endpoint.name.as_str());
            Endpoint::new(id, endpoint.clone(), client.clone(), metrics)
        });
        Self {
            inner: Arc::new(Inner {
                id,
                endpoints: endpoints.collect(),
                agreement: config.agreement(),
                stop: Mutex::default(),
                differing: Mutex::default(),
                look_ups_size: BatchSize::new(LOOK_UPS_MAX),
                checks_size: BatchSize::new(CHECKS_MAX),
                metrics: metrics.chain(id.get()),
            }),
        }
    }

    /// Its id.
    pub fn id(&self) -> ChainId {
        self.inner.id
    }

    /// How it does.
    pub fn status(&self) -> ChainStatus {
        ChainStatus {
            chain: self.inner.id,
            agreement: self.inner.agreement,
            contradicting: self.inner.stop().as_ref().map(|stop| stop.endpoints.clone()).unwrap_or_default(),
            differing: self.inner.differing(),
            endpoints: self.inner.endpoints.iter().map(Endpoint::status).collect(),
        }
    }

    /// How many heavy questions are worth asking at once: as many as the endpoints take.
    pub(crate) fn concurrency(&self) -> usize {
        let all: usize = self.inner.endpoints.iter().map(Endpoint::concurrency).sum();
        (all / self.inner.agreement).max(1)
    }

    /// Puts a question until as many endpoints as must agree gave answers that do.
    pub(crate) async fn ask<Q: Question>(&self, question: &Q) -> Result<Q::Answer, ChainError> {
        let mut pauses = PAUSES.iter();
        loop {
            let error = match self.ask_once(question).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match pauses.next() {
                Some(pause) if error.may_pass_soon() => sleep(*pause).await,
                _ => return Err(error),
            }
        }
    }

    async fn ask_once<Q: Question>(&self, question: &Q) -> Result<Q::Answer, ChainError> {
        let needed = self.inner.agreement.get();
        let mut waiting = self.in_order().into_iter();
        let mut running = FuturesUnordered::new();
        let mut answers: Vec<(&Endpoint, Q::Answer)> = Vec::new();
        let mut failures = Vec::new();
        let mut late_at = None;
        let late = |endpoint: &Endpoint| Some(Instant::now() + endpoint.hedge_after(Q::IS_HEAVY));
        loop {
            // Only endpoints that may still complete the largest group that agrees.
            while largest_group::<Q>(&answers).len() + running.len() < needed {
                let Some(endpoint) = waiting.next() else { break };
                late_at = late(endpoint);
                running.push(put(question, endpoint));
            }
            if running.is_empty() {
                return Err(self.no_answer(question, &answers, failures));
            }
            let is_late = async {
                match late_at {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                Some((endpoint, answer)) = running.next() => match answer {
                    Ok(answer) => answers.push((endpoint, answer)),
                    Err(failure) => failures.push(EndpointFailure { endpoint: endpoint.name().clone(), failure }),
                },
                () = is_late => {
                    late_at = None;
                    if let Some(endpoint) = waiting.next() {
                        self.inner.metrics.hedged.inc();
                        late_at = late(endpoint);
                        running.push(put(question, endpoint));
                    }
                    continue;
                }
            }
            let group = largest_group::<Q>(&answers);
            if group.len() >= needed {
                return Ok(self.conclude(question, answers, &group));
            }
        }
    }

    /// The endpoints, those first that are likely to answer soon.
    fn in_order(&self) -> Vec<&Endpoint> {
        let mut endpoints: Vec<_> = self.inner.endpoints.iter().collect();
        endpoints.sort_by_cached_key(|endpoint| endpoint.rank());
        endpoints
    }

    /// What the group says; whoever contradicts as many as must agree is left out, if it must have lied.
    fn conclude<Q: Question>(&self, question: &Q, answers: Vec<(&Endpoint, Q::Answer)>, group: &[usize]) -> Q::Answer {
        let mut said: Option<Q::Answer> = None;
        // A call that failed at one endpoint contradicts nothing, so a group may hold one that the others outvote.
        let contradicted = |answer: &Q::Answer| {
            let others = group.iter().filter(|member| !Q::agree(&answers[**member].1, answer));
            others.count() >= self.inner.agreement.get()
        };
        let outvoted: Vec<bool> = answers.iter().map(|(_, answer)| contradicted(answer)).collect();
        for (index, (endpoint, answer)) in answers.into_iter().enumerate() {
            if group.contains(&index) {
                said = Some(match said {
                    Some(said) => Q::merge(said, &answer),
                    None => answer,
                });
            } else if outvoted[index] && !Q::IS_OF_VOTERS {
                endpoint.leave_out();
            }
        }
        let said = said.expect("a group has as many members as must agree, at least one");
        let stopped_about = self.inner.stop().as_ref().map(|stop| stop.about);
        if stopped_about.is_some_and(|about| question.settles(&said, about)) {
            self.inner.go_on();
        }
        said
    }

    fn no_answer<Q: Question>(
        &self,
        question: &Q,
        answers: &[(&Endpoint, Q::Answer)],
        failures: Vec<EndpointFailure>,
    ) -> ChainError {
        let chain = self.inner.id;
        let pairs =
            answers.iter().enumerate().flat_map(|(index, one)| answers[..index].iter().map(move |other| (one, other)));
        let Some(((_, one), (_, other))) = pairs.into_iter().find(|((_, one), (_, other))| !Q::agree(one, other))
        else {
            return ChainError::Unavailable { chain, failures };
        };
        let mut endpoints: Vec<_> = answers.iter().map(|(endpoint, _)| endpoint.name().clone()).collect();
        // Not in the order in which they happened to answer.
        endpoints.sort_unstable();
        if Q::IS_OF_VOTERS {
            self.differ(endpoints.clone());
        } else {
            self.stop(endpoints.clone(), question.dispute(one, other));
        }
        ChainError::Contradiction { chain, endpoints }
    }

    /// Remembers for a while that endpoints contradict each other about a voter's contract, for those who ask why ballots
    /// wait. Whoever asked says in the log which.
    fn differ(&self, endpoints: Vec<EndpointName>) {
        self.inner.metrics.differing.inc();
        let until = Instant::now() + STOPPED_FOR;
        *self.inner.differing.lock().unwrap_or_else(PoisonError::into_inner) = Some(Differing { endpoints, until });
    }

    /// Stops the chain: endpoints contradict each other, and too few agree.
    fn stop(&self, endpoints: Vec<EndpointName>, about: Subject) {
        let names = list(&endpoints);
        let until = Instant::now() + STOPPED_FOR;
        let was_stopped = self.inner.stop().replace(Stop { endpoints, about, until }).is_some();
        if was_stopped {
            return;
        }
        self.inner.metrics.stopped.set(1);
        error!(chain = %self.inner.id, endpoints = names, "endpoints contradict each other, nothing is read from the chain");
        tokio::spawn(end_stop(Arc::downgrade(&self.inner)));
    }
}

/// Has a chain go on after a while in which nobody heard endpoints contradict each other.
async fn end_stop(chain: Weak<Inner>) {
    while let Some(until) = chain.upgrade().and_then(|chain| chain.stop().as_ref().map(|stop| stop.until)) {
        sleep_until(until).await;
        let Some(chain) = chain.upgrade() else { return };
        if chain.stop().as_ref().is_some_and(|stop| stop.until <= Instant::now()) {
            chain.go_on();
        }
    }
}

impl Subject {
    /// What is asked by these bytes.
    pub(crate) fn new(asked: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        asked.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl ChainStatus {
    /// Whether endpoints contradict each other and too few agree, so that nothing is read.
    pub const fn is_stopped(&self) -> bool {
        !self.contradicting.is_empty()
    }
}

impl Inner {
    /// Notes that nothing is known any more that endpoints contradict each other about.
    fn go_on(&self) {
        if self.stop().take().is_some() {
            self.metrics.stopped.set(0);
            info!(chain = %self.id, "the chain is read again");
        }
    }

    fn stop(&self) -> MutexGuard<'_, Option<Stop>> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that contradicted each other about a voter's contract a short while ago.
    fn differing(&self) -> Vec<EndpointName> {
        let differing = self.differing.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = differing.as_ref().filter(|differing| Instant::now() < differing.until);
        lately.map(|differing| differing.endpoints.clone()).unwrap_or_default()
    }

    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("id", &self.inner.id).finish_non_exhaustive()
    }
}

impl ChainError {
    /// Which chain.
    pub const fn chain(&self) -> ChainId {
        match self {
            Self::Unavailable { chain, .. } | Self::Contradiction { chain, .. } => *chain,
        }
    }

    /// What endpoints failed at.
    pub fn failures(&self) -> &[EndpointFailure] {
        match self {
            Self::Unavailable { failures, .. } => failures,
            Self::Contradiction { .. } => &[],
        }
    }

    fn may_pass_soon(&self) -> bool {
        self.failures().iter().any(|failure| failure.failure.may_pass_soon())
    }

    /// Whether the chain might have answered other questions: what endpoints failed at may be what they were asked.
    pub fn may_be_the_question(&self) -> bool {
        matches!(self, Self::Contradiction { .. })
            || self.failures().iter().any(|failure| failure.failure.may_be_the_question())
    }

    /// Whether half of the question might have been answered.
    pub(crate) fn may_be_size(&self) -> bool {
        self.failures().iter().any(|failure| failure.failure.may_be_size())
    }

    /// Whether that is all that speaks for it: no endpoint that is well said so.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.failures().iter().all(|failure| !failure.failure.may_be_size() || failure.failure.is_ambiguous())
    }
}

async fn put<'a, Q: Question>(question: &Q, endpoint: &'a Endpoint) -> (&'a Endpoint, Result<Q::Answer, Failure>) {
    (endpoint, question.ask(endpoint).await)
}

/// The most answers that all agree with each other, by their indexes. There are at most as many as a chain has
/// endpoints.
fn largest_group<Q: Question>(answers: &[(&Endpoint, Q::Answer)]) -> Vec<usize> {
    let groups = (0..answers.len()).map(|first| {
        let mut group = vec![first];
        for (index, (_, answer)) in answers.iter().enumerate() {
            if index != first && group.iter().all(|member| Q::agree(&answers[*member].1, answer)) {
                group.push(index);
            }
        }
        group
    });
    // Of groups of equal size the first: answers that came sooner.
    groups.rev().max_by_key(Vec::len).unwrap_or_default()
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "no endpoint".to_owned();
    }
    items.iter().map(T::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::EndpointConfig, secret::SecretUrl};

    fn chain() -> Chain {
        let endpoint = EndpointConfig::new("a".parse().unwrap(), SecretUrl::parse("http://127.0.0.1:1").unwrap());
        let config = ChainConfig::new(vec![endpoint], NonZeroUsize::MIN).unwrap();
        // Only the first one is installed; they are all the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Chain::new(ChainId::new(1).unwrap(), &config, &Client::new(), &ChainsMetrics::unregistered())
    }

    #[tokio::test(start_paused = true)]
    async fn a_chain_that_nobody_asks_does_not_stay_stopped() {
        let chain = chain();
        let stop = || chain.stop(vec!["a".parse().unwrap()], Subject::new(&1));
        stop();
        sleep(STOPPED_FOR / 2).await;
        stop();
        sleep(STOPPED_FOR * 3 / 4).await;
        assert!(chain.status().is_stopped(), "it was heard again");
        assert_eq!(chain.inner.metrics.stopped.get(), 1);
        sleep(STOPPED_FOR / 2).await;
        assert!(!chain.status().is_stopped());
        assert_eq!(chain.inner.metrics.stopped.get(), 0);
        stop();
        assert!(chain.status().is_stopped());
        sleep(STOPPED_FOR * 2).await;
        assert!(!chain.status().is_stopped());
    }

    #[tokio::test(start_paused = true)]
    async fn endpoints_that_differ_about_a_voters_contract_are_named_for_a_while_and_stop_nothing() {
        let chain = chain();
        chain.differ(vec!["a".parse().unwrap()]);
        assert_eq!(chain.status().differing, ["a".parse().unwrap()]);
        assert!(!chain.status().is_stopped());
        sleep(STOPPED_FOR * 3 / 4).await;
        assert!(!chain.status().differing.is_empty());
        sleep(STOPPED_FOR / 2).await;
        assert!(chain.status().differing.is_empty());
    }
}
