//! An operator that runs, and what tests write into the API server and read from there.

use std::{path::Path, time::Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use pnyx_backbone::{health::Health, shutdown::Shutdown, telemetry::Metrics};
use pnyx_operator::{OperatorConfig, OperatorError, Primary, observe::Books, run};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::support::{LOOK_INTERVAL, WAIT_MAX, client, until};

/// An operator that runs.
pub(crate) struct Operator {
    pub(crate) health: Health,
    pub(crate) shutdown: Shutdown,
    pub(crate) metrics: Metrics,
    pub(crate) books: Books,
    task: JoinHandle<Result<(), OperatorError>>,
    /// Where it keeps credentials.
    folder: TempDir,
}

impl Operator {
    /// One that knows what is decided from `books`.
    pub(crate) async fn start(kubeconfig: &Path, identity: &str, books: Books) -> Self {
        Self::start_with(kubeconfig, identity, books, |_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(
        kubeconfig: &Path,
        identity: &str,
        books: Books,
        change: impl FnOnce(&mut OperatorConfig),
    ) -> Self {
        let (shutdown, metrics) = (Shutdown::new(), Metrics::new());
        let health = Health::new(shutdown.clone(), metrics.clone());
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = OperatorConfig::new(identity, "default", folder.path());
        change(&mut config);
        let client = client(kubeconfig).await;
        let (for_run, stop, counted, read) = (health.clone(), shutdown.clone(), metrics.clone(), books.clone());
        let task = tokio::spawn(async move { run(config, client, &for_run, stop, &counted, read).await });
        let operator = Self { health, shutdown, metrics, books, task, folder };
        until("it is ready", || async { operator.health.not_ready().is_empty().then_some(()) }).await;
        operator
    }

    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        self.ended().await.expect("it ends well");
    }

    /// How it ends by itself. Whoever ended has no credentials any more.
    pub(crate) async fn ended(self) -> Result<(), OperatorError> {
        let ended = self.task.await.expect("it does not panic");
        assert_eq!(folders(&self.folder), 0, "credentials are left");
        ended
    }

    /// Of how many platforms it has credentials.
    pub(crate) fn credentials(&self) -> usize {
        folders(&self.folder)
    }

    /// What a metric's line says, such as `pnyx_operator_leads`.
    pub(crate) fn metric(&self, line: &str) -> Option<f64> {
        let text = self.metrics.encode();
        text.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
    }
}

fn folders(folder: &TempDir) -> usize {
    std::fs::read_dir(folder.path()).expect("it is there").count()
}

pub(crate) fn api(client: &Client, primary: Primary) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), "default", &primary.resource())
}

pub(crate) async fn create(client: &Client, primary: Primary, name: &str, spec: Value) {
    let object = DynamicObject::new(name, &primary.resource()).data(json!({"spec": spec}));
    api(client, primary).create(&PostParams::default(), &object).await.expect("the API server takes it");
}

/// Changes a resource's spec.
pub(crate) async fn change(client: &Client, primary: Primary, name: &str, spec: Value) {
    let patch = Patch::Merge(json!({"spec": spec}));
    api(client, primary).patch(name, &PatchParams::default(), &patch).await.expect("the API server takes it");
}

/// A condition as `status reason: message`, once `is_it` likes it.
pub(crate) async fn condition(
    client: &Client,
    primary: Primary,
    name: &str,
    kind: &str,
    is_it: impl Fn(&str) -> bool,
) -> String {
    let began = Instant::now();
    loop {
        let object = api(client, primary).get(name).await.expect("it is there");
        let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array).cloned();
        let found = conditions.into_iter().flatten().find(|condition| condition["type"] == kind).unwrap_or_default();
        let word = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        let text = format!("{} {}: {}", word("status"), word("reason"), word("message"));
        if is_it(&text) && !found.is_null() {
            return text;
        }
        let waited = began.elapsed();
        assert!(waited < WAIT_MAX, "{kind} of {name} says after {} s: {text}", waited.as_secs());
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

pub(crate) fn proposal_spec(opens_in: SignedDuration, lasts: SignedDuration) -> Value {
    let opens_at = Timestamp::from_second((Timestamp::now() + opens_in).as_second()).expect("a near time");
    json!({
        "space": "dao.eth", "title": "A vote", "body": "", "choices": ["yes", "no"],
        "voting": {"system": "SingleChoice"},
        "window": {"opensAt": opens_at.to_string(), "closesAt": (opens_at + lasts).to_string()},
        "power": {"strategies": [{"ticket": {"value": "1"}}]},
    })
}

pub(crate) async fn create_secret(client: &Client, key: &str) {
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "signing"}, "stringData": {key: "0x"}})).expect("a Secret");
    Api::namespaced(client.clone(), "default").create(&PostParams::default(), &secret).await.expect("it is new");
}
