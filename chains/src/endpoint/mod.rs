//! One endpoint of a chain: asked within its limits, only once it said the right chain id, and left alone after
//! failures.

mod breaker;
mod pace;

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use pnyx_core::chain::ChainId;
use reqwest::{Client, Url};
use serde_json::value::RawValue;
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use self::{
    breaker::Breaker,
    pace::{Latencies, Pace},
};
use crate::{
    config::{EndpointConfig, EndpointLimits, EndpointName},
    failure::{ANSWERED, Failure},
    metrics::EndpointMetrics,
    rpc::{self, Request},
    secret::SecretUrl,
};

/// How long an endpoint is left out that contradicted those that agree: longer than an accident, such as a node that
/// was put on the wrong fork and is being repaired, would be noticed; then it is asked again.
const LEFT_OUT_FOR: Duration = Duration::from_secs(600);

/// How long an endpoint that failed at many questions at once is asked after the others, and its trouble is told, even if
/// it answers small requests meanwhile: as long as the breaker's longest pause.
const DOUBTED_FOR: Duration = Duration::from_secs(8);

pub(crate) struct Endpoint {
    chain: ChainId,
    name: EndpointName,
    url: SecretUrl,
    limits: EndpointLimits,
    client: Client,
    permits: Semaphore,
    /// Held by the one request that waits for the rate limit; none without a limit.
    pace: Option<tokio::sync::Mutex<Pace>>,
    /// Held by the one request that checks the chain id; when that failed last, and at what.
    checking: tokio::sync::Mutex<Option<(Instant, Failure)>>,
    state: Mutex<State>,
    metrics: EndpointMetrics,
}

struct State {
    breaker: Breaker,
    light: Latencies,
    heavy: Latencies,
    /// The URL at which the chain id was found right, until the endpoint fails.
    checked: Option<Url>,
    /// What the last request failed at; `None` if it was answered.
    trouble: Option<Failure>,
    /// Until when it is doubted, because it failed at many questions at once.
    doubted_until: Option<Instant>,
    left_out_until: Option<Instant>,
    answered_at: Option<Instant>,
}

/// How an endpoint does, for the API: never its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Its name.
    pub name: EndpointName,
    /// What is wrong with it; `None` for nothing.
    pub trouble: Option<Failure>,
    /// When it last answered anything; `None` before.
    pub answered_at: Option<Instant>,
}

impl Endpoint {
    pub(crate) fn new(chain: ChainId, config: EndpointConfig, client: Client, metrics: EndpointMetrics) -> Self {
        let EndpointConfig { name, url, limits } = config;
        let state = State {
            breaker: Breaker::default(),
            light: Latencies::default(),
            heavy: Latencies::default(),
            checked: None,
            trouble: None,
            doubted_until: None,
            left_out_until: None,
            answered_at: None,
        };
        Self {
            chain,
            name,
            url,
            limits,
            client,
            permits: Semaphore::new(limits.concurrency.get()),
            pace: limits.requests_per_second.map(|rate| tokio::sync::Mutex::new(Pace::new(rate))),
            checking: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
            metrics,
        }
    }

    pub(crate) const fn name(&self) -> &EndpointName {
        &self.name
    }

    pub(crate) const fn concurrency(&self) -> usize {
        self.limits.concurrency.get()
    }

    pub(crate) fn status(&self) -> EndpointStatus {
        let state = self.state();
        let is_left_out = state.left_out_until.is_some_and(|until| until > Instant::now());
        let trouble = if is_left_out { Some(Failure::LeftOut) } else { state.trouble.clone() };
        EndpointStatus { name: self.name.clone(), trouble, answered_at: state.answered_at }
    }

    /// Where it stands among its equals: the smallest is asked first.
    pub(crate) fn rank(&self) -> impl Ord + use<> {
        let state = self.state();
        let in_flight = self.limits.concurrency.get().saturating_sub(self.permits.available_permits());
        (!state.breaker.is_closed(), state.is_doubted(), in_flight, state.heavy.hedge_after())
    }

    /// When an answer of this endpoint is late.
    pub(crate) fn hedge_after(&self, is_heavy: bool) -> Duration {
        let state = self.state();
        if is_heavy { state.heavy.hedge_after() } else { state.light.hedge_after() }
    }

    /// Leaves it out for a while: it contradicted endpoints that agree.
    pub(crate) fn leave_out(&self) {
        self.state().left_out_until = Some(Instant::now() + LEFT_OUT_FOR);
        self.metrics.contradictions.inc();
        error!(
            chain = %self.chain,
            endpoint = %self.name,
            for_s = LEFT_OUT_FOR.as_secs(),
            "an endpoint contradicts those that agree and is left out"
        );
    }

    /// Asks one thing and reads the answer.
    pub(crate) async fn call<T>(
        &self,
        request: &Request,
        read: impl FnOnce(&RawValue) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.is_left_alone()?;
        let Ok(permit) = timeout(self.limits.request_timeout, self.permits.acquire()).await else {
            return Err(self.note(Failure::Busy));
        };
        let _permit = permit.expect("the semaphore is never closed");
        let _admitted = self.admit()?;
        let url = self.checked_url().await?;
        self.send(&url, request, read).await
    }

    /// Takes note of a failure.
    pub(crate) fn note(&self, failure: Failure) -> Failure {
        let now = Instant::now();
        self.metrics.count(failure.outcome());
        let mut state = self.state();
        if failure.harms_endpoint() {
            state.breaker.fail(now, failure.retry_after());
        } else if failure != Failure::Busy {
            state.breaker.succeed();
        }
        self.metrics.serving.set(i64::from(state.breaker.is_closed()));
        if failure.voids_check() {
            state.checked = None;
        }
        self.tell(state, failure)
    }

    /// Takes note of a call of many questions that may have been too much at once. Whether the endpoint is at fault is
    /// found by the next request, before which a small one, for the chain id, must be answered again.
    fn note_doubt(&self, failure: Failure) -> Failure {
        self.metrics.count(failure.outcome());
        let mut state = self.state();
        state.checked = None;
        state.doubted_until = Some(Instant::now() + DOUBTED_FOR);
        self.tell(state, failure)
    }

    /// Has people hear of a failure if it is none of those that are answers, and another than before.
    fn tell(&self, mut state: MutexGuard<'_, State>, failure: Failure) -> Failure {
        if !failure.is_trouble() {
            return failure;
        }
        let is_news = state.trouble.as_ref().map(Failure::outcome) != Some(failure.outcome());
        state.trouble = Some(failure.clone());
        drop(state);
        if is_news && matches!(failure, Failure::WrongChain { .. } | Failure::WrongBlock) {
            error!(chain = %self.chain, endpoint = %self.name, %failure, "an endpoint answers wrongly");
        } else if is_news {
            warn!(chain = %self.chain, endpoint = %self.name, %failure, "an endpoint fails");
        }
        failure
    }

    /// Whether it is left out or its breaker is open.
    fn is_left_alone(&self) -> Result<(), Failure> {
        let now = Instant::now();
        let state = self.state();
        if state.left_out_until.is_some_and(|until| until > now) {
            return Err(Failure::LeftOut);
        }
        let rest = state.breaker.pause(now);
        if rest.is_zero() { Ok(()) } else { Err(state.left_alone(rest)) }
    }

    fn admit(&self) -> Result<Admitted<'_>, Failure> {
        let at = Instant::now();
        let mut state = self.state();
        state.breaker.admit(at).map_err(|rest| state.left_alone(rest))?;
        Ok(Admitted { endpoint: self, at })
    }

    /// The URL, once the chain id was found right there since the last failure.
    async fn checked_url(&self) -> Result<Url, Failure> {
        if let Some(url) = self.state().checked.clone() {
            return Ok(url);
        }
        let came_at = Instant::now();
        let mut turn = self.checking.lock().await;
        // Whoever had the turn before may have found out.
        if let Some(url) = self.state().checked.clone() {
            return Ok(url);
        }
        if let Some((failed_at, failure)) = &*turn
            && *failed_at >= came_at
        {
            return Err(failure.clone());
        }
        self.is_left_alone()?;
        let url = self.url.read().map_err(|error| self.note(Failure::NoUrl(error.to_string())))?;
        let is_ours = |value: &RawValue| match rpc::number(value)? {
            found if found == self.chain.get() => Ok(()),
            found => Err(Failure::WrongChain { found }),
        };
        let checked = self.send(&url, &Request::chain_id(), is_ours).await;
        *turn = checked.as_ref().err().map(|failure| (Instant::now(), failure.clone()));
        checked?;
        self.state().checked = Some(url.clone());
        Ok(url)
    }

    /// Waits until the rate limit lets a request go. Whoever goes away while waiting has taken nobody's place.
    async fn turn(&self) {
        let Some(pace) = &self.pace else { return };
        let mut pace = pace.lock().await;
        sleep(pace.wait(Instant::now())).await;
        pace.count(Instant::now());
    }

    async fn send<T>(
        &self,
        url: &Url,
        request: &Request,
        read: impl FnOnce(&RawValue) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if timeout(self.limits.request_timeout, self.turn()).await.is_err() {
            return Err(self.note(Failure::Busy));
        }
        let answer = {
            let _in_flight = self.metrics.begin();
            let mut timing =
                Timing { endpoint: self, is_heavy: request.is_heavy, started: Instant::now(), has_failed: false };
            let answer = rpc::post(&self.client, url, request, self.limits.request_timeout).await;
            timing.has_failed = answer.is_err();
            answer
        };
        let value = answer.and_then(|value| read(&value)).map_err(|failure| {
            if request.is_heavy && failure.is_ambiguous() { self.note_doubt(failure) } else { self.note(failure) }
        })?;
        self.metrics.count(ANSWERED);
        self.metrics.serving.set(1);
        let mut state = self.state();
        state.breaker.succeed();
        state.answered_at = Some(Instant::now());
        if request.is_heavy {
            state.doubted_until = None;
        }
        if !state.is_doubted()
            && let Some(trouble) = state.trouble.take()
        {
            drop(state);
            info!(chain = %self.chain, endpoint = %self.name, after = trouble.outcome(), "an endpoint answers again");
        }
        Ok(value)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way. What it took counts also if another endpoint was faster and nobody waits for this one any more:
/// otherwise one that fell silent would be asked first for ever, as quick as it was.
struct Timing<'a> {
    endpoint: &'a Endpoint,
    is_heavy: bool,
    started: Instant,
    /// Failing quickly is no merit.
    has_failed: bool,
}

impl Drop for Timing<'_> {
    fn drop(&mut self) {
        let taken = self.started.elapsed();
        self.endpoint.metrics.request_seconds.observe(taken.as_secs_f64());
        if self.has_failed {
            return;
        }
        let mut state = self.endpoint.state();
        let latencies = if self.is_heavy { &mut state.heavy } else { &mut state.light };
        latencies.add(taken);
    }
}

/// A request that the breaker let through.
struct Admitted<'a> {
    endpoint: &'a Endpoint,
    at: Instant,
}

impl Drop for Admitted<'_> {
    /// Nothing happens to one that ended: only one that was dropped before leaves the breaker waiting for it.
    fn drop(&mut self) {
        self.endpoint.state().breaker.give_up(self.at);
    }
}

impl State {
    fn is_doubted(&self) -> bool {
        self.doubted_until.is_some_and(|until| until > Instant::now())
    }

    fn left_alone(&self, rest: Duration) -> Failure {
        Failure::LeftAlone { rest, reason: self.trouble.as_ref().map_or(ANSWERED, Failure::outcome) }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("chain", &self.chain).field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::metrics::ChainsMetrics;

    /// An endpoint that accepts connections and answers nothing.
    fn silent(limits: EndpointLimits) -> (Endpoint, std::net::TcpListener) {
        // Only the first one is installed; they are all the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config = EndpointConfig {
            name: "silent".parse().unwrap(),
            url: SecretUrl::parse(&format!("http://{}", silent.local_addr().unwrap())).unwrap(),
            limits,
        };
        let metrics = ChainsMetrics::unregistered().endpoint(1, "silent");
        (Endpoint::new(ChainId::new(1).unwrap(), config, Client::new(), metrics), silent)
    }

    /// With those that went away counted, the last request would wait for minutes.
    #[tokio::test]
    async fn who_goes_away_leaves_the_rate_to_others() {
        let limits = EndpointLimits {
            requests_per_second: NonZeroU32::new(4),
            request_timeout: Duration::from_secs(60),
            ..EndpointLimits::default()
        };
        let (endpoint, _silent) = silent(limits);
        for _ in 0..100 {
            let _ = timeout(Duration::from_millis(1), endpoint.turn()).await;
        }
        timeout(Duration::from_secs(5), endpoint.turn()).await.unwrap();
    }

    #[tokio::test]
    async fn a_rate_limit_is_not_waited_for_longer_than_an_answer() {
        let limits = EndpointLimits {
            requests_per_second: NonZeroU32::new(1),
            request_timeout: Duration::from_millis(100),
            ..EndpointLimits::default()
        };
        let (endpoint, _silent) = silent(limits);
        endpoint.turn().await;
        endpoint.turn().await;
        let request = Request::finalized_block();
        let asked = endpoint.call(&request, |_| Ok(()));
        assert_eq!(timeout(Duration::from_secs(5), asked).await.unwrap(), Err(Failure::Busy));
    }

    /// Whoever was faster takes the answer, and the silent one must not stay as quick as it was.
    #[tokio::test]
    async fn requests_that_nobody_waits_for_any_more_count_as_slow() {
        let (endpoint, _silent) = silent(EndpointLimits::default());
        let unknown = endpoint.hedge_after(false);
        let request = Request::finalized_block();
        for _ in 0..8 {
            let asked = endpoint.call(&request, |_| Ok(()));
            timeout(Duration::from_millis(20), asked).await.unwrap_err();
        }
        assert_ne!(endpoint.hedge_after(false), unknown, "eight latencies are known");
        assert!(endpoint.hedge_after(false) >= Duration::from_millis(40));
    }
}
