//! The whole operator: what it says of resources, how often, and what it does about those that it cannot read.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::coordination::v1::Lease, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use pnyx_core::{decisions::Decision, proposal::Definition};
use pnyx_crds::{
    GovernanceProposal,
    conditions::{platform, proposal},
    resolve,
};
use pnyx_operator::{ObjectKey, Primary, observe::Books};
use pnyx_testbed::kubernetes::ControlPlane;
use serde_json::{Value, json};

use crate::{
    running::{Operator, api, change, condition, create, create_secret, proposal_spec},
    support::{client, control_plane, install, until},
};

/// The platform's.
const DOMAIN: &str = "test";

/// The log of the platform is read, and the definition of a proposal stands there beside what stood before.
async fn define(books: &Books, client: &Client, name: &str) {
    let stored = api(client, Primary::Proposal).get(name).await.expect("it is there");
    let resource: GovernanceProposal =
        serde_json::from_value(serde_json::to_value(stored).expect("plain data")).expect("it can be read");
    let proposal = resolve(&resource, DOMAIN, None).expect("a proposal of the core");
    let definition = Definition::new(proposal, 4, 1).expect("within bounds");
    let platform = ObjectKey::new("default", "default");
    let mut book = books.get(&platform).map(|book| (*book).clone()).unwrap_or_default();
    book.record(0, Decision::Definition(Box::new(definition)));
    books.set(platform, Arc::new(book));
}

/// A platform whose log is nowhere.
pub(crate) fn platform_spec() -> Value {
    json!({
        "domain": DOMAIN,
        "kafka": {"bootstrapServers": ["kafka:9092"]},
        "redis": {"single": {"address": "redis:6379"}},
        "signingKeySecretRef": {"name": "signing", "key": "key"},
    })
}

/// So long nothing is written where nothing changes.
const QUIET_FOR: Duration = Duration::from_secs(5);

/// Writes that the operator made of a kind of resource, as the API server saw them.
fn status_writes(control_plane: &ControlPlane, resource: &str) -> usize {
    let events = control_plane.audit_log().expect("it can be read");
    events.iter().filter(|event| event.resource == resource && event.subresource == "status").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_what_is_so_and_is_written_when_it_says_something_new() {
    let control_plane = control_plane();
    let kubeconfig = control_plane.kubeconfig_path();
    let client = client(&kubeconfig).await;
    install(&client).await;
    let operator = Operator::start(&kubeconfig, "operator-1", Books::default()).await;
    let (hour, platform_of, vote) = (SignedDuration::from_hours(1), Primary::Platform, Primary::Proposal);

    create(&client, vote, "first", proposal_spec(hour, hour)).await;
    let said = condition(&client, vote, "first", proposal::ACCEPTED, |_| true).await;
    assert_eq!(said, "False PlatformNotFound: there is no GovernancePlatform default in this namespace");
    let object = api(&client, vote).get("first").await.expect("it is there");
    let conditions = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let types: Vec<_> = conditions.iter().filter_map(|condition| condition["type"].as_str()).collect();
    assert_eq!(types, proposal::ALL, "all of them from the first sight on");
    assert_eq!(object.data["status"]["observedGeneration"], 1);

    create(&client, platform_of, "default", platform_spec()).await;
    let said = condition(&client, platform_of, "default", platform::ACCEPTED, |_| true).await;
    assert_eq!(said, "False SecretNotFound: Secret signing does not exist");
    let said = condition(&client, vote, "first", proposal::ACCEPTED, |said| !said.contains("NotFound")).await;
    assert_eq!(
        said,
        "False PlatformNotReady: GovernancePlatform default is not accepted: its own condition Accepted says why"
    );

    create_secret(&client, "key").await;
    // Secrets are not watched; a change of the platform brings a look at once.
    change(&client, platform_of, "default", json!({"paused": true})).await;
    condition(&client, platform_of, "default", platform::ACCEPTED, |said| said.starts_with("True")).await;
    let unknown = |said: &str| said.starts_with("Unknown");
    let said = condition(&client, vote, "first", proposal::ACCEPTED, unknown).await;
    let unread = "it is valid, but whether its definition is recorded is not known: the log was not read";
    assert_eq!(said, format!("Unknown NotObserved: {unread}"));
    operator.books.set(ObjectKey::new("default", "default"), Arc::default());
    let said =
        condition(&client, vote, "first", proposal::ACCEPTED, |said| unknown(said) && !said.contains(unread)).await;
    assert_eq!(said, "Unknown NotObserved: it is valid, but its definition is not recorded in the log yet");
    let object = api(&client, vote).get("first").await.expect("it is there");
    assert_eq!(object.data["status"]["phase"], "Pending");
    condition(&client, vote, "first", proposal::PAUSED, |said| said.starts_with("True PausedByPlatform")).await;
    change(&client, platform_of, "default", json!({"paused": false})).await;
    condition(&client, vote, "first", proposal::PAUSED, |said| said.starts_with("False")).await;

    // Platform and proposal have what runs them, as the API server was asked for it: the proposal once it is recorded.
    let deployments = || control_plane.kubectl(&["get", "deployments", "--output=name"]).expect("kubectl lists");
    let are = async |count| {
        until("the children are there", || async { (deployments().lines().count() == count).then_some(()) }).await
    };
    are(2).await;
    define(&operator.books, &client, "first").await;
    condition(&client, vote, "first", proposal::ACCEPTED, |said| said.starts_with("True")).await;
    are(3).await;

    // Its log is nowhere, which is known once nobody has answered for a while.
    condition(&client, platform_of, "default", platform::KAFKA_READY, |said| said.starts_with("False")).await;
    // Nothing changes any more, so soon nothing is written any more. How soon is a matter of the machine.
    let writes = || ["governanceproposals", "governanceplatforms"].map(|kind| status_writes(&control_plane, kind));
    let quiet = || async {
        let before = writes();
        tokio::time::sleep(QUIET_FOR).await;
        (before == writes()).then_some(before)
    };
    let [of_proposals, of_platforms] = until("nothing is written", quiet).await;
    assert!(of_proposals <= 10 && of_platforms <= 6, "{of_proposals} and {of_platforms} writes");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_open_and_close_on_time() {
    let control_plane = control_plane();
    let kubeconfig = control_plane.kubeconfig_path();
    let client = client(&kubeconfig).await;
    install(&client).await;
    create_secret(&client, "key").await;
    create(&client, Primary::Platform, "default", platform_spec()).await;
    let operator = Operator::start(&kubeconfig, "operator-1", Books::default()).await;
    until("it leads", || async { (operator.metric("pnyx_operator_leads") == Some(1.0)).then_some(()) }).await;
    let seconds = SignedDuration::from_secs;
    create(&client, Primary::Proposal, "soon", proposal_spec(seconds(5), seconds(4))).await;
    define(&operator.books, &client, "soon").await;
    for (said, reason) in [("False", "WindowNotOpen"), ("True", "WindowOpen"), ("False", "WindowClosed")] {
        condition(&client, Primary::Proposal, "soon", proposal::OPEN, |now| now == format!("{said} {reason}: ")).await;
        let object = api(&client, Primary::Proposal).get("soon").await.expect("it is there");
        let edge = match reason {
            "WindowNotOpen" => continue,
            "WindowOpen" => &object.data["spec"]["window"]["opensAt"],
            _ => &object.data["spec"]["window"]["closesAt"],
        };
        let edge: Timestamp = edge.as_str().expect("a time").parse().expect("RFC 3339");
        let late = Timestamp::now().duration_since(edge);
        println!("{reason} after {} ms", late.as_millis());
        assert!(late < seconds(2) && !late.is_negative(), "{reason} {late} after its time");
    }
    let over = proposal_spec(seconds(-60), seconds(30));
    create(&client, Primary::Proposal, "over", over).await;
    let said = condition(&client, Primary::Proposal, "over", proposal::ACCEPTED, |_| true).await;
    assert!(said.starts_with("False WindowOver"), "{said}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_says_so_and_stops_nobody() {
    let control_plane = control_plane();
    let kubeconfig = control_plane.kubeconfig_path();
    let client = client(&kubeconfig).await;
    install(&client).await;
    // As if another version had written them: this server checks nothing.
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut definition = definitions.get("governanceproposals.pnyx.dev").await.expect("it is installed");
    for version in &mut definition.spec.versions {
        let open = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        version.schema = serde_json::from_value(open).expect("a schema");
        version.selectable_fields = None;
    }
    let name = "governanceproposals.pnyx.dev";
    definitions.replace(name, &PostParams::default(), &definition).await.expect("the API server takes it");
    let hour = SignedDuration::from_hours(1);
    let mut broken = proposal_spec(hour, hour);
    broken["choices"] = "yes or no".into();
    until("the new schema holds", || async {
        let object = DynamicObject::new("broken", &Primary::Proposal.resource()).data(json!({"spec": broken}));
        api(&client, Primary::Proposal).create(&PostParams::default(), &object).await.ok()
    })
    .await;
    create_secret(&client, "key").await;
    create(&client, Primary::Platform, "default", platform_spec()).await;
    let operator = Operator::start(&kubeconfig, "operator-1", Books::default()).await;
    create(&client, Primary::Proposal, "good", proposal_spec(hour, hour)).await;
    define(&operator.books, &client, "good").await;
    condition(&client, Primary::Proposal, "good", proposal::ACCEPTED, |said| said.starts_with("True")).await;
    let said = condition(&client, Primary::Proposal, "broken", proposal::ACCEPTED, |_| true).await;
    assert!(said.starts_with("False Invalid: this version of the operator cannot read it"), "{said}");
    let unreadable = "pnyx_operator_unreadable_resources{resource=\"proposal\"}";
    assert_eq!(operator.metric(unreadable), Some(1.0));
    change(&client, Primary::Proposal, "broken", json!({"choices": ["yes", "no"]})).await;
    define(&operator.books, &client, "broken").await;
    condition(&client, Primary::Proposal, "broken", proposal::ACCEPTED, |said| said.starts_with("True")).await;
    until("it is counted no more", || async { (operator.metric(unreadable) == Some(0.0)).then_some(()) }).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_operator_waits_and_takes_over() {
    let control_plane = control_plane();
    let kubeconfig = control_plane.kubeconfig_path();
    let client = client(&kubeconfig).await;
    install(&client).await;
    create_secret(&client, "key").await;
    let mut with_credentials = platform_spec();
    let secret = json!({"name": "signing", "key": "key"});
    with_credentials["kafka"]["sasl"] =
        json!({"mechanism": "SCRAM-SHA-512", "usernameSecretRef": secret, "passwordSecretRef": secret});
    create(&client, Primary::Platform, "default", with_credentials).await;
    let first = Operator::start(&kubeconfig, "operator-1", Books::default()).await;
    until("the first leads", || async { (first.metric("pnyx_operator_leads") == Some(1.0)).then_some(()) }).await;
    let second = Operator::start(&kubeconfig, "operator-2", first.books.clone()).await;
    let hour = SignedDuration::from_hours(1);
    create(&client, Primary::Proposal, "one", proposal_spec(hour, hour)).await;
    define(&first.books, &client, "one").await;
    condition(&client, Primary::Proposal, "one", proposal::ACCEPTED, |said| said.starts_with("True")).await;
    assert_eq!(second.metric("pnyx_operator_leads"), Some(0.0));
    let writes = "pnyx_operator_writes_total{kind=\"GovernanceProposal\",verb=\"status\"}";
    assert_eq!(second.metric(writes), None, "who does not lead does not write");
    assert_eq!((first.credentials(), second.credentials()), (1, 0), "nor has it what opens logs");
    first.stop().await;
    create(&client, Primary::Proposal, "two", proposal_spec(hour, hour)).await;
    define(&second.books, &client, "two").await;
    condition(&client, Primary::Proposal, "two", proposal::ACCEPTED, |said| said.starts_with("True")).await;
    assert!(second.metric(writes) >= Some(1.0));
    assert!(second.health.not_alive().is_empty());
    until("it has what opens its log", || async { (second.credentials() == 1).then_some(()) }).await;
    // Who loses the lease ends, and keeps nothing.
    let taken = Patch::Merge(json!({"spec": {"holderIdentity": "somebody"}}));
    let leases: Api<Lease> = Api::namespaced(client, "default");
    leases.patch("pnyx-operator", &PatchParams::default(), &taken).await.expect("a merge asks for no version");
    assert!(second.ended().await.is_err());
}
