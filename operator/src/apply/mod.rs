//! The only writer (but for the lease): carries out what a plan says, and chooses nothing.
//!
//! Everything is applied on the server's side, each concern under a field manager of its own: children, replicas, status.
//! Finalizers alone are patched, because they are one list with those of others.
//! Before each call it is asked whether this process still leads, and each call has a time-out.

mod error;

pub use error::ApplyError;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
    core::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};

use crate::{
    events::{EventLog, Regarding},
    kinds::{ChildKind, Key, ObjectKey},
    lease::{LEASE_DURATION, Leadership, RENEW_DEADLINE},
    log::Logs,
    metrics::{OperatorMetrics, Verb},
    plan::{Child, Effect, Note, OWNER_LABEL, Owner, field_manager},
    watch::Triggers,
};

/// Longest that one call may take. No longer than from the moment at which a leader starts no more writes to the one at
/// which another may lead: what it started before has ended by then.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

const _: () = assert!(CALL_TIMEOUT.as_secs() <= LEASE_DURATION.as_secs() - RENEW_DEADLINE.as_secs());

/// Carries out plans. Clones share everything.
#[derive(Clone)]
pub struct Applier {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    leadership: Leadership,
    /// Are told at once what was written.
    triggers: Triggers,
    logs: Logs,
    events: EventLog,
    metrics: OperatorMetrics,
}

impl Applier {
    /// Writes as whom `leadership` names, while it leads.
    pub fn new(
        client: Client,
        leadership: Leadership,
        triggers: Triggers,
        logs: Logs,
        metrics: OperatorMetrics,
    ) -> Self {
        let events = EventLog::new(leadership.identity());
        Self { inner: Arc::new(Inner { client, leadership, triggers, logs, events, metrics }) }
    }

    /// Carries out all effects in their order. One that fails does not keep the others from being tried, because they may
    /// be what mends it; the first failure is returned.
    ///
    /// # Errors
    /// If an effect failed. When this process no longer leads, nothing after it is tried.
    pub async fn carry_out(&self, owner: &Owner, effects: Vec<Effect>) -> Result<(), ApplyError> {
        let mut first = Ok(());
        for effect in effects {
            let Err(error) = self.carry_out_one(owner, &effect).await else { continue };
            if matches!(error, ApplyError::NotLeading(_)) {
                return Err(error);
            }
            let error = ApplyError::Effect { effect: effect.to_string(), source: Box::new(error) };
            if first.is_ok() {
                first = Err(error);
            }
        }
        first
    }

    async fn carry_out_one(&self, owner: &Owner, effect: &Effect) -> Result<(), ApplyError> {
        match effect {
            Effect::Create(child) => {
                self.refuse_foreign(owner, child).await?;
                self.apply_child(child, &child.first_object()).await
            }
            Effect::Update(child) => self.apply_child(child, child.object()).await,
            Effect::Scale { kind, key, from: _, to } => self.scale(*kind, key, *to).await,
            Effect::Delete { kind, key, uid } => self.delete(*kind, key, uid).await,
            Effect::Finalizers { finalizers, version } => self.set_finalizers(owner.key(), finalizers, version).await,
            Effect::Log(write) => {
                self.inner.logs.write(write, &self.inner.leadership).await?;
                Ok(())
            }
            Effect::Note(note) => {
                self.note(owner, note).await;
                Ok(())
            }
        }
    }

    /// Writes a resource's status. Whoever calls knows that it differs.
    ///
    /// # Errors
    /// If the API server refuses or does not answer in time, or this process does not lead.
    pub async fn write_status(&self, owner: &Owner, status: &Value) -> Result<(), ApplyError> {
        let (key, resource) = (owner.key(), owner.key().primary.resource());
        let body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            // One that was made since under the same name is another vote.
            "metadata": {"name": key.object.name, "uid": owner.uid()},
            "status": status,
        });
        let params = PatchParams::apply(field_manager::STATUS).force();
        let api = self.api(&resource, &key.object);
        let patch = Patch::Apply(&body);
        let write = Write { verb: Verb::Status, kind: key.primary.kind(), key: &key.object };
        let written = self.write(write, api.patch_status(&key.object.name, &params, &patch)).await?;
        self.inner.triggers.primary_written(key.primary, written);
        Ok(())
    }

    /// Tells people about a resource. What cannot be told is no reason for anything to fail.
    pub async fn note(&self, owner: &Owner, note: &Note) {
        let inner = &self.inner;
        let regarding = Regarding::new(owner);
        let Some(event) = inner.events.event(&regarding, note, jiff::Timestamp::now()) else { return };
        let api = Api::namespaced(inner.client.clone(), &owner.key().object.namespace);
        let write = Write { verb: Verb::Created, kind: "Event", key: &owner.key().object };
        if let Err(error) = self.write(write, api.create(&PostParams::default(), &event)).await {
            inner.events.forget(&regarding, note);
            let (object, error) = (owner.key().to_string(), pnyx_backbone::telemetry::chain(&error));
            tracing::warn!(object, reason = note.reason, error, "event not written");
        }
    }

    /// Something of that name that is not ours is left alone, whoever made it.
    async fn refuse_foreign(&self, owner: &Owner, child: &Child) -> Result<(), ApplyError> {
        let api = self.api(&child.kind().resource(), child.key());
        self.inner.leadership.check()?;
        let found = in_time(api.get_metadata_opt(&child.key().name)).await?;
        let Some(found) = found else { return Ok(()) };
        let labels = found.metadata.labels.unwrap_or_default();
        if labels.get(OWNER_LABEL).map(String::as_str) == Some(owner.uid()) {
            return Ok(());
        }
        Err(ApplyError::Foreign { kind: child.kind().kind(), key: child.key().clone() })
    }

    async fn apply_child(&self, child: &Child, object: &Value) -> Result<(), ApplyError> {
        let params = PatchParams::apply(field_manager::CHILDREN).force();
        let api = self.api(&child.kind().resource(), child.key());
        let patch = Patch::Apply(object);
        let write = Write { verb: Verb::Applied, kind: child.kind().kind(), key: child.key() };
        let written = self.write(write, api.patch(&child.key().name, &params, &patch)).await?;
        self.inner.triggers.child_written(child.kind(), written);
        Ok(())
    }

    async fn scale(&self, kind: ChildKind, key: &ObjectKey, replicas: i64) -> Result<(), ApplyError> {
        let resource = kind.resource();
        let body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": key.name},
            "spec": {"replicas": replicas},
        });
        let params = PatchParams::apply(field_manager::SCALING).force();
        let api = self.api(&resource, key);
        let patch = Patch::Apply(&body);
        let write = Write { verb: Verb::Scaled, kind: kind.kind(), key };
        let written = self.write(write, api.patch(&key.name, &params, &patch)).await?;
        self.inner.triggers.child_written(kind, written);
        Ok(())
    }

    async fn delete(&self, kind: ChildKind, key: &ObjectKey, uid: &str) -> Result<(), ApplyError> {
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let api = self.api(&kind.resource(), key);
        let write = Write { verb: Verb::Deleted, kind: kind.kind(), key };
        match self.write(write, api.delete(&key.name, &params)).await {
            Ok(_) => {}
            // Somebody was faster, or it is another object already.
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Names the version that was seen, so that finalizers of others are never lost. What changed meanwhile, or is gone, is
    /// seen by the next look.
    async fn set_finalizers(&self, key: &Key, finalizers: &[String], version: &str) -> Result<(), ApplyError> {
        let body = json!({"metadata": {"finalizers": finalizers, "resourceVersion": version}});
        let params =
            PatchParams { field_manager: Some(field_manager::FINALIZERS.to_owned()), ..PatchParams::default() };
        let api = self.api(&key.primary.resource(), &key.object);
        let patch = Patch::Merge(&body);
        let write = Write { verb: Verb::Finalizers, kind: key.primary.kind(), key: &key.object };
        match self.write(write, api.patch(&key.object.name, &params, &patch)).await {
            Ok(written) => {
                // One that goes with its last finalizer would come back here, after the watch had said that it is gone.
                let is_going = written.metadata.deletion_timestamp.is_some();
                if !is_going {
                    self.inner.triggers.primary_written(key.primary, written);
                }
            }
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn api(&self, resource: &ApiResource, key: &ObjectKey) -> Api<DynamicObject> {
        Api::namespaced_with(self.inner.client.clone(), &key.namespace, resource)
    }

    /// One write, if this process leads at this moment.
    async fn write<T>(&self, write: Write<'_>, call: impl Future<Output = kube::Result<T>>) -> Result<T, ApplyError> {
        // Nothing is sent before it is polled below.
        self.inner.leadership.begin(&write)?;
        let written = in_time(call).await?;
        self.inner.metrics.wrote(write.kind, write.verb);
        Ok(written)
    }
}

async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ApplyError> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(answer) => answer.map_err(|error| ApplyError::Refused(Box::new(error))),
        Err(_) => Err(ApplyError::TimedOut),
    }
}

/// One write to the Kubernetes API, as it is told and counted.
#[derive(Clone, Copy)]
struct Write<'a> {
    verb: Verb,
    kind: &'static str,
    /// What is written; of an Event, what it is about.
    key: &'a ObjectKey,
}

impl fmt::Display for Write<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.verb.label(), self.kind, self.key)
    }
}
