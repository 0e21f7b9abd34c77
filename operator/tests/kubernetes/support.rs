//! What the tests share: a control plane, clients for it, and waiting.

use std::{future::Future, net::SocketAddr, path::Path, time::Duration};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Config, CustomResourceExt as _,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use pnyx_crds::{GovernancePlatform, GovernanceProposal};
use pnyx_testbed::kubernetes::{ControlPlane, ControlPlaneOptions};

/// Between two looks at something that a test waits for.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A control plane with its API server alone: everything is checked and kept, and nothing else acts.
pub(crate) fn control_plane() -> ControlPlane {
    control_plane_with(ControlPlaneOptions::new())
}

/// A control plane of which more may run.
pub(crate) fn control_plane_with(options: ControlPlaneOptions) -> ControlPlane {
    // Two libraries bring a provider each, so one has to be chosen. The second test finds it done.
    drop(rustls::crypto::ring::default_provider().install_default());
    ControlPlane::start(options).expect("a control plane starts")
}

/// A client as the operator has it.
pub(crate) async fn client(kubeconfig: &Path) -> Client {
    pnyx_operator::client(config(kubeconfig).await).expect("the kubeconfig can be used")
}

/// The same, through something that stands in front of the API server.
pub(crate) async fn client_through(kubeconfig: &Path, address: SocketAddr) -> Client {
    let mut config = config(kubeconfig).await;
    config.cluster_url = format!("https://{address}").parse().expect("an address is a URL");
    pnyx_operator::client(config).expect("the kubeconfig can be used")
}

async fn config(kubeconfig: &Path) -> Config {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("the control plane writes it");
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("it names a cluster and a user")
}

/// Installs our resources.
pub(crate) async fn install(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in [GovernancePlatform::crd(), GovernanceProposal::crd()] {
        api.create(&PostParams::default(), &definition).await.expect("the API server takes our definitions");
        let name = kube::ResourceExt::name_any(&definition);
        until("the definition is established", || async {
            let status = api.get(&name).await.expect("it was made").status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            conditions
                .iter()
                .any(|condition| condition.type_ == "Established" && condition.status == "True")
                .then_some(())
        })
        .await;
    }
}

/// Longest that anything is waited for.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);

/// Waits for something, at most [`WAIT_MAX`].
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    until_within(WAIT_MAX, what, look).await
}

/// Waits for something.
pub(crate) async fn until_within<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    what: &str,
    look: impl Fn() -> F,
) -> T {
    let waited = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    tokio::time::timeout(limit, waited).await.unwrap_or_else(|_| panic!("not within {} s: {what}", limit.as_secs()))
}
