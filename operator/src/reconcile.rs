//! One look at one resource: observe, validate, plan, build, apply, status. Every look starts from what is there now, so a
//! look that was missed, cut off or done twice harms nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{Api, Client, core::DynamicObject};
use pnyx_backbone::telemetry;
use pnyx_core::scaling::Remembered;
use pnyx_crds::{
    GovernancePlatform, GovernanceProposal,
    conditions::{platform as platform_types, proposal as proposal_types, reasons},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tracing::{debug, error, info, warn};

use crate::{
    apply::{Applier, ApplyError},
    build::{self, ProposalSize},
    clock::since_epoch,
    kinds::{Key, Primary},
    log::{LogState, LogTarget, Logs, SecretValues},
    metrics::{Looked, OperatorMetrics},
    observe::{self, Caches, MissingSecrets, PlatformObserved, ProposalObserved, Seen, TopicsSeen},
    plan::{
        self, ChildError, Effect, Histories, JobsWanted, Note, NoteKind, Owner, Plan, ProposalScaling, ScalingFacts,
    },
    status::{self, Conditions, Said},
    validate::{self, OwnImage, ValidatedProposal},
    watch::Backoff,
};

/// First pause after a look that failed.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// Longest pause after looks that failed: what was mended elsewhere is seen within this.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Between two looks at a resource that cannot be read; a change of it is seen at once.
const UNREADABLE_AGAIN: Duration = Duration::from_secs(600);

/// Between two looks at a proposal whose log is being opened.
const LOG_AGAIN: Duration = Duration::from_secs(1);

/// Longest that one look may take: a worker that hangs is not lost for the others.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// From how many others a new proposal learns: each remembers as many starts as one needs.
const LEARNT_FROM_MAX: usize = 32;

/// Longest that one question about a Secret may take.
const SECRET_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks at resources. Clones share everything.
#[derive(Clone)]
pub(crate) struct Reconciler {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    caches: Caches,
    logs: Logs,
    applier: Applier,
    image: OwnImage,
    metrics: OperatorMetrics,
    /// Longest that a deletion waits.
    deletion_limit: Duration,
    memory: Mutex<Memory>,
}

/// What is remembered from look to look, and may be lost.
#[derive(Default)]
struct Memory {
    retries: BTreeMap<Key, Backoff>,
    unreadable: BTreeSet<Key>,
    histories: Histories,
}

/// What is there of the Secrets that a platform names.
struct SecretsSeen {
    missing: MissingSecrets,
    /// Of those that its log is opened with; what else is secret is not kept here.
    values: SecretValues,
}

/// What a look came to.
struct Look {
    outcome: Looked,
    again: Option<Duration>,
}

impl Reconciler {
    pub(crate) fn new(
        client: Client,
        caches: Caches,
        logs: Logs,
        applier: Applier,
        image: OwnImage,
        metrics: OperatorMetrics,
        deletion_limit: Duration,
    ) -> Self {
        let memory = Mutex::default();
        Self { inner: Arc::new(Inner { client, caches, logs, applier, image, metrics, deletion_limit, memory }) }
    }

    /// Looks at one resource. Says after what time to look again.
    pub(crate) async fn look(&self, key: Key) -> Option<Duration> {
        let began = Instant::now();
        let looked = match tokio::time::timeout(LOOK_TIMEOUT, self.look_once(&key)).await {
            Ok(looked) => looked,
            Err(_) => {
                warn!(%key, limit_s = LOOK_TIMEOUT.as_secs(), "a look took too long");
                Look { outcome: Looked::Failed, again: None }
            }
        };
        self.inner.metrics.looked(key.primary, looked.outcome, began.elapsed());
        match looked.outcome {
            Looked::Done | Looked::Refused => {
                self.memory(|memory| memory.retries.remove(&key));
                looked.again
            }
            Looked::Failed => {
                let pause = self.memory(|memory| {
                    let new = || Backoff::new(RETRY_FIRST, RETRY_MAX, &key);
                    memory.retries.entry(key.clone()).or_insert_with(new).next_pause()
                });
                // One thing that fails does not make the rest wait for longer than it would.
                Some(pause.min(looked.again.unwrap_or(RETRY_MAX)))
            }
        }
    }

    async fn look_once(&self, key: &Key) -> Look {
        let object = self.inner.caches.primary(key);
        let Some(object) = object else {
            // Its children go with it: they are its own.
            debug!(%key, "gone");
            self.memory(|memory| memory.histories.forget(key));
            // Of proposals that are being deleted something may have to be removed there.
            let is_needed = || self.inner.caches.proposals_of(&key.object).iter().any(|proposal| proposal.is_leaving);
            match key.primary {
                Primary::Platform if is_needed() => {}
                Primary::Platform => self.inner.logs.forget(&key.object),
                Primary::Proposal => self.inner.metrics.scaling.forget(&key.object),
            }
            self.note_readable(key);
            return Look { outcome: Looked::Done, again: None };
        };
        match key.primary {
            Primary::Platform => match observe::read::<GovernancePlatform>(key, &object) {
                Ok(seen) => {
                    self.note_readable(key);
                    Box::pin(self.platform(&object, seen)).await
                }
                Err(problem) => self.unreadable(key, &object, &problem, platform_types::ALL).await,
            },
            Primary::Proposal => match observe::read::<GovernanceProposal>(key, &object) {
                Ok(seen) => {
                    self.note_readable(key);
                    Box::pin(self.proposal(&object, seen)).await
                }
                Err(problem) => self.unreadable(key, &object, &problem, proposal_types::ALL).await,
            },
        }
    }

    async fn platform(&self, object: &DynamicObject, seen: Seen<GovernancePlatform>) -> Look {
        let caches = &self.inner.caches;
        let secrets = self.secrets(&seen).await;
        let (missing, values) = secrets.map_or((None, None), |secrets| (Some(secrets.missing), Some(secrets.values)));
        let platform = seen.owner.key().object.clone();
        let validated = validate::platform(seen.resource.clone(), &self.inner.image, missing.as_ref());
        if let (Ok(validated), Some(values)) = (&validated, &values)
            && let Some(target) = LogTarget::new(&validated.parts().kafka, values)
        {
            self.inner.logs.follow(&platform, target, validated.parts().archive.is_outside_log());
        }
        let observed = PlatformObserved {
            children: caches.children_of(&seen.owner),
            proposals: caches.proposals_of(&platform),
            seen,
            secrets: missing,
            log: self.inner.logs.state(&platform),
        };
        let (owner, now) = (&observed.seen.owner, Timestamp::now());
        let scaling = validated.as_ref().ok().map(|validated| {
            self.memory(|memory| {
                let demands = memory.histories.demands(&observed.proposals, now);
                let history = memory.histories.platform(&platform);
                plan::platform_scaling(validated, &observed.children, &demands, history, since_epoch(now))
            })
        });
        let size = scaling.as_ref().map(|scaling| scaling.size).unwrap_or_default();
        let children = match validated.as_ref().map(|platform| build::platform(owner, platform, size)) {
            Ok(Ok(children)) => children,
            Ok(Err(error)) => return unbuilt(owner, &error),
            // What is there of a platform that is refused now stays as it is.
            Err(_) => Vec::new(),
        };
        let plan = plan::platform(&observed, validated.as_ref(), children, scaling.as_ref(), now);
        let outcome = if validated.is_ok() { Looked::Done } else { Looked::Refused };
        let look = self.carry_out(object, owner, plan, outcome, |status| &mut status.conditions).await;
        if let Some(scaling) = scaling.filter(|_| look.outcome == Looked::Done && !observed.seen.resource.spec.paused) {
            self.memory(|memory| memory.histories.platform(&platform).applied(&scaling));
        }
        look
    }

    async fn proposal(&self, object: &DynamicObject, seen: Seen<GovernanceProposal>) -> Look {
        let before = status::read(object).unwrap_or_default();
        let observed = self.inner.caches.proposal(seen, before);
        let seen = &observed.seen;
        if self.is_log_opening(&observed) {
            debug!(key = %seen.owner.key(), "its log is being opened");
            return Look { outcome: Looked::Done, again: Some(LOG_AGAIN) };
        }
        let now = Timestamp::now();
        let validated = validate::proposal(&observed, &self.inner.image, now);
        let id = validated.as_ref().ok().map(|proposal| proposal.proposal().id());
        // One that is being deleted has to be known even where it can no longer be run.
        let id = id.or_else(|| observed.status_id().filter(|_| seen.is_deleted));
        let topics = id.map(|id| self.inner.logs.topics(&observed.platform_key(), id)).unwrap_or_default();
        let decisions = id.and_then(|id| observed.book.as_ref()?.get(id));
        let scaling = validated.as_ref().ok().filter(|validated| validated.is_defined());
        let scaling = scaling.map(|validated| self.proposal_scaling(object, &observed, validated, &topics, now));
        let children = match validated.as_ref().map(|proposal| {
            if plan::is_tried_first(proposal) {
                return build::trial(&seen.owner, proposal, &seen.resource.spec);
            }
            // Of topics that are gone nothing can be stored any more.
            let keeps_archives = proposal.platform().parts().archive.is_outside_log() && !topics.are_removed;
            let JobsWanted { pins, recounts } =
                plan::jobs_wanted(decisions, &observed.children, keeps_archives, since_epoch(now));
            let shards = scaling.as_ref().map_or(0, |scaling| scaling.shards);
            build::proposal(&seen.owner, proposal, ProposalSize { shards, pins, recounts })
        }) {
            Ok(Ok(children)) => children,
            Ok(Err(error)) => return unbuilt(&seen.owner, &error),
            // What is there of a proposal that is refused now stays as it is.
            Err(_) => Vec::new(),
        };
        let deletion = plan::deletion(&observed, id, &topics, self.inner.deletion_limit, now);
        let may_act = !observed.is_paused() && deletion.keeps_running();
        let plan = plan::proposal(&observed, validated.as_ref(), children, &topics, scaling.as_ref(), &deletion, now);
        let outcome = if validated.is_ok() { Looked::Done } else { Looked::Refused };
        let look = self.carry_out(object, &seen.owner, plan, outcome, |status| &mut status.conditions).await;
        if let Some(scaling) = scaling.filter(|_| look.outcome == Looked::Done && may_act) {
            let applied = |memory: &mut Memory| {
                let history = memory.histories.proposal(&seen.owner, Remembered::default, since_epoch(now));
                history.applied(&scaling.plan);
            };
            self.memory(applied);
        }
        look
    }

    /// Whether what its log says will be known in a moment: until then nothing is said that would be taken back.
    fn is_log_opening(&self, observed: &ProposalObserved) -> bool {
        if observed.book.is_some() {
            return false;
        }
        match self.inner.logs.state(&observed.platform_key()) {
            Some(state) => state == LogState::Opening,
            // Its platform was not looked at yet.
            None => observed.is_platform_true(platform_types::KAFKA_READY),
        }
    }

    /// Plans how a proposal is scaled. A new one begins with what the others of its platform have learnt.
    fn proposal_scaling(
        &self,
        object: &DynamicObject,
        observed: &ProposalObserved,
        validated: &ValidatedProposal,
        topics: &TopicsSeen,
        now: Timestamp,
    ) -> ProposalScaling {
        let (seen, at) = (&observed.seen, since_epoch(now));
        let remembered = || {
            plan::remembered_of(object).unwrap_or_else(|| {
                let platform = observed.platform_key();
                let others = self.inner.caches.objects_of(&platform);
                let others = others.filter_map(|other| plan::remembered_of(&other)).take(LEARNT_FROM_MAX);
                let others: Vec<_> = others.collect();
                Remembered::of_others(&others, at)
            })
        };
        let decisions = observed.book.as_ref().and_then(|book| book.get(validated.proposal().id()));
        let lanes = decisions.map_or(1, |decisions| decisions.definition.lanes());
        let conditions = &seen.conditions;
        let facts = ScalingFacts {
            validated,
            children: &observed.children,
            topics,
            before: observed.before.scaling.as_ref(),
            conditions,
        };
        let scaling = self.memory(|memory| {
            let history = memory.histories.proposal(&seen.owner, remembered, at);
            history.see(&observed.children, topics, at);
            let scaling = plan::proposal_scaling(&facts, history, at);
            history.demand(validated.scaling(), &scaling.plan, lanes);
            scaling
        });
        self.inner.metrics.scaling.decided(&seen.owner.key().object, &scaling.plan);
        scaling
    }

    /// Carries out a plan and then says how things are, whether or not it could be carried out.
    async fn carry_out<S: Serialize + DeserializeOwned + PartialEq>(
        &self,
        object: &DynamicObject,
        owner: &Owner,
        plan: Plan<S>,
        outcome: Looked,
        listed: impl Fn(&mut S) -> &mut Vec<Condition>,
    ) -> Look {
        let Plan { effects, mut conditions, mut status, again } = plan;
        let applier = &self.inner.applier;
        for effect in &effects {
            debug!(key = %owner.key(), %effect, "planned");
        }
        let carried = applier.carry_out(owner, effects).await;
        if let Err(ApplyError::NotLeading(reason)) = &carried {
            info!(key = %owner.key(), %reason, "no write is started");
            return Look { outcome: Looked::Failed, again: None };
        }
        if let Err(error) = &carried {
            let message = telemetry::chain(error);
            warn!(key = %owner.key(), error = message, "not everything could be written");
            let note =
                Note { kind: NoteKind::Warning, reason: error.reason(), action: "Apply", message: message.clone() };
            applier.note(owner, &note).await;
            // Whatever else is so: what should have been written was not.
            conditions.set(proposal_types::READY, Said::new(false, error.reason(), message));
        }
        let before = status::conditions_of(object);
        *listed(&mut status) = conditions.into_list(&before, object.metadata.generation, Timestamp::now());
        let said = self.say(owner, object, &status).await;
        let outcome = if carried.is_ok() && said.is_ok() { outcome } else { Looked::Failed };
        Look { outcome, again }
    }

    /// Writes a status that says something new.
    async fn say<S: Serialize + DeserializeOwned + PartialEq>(
        &self,
        owner: &Owner,
        object: &DynamicObject,
        status: &S,
    ) -> Result<(), ()> {
        let Some(written) = status::difference(object, status) else { return Ok(()) };
        match self.inner.applier.write_status(owner, &written).await {
            Ok(()) => Ok(()),
            // It was deleted meanwhile, so there is nobody to say it to.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => {
                warn!(key = %owner.key(), error = telemetry::chain(&error), "status not written");
                Err(())
            }
        }
    }

    /// A resource that cannot be read is left alone, and says so itself.
    async fn unreadable(
        &self,
        key: &Key,
        object: &DynamicObject,
        problem: &str,
        types: &'static [&'static str],
    ) -> Look {
        if self.memory(|memory| memory.unreadable.insert(key.clone())) {
            warn!(%key, problem, "cannot be read, left alone");
        }
        self.count(key.primary);
        let message = format!("this version of the operator cannot read it: {problem}");
        let owner = Owner::new(key.clone(), object.metadata.uid.clone().unwrap_or_default());
        let note = Note { kind: NoteKind::Warning, reason: reasons::INVALID, action: "Read", message: message.clone() };
        // Nobody could ever say that it is drained.
        let released = plan::release(&object.metadata).filter(|_| object.metadata.deletion_timestamp.is_some());
        let effects = [Effect::Note(note)].into_iter().chain(released).collect();
        let carried = self.inner.applier.carry_out(&owner, effects).await;
        if let Err(error) = &carried {
            warn!(%key, error = telemetry::chain(error), "its deletion still waits");
        }
        let before = status::conditions_of(object);
        let mut conditions = Conditions::unknown(types, reasons::NOT_OBSERVED);
        // What another version knew stays: voters may have signed what was accepted.
        conditions.keep(&before, types);
        // Both resources have these two.
        if !conditions.is_true(proposal_types::ACCEPTED) {
            conditions.set(proposal_types::ACCEPTED, Said::new(false, reasons::INVALID, &message));
        }
        conditions.set(proposal_types::READY, Said::new(false, reasons::INVALID, &message));
        let generation = object.metadata.generation;
        let listed = conditions.into_list(&before, generation, Timestamp::now());
        let mut status =
            object.data.get("status").filter(|status| status.is_object()).cloned().unwrap_or_else(|| json!({}));
        status["observedGeneration"] = json!(generation);
        status["conditions"] = json!(listed);
        let said = self.say(&owner, object, &status).await;
        let outcome = if carried.is_ok() && said.is_ok() { Looked::Refused } else { Looked::Failed };
        Look { outcome, again: Some(UNREADABLE_AGAIN) }
    }

    /// What is there of the Secrets that a platform names; nothing if that cannot be known now.
    async fn secrets(&self, platform: &Seen<GovernancePlatform>) -> Option<SecretsSeen> {
        let wanted = observe::secret_references(&platform.resource.spec);
        let read = observe::log_secret_references(&platform.resource.spec);
        let mut values = SecretValues::new();
        let namespace = &platform.owner.key().object.namespace;
        let api: Api<Secret> = Api::namespaced(self.inner.client.clone(), namespace);
        let mut there = BTreeMap::new();
        for name in wanted.keys() {
            match tokio::time::timeout(SECRET_TIMEOUT, api.get_opt(name)).await {
                Ok(Ok(Some(secret))) => {
                    let data = secret.data.unwrap_or_default();
                    for key in read.get(name).into_iter().flatten() {
                        let value = data.get(key).map(|value| value.0.clone());
                        values.extend(value.map(|value| ((name.clone(), key.clone()), value)));
                    }
                    there.insert(name.clone(), data.into_keys().collect());
                }
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    warn!(key = %platform.owner.key(), secret = name, error = telemetry::chain(&error), "Secret cannot be read");
                    return None;
                }
                Err(_) => return None,
            }
        }
        Some(SecretsSeen { missing: observe::missing(&wanted, &there), values })
    }

    /// It can be read, or is gone.
    fn note_readable(&self, key: &Key) {
        self.memory(|memory| memory.unreadable.remove(key));
        self.count(key.primary);
    }

    fn count(&self, primary: Primary) {
        let known = self.inner.caches.primaries.get(&primary).map_or(0, crate::watch::Cache::len);
        let unreadable = self.memory(|memory| memory.unreadable.iter().filter(|key| key.primary == primary).count());
        self.inner.metrics.set_resources(primary, known, unreadable);
    }

    fn memory<T>(&self, use_it: impl FnOnce(&mut Memory) -> T) -> T {
        use_it(&mut self.inner.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A builder made something that is nobody's child. That is a mistake of this program: it is said, and tried again.
fn unbuilt(owner: &Owner, error: &ChildError) -> Look {
    error!(key = %owner.key(), error = telemetry::chain(error), "a child cannot be built");
    Look { outcome: Looked::Failed, again: None }
}
