//! Children: made, left alone, mended, scaled, handed over and removed.

use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap, events::v1::Event};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use pnyx_backbone::{shutdown::Shutdown, telemetry::Metrics};
use pnyx_operator::{
    ChildKind, Key, ObjectKey, OperatorMetrics, Primary,
    apply::{Applier, ApplyError},
    lease::{Elector, Leadership},
    log::Logs,
    observe::{Books, Caches, LiveChildren},
    plan::{Child, Effect, Note, NoteKind, OWNER_LABEL, Owner, children_effects},
    watch::{Triggers, WorkQueue},
};
use serde_json::json;

use crate::{
    resources::platform_spec,
    running::{api, create, proposal_spec},
    support::{client, control_plane, install, until},
};

/// An applier that leads, and what it is told of.
struct Bench {
    client: Client,
    applier: Applier,
    caches: Caches,
    /// Who has to look.
    queue: WorkQueue<Key>,
    owner: Owner,
    leadership: Leadership,
}

/// Nothing here is written into a log.
fn logs(books: Books) -> Logs {
    Logs::new(books, std::env::temp_dir(), WorkQueue::new())
}

impl Bench {
    async fn new(client: Client) -> Self {
        let leadership = Leadership::new("test");
        let (mut elector, forever) =
            (Elector::new(client.clone(), "default", "test", leadership.clone()), Shutdown::new());
        tokio::spawn(async move { elector.run(&forever).await });
        leadership.gained().await;
        let caches = Caches::new();
        let metrics = Metrics::new().register(OperatorMetrics::register);
        let (queue, logs) = (WorkQueue::new(), logs(caches.books.clone()));
        let triggers = Triggers::new(caches.clone(), queue.clone());
        let applier = Applier::new(client.clone(), leadership.clone(), triggers, logs, metrics);
        let key = Key { primary: Primary::Proposal, object: ObjectKey::new("default", "vote") };
        // Nobody deletes children of an owner that is not there while no controller runs.
        let owner = Owner::new(key, "00000000-0000-4000-8000-000000000001");
        Self { client, applier, caches, queue, owner, leadership }
    }

    /// The children as the API server has them.
    async fn live(&self) -> LiveChildren {
        let mut live = LiveChildren::new();
        for kind in ChildKind::ALL {
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), "default", &kind.resource());
            let ours = ListParams::default().labels(&format!("{OWNER_LABEL}={}", self.owner.uid()));
            let listed = api.list(&ours).await.expect("the API server lists");
            live.extend(listed.items.into_iter().map(|object| (kind, Arc::new(object))));
        }
        live
    }

    /// What has to be done now, a line each, and then does it.
    async fn pass(&self, wanted: &[Child]) -> String {
        let (effects, _) = children_effects(wanted.to_vec(), &self.live().await);
        let words = effects.iter().map(|effect| format!("{effect}\n")).collect();
        self.applier.carry_out(&self.owner, effects).await.expect("the API server takes it");
        words
    }
}

/// One of each kind that the API server completes in its own way.
fn children(owner: &Owner) -> Vec<Child> {
    let labels = json!({"app": "vote"});
    let pod = json!({"metadata": {"labels": labels}, "spec": {
        "containers": [{
            "name": "verifier", "image": "pnyx:1", "args": ["verifier"],
            "env": [{"name": "A", "value": "1"}, {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
            "ports": [{"containerPort": 8082, "name": "http"}],
            // Written "1" by the API server.
            "resources": {"requests": {"cpu": "1000m", "memory": "64Mi"}},
            "securityContext": {"capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true},
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}},
        }],
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "votes", "operator": "Exists"}],
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": labels}}],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }});
    let mut job_pod = pod.clone();
    job_pod["spec"]["restartPolicy"] = "Never".into();
    let selector = json!({"matchLabels": labels});
    let objects = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "vote"}, "automountServiceAccountToken": false}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vote"}, "data": {"pnyx.yaml": "a: 1\n"}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "vote"}, "spec": {
            "podSelector": selector, "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 8082}]}]}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "vote"}, "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": "http", "name": "http"}]}}),
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "vote"}, "spec": {"maxUnavailable": 1, "selector": selector}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "vote"}, "spec": {"replicas": 3, "selector": selector, "template": pod}}),
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "vote"}, "spec": {"backoffLimit": 3, "template": job_pod}}),
    ];
    objects.iter().map(|object| Child::of(owner, object).expect("a child")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn children_are_made_once_and_kept_as_they_should_be() {
    let control_plane = control_plane();
    let bench = Bench::new(client(&control_plane.kubeconfig_path()).await).await;
    let wanted = children(&bench.owner);
    assert_eq!(bench.pass(&wanted).await.lines().count(), ChildKind::ALL.len());
    assert_eq!(bench.pass(&wanted).await, "", "what is equal is not written, however the API server completed it");

    // Somebody changes what is ours: it is put back. What they add beside it stays.
    let deployments: Api<Deployment> = Api::namespaced(bench.client.clone(), "default");
    let merge = PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
    let edited = json!({"metadata": {"labels": {"theirs": "stays"}}, "spec": {"template": {"spec": {"nodeSelector": {"zone": "b"}}}}});
    deployments.patch("vote", &merge, &Patch::Merge(edited)).await.expect("anybody may edit");
    assert_eq!(bench.pass(&wanted).await, "hold Deployment default/vote at 3\nupdate Deployment default/vote\n");
    assert_eq!(bench.pass(&wanted).await, "");
    let now = deployments.get("vote").await.expect("it is there");
    assert_eq!(now.metadata.labels.expect("labels")["theirs"], "stays");
    assert_eq!(now.spec.replicas, Some(3), "an update is no reason to scale");
    let zone = now.spec.template.spec.and_then(|spec| spec.node_selector).expect("a selector");
    assert_eq!(zone["zone"], "a");

    // What nothing wants any more goes, and nothing else.
    let (kept, dropped): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|child| child.kind() != ChildKind::ConfigMap);
    assert_eq!(dropped.len(), 1);
    assert_eq!(bench.pass(&kept).await, "delete ConfigMap default/vote\n");
    assert_eq!(bench.pass(&kept).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_belong_to_whoever_chose_them_last() {
    let control_plane = control_plane();
    let bench = Bench::new(client(&control_plane.kubeconfig_path()).await).await;
    let deployment = |replicas: i64| {
        let all = children(&bench.owner);
        let child = all.into_iter().find(|child| child.kind() == ChildKind::Deployment).expect("one of each");
        let mut object = child.first_object();
        object["metadata"]["annotations"] = json!({});
        object["spec"]["replicas"] = replicas.into();
        vec![Child::of(&bench.owner, &object).expect("a child")]
    };
    let replicas = async || {
        let api: Api<Deployment> = Api::namespaced(bench.client.clone(), "default");
        api.get("vote").await.expect("it is there").spec.replicas
    };
    assert_eq!(bench.pass(&deployment(0)).await, "create Deployment default/vote\n");
    assert_eq!(replicas().await, Some(0), "made with the number that was chosen, not with one replica");
    assert_eq!(bench.pass(&deployment(7)).await, "scale Deployment default/vote from 0 to 7\n");
    assert_eq!(replicas().await, Some(7));
    assert_eq!(bench.pass(&deployment(7)).await, "");

    // Somebody scales it from outside: it is theirs from here on, and everything else stays ours.
    control_plane.kubectl(&["scale", "deployment/vote", "--replicas=4"]).expect("kubectl scales");
    let (effects, foreign) = children_effects(deployment(9), &bench.live().await);
    assert_eq!((effects.len(), foreign.len()), (0, 1), "{effects:?}");
    assert_eq!(foreign[0].manager, "kubectl");
    let mut changed = deployment(9)[0].first_object();
    changed["metadata"]["annotations"] = json!({});
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "pnyx:2".into();
    let changed = [Child::of(&bench.owner, &changed).expect("a child")];
    assert_eq!(bench.pass(&changed).await, "update Deployment default/vote\n");
    assert_eq!(replicas().await, Some(4), "an update leaves them alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_others_is_left_alone_and_the_rest_is_done() {
    let control_plane = control_plane();
    let bench = Bench::new(client(&control_plane.kubeconfig_path()).await).await;
    let theirs: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "vote"}, "data": {"mine": "1"}})).expect("a ConfigMap");
    let config_maps: Api<ConfigMap> = Api::namespaced(bench.client.clone(), "default");
    config_maps.create(&PostParams::default(), &theirs).await.expect("it is new");
    let (effects, _) = children_effects(children(&bench.owner), &[]);
    let error = bench.applier.carry_out(&bench.owner, effects).await.expect_err("one is not ours");
    let words = pnyx_backbone::telemetry::chain(&error);
    assert_eq!(
        words,
        "create ConfigMap default/vote: ConfigMap default/vote exists and is not ours: rename or delete it"
    );
    assert_eq!(bench.live().await.len(), ChildKind::ALL.len() - 1, "the others were made");
    let data = config_maps.get("vote").await.expect("it is there").data.expect("it has data");
    assert_eq!(data.keys().collect::<Vec<_>>(), ["mine"]);
    // Answers to writes are known before any watch says so.
    assert_eq!(bench.caches.children_of(&bench.owner).len(), ChildKind::ALL.len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_once_and_nobody_writes_without_the_lease() {
    let control_plane = control_plane();
    let bench = Bench::new(client(&control_plane.kubeconfig_path()).await).await;
    let note =
        Note { kind: NoteKind::Warning, reason: "Refused", action: "Validate", message: "no such chain".to_owned() };
    for _ in 0..5 {
        bench.applier.carry_out(&bench.owner, vec![Effect::Note(note.clone())]).await.expect("notes never fail");
    }
    let events: Api<Event> = Api::namespaced(bench.client.clone(), "default");
    let told = async || {
        let listed = events.list(&ListParams::default()).await.expect("the API server lists");
        listed.items.into_iter().filter(|event| event.reason.as_deref() == Some("Refused")).collect::<Vec<_>>()
    };
    let said = told().await;
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].note.as_deref(), Some("no such chain"));
    assert_eq!(said[0].regarding.as_ref().and_then(|about| about.kind.as_deref()), Some("GovernanceProposal"));

    let standby = Leadership::new("standby");
    let metrics = Metrics::new().register(OperatorMetrics::register);
    let caches = Caches::new();
    let logs = logs(caches.books.clone());
    let triggers = Triggers::new(caches, WorkQueue::new());
    let applier = Applier::new(bench.client.clone(), standby, triggers, logs, metrics);
    let (effects, _) = children_effects(children(&bench.owner), &[]);
    let refused = applier.carry_out(&bench.owner, effects).await;
    assert!(matches!(refused, Err(ApplyError::NotLeading(_))), "{refused:?}");
    assert!(bench.live().await.is_empty());
    assert!(bench.leadership.check().is_ok());
    until("one event is still all", || async { (told().await.len() == 1).then_some(()) }).await;
}

/// The answer to a write may overtake the watch, which then has nothing new to tell.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_what_was_written_looks_even_if_the_watch_comes_late() {
    let control_plane = control_plane();
    let client = client(&control_plane.kubeconfig_path()).await;
    install(&client).await;
    let hour = SignedDuration::from_hours(1);
    create(&client, Primary::Platform, "default", platform_spec()).await;
    create(&client, Primary::Proposal, "vote", proposal_spec(hour, hour)).await;
    let bench = Bench::new(client.clone()).await;
    // As lists told of them; here is no watch.
    for (primary, name) in [(Primary::Platform, "default"), (Primary::Proposal, "vote")] {
        let object = api(&client, primary).get(name).await.expect("it is there");
        bench.caches.primaries[&primary].apply(object);
    }
    assert_eq!(bench.queue.overdue(), 0);

    let platform = bench.caches.primaries[&Primary::Platform].all().pop().expect("it is there");
    let key = Key { primary: Primary::Platform, object: ObjectKey::new("default", "default") };
    let owner = Owner::new(key, platform.metadata.uid.as_deref().expect("all have one"));
    let accepted = json!({"type": "Accepted", "status": "True", "reason": "AsExpected", "message": "",
        "observedGeneration": 1, "lastTransitionTime": "2026-11-23T08:00:00Z"});
    let status = json!({"conditions": [accepted], "observedGeneration": 1});
    bench.applier.write_status(&owner, &status).await.expect("the API server takes it");
    assert_eq!(bench.queue.overdue(), 1, "its proposal waited for that");
}
