//! Health: liveness, readiness and metrics over HTTP.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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

/// The process's health: ready when every check is and no shutdown was announced. Clones share it.
#[derive(Debug, Clone)]
pub struct Health {
    checks: Arc<Mutex<Checks>>,
    shutdown: Shutdown,
    metrics: Metrics,
}

/// By number, so that two checks may share a name: the name, and why it is not ready.
type Checks = BTreeMap<usize, (String, Option<String>)>;

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
        Self { checks: Arc::default(), shutdown, metrics }
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
            .route("/livez", get(async || "ok\n"))
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

fn lock(checks: &Mutex<Checks>) -> MutexGuard<'_, Checks> {
    checks.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn readyz(State(health): State<Health>) -> Response {
    let not_ready = health.not_ready();
    if not_ready.is_empty() {
        return "ok\n".into_response();
    }
    let mut body = "not ready\n".to_owned();
    for problem in not_ready {
        writeln!(body, "{problem}").expect("writing to a string cannot fail");
    }
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

async fn metrics(State(health): State<Health>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], health.metrics.encode()).into_response()
}
