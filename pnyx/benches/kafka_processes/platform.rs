//! The platform: a broker, a Redis, and one process each of ingest, verifier and tally; and what the kernel says of them.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use pnyx_bench_support::{cpu_time_of, resident_bytes};
use pnyx_core::id::ProposalId;
use pnyx_testbed::{KafkaCluster, KafkaOptions, Port, Process, RedisOptions, RedisServer};
use tempfile::TempDir;

use crate::{
    client::Connection,
    proposals::Proposals,
    signed::{SignedBallot, recover, sign},
};

/// The proposal: the most usual system, and the one on which all voters' ballots stand in one tally.
const PROPOSAL: &str = "grants-round.yaml";

/// How long the proposal is open: far above what a run takes.
const OPEN_FOR_S: i64 = 86_400;

/// How long a process may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A pause after everything is ready, in which groups get their partitions and connections their threads.
const SETTLE: Duration = Duration::from_secs(3);

/// How often to look whether everything is counted.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long counting may lag behind before the run is given up: far above what a loaded machine needs.
const COUNTED_WAIT_MAX: Duration = Duration::from_secs(300);

/// A key as good as any.
const SIGNING_KEY: &str = "0x4242424242424242424242424242424242424242424242424242424242424242\n";

/// Names of the processes, in the order of [`Platform::cpu_times`].
pub(crate) const PROCESSES: [&str; 5] = ["edge", "broker", "verifier", "tally", "Redis"];

/// A running platform with one proposal, and ballots for it.
pub(crate) struct Platform {
    /// Where ballots go.
    pub(crate) edge: SocketAddr,
    /// Where reads go.
    pub(crate) reads: SocketAddr,
    /// What is voted on.
    pub(crate) proposal: ProposalId,
    /// Connections of whoever sends as fast as answers come.
    pub(crate) connections: usize,
    /// The store.
    pub(crate) redis: RedisServer,
    ballots: Vec<SignedBallot>,
    /// How many of them were sent.
    sent: usize,
    // In the order in which they end.
    processes: [Process; 3],
    cluster: KafkaCluster,
    _directory: TempDir,
}

impl Platform {
    /// Signs so many ballots, each of another voter, and starts everything.
    pub(crate) fn start(ballots: usize, connections: usize) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let proposals = Proposals::write(&directory.path().join("proposals"), OPEN_FOR_S, |name| name == PROPOSAL)?;
        let signed = sign(&proposals.proposals, ballots);
        let cluster = KafkaCluster::start(KafkaOptions::one().for_load())?;
        let redis = RedisServer::start(RedisOptions::new())?;
        let key = signing_key(directory.path())?;

        let mut propose = pnyx("propose", &cluster);
        propose.arg(&proposals.directory).args(["--domain", "dev"]);
        let proposed = propose.output()?;
        ensure!(proposed.status.success(), "pnyx propose: {}", String::from_utf8_lossy(&proposed.stderr));
        let start = |name: &str, more: &[&str]| -> anyhow::Result<(Process, SocketAddr)> {
            let address = Port::reserve()?.address();
            let mut command = pnyx(name, &cluster);
            command.args(["--listen", &address.to_string()]).args(more);
            let mut process = Process::spawn(name, &command, &directory.path().join(name))?;
            process.wait_until(READY_LIMIT, || is_ready(address))?;
            Ok((process, address))
        };
        let (verifier, _) = start("verifier", &[])?;
        let (tally, reads) = start("tally", &["--redis", &redis.address()])?;
        let (ingest, edge) = start("ingest", &["--signing-key-file", &key.to_string_lossy()])?;
        thread::sleep(SETTLE);
        let proposal = proposals.proposals[0].id();
        let processes = [ingest, verifier, tally];
        Ok(Self {
            edge,
            reads,
            proposal,
            connections,
            redis,
            ballots: signed,
            sent: 0,
            processes,
            cluster,
            _directory: directory,
        })
    }

    /// How long all cores need to do nothing but recover the signers of the next ballots.
    pub(crate) fn recovery_floor(&self, ballots: usize) -> Duration {
        recover(&self.ballots[self.sent..self.sent + ballots])
    }

    /// The next ballots to send.
    pub(crate) fn next_ballots(&mut self, ballots: usize) -> &[SignedBallot] {
        self.sent += ballots;
        &self.ballots[self.sent - ballots..self.sent]
    }

    /// How many ballots were sent so far.
    pub(crate) const fn sent(&self) -> usize {
        self.sent
    }

    /// Waits until everything that was sent is counted.
    pub(crate) fn wait_until_counted(&self) -> anyhow::Result<()> {
        let (mut connection, started) = (Connection::open(self.reads)?, Instant::now());
        loop {
            let counting = self.counting(&mut connection)?;
            if counting >= self.sent as u64 {
                return Ok(());
            }
            ensure!(started.elapsed() < COUNTED_WAIT_MAX, "{counting} of {} counted in time", self.sent);
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// How many ballots the tally shows.
    pub(crate) fn counting(&self, connection: &mut Connection) -> anyhow::Result<u64> {
        let proposal = connection.get(&format!("/v1/proposals/{}", self.proposal))?;
        proposal["tally"]["counting"].as_u64().with_context(|| format!("no counting in {proposal}"))
    }

    /// Processor time of each process, in user and in kernel mode.
    pub(crate) fn cpu_times(&self) -> anyhow::Result<[Duration; PROCESSES.len()]> {
        let [ingest, verifier, tally] = self.processes.each_ref().map(Process::id);
        let [broker] = self.cluster.process_ids()[..] else { anyhow::bail!("the broker is not ours") };
        let redis = self.redis.process_id().context("the Redis is not ours")?;
        let mut times = [Duration::ZERO; PROCESSES.len()];
        for (time, process) in times.iter_mut().zip([ingest, broker, verifier, tally, redis]) {
            *time = cpu_time_of(process)?;
        }
        Ok(times)
    }

    /// Memory of the tally that is in use.
    pub(crate) fn tally_bytes(&self) -> io::Result<u64> {
        resident_bytes(self.processes[2].id())
    }
}

fn pnyx(command: &str, cluster: &KafkaCluster) -> Command {
    let mut pnyx = Command::new(env!("CARGO_BIN_EXE_pnyx"));
    pnyx.args([command, "--kafka", &cluster.bootstrap()]);
    pnyx.args([
        "--kafka-replication-factor",
        "1",
        "--kafka-min-insync-replicas",
        "1",
        "--allow-unsafe-durability=true",
    ]);
    pnyx
}

/// A file with the platform's key that only its owner may read.
fn signing_key(directory: &Path) -> anyhow::Result<PathBuf> {
    let path = directory.join("signing-key");
    fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
    fs::write(&path, SIGNING_KEY)?;
    ensure!(fs::metadata(&path)?.permissions().mode() & 0o077 == 0, "others could read the key");
    Ok(path)
}

fn is_ready(address: SocketAddr) -> bool {
    let answer = || -> io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 200 "))
    };
    answer().unwrap_or(false)
}
