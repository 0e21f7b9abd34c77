//! The node: anvil, its process and its port.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{Address, U256, address};
use serde_json::{Value, json};

use super::{EvmOptions, contracts, rpc::JsonRpc};
use crate::{Port, Process, TestbedError, directory::Directory};

/// The account that deploys and pays: the first of anvil's own. Its key is known to everybody.
pub const DEPLOYER: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");

/// Where Multicall3 is on most chains, and where [`Evm::place_multicall`] puts ours.
pub const MULTICALL3: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");

/// Where the packages have the node's binary. No other machine's can be had under this version.
const BINARY: &str = "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil";

/// How long the node may take until it answers: 0.3 s on an idle machine, longer with a state to read.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// How long the node may take to end, which includes writing its chain down.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What the deployer owns, in bits of wei: more than all tests give away, and nothing a sum could overflow by.
const DEPLOYER_BALANCE_BITS: usize = 250;

/// A running EVM node. Dropping it ends the node and removes its chain.
#[derive(Debug)]
pub struct Evm {
    pub(super) options: EvmOptions,
    pub(super) rpc: JsonRpc,
    /// Of times the chain was reorganised: makes each try at a block another block.
    pub(super) reorg_count: AtomicU64,
    /// The contract that funds many, once it is deployed.
    pub(super) disperser: Mutex<Option<Address>>,
    process: Mutex<Option<Process>>,
    binary: PathBuf,
    port: Port,
    directory: Directory,
}

impl Evm {
    /// Starts a node and waits until it answers.
    ///
    /// # Errors
    /// Node.js with npm is missing, a package cannot be had, or the node ends or does not answer within 30 s.
    pub fn start(options: EvmOptions) -> Result<Self, TestbedError> {
        let binary = contracts::packages()?.join(BINARY);
        if !binary.is_file() {
            return Err(TestbedError::Missing {
                what: "anvil",
                advice: "npm has this version for Linux on x86-64 only; run these tests there",
            });
        }
        let port = Port::reserve_at(options.address)?;
        let evm = Self {
            rpc: JsonRpc::new(port.address()),
            reorg_count: AtomicU64::new(0),
            disperser: Mutex::new(None),
            process: Mutex::new(None),
            directory: Directory::new()?,
            options,
            binary,
            port,
        };
        evm.spawn(evm.options.genesis_timestamp_s)?;
        let wealth = U256::ONE << DEPLOYER_BALANCE_BITS;
        evm.rpc("anvil_setBalance", json!([DEPLOYER, wealth]))?;
        Ok(evm)
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Where clients connect, as `http://…`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The chain's id.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.options.chain_id
    }

    /// Calls any method of the node and returns its result.
    ///
    /// # Errors
    /// The node cannot be reached or answers with an error.
    pub fn rpc(&self, method: &str, params: Value) -> Result<Value, TestbedError> {
        self.rpc.call(method, params)
    }

    /// Ends the node; it writes its chain down first, as one that has a disk. Does nothing if it has ended.
    ///
    /// # Errors
    /// The node does not end within 30 s.
    pub fn kill(&self) -> Result<(), TestbedError> {
        let Some(mut process) = self.process().take() else { return Ok(()) };
        process.sigterm()?;
        // A paused node would hear it only later.
        process.sigcont()?;
        process.wait(STOP_LIMIT).map(|_| ())
    }

    /// Starts the node again on its port with the chain it had, ending it first if it runs.
    ///
    /// # Errors
    /// The node does not end, or does not answer within 30 s.
    pub fn restart(&self) -> Result<(), TestbedError> {
        self.kill()?;
        self.spawn(None)
    }

    /// Stops the node where it stands (SIGSTOP); its connections stay open and nothing answers.
    ///
    /// # Errors
    /// The node does not run.
    pub fn pause(&self) -> Result<(), TestbedError> {
        self.running("pause", Process::sigstop)
    }

    /// Lets a paused node go on.
    ///
    /// # Errors
    /// The node does not run.
    pub fn resume(&self) -> Result<(), TestbedError> {
        self.running("resume", Process::sigcont)
    }

    /// Process id of the node, for measuring what it uses.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process().as_ref().map(Process::id)
    }

    /// The log file of the node; it holds errors only.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("anvil.log")
    }

    pub(super) fn next_reorg(&self) -> u64 {
        self.reorg_count.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn spawn(&self, genesis_timestamp_s: Option<u64>) -> Result<(), TestbedError> {
        let mut command = Command::new(&self.binary);
        let EvmOptions { address, chain_id, gas_limit, genesis_timestamp_s: _, block_time_s } = self.options;
        let mut flag = |name: &str, value: u64| {
            command.arg(name).arg(value.to_string());
        };
        flag("--port", self.port.number().into());
        flag("--chain-id", chain_id);
        flag("--gas-limit", gas_limit);
        flag("--max-persisted-states", 0);
        flag("--slots-in-an-epoch", 1);
        // Nobody pays fees, so that native balances change by transfers alone.
        flag("--block-base-fee-per-gas", 0);
        flag("--gas-price", 0);
        if let Some(timestamp_s) = genesis_timestamp_s {
            flag("--timestamp", timestamp_s);
        }
        if let Some(seconds) = block_time_s {
            flag("--block-time", seconds);
        }
        command.args(["--quiet", "--auto-impersonate", "--disable-min-priority-fee", "--host", &address.to_string()]);
        command.args(["--no-request-size-limit", "--preserve-historical-states"]);
        command.arg("--state").arg(self.directory.path().join("state.json"));
        command.arg("--cache-path").arg(self.directory.path());
        command.current_dir(self.directory.path());
        let mut process = Process::spawn("anvil", &command, &self.log())?;
        process.wait_until(READY_LIMIT, || self.rpc.is_up())?;
        *self.process() = Some(process);
        Ok(())
    }

    fn running(
        &self,
        action: &'static str,
        act: impl FnOnce(&mut Process) -> Result<(), TestbedError>,
    ) -> Result<(), TestbedError> {
        match self.process().as_mut() {
            Some(process) => act(process),
            None => Err(TestbedError::NotRunning { action, what: "anvil".to_owned() }),
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().expect("no holder panics")
    }
}
