//! A control plane that lives as long as its value.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use super::{
    AuditEvent, ControlPlaneOptions, Part, Tool, audit, command,
    credentials::{self, ADMIN, Credentials},
    flags::{self, Place, Ports},
    part::Runner,
    prepare,
};
use crate::{TestbedError, cache, directory::Directory};

/// How long the API server may take until it is ready: 3 s on an idle machine, more while everything compiles beside.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// How often it is asked: each time is a process of a tenth of a second.
const READY_INTERVAL: Duration = Duration::from_millis(100);

/// How long a part may take to end by itself: the API server waits for requests that are being answered.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How long a token of a service account holds: longer than any test.
const ACCOUNT_TOKEN_DURATION: &str = "24h";

/// A running control plane. Dropping it ends its processes and removes their data.
///
/// Admission is that of a cluster: Pod Security enforces what labels of namespaces say. Every request stands in the
/// audit log. Ports, tokens and files stay when a part is started again.
#[derive(Debug)]
pub struct ControlPlane {
    parts: BTreeMap<Part, Runner>,
    server: SocketAddr,
    credentials: Credentials,
    programs: PathBuf,
    place: Place,
    group_count: AtomicU32,
    file_count: AtomicU32,
    has_quick_node_deaths: bool,
    _ports: Ports,
    directory: Directory,
}

impl ControlPlane {
    /// Starts a control plane and waits until it is ready.
    ///
    /// With controllers, the account that pods of the namespace `default` have is there, too.
    ///
    /// # Errors
    /// Something is missing on this machine, a part ends, or the API server is not ready in time.
    pub fn start(options: ControlPlaneOptions) -> Result<Self, TestbedError> {
        Self::start_in(Place::here(), options)
    }

    pub(super) fn start_in(place: Place, options: ControlPlaneOptions) -> Result<Self, TestbedError> {
        let programs = prepare::prepared()?;
        let (directory, ports) = (Directory::new()?, Ports::reserve()?);
        let server = ports.server(&place);
        let users = [credentials::parts(), options.users.clone()].concat();
        let credentials = Credentials::write(directory.path().join("credentials"), server, &users)?;
        credentials::write_audit_policy(&credentials.file("audit-policy.yaml"))?;
        let chosen = [
            (Part::Etcd, true),
            (Part::ApiServer, true),
            (Part::ControllerManager, options.has_controllers),
            (Part::Scheduler, options.has_scheduler),
        ];
        let runner = |part: Part| {
            let command = flags::command(part, &programs, directory.path(), &place, &ports, &credentials, &options);
            (part, Runner::new(part.program(), command, directory.path().join(format!("{part}.log"))))
        };
        let parts = chosen.into_iter().filter(|(_, is_chosen)| *is_chosen).map(|(part, _)| runner(part)).collect();
        let control_plane = Self {
            parts,
            server,
            credentials,
            programs,
            place,
            group_count: AtomicU32::new(0),
            file_count: AtomicU32::new(0),
            has_quick_node_deaths: options.has_quick_node_deaths,
            _ports: ports,
            directory,
        };
        control_plane.start_parts()?;
        Ok(control_plane)
    }

    /// The kubeconfig of somebody who may do everything. It holds all that is needed, also as a copy.
    ///
    /// # Panics
    /// Never: everybody whom the options name has one.
    #[must_use]
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.kubeconfig_of(ADMIN)
    }

    /// The kubeconfig of a user whom the options name.
    ///
    /// # Panics
    /// The options name no such user.
    #[must_use]
    pub fn kubeconfig_of(&self, user: &str) -> PathBuf {
        self.credentials.kubeconfig(user).expect("the options name every user")
    }

    /// A kubeconfig with which a program is a service account, as it is in a pod.
    ///
    /// # Errors
    /// There is no such account.
    pub fn kubeconfig_of_account(&self, namespace: &str, account: &str) -> Result<PathBuf, TestbedError> {
        let duration = format!("--duration={ACCOUNT_TOKEN_DURATION}");
        let token = self.kubectl(&["create", "token", account, "--namespace", namespace, &duration])?;
        self.credentials.write_kubeconfig(&format!("account-{namespace}-{account}"), token.trim())
    }

    /// Where the API server listens.
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// Runs kubectl as somebody who may do everything, and returns what it wrote to standard output.
    ///
    /// # Errors
    /// It fails or does not end in time; the error shows what it wrote.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, TestbedError> {
        self.run(Tool::Kubectl, &self.kubeconfig_path(), arguments, None)
    }

    /// As [`ControlPlane::kubectl`], as the user whom a kubeconfig names.
    ///
    /// # Errors
    /// It fails or does not end in time.
    pub fn kubectl_as(&self, kubeconfig: &Path, arguments: &[&str]) -> Result<String, TestbedError> {
        self.run(Tool::Kubectl, kubeconfig, arguments, None)
    }

    /// As [`ControlPlane::kubectl`], with a text as its standard input.
    ///
    /// # Errors
    /// It fails or does not end in time.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String, TestbedError> {
        let count = self.file_count.fetch_add(1, Ordering::Relaxed);
        let file = self.directory.path().join(format!("input-{count}.yaml"));
        cache::write(&file, input)?;
        self.run(Tool::Kubectl, &self.kubeconfig_path(), arguments, Some(&file))
    }

    /// Applies resources in YAML or JSON, on the side of the server.
    ///
    /// # Errors
    /// One of them is refused.
    pub fn apply(&self, manifest: &str) -> Result<String, TestbedError> {
        self.kubectl_with(&["apply", "--server-side", "--force-conflicts", "-f", "-"], manifest)
    }

    /// Runs Helm as somebody who may do everything. Its own files lie in the directory of this control plane.
    ///
    /// # Errors
    /// Helm cannot be had, fails or does not end in time.
    pub fn helm(&self, arguments: &[&str]) -> Result<String, TestbedError> {
        self.run(Tool::Helm, &self.kubeconfig_path(), arguments, None)
    }

    /// Every request so far, in order of their answers.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn audit_log(&self) -> Result<Vec<AuditEvent>, TestbedError> {
        audit::read(&self.directory.path().join("audit.log"))
    }

    /// Ends a part at once, as when its machine dies.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn kill(&self, part: Part) -> Result<(), TestbedError> {
        self.part(part).kill()
    }

    /// Asks a part to end and waits until it has.
    ///
    /// # Errors
    /// It does not run, or does not end in time.
    pub fn stop(&self, part: Part) -> Result<(), TestbedError> {
        self.part(part).stop(STOP_LIMIT)
    }

    /// Starts a part again with what it has kept, and waits until the API server is ready if that runs. A part that runs
    /// is killed first.
    ///
    /// # Errors
    /// It ends, or the API server is not ready in time.
    pub fn restart(&self, part: Part) -> Result<(), TestbedError> {
        self.part(part).start()?;
        match self.process_id(Part::ApiServer) {
            Some(_) => self.wait_until_ready(),
            None => Ok(()),
        }
    }

    /// Kills the API server and starts it again.
    ///
    /// # Errors
    /// It is not ready in time.
    pub fn restart_api_server(&self) -> Result<(), TestbedError> {
        self.restart(Part::ApiServer)
    }

    /// Stops a part where it stands, with its connections open.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&self, part: Part) -> Result<(), TestbedError> {
        self.part(part).pause()
    }

    /// Lets a paused part go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&self, part: Part) -> Result<(), TestbedError> {
        self.part(part).resume()
    }

    /// Waits until the API server says that it is ready.
    ///
    /// # Errors
    /// It does not in time, or ends.
    pub fn wait_until_ready(&self) -> Result<(), TestbedError> {
        let mut asked: Option<Instant> = None;
        self.part(Part::ApiServer).wait_until(READY_LIMIT, || {
            let is_time = asked.is_none_or(|asked| asked.elapsed() >= READY_INTERVAL);
            if !is_time || TcpStream::connect(self.server).is_err() {
                return false;
            }
            asked = Some(Instant::now());
            self.kubectl(&["get", "--raw=/readyz", "--request-timeout=5s"]).is_ok()
        })
    }

    /// The process of a part, for measuring what it uses; nothing if it does not run.
    #[must_use]
    pub fn process_id(&self, part: Part) -> Option<u32> {
        self.part(part).process_id()
    }

    /// The log file of a part.
    #[must_use]
    pub fn log(&self, part: Part) -> &Path {
        self.part(part).log()
    }

    /// The programs of Kubernetes.
    pub(super) fn programs(&self) -> &Path {
        &self.programs
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Where files lie that end with this control plane.
    pub(super) fn folder(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn has_quick_node_deaths(&self) -> bool {
        self.has_quick_node_deaths
    }

    /// Tells groups of nodes apart.
    pub(super) fn next_group(&self) -> u32 {
        self.group_count.fetch_add(1, Ordering::Relaxed)
    }

    fn start_parts(&self) -> Result<(), TestbedError> {
        // The API server waits for its database, so that both may start at once.
        self.part(Part::Etcd).start()?;
        self.part(Part::ApiServer).start()?;
        self.wait_until_ready()?;
        let others = [Part::ControllerManager, Part::Scheduler];
        others.into_iter().filter_map(|part| self.parts.get(&part)).try_for_each(Runner::start)?;
        if self.parts.contains_key(&Part::ControllerManager) {
            self.kubectl(&["wait", "--for=create", "serviceaccount/default", "--timeout=60s"])?;
        }
        Ok(())
    }

    fn part(&self, part: Part) -> &Runner {
        self.parts.get(&part).expect("the options ask for this part")
    }

    fn run(
        &self,
        tool: Tool,
        kubeconfig: &Path,
        arguments: &[&str],
        input: Option<&Path>,
    ) -> Result<String, TestbedError> {
        let mut line = Command::new(tool.prepared()?);
        let home = self.directory.path().join("home");
        line.args(arguments).env("KUBECONFIG", kubeconfig).env("KUBECACHEDIR", home.join("kube"));
        // Settings of a person who runs tests must not count.
        line.env("KUBERC", "off").env("HOME", &home).env_remove("HELM_NAMESPACE");
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            line.env(name, home.join(name));
        }
        command::output(&mut line, input)
    }
}
