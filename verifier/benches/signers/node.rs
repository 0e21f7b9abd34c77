//! The node with its Safes, and the proposal whose signers' chain it is.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use alloy_primitives::{Address, B256};
use pnyx_backbone::clock;
use pnyx_bench_support::{key, single_choice};
use pnyx_chains::{ChainConfig, Chains, ChainsConfig, ChainsMetrics, EndpointConfig, SecretUrl};
use pnyx_core::{
    chain::{BlockHash, BlockNumber, ChainId, Pin, Pins, SnapshotRule},
    power::Power,
    proposal::{Definition, Proposal, ProposalParts, Strategy},
    signing::SigningKey,
    time::TimestampMs,
};
use pnyx_testbed::evm::{Evm, EvmOptions, Safe, SafeContracts, SafeOwner};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Cores, Result, pin};

pub(crate) const PARTITIONS: u32 = 4;
const LANES: u16 = 4;

/// Numbers of the owners' keys, which no voter has.
const OWNERS: [u64; 2] = [1 << 40, (1 << 40) + 1];

/// How long ago the proposal was opened.
const OPENED_MS: u64 = 60_000;

/// How long a slowed node runs at least, until this is noticed beside it, and how long it then stands still.
const RUNS_FOR: Duration = Duration::from_millis(2);
const RESTS_FOR: Duration = Duration::from_millis(90);

/// A node with its Safes.
pub(crate) struct Node {
    evm: Evm,
    pub(crate) safes: Vec<Safe>,
    owners: [SigningKey; 2],
    pub(crate) definition: Arc<Definition>,
    pin: Pin,
}

impl Node {
    /// A node with so many Safes of two owners who both have to sign.
    pub(crate) fn start(safes: u64) -> Result<Self> {
        let evm = Evm::start(EvmOptions::new())?;
        let contracts = SafeContracts::deploy(&evm)?;
        let owners = OWNERS.map(key);
        let safes = contracts.make_many(&evm, &owners.each_ref().map(address), 2, 0..safes)?;
        let head = evm.head()?;
        evm.finalize(head.number)?;
        let chain = ChainId::new(evm.chain_id()).ok_or("chain 0")?;
        let pin = Pin {
            chain,
            number: BlockNumber(head.number),
            hash: BlockHash::new(head.hash.0),
            timestamp_s: head.timestamp_s,
        };
        let opens_at = TimestampMs(clock::now().0 - OPENED_MS);
        let plain = single_choice(opens_at, vec![Strategy::Ticket(Power::ONE)]);
        let proposal = Proposal::new(ProposalParts {
            snapshots: [(chain, SnapshotRule::Block(pin.number))].into(),
            signers: Some(chain),
            ..plain.parts().clone()
        })
        .expect("it is a proposal without signers already");
        let definition = Arc::new(Definition::new(proposal, LANES, PARTITIONS)?);
        Ok(Self { evm, safes, owners, definition, pin })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.evm.address()
    }

    pub(crate) fn url(&self) -> String {
        self.evm.url()
    }

    /// The block where contracts are asked, as calls name it.
    pub(crate) fn block(&self) -> String {
        format!(r#"{{"blockHash":"{}","requireCanonical":true}}"#, self.pin.hash)
    }

    pub(crate) fn pins(&self) -> Pins {
        Pins::new(self.definition.proposal().id(), [self.pin]).expect("one pin of one chain")
    }

    /// Reads the chain at this URL, with the defaults of everything.
    pub(crate) fn chains(&self, url: &str) -> Result<Chains> {
        let endpoint = EndpointConfig::new("node".parse()?, SecretUrl::parse(url)?);
        let chain = ChainId::new(self.evm.chain_id()).ok_or("chain 0")?;
        let config = ChainsConfig::new([(chain, ChainConfig::new(vec![endpoint], NonZeroUsize::MIN)?)])?;
        Ok(Chains::new(&config, ChainsMetrics::unregistered())?)
    }

    /// What both owners of a Safe sign.
    pub(crate) fn sign(&self, safe: Safe, digest: [u8; 32]) -> Vec<u8> {
        let sign = self.owners.each_ref().map(|owner| (address(owner), |hash: B256| owner.sign_digest(hash.0)));
        let owners: Vec<SafeOwner<'_>> = sign.iter().map(|(owner, sign)| (*owner, sign as _)).collect();
        safe.sign(B256::from(digest), &owners)
    }
}

/// A node that stands still most of the time.
pub(crate) struct Slowed {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Node {
    /// Lets the node stand still most of the time from now on.
    pub(crate) fn slow_down(&self, cores: Cores) -> Slowed {
        let process = self.evm.process_id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).expect("it runs");
        let is_over = Arc::<AtomicBool>::default();
        let ends = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            pin(cores.node).expect("it is one of our cores");
            while !ends.load(Ordering::Relaxed) {
                for (signal, time) in [(Signal::STOP, RESTS_FOR), (Signal::CONT, RUNS_FOR)] {
                    kill_process(process, signal).expect("the node runs");
                    thread::sleep(time);
                }
            }
        });
        Slowed { is_over, thread }
    }
}

impl Slowed {
    /// Lets the node run.
    pub(crate) fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the thread does not panic");
    }
}

fn address(key: &SigningKey) -> Address {
    Address::from(*key.address().as_bytes())
}
