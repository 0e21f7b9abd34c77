//! Two candidates for one lease.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use pnyx_backbone::shutdown::Shutdown;
use pnyx_operator::lease::{Elector, LEASE_DURATION, Leadership, LeaseError, RENEW_DEADLINE};
use pnyx_testbed::Proxy;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{client, client_through, control_plane, until, until_within};

/// Longest that nobody leads after a leader is lost: the promise to whoever runs two operators.
const TAKE_OVER_MAX: Duration = Duration::from_secs(20);

/// A candidate that runs.
struct Candidate {
    leadership: Leadership,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), LeaseError>>,
}

impl Candidate {
    fn start(client: Client, identity: &str) -> Self {
        let (leadership, shutdown) = (Leadership::new(identity), Shutdown::new());
        let mut elector = Elector::new(client, "default", "test", leadership.clone());
        let stop = shutdown.clone();
        let task = tokio::spawn(async move {
            elector.run(&stop).await?;
            elector.release().await;
            Ok(())
        });
        Self { leadership, shutdown, task }
    }

    fn leads(&self) -> bool {
        self.leadership.check().is_ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_leads_and_hands_over() {
    let control_plane = control_plane();
    let client = client(&control_plane.kubeconfig_path()).await;
    let first = Candidate::start(client.clone(), "first");
    until("the first leads", || async { first.leads().then_some(()) }).await;
    let second = Candidate::start(client.clone(), "second");
    // Longer than the lease lasts: it is renewed.
    let watched = Instant::now();
    while watched.elapsed() < LEASE_DURATION + Duration::from_secs(3) {
        assert!(first.leads() && !second.leads());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    first.shutdown.trigger();
    let handed_over = Instant::now();
    first.task.await.expect("it does not panic").expect("it gives the lease back");
    assert!(first.leadership.check().is_err());
    until_within(Duration::from_secs(5), "the second leads", || async { second.leads().then_some(()) }).await;
    println!("handed over in {} ms", handed_over.elapsed().as_millis());
    let lease = Api::<Lease>::namespaced(client, "default").get("test").await.expect("it is there");
    let spec = lease.spec.expect("it says who has it");
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("second"), Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_ends_and_the_other_takes_over() {
    let control_plane = control_plane();
    let kubeconfig = control_plane.kubeconfig_path();
    let proxy = Proxy::start(control_plane.server()).expect("a port is free");
    let cut_off = Candidate::start(client_through(&kubeconfig, proxy.address()).await, "cut-off");
    until("it leads", || async { cut_off.leads().then_some(()) }).await;
    let other = Candidate::start(client(&kubeconfig).await, "other");
    tokio::time::sleep(Duration::from_secs(3)).await;
    proxy.stall().expect("it was not cut");
    let lost = Instant::now();
    let mut silent_since = None;
    while !other.leads() {
        if !cut_off.leads() {
            silent_since.get_or_insert_with(Instant::now);
        }
        assert!(lost.elapsed() < TAKE_OVER_MAX, "nobody took over");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!cut_off.leads(), "both lead");
    let silence = silent_since.expect("one stopped before the other began").elapsed();
    println!("taken over after {} ms, nobody led for {} ms", lost.elapsed().as_millis(), silence.as_millis());
    let ended = cut_off.task.await.expect("it does not panic");
    assert!(matches!(ended, Err(LeaseError::NotRenewed { identity }) if identity == "cut-off"));
    // What was sent before may arrive now; it must not give the lease back to whoever ended.
    proxy.restore().expect("its port is its own");
    tokio::time::sleep(RENEW_DEADLINE).await;
    assert!(other.leads() && !other.task.is_finished());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_lease_is_taken_ends() {
    let control_plane = control_plane();
    let client = client(&control_plane.kubeconfig_path()).await;
    let candidate = Candidate::start(client.clone(), "robbed");
    until("it leads", || async { candidate.leads().then_some(()) }).await;
    let api: Api<Lease> = Api::namespaced(client, "default");
    let taken = json!({"spec": {"holderIdentity": "somebody"}});
    api.patch("test", &PatchParams::default(), &Patch::Merge(taken)).await.expect("a merge asks for no version");
    let ended = candidate.task.await.expect("it does not panic");
    assert!(matches!(ended, Err(LeaseError::Taken { holder, .. }) if holder == "somebody"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_lease_is_deleted_makes_it_anew() {
    let control_plane = control_plane();
    let client = client(&control_plane.kubeconfig_path()).await;
    let candidate = Candidate::start(client.clone(), "steady");
    until("it leads", || async { candidate.leads().then_some(()) }).await;
    let api: Api<Lease> = Api::namespaced(client.clone(), "default");
    api.delete("test", &kube::api::DeleteParams::default()).await.expect("it is there");
    until("it is there again", || async { api.get_opt("test").await.expect("the API server answers").map(drop) }).await;
    assert!(candidate.leads() && !candidate.task.is_finished());
}
