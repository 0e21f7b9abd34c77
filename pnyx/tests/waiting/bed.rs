//! The platform in processes, two chains of which one can be killed, and proposals that need the one, the other or none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use alloy_primitives::Address;
use pnyx_backbone::log::{KafkaConfig, KafkaLog, Log};
use pnyx_core::id::Voter;
use pnyx_testbed::evm::{Evm, EvmOptions, Fault, FaultyEndpoint, SafeContracts};
use serde_json::Value;

use crate::{
    WAIT_MAX,
    common::{
        ballots::{Target, now_s},
        http,
        pipeline::{Pipeline, Role, Shape},
        proposals::{Window, write_plain},
    },
    flood::{Flood, Signed},
};

/// Ballots that every proposal counts before anything is measured: connections, caches and threads are there then.
pub(crate) const WARMING: u64 = 300;

/// Real Safes with two owners of whom both have to sign: more than a batch has records of one lane.
const WALLETS: u64 = 1_000;

/// How long the proposals are open: far above what a run takes.
const OPEN_S: i64 = 24 * 60 * 60;

/// The chains.
const FAILING: u64 = 31_337;
const SOUND: u64 = 31_338;

/// Partitions and lanes of each proposal.
pub(crate) const PARTITIONS: u32 = 4;

/// What a test floods.
pub(crate) struct Bed {
    pipeline: Pipeline,
    endpoint: FaultyEndpoint,
    _evms: [Evm; 2],
    /// Reads power from the chain that can be killed.
    pub(crate) waiting: Target,
    /// Lists all power; contracts of the sound chain may sign.
    pub(crate) flooded: Target,
    /// Reads power from the sound chain.
    pub(crate) sound: Target,
    /// Needs no chain.
    pub(crate) plain: Target,
    pub(crate) wallets: Vec<Voter>,
    /// The log, for whoever appends past the edge.
    pub(crate) log: Log,
}

impl Bed {
    pub(crate) fn start() -> Self {
        let evm = |id| Evm::start(EvmOptions::new().chain_id(id).genesis_timestamp_s(now_s() - 3_600)).unwrap();
        let evms = [evm(FAILING), evm(SOUND)];
        let safes = SafeContracts::deploy(&evms[1]).unwrap();
        let owners = [1, 2].map(|last| Address::with_last_byte(last + 0x10));
        let wallets = safes.make_many(&evms[1], &owners, 2, 0..WALLETS).unwrap();
        let wallets = wallets.into_iter().map(|safe| Voter::new(safe.address.0.0)).collect();
        let endpoint = FaultyEndpoint::start(&evms[0]).unwrap();
        let flags = [format!("{FAILING}={}", endpoint.url()), format!("{SOUND}={}", evms[1].url())];
        let chains: Vec<&str> = flags.iter().flat_map(|flag| ["--chain", flag]).collect();
        let mut pipeline = Pipeline::start(Shape { brokers: 1, roles: vec![Role::Ingest], can_be_cut: false });
        for role in [Role::Verifier, Role::Tally, Role::Recount] {
            pipeline.add(role, &chains);
        }
        pipeline.wait_until_all_ready();
        let blocks = evms.each_ref().map(|evm| {
            evm.mine(3).unwrap();
            evm.finalized().unwrap().number
        });
        let files = write_proposals(pipeline.folder(), blocks);
        let partitions = PARTITIONS.to_string();
        let layout = ["--partitions", &partitions, "--lanes", &partitions];
        let targets = pipeline.propose(&files, &[&chains[..], &layout].concat());
        let [waiting, flooded, sound, plain] = targets.try_into().unwrap();
        let log = open_log(pipeline.kafka.bootstrap());
        let bed = Self { pipeline, endpoint, _evms: evms, waiting, flooded, sound, plain, wallets, log };
        for target in [&bed.waiting, &bed.flooded, &bed.sound, &bed.plain] {
            Flood { target, ballots: WARMING, bytes: 0, signed: Signed::ByFirstKeys }.append(&bed);
        }
        for target in [&bed.waiting, &bed.flooded, &bed.sound, &bed.plain] {
            http::poll(&format!("the first ballots of {}", target.name), WAIT_MAX, || {
                (bed.tally(target)["ballots"] == WARMING).then_some(())
            });
        }
        bed
    }

    pub(crate) fn kill_chain(&self) {
        self.endpoint.set(&[Fault::Dead]).unwrap();
    }

    pub(crate) fn heal_chain(&self) {
        self.endpoint.heal().unwrap();
    }

    /// The process id of the verifier.
    pub(crate) fn verifier(&mut self) -> u32 {
        let index = self.pipeline.of(Role::Verifier)[0];
        self.pipeline.process(index).id()
    }

    pub(crate) fn verifier_url(&self) -> &str {
        &self.pipeline.members[self.pipeline.of(Role::Verifier)[0]].url
    }

    pub(crate) fn edge(&self) -> &str {
        self.pipeline.edge()
    }

    /// Where readers ask about a proposal.
    pub(crate) fn reads(&self, target: &Target) -> String {
        format!("{}/v1/proposals/{}", self.pipeline.reads()[0], target.id)
    }

    pub(crate) fn tally(&self, target: &Target) -> Value {
        http::try_json(&self.reads(target)).unwrap_or_default()["tally"].take()
    }

    pub(crate) fn progress(&self, target: &Target) -> Value {
        http::try_json(&format!("{}/progress", self.reads(target))).unwrap_or_default()
    }

    pub(crate) fn assert_nobody_ended(&mut self) {
        self.pipeline.assert_nobody_ended();
    }
}

fn open_log(bootstrap: String) -> Log {
    let config = KafkaConfig {
        replication_factor: 1,
        min_insync_replicas: 1,
        allow_unsafe_durability: true,
        ..KafkaConfig::new(bootstrap)
    };
    Log::Kafka(http::block_on(KafkaLog::open(config)).unwrap())
}

/// In the order of [`Bed`]: everybody has one vote in each, and what an account holds beside.
fn write_proposals(folder: &Path, [failing, sound]: [u64; 2]) -> Vec<PathBuf> {
    let window = Window::around_now(60, OPEN_S);
    let write = |name: &str, more: &str| {
        let file = write_plain(name, window, folder);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text + more).unwrap();
        file
    };
    let reading = |chain: u64, block: u64| {
        format!("      - ethBalance:\n          network: \"{chain}\"\n{}", snapshot(chain, block))
    };
    vec![
        write("waiting", &reading(FAILING, failing)),
        write("flooded", &format!("{}  signers:\n    chain: \"{SOUND}\"\n", snapshot(SOUND, sound))),
        write("sound", &reading(SOUND, sound)),
        write("plain", ""),
    ]
}

fn snapshot(chain: u64, block: u64) -> String {
    format!("    snapshot:\n      - network: \"{chain}\"\n        block: {block}\n")
}
