//! `cargo xtask testbed`: Kafka, Redis, an EVM node and Kubernetes for people, the same as tests use, until `down` ends them.

use std::{
    env,
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use pnyx_testbed::{
    KAFKA_VARIABLE, KafkaCluster, KafkaOptions, REDIS_VARIABLE, RedisOptions, RedisServer, TestbedError, cache,
    evm::{DEPLOYER, Evm, EvmOptions},
    kubernetes::{ControlPlane, ControlPlaneOptions, FakeNodes, Tool},
};

use crate::process;

/// How long servers may take to start, the first download of Kafka on a slow line included.
const UP_LIMIT: Duration = Duration::from_secs(600);

/// The same with Kubernetes, which is built the first time: 8 minutes where nothing else compiles.
const UP_LIMIT_KUBERNETES: Duration = Duration::from_secs(3600);

/// Nodes of the cluster for people: one in each of its three zones.
const FAKE_NODES: usize = 3;

/// How long servers may take to end: brokers are killed, so only their data has to be removed.
const DOWN_LIMIT: Duration = Duration::from_secs(60);

/// Time between two blocks of the EVM node: a snapshot is final after three, and the 500 states that the node keeps are
/// those of a quarter of an hour.
const BLOCK_TIME_S: u64 = 2;

/// How often a waiting task looks again; a person notices no shorter time.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What to do with the servers.
#[derive(Debug, Subcommand)]
pub enum Testbed {
    /// Starts servers in the background and prints where they are and how tests find them.
    Up(Up),
    /// Ends the servers and removes their data.
    Down,
    /// Keeps the servers; what `up` starts in the background.
    #[command(hide = true)]
    Hold(Servers),
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct Up {
    #[command(flatten)]
    servers: Servers,
    /// Prints one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Which servers; without a choice one Kafka broker, one Redis and one EVM node.
#[derive(Debug, Clone, Args)]
pub struct Servers {
    /// Starts Kafka with this many brokers.
    #[arg(long, value_name = "BROKERS", value_parser = ["1", "3"])]
    kafka: Option<String>,
    /// Starts Redis.
    #[arg(long)]
    redis: bool,
    /// Starts an EVM node.
    #[arg(long)]
    evm: bool,
    /// Starts Kubernetes: a control plane and three fake nodes, whose pods are Ready and run nowhere. Only on request.
    #[arg(long)]
    kubernetes: bool,
}

/// Files by which `up`, `down` and the process in the background know of each other.
struct Files {
    /// Locked by the process in the background as long as it lives.
    lock: PathBuf,
    /// Where the servers are; when it goes, they go.
    state: PathBuf,
    /// What the process in the background writes.
    log: PathBuf,
}

/// Runs one of the tasks.
pub(crate) fn run(task: Testbed) -> anyhow::Result<()> {
    let folder = cache::root()?.join("testbed");
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let files =
        Files { lock: folder.join("lock"), state: folder.join("state.json"), log: folder.join("background.log") };
    match task {
        Testbed::Up(up) => files.up(&up),
        Testbed::Down => files.down(),
        Testbed::Hold(servers) => files.hold(&servers),
    }
}

impl Files {
    fn up(&self, up: &Up) -> anyhow::Result<()> {
        if try_lock(&self.lock)?.is_none() {
            print(&self.state, up.json).context("servers are being started or ended")?;
            bail!("these servers are up already; `cargo xtask testbed down` ends them");
        }
        remove(&self.state)?;
        let log = File::create(&self.log).with_context(|| format!("failed to write {}", self.log.display()))?;
        let mut command = Command::new(env::current_exe().context("this program has no path")?);
        command.args(["testbed", "hold"]).args(up.servers.arguments());
        // Servers of somebody else are what these are to be instead of.
        command.env_remove(KAFKA_VARIABLE).env_remove(REDIS_VARIABLE);
        // A group of its own, so that Ctrl-C in this terminal does not reach it.
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut background = command.spawn().context("failed to start a process in the background")?;
        let (start, mut shown) = (Instant::now(), 0);
        let limit = if up.servers.kubernetes { UP_LIMIT_KUBERNETES } else { UP_LIMIT };
        while !self.state.exists() {
            shown = show_from(&self.log, shown)?;
            if let Some(status) = background.try_wait()? {
                let rest = read_from(&self.log, shown)?;
                let reason = rest.trim_end().strip_prefix("error: ");
                bail!(
                    "{}",
                    reason.map_or_else(|| format!("the servers did not start: {status}\n{rest}"), str::to_owned)
                );
            }
            if start.elapsed() > limit {
                background.kill()?;
                bail!("the servers did not start within {} s", limit.as_secs());
            }
            thread::sleep(POLL_INTERVAL);
        }
        print(&self.state, up.json)
    }

    fn down(&self) -> anyhow::Result<()> {
        let was_up = try_lock(&self.lock)?.is_none();
        remove(&self.state)?;
        let start = Instant::now();
        while try_lock(&self.lock)?.is_none() {
            ensure!(start.elapsed() < DOWN_LIMIT, "the servers did not end within {} s", DOWN_LIMIT.as_secs());
            thread::sleep(POLL_INTERVAL);
        }
        process::say(if was_up { "the servers are down" } else { "no servers were up" })?;
        Ok(())
    }

    /// Starts the servers and keeps them until the state file is removed.
    fn hold(&self, servers: &Servers) -> anyhow::Result<()> {
        let _lock = try_lock(&self.lock)?.context("another process holds servers already")?;
        let brokers = servers.brokers();
        let options = brokers.map(|brokers| if brokers == 3 { KafkaOptions::three() } else { KafkaOptions::one() });
        let kafka = options.map(KafkaCluster::start).transpose()?;
        let redis = servers.has_redis().then(|| RedisServer::start(RedisOptions::new())).transpose()?;
        let evm = servers.has_evm().then(demo_chain).transpose()?;
        let cluster = servers.kubernetes.then(demo_cluster).transpose()?;
        let state = serde_json::json!({
            "kafka": kafka.as_ref().map(KafkaCluster::bootstrap),
            "kafka_brokers": kafka.as_ref().map(KafkaCluster::node_count),
            "redis": redis.as_ref().map(RedisServer::address),
            "evm": evm.as_ref().map(Evm::url),
            "evm_chain_id": evm.as_ref().map(Evm::chain_id),
            "evm_deployer": evm.as_ref().map(|_| DEPLOYER.to_string()),
            "kubeconfig": cluster.as_ref().map(|cluster| cluster.control_plane.kubeconfig_path()),
            "kubectl": cluster.as_ref().map(|cluster| &cluster.kubectl),
            "helm": cluster.as_ref().map(|cluster| &cluster.helm),
        });
        let aside = self.state.with_extension("part");
        fs::write(&aside, format!("{state}\n"))?;
        fs::rename(&aside, &self.state)?;
        while self.state.exists() {
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }
}

impl Servers {
    fn brokers(&self) -> Option<u32> {
        let chosen = self.kafka.as_ref().map(|count| if count == "3" { 3 } else { 1 });
        chosen.or_else(|| self.is_empty().then_some(1))
    }

    fn has_redis(&self) -> bool {
        self.redis || self.is_empty()
    }

    fn has_evm(&self) -> bool {
        self.evm || self.is_empty()
    }

    /// Whether nothing was chosen, which stands for all but Kubernetes.
    fn is_empty(&self) -> bool {
        let Self { kafka, redis, evm, kubernetes } = self;
        kafka.is_none() && !redis && !evm && !kubernetes
    }

    fn arguments(&self) -> Vec<String> {
        let kafka = self.brokers().map(|brokers| format!("--kafka={brokers}"));
        let others = [("--redis", self.has_redis()), ("--evm", self.has_evm()), ("--kubernetes", self.kubernetes)];
        let others = others.into_iter().filter(|(_, is_chosen)| *is_chosen).map(|(flag, _)| flag.to_owned());
        kafka.into_iter().chain(others).collect()
    }
}

/// A chain that goes on by itself and has the token of `examples/chains`.
fn demo_chain() -> Result<Evm, TestbedError> {
    let evm = Evm::start(EvmOptions::new().block_time_s(BLOCK_TIME_S))?;
    evm.deploy_demo_token()?;
    // Strategies are tried at the last final block, which is two behind.
    evm.mine(3)?;
    Ok(evm)
}

/// A cluster for people, with the programs that reach it.
struct Cluster {
    control_plane: ControlPlane,
    kubectl: PathBuf,
    helm: PathBuf,
    _nodes: FakeNodes,
}

/// A control plane that acts on resources, with nodes whose pods are Ready.
fn demo_cluster() -> Result<Cluster, TestbedError> {
    let control_plane = ControlPlane::start(ControlPlaneOptions::new().controllers().scheduler())?;
    let nodes = FakeNodes::start(&control_plane, "fake", FAKE_NODES)?;
    Ok(Cluster { control_plane, kubectl: Tool::Kubectl.prepared()?, helm: Tool::Helm.prepared()?, _nodes: nodes })
}

/// Prints where the servers are.
fn print(state: &Path, is_json: bool) -> anyhow::Result<()> {
    let text = fs::read_to_string(state).with_context(|| format!("failed to read {}", state.display()))?;
    if is_json {
        return Ok(process::say(text.trim_end())?);
    }
    let state: serde_json::Value = serde_json::from_str(&text)?;
    let (kafka, redis) = (state["kafka"].as_str(), state["redis"].as_str());
    process::say("# For tests of this repository:")?;
    kafka.map_or(Ok(()), |kafka| process::say(&format!("export {KAFKA_VARIABLE}={kafka}")))?;
    redis.map_or(Ok(()), |redis| process::say(&format!("export {REDIS_VARIABLE}=redis://{redis}")))?;
    process::say("# For pnyx ingest, verifier, tally, recount and propose:")?;
    kafka.map_or(Ok(()), |kafka| process::say(&format!("export PNYX_KAFKA={kafka}")))?;
    if state["kafka_brokers"] == 1 {
        process::say("export PNYX_KAFKA_REPLICATION_FACTOR=1")?;
        process::say("export PNYX_KAFKA_MIN_INSYNC_REPLICAS=1")?;
        process::say("export PNYX_ALLOW_UNSAFE_DURABILITY=true")?;
    }
    redis.map_or(Ok(()), |redis| process::say(&format!("export PNYX_REDIS={redis}")))?;
    if let (Some(url), Some(deployer)) = (state["evm"].as_str(), state["evm_deployer"].as_str()) {
        let chain_id = &state["evm_chain_id"];
        process::say(&format!(
            "# The EVM node, chain {chain_id}; it signs for every account, and {deployer} is rich:"
        ))?;
        process::say(&format!("# pnyx dev examples/chains --open-for 10m --chain {chain_id}=$ETH_RPC_URL"))?;
        process::say(&format!("export ETH_RPC_URL={url}"))?;
    }
    if let (Some(kubeconfig), Some(kubectl), Some(helm)) =
        (state["kubeconfig"].as_str(), state["kubectl"].as_str(), state["helm"].as_str())
    {
        process::say("# Kubernetes with fake nodes, for kubectl and Helm; without your own:")?;
        process::say(&format!("# {kubectl}"))?;
        process::say(&format!("# {helm}"))?;
        process::say(&format!("export KUBECONFIG={kubeconfig}"))?;
    }
    Ok(())
}

/// Shows on standard error the whole lines that a log has beyond a position, unless they say why it ended; returns the
/// next position.
fn show_from(log: &Path, position: usize) -> anyhow::Result<usize> {
    let text = read_from(log, position)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    let whole = if whole.starts_with("error: ") { "" } else { whole };
    io::stderr().write_all(whole.as_bytes())?;
    Ok(position + whole.len())
}

fn read_from(log: &Path, position: usize) -> anyhow::Result<String> {
    let bytes = fs::read(log).with_context(|| format!("failed to read {}", log.display()))?;
    Ok(String::from_utf8_lossy(bytes.get(position..).unwrap_or_default()).into_owned())
}

fn try_lock(path: &Path) -> anyhow::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("failed to lock {}", path.display())),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
