//! A running `pnyx dev`, and what the kernel says of it.

use std::{
    io::{self, BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use pnyx_bench_support::{cpu_time_of, resident_bytes};
use pnyx_core::id::ProposalId;

use crate::client::Connection;

/// How often to look whether everything is counted.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long counting may lag behind before the run is given up: far above what a loaded machine needs.
const COUNTED_WAIT_MAX: Duration = Duration::from_secs(300);

/// The binary under measurement.
pub(crate) fn pnyx() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pnyx"))
}

/// A running `pnyx dev`, killed when dropped.
pub(crate) struct Dev {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Dev {
    /// Starts `pnyx dev` on a free port and waits until it is ready.
    pub(crate) fn start(proposals: &Path, data: &Path) -> anyhow::Result<Self> {
        let mut command = pnyx();
        command.arg("dev").arg(proposals).arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().expect("its output is a pipe");
        // Made first, so that the process ends with it whatever comes next.
        let mut dev = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        dev.address = read_address(output)?;
        Ok(dev)
    }

    /// Waits until so many ballots of a proposal are counted, none of them rejected.
    pub(crate) fn wait_until_counted(&self, proposal: ProposalId, ballots: usize) -> anyhow::Result<()> {
        let mut connection = Connection::open(self.address)?;
        let (path, started) = (format!("/v1/proposals/{proposal}/progress"), Instant::now());
        loop {
            let progress = connection.get(&path)?;
            if progress["counted"].as_u64() >= Some(ballots as u64) {
                ensure!(progress["counting"].as_u64() == Some(ballots as u64), "not all ballots count: {progress}");
                return Ok(());
            }
            ensure!(started.elapsed() < COUNTED_WAIT_MAX, "not counted within {COUNTED_WAIT_MAX:?}: {progress}");
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Processor time that it has used, in user and in kernel mode.
    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        cpu_time_of(self.child.id())
    }

    /// Memory of it that is in use.
    pub(crate) fn resident_bytes(&self) -> io::Result<u64> {
        resident_bytes(self.child.id())
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address of the line that says it is ready; what it prints later is read and dropped.
fn read_address(output: ChildStdout) -> anyhow::Result<SocketAddr> {
    let mut lines = BufReader::new(output).lines();
    let address = loop {
        let line = lines.next().context("pnyx dev ended before it was ready")??;
        if let Some((_, rest)) = line.split_once("ready · POST ballots to http://") {
            let end = rest.find(['/', ' ']).unwrap_or(rest.len());
            break rest[..end].parse().with_context(|| format!("no address in {line:?}"))?;
        }
    };
    thread::spawn(move || lines.for_each(drop));
    Ok(address)
}
