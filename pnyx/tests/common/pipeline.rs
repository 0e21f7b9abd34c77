//! The platform as it runs in production: real Kafka, real Redis, and a process for each component.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::ExitStatus,
    thread,
    time::Duration,
};

use pnyx_testbed::{KafkaCluster, KafkaOptions, Port, Process, Proxy, RedisOptions, RedisServer};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    ballots::Target,
    everything, http, pnyx,
    settings::{self, Surroundings},
    succeed,
};

/// How long a process may take until it is ready, on a machine that compiles beside.
pub(crate) const READY_WAIT_MAX: Duration = Duration::from_secs(150);

/// How long a process may take to end after SIGTERM: the grace that its help states.
pub(crate) const GRACE_MAX: Duration = Duration::from_secs(30);

/// Lines of each log that are shown when a test fails.
const LOG_LINES_SHOWN: usize = 30;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Ingest,
    Verifier,
    Tally,
    Recount,
}

impl Role {
    /// The command's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Verifier => "verifier",
            Self::Tally => "tally",
            Self::Recount => "recount",
        }
    }

    /// Whether it talks to Redis.
    pub(crate) const fn uses_redis(self) -> bool {
        matches!(self, Self::Tally | Self::Recount)
    }
}

/// How many of what.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// One or three.
    pub(crate) brokers: usize,
    pub(crate) roles: Vec<Role>,
    /// Whether every process has a way of its own to Kafka and Redis that can be cut, and brokers have such ways to each
    /// other.
    pub(crate) can_be_cut: bool,
}

impl Shape {
    /// 1 edge, 2 verifiers, 2 tallies, 1 recount, 1 broker.
    pub(crate) fn usual() -> Self {
        let roles = vec![Role::Ingest, Role::Verifier, Role::Verifier, Role::Tally, Role::Tally, Role::Recount];
        Self { brokers: 1, roles, can_be_cut: false }
    }
}

/// A process of the platform; its port and files stay while it is down.
pub(crate) struct Member {
    pub(crate) role: Role,
    /// `tally-2`.
    pub(crate) name: String,
    /// Its base URL.
    pub(crate) url: String,
    /// Its own way to Redis, where it can be cut.
    pub(crate) redis: Option<Proxy>,
    log: PathBuf,
    /// Further arguments.
    more: Vec<String>,
    process: Option<Process>,
    _port: Port,
}

/// A running platform. Dropping it ends everything; while a test fails it shows the logs first.
pub(crate) struct Pipeline {
    pub(crate) shape: Shape,
    /// Processes in the order of the shape. Before the servers, so that they end first.
    pub(crate) members: Vec<Member>,
    pub(crate) kafka: KafkaCluster,
    pub(crate) redis: RedisServer,
    folder: TempDir,
}

impl Pipeline {
    /// Starts everything and waits until every process is ready.
    pub(crate) fn start(shape: Shape) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kafka = start_kafka(&shape);
        let redis = RedisServer::start(RedisOptions::new()).unwrap();
        settings::write_secrets(folder.path());
        let mut pipeline = Self { shape, members: Vec::new(), kafka, redis, folder };
        for index in 0..pipeline.shape.roles.len() {
            let role = pipeline.shape.roles[index];
            pipeline.add(role, &[]);
        }
        pipeline.wait_until_all_ready();
        pipeline
    }

    /// Starts one process more, with further arguments; gives its index.
    pub(crate) fn add(&mut self, role: Role, more: &[&str]) -> usize {
        let number = 1 + self.members.iter().filter(|member| member.role == role).count();
        let name = format!("{}-{number}", role.name());
        let port = Port::reserve().unwrap();
        let redis_address = self.redis.address().parse().unwrap();
        let is_cuttable = self.shape.can_be_cut && role.uses_redis();
        let redis = is_cuttable.then(|| Proxy::start(redis_address).unwrap());
        let log = self.folder.path().join(format!("{name}.log"));
        let url = format!("http://{}", port.address());
        let more = more.iter().map(|argument| (*argument).to_owned()).collect();
        self.members.push(Member { role, name, url, redis, log, more, process: None, _port: port });
        let index = self.members.len() - 1;
        self.spawn(index);
        index
    }

    /// Starts a process that is down, on the port it had; does not wait.
    pub(crate) fn spawn(&mut self, index: usize) {
        let surroundings = self.surroundings(Some(index));
        let member = &mut self.members[index];
        let command = settings::command(member.role, &surroundings, &member.url, &member.more);
        member.process = Some(Process::spawn(member.name.clone(), &command, &member.log).unwrap());
    }

    /// Where the servers are for a process, or for a client.
    pub(crate) fn surroundings(&self, index: Option<usize>) -> Surroundings {
        let route = index.filter(|index| self.shape.can_be_cut && *index < settings::ROUTES);
        let redis = index.and_then(|index| self.members[index].redis.as_ref());
        Surroundings {
            kafka: match route {
                Some(route) => self.kafka.route(route).bootstrap(),
                None => self.kafka.bootstrap(),
            },
            redis: redis.map_or_else(|| self.redis.address(), |proxy| proxy.address().to_string()),
            folder: self.folder.path().to_owned(),
            brokers: self.shape.brokers,
        }
    }

    /// Waits until a process says that it is ready.
    pub(crate) fn wait_until_ready(&self, index: usize) {
        let member = &self.members[index];
        http::poll(&format!("readiness of {}", member.name), READY_WAIT_MAX, || {
            http::try_get(&format!("{}/readyz", member.url)).filter(http::Answer::is_success)
        });
    }

    /// Waits until every process that is up is ready.
    pub(crate) fn wait_until_all_ready(&self) {
        (0..self.members.len()).filter(|index| self.is_up(*index)).for_each(|index| self.wait_until_ready(index));
    }

    /// Whether it was started and not killed since.
    pub(crate) fn is_up(&self, index: usize) -> bool {
        self.members[index].process.is_some()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, index: usize) {
        self.members[index].process.take().expect("a process that runs").kill9().unwrap();
    }

    /// SIGTERM, then its exit status.
    pub(crate) fn terminate(&mut self, index: usize) -> ExitStatus {
        let mut process = self.members[index].process.take().expect("a process that runs");
        process.sigterm().unwrap();
        process.wait(GRACE_MAX).unwrap()
    }

    /// The running process.
    pub(crate) fn process(&mut self, index: usize) -> &mut Process {
        self.members[index].process.as_mut().expect("a process that runs")
    }

    /// Fails if a process ended by itself.
    pub(crate) fn assert_nobody_ended(&mut self) {
        for member in &mut self.members {
            if let Some(process) = &mut member.process {
                let status = process.status().unwrap();
                assert!(status.is_none(), "{} ended by itself: {status:?}\n{}", member.name, process.log_tail());
            }
        }
    }

    /// Indices of the processes of a role.
    pub(crate) fn of(&self, role: Role) -> Vec<usize> {
        (0..self.members.len()).filter(|index| self.members[*index].role == role).collect()
    }

    /// Base URL of the edge.
    pub(crate) fn edge(&self) -> &str {
        &self.members[self.of(Role::Ingest)[0]].url
    }

    /// Base URLs of all replicas of the read API that are up.
    pub(crate) fn reads(&self) -> Vec<String> {
        let up = self.of(Role::Tally).into_iter().filter(|index| self.is_up(*index));
        up.map(|index| self.members[index].url.clone()).collect()
    }

    /// Where files of the test go.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `pnyx propose`, then waits until edge and every replica know the proposals; gives them in the order of the files.
    pub(crate) fn propose(&self, files: &[PathBuf], more: &[&str]) -> Vec<Target> {
        self.propose_only(files, more);
        let targets = files.iter().map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap();
            self.wait_for_proposal(name)
        });
        targets.collect()
    }

    /// `pnyx propose` alone.
    pub(crate) fn propose_only(&self, files: &[PathBuf], more: &[&str]) {
        let mut command = settings::propose(&self.surroundings(None), files, more);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}\n{}", everything(&output));
    }

    fn wait_for_proposal(&self, name: &str) -> Target {
        let mut found = Value::Null;
        for url in self.reads() {
            let url = format!("{url}/v1/proposals/{name}");
            found = http::poll(&format!("proposal {name} at {url}"), READY_WAIT_MAX, || http::try_json(&url));
        }
        Target::from_json(&found)
    }

    /// Ends every process and Kafka, and starts them with a new, empty log beside the same Redis.
    pub(crate) fn start_log_anew(&mut self) {
        let up: Vec<usize> = (0..self.members.len()).filter(|index| self.is_up(*index)).collect();
        up.iter().for_each(|index| self.kill(*index));
        self.kafka = start_kafka(&self.shape);
        up.iter().for_each(|index| self.spawn(*index));
        self.wait_until_all_ready();
    }

    /// Has `pnyx recount` read the log from its beginning and count a proposal's raw records again: it agrees with the
    /// published result.
    pub(crate) fn assert_recount_agrees(&self, target: &Target) {
        let mut command = pnyx();
        settings::log_arguments(command.args(["recount", &target.id, "--json"]), &self.surroundings(None));
        let output = succeed(&mut command);
        let report: Value = serde_json::from_str(output.trim()).unwrap();
        assert_eq!(report["agrees"], true, "{}: {report}", target.name);
    }

    /// The end of every process's log.
    pub(crate) fn logs(&self) -> String {
        let mut text = String::new();
        for member in &self.members {
            let log = fs::read_to_string(&member.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            writeln!(text, "--- {} ({} lines)\n{}", member.name, lines.len(), shown.join("\n")).unwrap();
        }
        text
    }

    /// How far every replica says that every proposal is.
    pub(crate) fn positions(&self) -> String {
        let mut text = String::new();
        for url in self.reads() {
            let listed = http::try_json(&format!("{url}/v1/proposals?limit=100")).unwrap_or_default();
            for proposal in listed["proposals"].as_array().into_iter().flatten() {
                let id = proposal["id"].as_str().unwrap_or_default();
                let progress = http::try_get(&format!("{url}/v1/proposals/{id}/progress"));
                let progress = progress.map(|answer| answer.body).unwrap_or_default();
                writeln!(text, "{url} {} {id}: {progress}", proposal["name"]).unwrap();
            }
        }
        text
    }

    /// All of a process's log.
    pub(crate) fn log_of(&self, index: usize) -> String {
        fs::read_to_string(&self.members[index].log).unwrap_or_default()
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if thread::panicking() {
            let shown = std::env::temp_dir().join("pnyx-pipeline-failure.log");
            let logs = self.logs();
            // Beside the message, which is cut where it is shown; that it could not be written changes nothing.
            let _ = File::create(&shown).and_then(|mut file| std::io::Write::write_all(&mut file, logs.as_bytes()));
            let _ = std::io::Write::write_all(&mut std::io::stderr(), logs.as_bytes());
        }
    }
}

fn start_kafka(shape: &Shape) -> KafkaCluster {
    let options = if shape.brokers == 3 { KafkaOptions::three() } else { KafkaOptions::one() };
    let options = if shape.can_be_cut { options.routes(settings::ROUTES) } else { options };
    let options = if shape.can_be_cut && shape.brokers > 1 { options.links() } else { options };
    KafkaCluster::start(options).unwrap()
}
