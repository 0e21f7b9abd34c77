//! Starts the parts of the operator and ends them in order: watches fill the caches, the elector waits for the lease, and
//! whoever has it looks at what is due.

use std::time::Duration;

use kube::{Api, Client, core::DynamicObject};
use pnyx_backbone::{health::Health, shutdown::Shutdown, telemetry::Metrics};
use tokio::{sync::watch, task::JoinSet};
use tracing::info;

use crate::{
    apply::Applier,
    config::{OperatorConfig, Scope},
    error::OperatorError,
    kinds::{ChildKind, Key, Primary},
    lease::{Elector, Leadership},
    log::Logs,
    metrics::OperatorMetrics,
    observe::{Books, Caches, Decided},
    plan::{MANAGED_BY, MANAGED_BY_LABEL},
    reconcile::Reconciler,
    tallies::Tallies,
    watch::{Cache, Change, PROGRESS_LIMIT, Triggers, Watch, WorkQueue},
};

/// How often the gauges of waiting work and leadership are set.
const GAUGES_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the operator until the shutdown: then ends what is in hand and gives the lease back. What is decided it reads
/// in the log of each platform, and puts it into `books`; what stands there already it takes for read.
///
/// # Errors
/// When the lease is lost or a part of the operator ends that must not. The process has to end then: another may lead.
pub async fn run(
    config: OperatorConfig,
    client: Client,
    health: &Health,
    shutdown: Shutdown,
    metrics: &Metrics,
    books: Books,
) -> Result<(), OperatorError> {
    let OperatorConfig { identity, lease_namespace, lease_name, scope, workers, image, deletion_limit, folder } =
        config;
    let metrics = metrics.register(OperatorMetrics::register);
    let leadership = Leadership::new(identity);
    let mut decided = books.changes();
    let (caches, queue) = (Caches { books: books.clone(), ..Caches::new() }, WorkQueue::new());
    let logs = Logs::new(books, folder, queue.clone());
    // However this ends: who lost the lease, or fails, keeps no credentials of others.
    let _abandoned = Abandoned(logs.clone());
    let watching = Watching { client: &client, scope: &scope, health, shutdown: &shutdown, metrics: &metrics };
    let triggers = Triggers::new(caches.clone(), queue.clone());
    let (mut watches, synced) = watching.start(&caches, &triggers);
    let applier = Applier::new(client.clone(), leadership.clone(), triggers, logs.clone(), metrics.clone());
    let reconciler =
        Reconciler::new(client.clone(), caches.clone(), logs.clone(), applier, image, metrics.clone(), deletion_limit);
    let tallies = Tallies::new(caches.clone()).map_err(OperatorError::Http)?;
    let mut elector = Elector::new(client, &lease_namespace, lease_name, leadership.clone());
    let looking = look_at_all(queue.clone(), reconciler, tallies, workers.get(), shutdown.clone());
    let working = lead(looking, synced, health, leadership.clone(), shutdown.clone());
    let mut working = std::pin::pin!(working);
    let mut gauges = tokio::time::interval(GAUGES_INTERVAL);
    let mut has_worked = false;
    // Here the borrow of the elector's loop ends before it is asked to hold on.
    {
        let mut electing = std::pin::pin!(elector.run(&shutdown));
        loop {
            tokio::select! {
                ended = &mut electing => break ended?,
                () = &mut working, if !has_worked => has_worked = true,
                Some(ended) = watches.join_next() => note_watch_end(ended, &shutdown)?,
                decided = decided.next() => note_decided(decided, &caches, &queue),
                _ = gauges.tick() => {
                    metrics.waiting.set(i64::try_from(queue.overdue()).unwrap_or(i64::MAX));
                    metrics.leads.set(i64::from(leadership.check().is_ok()));
                }
            }
        }
    }
    if !has_worked {
        elector.hold_while(working).await?;
    }
    // Nobody writes any more, so neither waits for the other.
    tokio::join!(elector.release(), logs.close());
    metrics.leads.set(0);
    while let Some(ended) = watches.join_next().await {
        note_watch_end(ended, &shutdown)?;
    }
    Ok(())
}

/// Logs that are let go when this is.
struct Abandoned(Logs);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Does the work, once everything is known and this process leads.
async fn lead(
    work: impl Future<Output = ()>,
    synced: Vec<watch::Receiver<bool>>,
    health: &Health,
    leadership: Leadership,
    shutdown: Shutdown,
) {
    let check = health.check("caches");
    let knows_all = async {
        for mut synced in synced {
            // A watch that ended is noticed where watches are.
            drop(synced.wait_for(|synced| *synced).await);
        }
    };
    tokio::select! {
        () = shutdown.requested() => return,
        () = knows_all => {}
    }
    // One that waits for its turn is ready too: it is ready to take over.
    check.set_ready();
    info!("knows all resources");
    tokio::select! {
        () = shutdown.requested() => return,
        () = leadership.gained() => {}
    }
    work.await;
}

/// Looks at what is due, until the shutdown.
async fn look_at_all(
    queue: WorkQueue<Key>,
    reconciler: Reconciler,
    tallies: Tallies,
    workers: usize,
    shutdown: Shutdown,
) {
    let look = |key: Key| {
        let reconciler = reconciler.clone();
        async move { reconciler.look(key).await }
    };
    tokio::select! {
        () = queue.run(workers, &shutdown, look) => {}
        () = tallies.ask_on() => {}
    }
}

fn note_watch_end(ended: Result<(), tokio::task::JoinError>, shutdown: &Shutdown) -> Result<(), OperatorError> {
    ended.map_err(OperatorError::Panic)?;
    if shutdown.is_requested() { Ok(()) } else { Err(OperatorError::WatchEnded) }
}

/// What all watches share.
struct Watching<'a> {
    client: &'a Client,
    scope: &'a Scope,
    health: &'a Health,
    shutdown: &'a Shutdown,
    metrics: &'a OperatorMetrics,
}

impl Watching<'_> {
    /// A watch of each kind in each namespace that is looked after, and what becomes true once each knows everything.
    fn start(&self, caches: &Caches, triggers: &Triggers) -> (JoinSet<()>, Vec<watch::Receiver<bool>>) {
        let (mut watches, mut synced) = (JoinSet::new(), Vec::new());
        for namespace in self.scope.watched() {
            for primary in Primary::ALL {
                let cache = caches.primaries[&primary].clone();
                let watch = self.watch(&primary.resource(), primary.kind(), namespace.clone(), None, cache);
                synced.push(watch.synced.subscribe());
                let (triggers, shutdown) = (triggers.clone(), self.shutdown.clone());
                let noted = move |change: &Change| triggers.primary(primary, change);
                watches.spawn(watch.run(shutdown, noted));
            }
            for kind in ChildKind::ALL {
                let cache = caches.children[&kind].clone();
                let watch = self.watch(&kind.resource(), kind.kind(), namespace.clone(), Some(ours()), cache);
                synced.push(watch.synced.subscribe());
                let (triggers, shutdown) = (triggers.clone(), self.shutdown.clone());
                let noted = move |change: &Change| triggers.child(change);
                watches.spawn(watch.run(shutdown, noted));
            }
        }
        (watches, synced)
    }

    fn watch(
        &self,
        resource: &kube::core::ApiResource,
        kind: &'static str,
        namespace: Option<String>,
        labels: Option<String>,
        cache: Cache,
    ) -> Watch {
        let api: Api<DynamicObject> = match &namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        };
        let name = namespace.as_ref().map_or_else(|| kind.to_owned(), |namespace| format!("{kind} in {namespace}"));
        Watch {
            api,
            kind,
            namespace,
            labels,
            cache,
            pulse: self.health.pulse(format!("watch of {name}"), PROGRESS_LIMIT),
            synced: watch::Sender::new(false),
            metrics: self.metrics.watches.clone(),
        }
    }
}

fn note_decided(decided: Vec<Decided>, caches: &Caches, queue: &WorkQueue<Key>) {
    for decided in decided {
        let objects = match decided {
            Decided::Platform(platform) => caches.proposals_of(&platform).into_iter().map(|brief| brief.key).collect(),
            Decided::Proposal(object) => vec![object],
        };
        objects.into_iter().for_each(|object| queue.add(Key { primary: Primary::Proposal, object }));
    }
}

fn ours() -> String {
    format!("{MANAGED_BY_LABEL}={MANAGED_BY}")
}
