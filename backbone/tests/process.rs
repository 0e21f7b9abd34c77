//! What keeps a process honest: its shutdown and its health.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::{future::pending, io, time::Duration};

use axum::{body::Body, http::Request};
use pnyx_backbone::{
    health::Health,
    shutdown::{DrainError, Shutdown},
    telemetry::Metrics,
};
use prometheus_client::metrics::counter::Counter;
use tower::ServiceExt as _;

/// Far more than any step of these tests takes: reaching it means that something hangs.
const HANG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn every_task_hears_the_signal_and_is_waited_for() {
    let shutdown = Shutdown::new();
    for _ in 0..2 {
        let heard = shutdown.clone();
        shutdown.spawn("worker", async move { heard.requested().await });
    }
    shutdown.spawn("done early", async { Ok::<_, io::Error>(()) });
    assert!(!shutdown.is_requested());
    shutdown.trigger();
    shutdown.drained(HANG).await.unwrap();
}

#[tokio::test]
async fn a_failing_task_brings_the_process_down() {
    let shutdown = Shutdown::new();
    let heard = shutdown.clone();
    shutdown.spawn("other", async move { heard.requested().await });
    shutdown.spawn("verifier", async { Err::<(), _>(io::Error::other("disk full")) });
    let error = shutdown.drained(HANG).await.unwrap_err();
    assert_eq!(error.to_string(), "verifier failed: disk full");
}

#[tokio::test]
async fn a_panicking_task_brings_the_process_down() {
    let shutdown = Shutdown::new();
    let lane = std::process::id();
    shutdown.spawn("tally", async move {
        assert_eq!(lane, 0, "no such lane");
    });
    let error = shutdown.drained(HANG).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("tally failed: panicked: ") && text.contains("no such lane"), "{text}");
}

#[tokio::test]
async fn a_task_that_does_not_end_is_named() {
    let shutdown = Shutdown::new();
    shutdown.spawn("deaf", async { pending::<()>().await });
    shutdown.trigger();
    let error = shutdown.drained(Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(&error, DrainError::TimedOut { tasks, .. } if tasks == &["deaf"]), "{error}");
}

async fn get(health: &Health, path: &str) -> (u16, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = health.router().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 100_000).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn readiness_lists_what_is_missing() {
    let (shutdown, metrics) = (Shutdown::new(), Metrics::new());
    let counter = metrics.register(|registry| {
        let counter: Counter = Counter::default();
        registry.register("ballots", "Ballots", counter.clone());
        counter
    });
    counter.inc();
    let health = Health::new(shutdown.clone(), metrics);
    let (log, tally) = (health.check("log"), health.check("tally"));
    assert_eq!(get(&health, "/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(get(&health, "/readyz").await, (503, "not ready\nlog: starting\ntally: starting\n".to_owned()));
    log.set_ready();
    tally.set_not_ready("lane 3 is behind");
    assert_eq!(get(&health, "/readyz").await, (503, "not ready\ntally: lane 3 is behind\n".to_owned()));
    tally.set_ready();
    assert_eq!(get(&health, "/readyz").await, (200, "ok\n".to_owned()));
    shutdown.trigger();
    assert_eq!(get(&health, "/readyz").await, (503, "not ready\nshutdown: requested\n".to_owned()));
    assert_eq!(get(&health, "/livez").await.0, 200);
    let (status, text) = get(&health, "/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("pnyx_ballots_total 1"), "{text}");
}
