//! Command lines of the control plane.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use super::{ControlPlaneOptions, Part, credentials::Credentials};
use crate::{Port, TestbedError};

/// Where the services of a cluster get their addresses from.
pub(super) const SERVICE_RANGE: &str = "10.96.0.0/24";

/// Larger than any log of a test, in MB: a log that is cut into files would lose its beginning.
const AUDIT_LOG_MAX_MB: u32 = 100_000;

/// How many requests a second controllers may make: what they do should wait for the machine and not for a rule.
const REQUESTS_PER_S: u32 = 1000;

/// Where the processes of a cluster run.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) address: Ipv4Addr,
    /// The file of the network namespace that they enter; nothing for this process's own.
    pub(super) network: Option<PathBuf>,
}

/// The ports of a control plane.
#[derive(Debug)]
pub(super) struct Ports {
    database: Port,
    peer: Port,
    server: Port,
}

impl Place {
    pub(super) fn here() -> Self {
        Self { address: Ipv4Addr::LOCALHOST, network: None }
    }

    /// A command that runs in this place.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let Some(network) = &self.network else { return Command::new(program) };
        let mut command = Command::new("nsenter");
        // Not `ip netns exec`, which hides the control groups.
        command.arg(format!("--net={}", network.display())).arg(program);
        command
    }
}

impl Ports {
    pub(super) fn reserve() -> Result<Self, TestbedError> {
        Ok(Self { database: Port::reserve()?, peer: Port::reserve()?, server: Port::reserve()? })
    }

    pub(super) fn server(&self, place: &Place) -> SocketAddr {
        SocketAddr::from((place.address, self.server.number()))
    }
}

/// The command of one part, with its files below `folder`.
pub(super) fn command(
    part: Part,
    programs: &Path,
    folder: &Path,
    place: &Place,
    ports: &Ports,
    credentials: &Credentials,
    options: &ControlPlaneOptions,
) -> Command {
    let flags = match part {
        Part::Etcd => etcd(folder, ports, options),
        Part::ApiServer => api_server(folder, place, ports, credentials),
        Part::ControllerManager => controller_manager(credentials, options),
        Part::Scheduler => scheduler(credentials),
    };
    let further = options.flags.iter().filter(|(of, _)| *of == part).map(|(_, flag)| flag);
    let mut command = place.command(&programs.join(part.program()));
    command.args(flags).args(further).current_dir(folder);
    command
}

fn etcd(folder: &Path, ports: &Ports, options: &ControlPlaneOptions) -> Vec<String> {
    let (clients, peers) = (format!("http://{}", ports.database.address()), format!("http://{}", ports.peer.address()));
    let mut flags = vec![
        "--name=testbed".to_owned(),
        format!("--data-dir={}", folder.join("etcd").display()),
        "--log-level=warn".to_owned(),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=testbed={peers}"),
    ];
    if !options.is_durable {
        flags.push("--unsafe-no-fsync".to_owned());
    }
    flags
}

fn api_server(folder: &Path, place: &Place, ports: &Ports, credentials: &Credentials) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", credentials.file(name).display());
    vec![
        format!("--etcd-servers=http://{}", ports.database.address()),
        format!("--bind-address={}", place.address),
        format!("--advertise-address={}", place.address),
        format!("--secure-port={}", ports.server.number()),
        format!("--cert-dir={}", folder.join("api").display()),
        file("tls-cert-file", "server.cert.pem"),
        file("tls-private-key-file", "server.key.pem"),
        file("client-ca-file", "authority.pem"),
        file("token-auth-file", "tokens.csv"),
        file("kubelet-client-certificate", "client.cert.pem"),
        file("kubelet-client-key", "client.key.pem"),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        file("service-account-key-file", "accounts.pub.pem"),
        file("service-account-signing-key-file", "accounts.key.pem"),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        "--enable-bootstrap-token-auth=false".to_owned(),
        "--profiling=false".to_owned(),
        file("audit-policy-file", "audit-policy.yaml"),
        format!("--audit-log-path={}", folder.join("audit.log").display()),
        "--audit-log-mode=blocking".to_owned(),
        format!("--audit-log-maxsize={AUDIT_LOG_MAX_MB}"),
    ]
}

fn controller_manager(credentials: &Credentials, options: &ControlPlaneOptions) -> Vec<String> {
    let mut flags = vec![
        kubeconfig(credentials, "system:kube-controller-manager"),
        "--use-service-account-credentials=true".to_owned(),
        format!("--service-account-private-key-file={}", credentials.file("accounts.key.pem").display()),
        format!("--root-ca-file={}", credentials.file("authority.pem").display()),
        "--leader-elect=false".to_owned(),
        // It serves nothing that anybody asks for.
        "--secure-port=0".to_owned(),
        "--allocate-node-cidrs=false".to_owned(),
        format!("--kube-api-qps={REQUESTS_PER_S}"),
        format!("--kube-api-burst={}", 2 * REQUESTS_PER_S),
    ];
    if options.has_quick_node_deaths {
        flags.push("--node-monitor-grace-period=6s".to_owned());
        flags.push("--node-monitor-period=2s".to_owned());
    }
    flags
}

fn scheduler(credentials: &Credentials) -> Vec<String> {
    vec![
        kubeconfig(credentials, "system:kube-scheduler"),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        format!("--kube-api-qps={REQUESTS_PER_S}"),
        format!("--kube-api-burst={}", 2 * REQUESTS_PER_S),
    ]
}

fn kubeconfig(credentials: &Credentials, user: &str) -> String {
    let path = credentials.kubeconfig(user).expect("every part has its file");
    format!("--kubeconfig={}", path.display())
}
