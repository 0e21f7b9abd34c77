//! A real node: containers run, services have addresses and names.

mod leftovers;
mod network;
mod outside;
mod policies;
mod reach;

use std::{
    env,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{ControlPlane, ControlPlaneOptions, Image, flags::Place, part::Runner};
use crate::{Prometheus, ScrapeJob, TestbedError, apt, cache};
use leftovers::Settings;

/// All files of the node. One path on every machine, so that whatever a killed test has left is found; a short one, since
/// sockets lie in it; and none that is swept like other directories, since file systems are mounted below it.
const FOLDER: &str = "/var/lib/pnyx-testbed-node";

/// Held by the only node of this machine.
const LOCK: &str = "/run/pnyx-testbed-node.lock";

/// How long another test's node is waited for.
const TURN_LIMIT: Duration = Duration::from_secs(1800);

/// How long the parts of the node may take until they are ready: a second each on an idle machine.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// How often a waiting call looks again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The name of the node.
const NAME: &str = "node0";

/// Where the name server tells that it serves.
const DNS_READY: SocketAddr = SocketAddr::new(IpAddr::V4(network::INSIDE), 8181);

/// The container that holds a pod's namespaces; containerd's configuration names it.
const PAUSE_IMAGE: &str = "registry.test/pause:1";

/// What a node needs of Debian, and a program by which each is known.
const PACKAGES: [(&str, &str); 8] = [
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("containernetworking-plugins", "/usr/lib/cni/bridge"),
    ("iptables", "iptables"),
    ("nftables", "nft"),
    ("iproute2", "ip"),
    ("conntrack", "conntrack"),
    ("ipset", "ipset"),
];

/// Configurations, with words for the node's folder and for that of the credentials.
const FILES: [(&str, &str); 5] = [
    ("containerd.toml", include_str!("../../../kube/containerd.toml")),
    ("kubelet.yaml", include_str!("../../../kube/kubelet.yaml")),
    ("kube-proxy.yaml", include_str!("../../../kube/kube-proxy.yaml")),
    ("cni/10-node.conflist", include_str!("../../../kube/cni.conflist")),
    ("Corefile", include_str!("../../../kube/Corefile")),
];

/// A part of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodePart {
    /// What runs containers.
    Containerd,
    /// What makes pods of the API into containers.
    Kubelet,
    /// What gives services addresses.
    Proxy,
    /// What gives services names.
    Dns,
}

/// A control plane with one real node, in a network of its own: this machine reaches pods through the node, pods
/// reach this machine at [`Node::outside`], and nobody reaches anything else.
///
/// There is one at a time on a machine; others wait. It needs root and Linux with control groups. Dropping it ends
/// everything that ran on it.
#[derive(Debug)]
pub struct Node {
    containerd: Runner,
    kubelet: Runner,
    proxy: Runner,
    dns: Runner,
    settings: Settings,
    /// Taken when the node ends, before its leftovers are removed.
    control_plane: Option<ControlPlane>,
    _turn: File,
}

impl Node {
    /// An image that the node has: its pods are there and do nothing.
    pub const PAUSE_IMAGE: &str = PAUSE_IMAGE;

    /// Starts a control plane with controllers and scheduler and further options, and a node, and waits until the node is
    /// Ready and names are answered.
    ///
    /// # Errors
    /// This process is not root, something is missing on this machine, or a part ends or is not ready in time.
    pub fn start(options: ControlPlaneOptions) -> Result<Self, TestbedError> {
        check_machine()?;
        let packages = PACKAGES.map(|(package, _)| package);
        apt::installed(&packages, missing_packages, || PACKAGES.iter().all(|(_, program)| has(program)))?;
        let turn = take_turn()?;
        leftovers::remove()?;
        network::set_up()?;
        let place = Place { address: network::INSIDE, network: Some(network::file()) };
        let settings = Settings::read();
        let control_plane = match ControlPlane::start_in(place.clone(), options.controllers().scheduler()) {
            Ok(control_plane) => control_plane,
            Err(error) => {
                leftovers::remove()?;
                return Err(error);
            }
        };
        let node = Self::lay_out(control_plane, &place, settings, turn)?;
        node.start_parts()?;
        Ok(node)
    }

    /// The control plane of the node.
    ///
    /// # Panics
    /// Never: it ends with the node.
    #[must_use]
    pub fn control_plane(&self) -> &ControlPlane {
        self.control_plane.as_ref().expect("it is taken when the node ends")
    }

    /// The address of this machine as pods see it: what is to serve pods listens here.
    #[must_use]
    pub fn outside(&self) -> Ipv4Addr {
        network::OUTSIDE
    }

    /// An address of the node that pods have no business with: where clouds tell a machine its credentials.
    #[must_use]
    pub fn metadata(&self) -> Ipv4Addr {
        network::METADATA
    }

    /// Makes the images of an OCI archive known to the node, under the names that it has in it.
    ///
    /// # Errors
    /// It is no such archive.
    pub fn import(&self, archive: &Path) -> Result<(), TestbedError> {
        cache::run(ctr().args(["--namespace", "k8s.io", "images", "import"]).arg(archive)).map(|_| ())
    }

    /// Makes an image known to the node.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn import_image(&self, image: Image) -> Result<(), TestbedError> {
        let archive = folder().join("image.tar");
        image.write(&archive)?;
        self.import(&archive)
    }

    /// Kills the process of a pod's first container with SIGKILL, as when it crashes; the kubelet starts it again.
    ///
    /// # Errors
    /// There is no such pod, or its container does not run.
    pub fn crash(&self, namespace: &str, pod: &str) -> Result<(), TestbedError> {
        let container = "--output=jsonpath={.status.containerStatuses[0].containerID}";
        let id = self.control_plane().kubectl(&["--namespace", namespace, "get", "pod", pod, container])?;
        let id = id.trim_start_matches("containerd://");
        cache::run(ctr().args(["--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", id])).map(|_| ())
    }

    /// Starts a Prometheus on the node, where it reaches pods by their addresses. The rules are groups as in a file of rules.
    ///
    /// # Errors
    /// Debian's package cannot be had, the jobs or rules cannot be read, or the server does not answer in time.
    pub fn prometheus(&self, jobs: &[ScrapeJob], rules: &serde_json::Value) -> Result<Prometheus, TestbedError> {
        Prometheus::start_in(self.control_plane().place(), jobs, rules)
    }

    /// Ends a part at once. Pods go on.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn kill(&self, part: NodePart) -> Result<(), TestbedError> {
        self.part(part).kill()
    }

    /// Starts a part again. A part that runs is killed first.
    ///
    /// # Errors
    /// It cannot be started, or is not ready in time.
    pub fn restart(&self, part: NodePart) -> Result<(), TestbedError> {
        self.part(part).start()?;
        self.wait_until_ready(part)
    }

    /// The log file of a part.
    #[must_use]
    pub fn log(&self, part: NodePart) -> &Path {
        self.part(part).log()
    }

    fn lay_out(
        control_plane: ControlPlane,
        place: &Place,
        settings: Settings,
        turn: File,
    ) -> Result<Self, TestbedError> {
        let (folder, programs) = (folder(), control_plane.programs().to_owned());
        cache::make_folder(&folder.join("cni"))?;
        let credentials = control_plane.credentials().folder().display().to_string();
        for (name, text) in FILES {
            let text = text.replace("DIR", FOLDER).replace("CREDENTIALS", &credentials);
            cache::write(&folder.join(name), &text)?;
        }
        let flag = |name: &str, value: &Path| format!("--{name}={}", value.display());
        let runner = |name: &str, program: &Path, arguments: &[String]| {
            let mut command = place.command(program);
            command.args(arguments).current_dir(&folder);
            Runner::new(name, command, control_plane.folder().join(format!("{name}.log")))
        };
        let containerd =
            runner("containerd", Path::new("containerd"), &[flag("config", &folder.join("containerd.toml"))]);
        let kubelet = [
            flag("config", &folder.join("kubelet.yaml")),
            flag("kubeconfig", &control_plane.kubeconfig_of("system:node:node0")),
            format!("--hostname-override={NAME}"),
            format!("--node-ip={}", network::INSIDE),
            flag("root-dir", &folder.join("kubelet")),
            flag("cert-dir", &folder.join("kubelet-certificates")),
        ];
        let kubelet = runner("kubelet", &programs.join("kubelet"), &kubelet);
        let proxy = [flag("config", &folder.join("kube-proxy.yaml"))];
        let proxy = runner("kube-proxy", &programs.join("kube-proxy"), &proxy);
        let dns = ["-conf".to_owned(), folder.join("Corefile").display().to_string()];
        let dns = runner("coredns", &programs.join("coredns"), &dns);
        Ok(Self { containerd, kubelet, proxy, dns, settings, control_plane: Some(control_plane), _turn: turn })
    }

    fn start_parts(&self) -> Result<(), TestbedError> {
        self.restart(NodePart::Containerd)?;
        self.import_image(pause_image()?)?;
        for part in [NodePart::Proxy, NodePart::Dns, NodePart::Kubelet] {
            self.part(part).start()?;
        }
        [NodePart::Kubelet, NodePart::Dns].into_iter().try_for_each(|part| self.wait_until_ready(part))
    }

    fn wait_until_ready(&self, part: NodePart) -> Result<(), TestbedError> {
        match part {
            NodePart::Containerd => {
                let mut ask = ctr();
                ask.args(["--timeout", "1s", "version"]);
                self.containerd.wait_until(READY_LIMIT, || {
                    thread::sleep(POLL_INTERVAL);
                    cache::run(&mut ask).is_ok()
                })
            }
            NodePart::Kubelet => {
                let limit = format!("--timeout={}s", READY_LIMIT.as_secs());
                let node = format!("node/{NAME}");
                self.control_plane().kubectl(&["wait", "--for=create", &node, &limit])?;
                self.control_plane().kubectl(&["wait", "--for=condition=Ready", &node, &limit])?;
                self.settings.restore()
            }
            NodePart::Dns => self.dns.wait_until(READY_LIMIT, || {
                thread::sleep(POLL_INTERVAL);
                dns_is_ready().unwrap_or(false)
            }),
            // It has nothing to say before there are services.
            NodePart::Proxy => Ok(()),
        }
    }

    fn part(&self, part: NodePart) -> &Runner {
        match part {
            NodePart::Containerd => &self.containerd,
            NodePart::Kubelet => &self.kubelet,
            NodePart::Proxy => &self.proxy,
            NodePart::Dns => &self.dns,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // First those that would start anew what is ended.
        for part in [&self.kubelet, &self.proxy, &self.dns, &self.containerd] {
            let _ = part.kill();
        }
        self.control_plane = None;
        if let Err(error) = leftovers::remove() {
            cache::say(&format!("the node left something behind; the next one removes it: {error}"));
        }
    }
}

fn folder() -> PathBuf {
    PathBuf::from(FOLDER)
}

/// What speaks with the node's containerd.
fn ctr() -> Command {
    let mut command = Command::new("ctr");
    command.arg("--address").arg(folder().join("ctd/c.sock"));
    command
}

fn check_machine() -> Result<(), TestbedError> {
    let missing = |what, advice| Err(TestbedError::Missing { what, advice });
    if !rustix::process::geteuid().is_root() {
        return missing("root", "a node of Kubernetes runs containers; run its tests as root");
    }
    if !Path::new("/sys/fs/cgroup").is_dir() || !Path::new("/proc/sys/net/ipv4/ip_forward").exists() {
        return missing(
            "Linux with control groups",
            "a node of Kubernetes runs containers; run its tests on such a machine",
        );
    }
    if leftovers::is_node_of_another() {
        return missing("a machine that is no node of a cluster", "tests would end its pods; run them elsewhere");
    }
    Ok(())
}

fn missing_packages() -> TestbedError {
    TestbedError::Missing {
        what: "containerd, runc, CNI plugins, iptables, nftables, iproute2, conntrack or ipset",
        advice: "install what is missing (Debian: apt-get install containerd runc containernetworking-plugins iptables \
                 nftables iproute2 conntrack ipset)",
    }
}

fn has(program: &str) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

/// Waits until no other test has a node.
fn take_turn() -> Result<File, TestbedError> {
    let start = Instant::now();
    loop {
        if let Some(turn) = cache::try_lock(Path::new(LOCK))? {
            return Ok(turn);
        }
        if start.elapsed() > TURN_LIMIT {
            let what = format!("another test did not end its node ({LOCK})");
            return Err(TestbedError::TimedOut { what, limit_ms: TURN_LIMIT.as_millis(), log: String::new() });
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Compiles what holds a pod's namespaces: a few lines of C without libraries.
fn pause_image() -> Result<Image, TestbedError> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("pause/pause.c");
    let program = folder().join("pause");
    let mut compiler = Command::new("cc");
    cache::run(compiler.args(["-static", "-Os", "-o"]).arg(&program).arg(source))?;
    let image = Image::new(PAUSE_IMAGE).program("pause", &program)?.entrypoint(&["/bin/pause"]);
    fs::remove_file(&program).map_err(|source| cache::file_error("remove", &program, source))?;
    Ok(image)
}

fn dns_is_ready() -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&DNS_READY, POLL_INTERVAL)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET /ready HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"))
}
