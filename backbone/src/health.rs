//! Health: liveness, readiness and metrics over HTTP.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{shutdown::Shutdown, telemetry::Metrics};

/// What the metrics are written in.
const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why a check that nobody has touched yet is not ready.
const NOT_STARTED: &str = "starting";

/// The process's health: ready when every check is and no shutdown was announced, alive while every pulse beats. Clones
/// share it.
#[derive(Debug, Clone)]
pub struct Health {
    checks: Arc<Mutex<Checks>>,
    pulses: Arc<Mutex<Pulses>>,
    shutdown: Shutdown,
    metrics: Metrics,
}

/// By number, so that two checks may share a name: the name, and why it is not ready.
type Checks = BTreeMap<usize, (String, Option<String>)>;

/// By number, so that two pulses may share a name.
type Pulses = BTreeMap<usize, Beats>;

#[derive(Debug)]
struct Beats {
    name: String,
    limit: Duration,
    last: Instant,
}

/// One task's part of liveness: while it lives it has to beat, or the process is restarted.
#[derive(Debug)]
#[must_use = "a pulse that is dropped is no longer asked"]
pub struct Pulse {
    pulses: Arc<Mutex<Pulses>>,
    number: usize,
}

/// One component's part of readiness. It begins not ready.
#[derive(Debug)]
#[must_use = "a check that is dropped is no longer asked"]
pub struct Check {
    checks: Arc<Mutex<Checks>>,
    number: usize,
}

impl Health {
    /// Without checks a process is ready until its shutdown is announced.
    pub fn new(shutdown: Shutdown, metrics: Metrics) -> Self {
        Self { checks: Arc::default(), pulses: Arc::default(), shutdown, metrics }
    }

    /// Adds a pulse that has to beat at least every `limit`, from now on.
    pub fn pulse(&self, name: impl Into<String>, limit: Duration) -> Pulse {
        let mut pulses = lock(&self.pulses);
        let number = pulses.last_key_value().map_or(0, |(number, _)| number + 1);
        pulses.insert(number, Beats { name: name.into(), limit, last: Instant::now() });
        Pulse { pulses: self.pulses.clone(), number }
    }

    /// Which pulses have not beaten in time, one `name: since when` each; empty when all is alive.
    pub fn not_alive(&self) -> Vec<String> {
        self.not_alive_at(Instant::now())
    }

    fn not_alive_at(&self, now: Instant) -> Vec<String> {
        let pulses = lock(&self.pulses);
        let silent = pulses.values().map(|beats| (beats, now.saturating_duration_since(beats.last)));
        let dead = silent.filter(|(beats, silence)| *silence > beats.limit);
        dead.map(|(beats, silence)| format!("{}: no progress for {} s", beats.name, silence.as_secs())).collect()
    }

    /// Adds a check, not ready at first.
    pub fn check(&self, name: impl Into<String>) -> Check {
        let mut checks = lock(&self.checks);
        let number = checks.last_key_value().map_or(0, |(number, _)| number + 1);
        checks.insert(number, (name.into(), Some(NOT_STARTED.to_owned())));
        Check { checks: self.checks.clone(), number }
    }

    /// What is not ready and why, one `name: reason` each; empty when ready.
    pub fn not_ready(&self) -> Vec<String> {
        let shutdown = self.shutdown.is_announced().then(|| "shutdown: requested".to_owned());
        let checks = lock(&self.checks);
        let failing = checks.values().filter_map(|(name, reason)| reason.as_ref().map(|r| format!("{name}: {r}")));
        shutdown.into_iter().chain(failing).collect()
    }

    /// `/livez`, `/readyz` and `/metrics`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self.clone())
    }
}

impl Check {
    /// From here on this part is ready.
    pub fn set_ready(&self) {
        self.set(None);
    }

    /// From here on this part is not ready.
    pub fn set_not_ready(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    fn set(&self, reason: Option<String>) {
        if let Some(check) = lock(&self.checks).get_mut(&self.number) {
            check.1 = reason;
        }
    }
}

impl Drop for Check {
    /// A component that is gone is no longer waited for.
    fn drop(&mut self) {
        lock(&self.checks).remove(&self.number);
    }
}

impl Pulse {
    /// There was progress.
    pub fn beat(&self) {
        if let Some(beats) = lock(&self.pulses).get_mut(&self.number) {
            beats.last = Instant::now();
        }
    }
}

impl Drop for Pulse {
    /// A task that is gone is no longer waited for.
    fn drop(&mut self) {
        lock(&self.pulses).remove(&self.number);
    }
}

fn lock<T>(parts: &Mutex<T>) -> MutexGuard<'_, T> {
    parts.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn livez(State(health): State<Health>) -> Response {
    answer("not alive", health.not_alive())
}

async fn readyz(State(health): State<Health>) -> Response {
    answer("not ready", health.not_ready())
}

fn answer(verdict: &str, problems: Vec<String>) -> Response {
    if problems.is_empty() {
        return "ok\n".into_response();
    }
    let mut body = format!("{verdict}\n");
    for problem in problems {
        writeln!(body, "{problem}").expect("writing to a string cannot fail");
    }
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

async fn metrics(State(health): State<Health>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], health.metrics.encode()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_that_stands_still_is_named() {
        let health = Health::new(Shutdown::new(), Metrics::new());
        let (limit, second) = (Duration::from_secs(10), Duration::from_secs(1));
        let quick = health.pulse("quick", limit);
        let slow = health.pulse("slow", limit * 3);
        let now = Instant::now();
        assert!(health.not_alive_at(now + limit - second).is_empty());
        assert_eq!(health.not_alive_at(now + limit + second), ["quick: no progress for 11 s"]);
        quick.beat();
        assert_eq!(health.not_alive().len(), 0);
        assert_eq!(health.not_alive_at(now + limit * 4).len(), 2);
        drop(quick);
        assert_eq!(health.not_alive_at(now + limit * 4), ["slow: no progress for 40 s"]);
        drop(slow);
        assert!(health.not_alive_at(now + limit * 9).is_empty());
    }
}
