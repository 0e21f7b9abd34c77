//! Chains of their own for tests, and proposals of which accounts with contracts are voters.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use alloy_primitives::{Address, B256};
use pnyx_backbone::clock;
use pnyx_chains::{ChainConfig, Chains, ChainsConfig, ChainsMetrics, EndpointConfig, EndpointLimits, SecretUrl};
use pnyx_core::{
    ballot::compose,
    chain::{BlockHash, BlockNumber, ChainId, Pin, Pins, SnapshotRule},
    decisions::{Decision, Recorded},
    id::Voter,
    power::Power,
    proposal::{Definition, Proposal, ProposalParts, Strategy, VotingSystem},
    signing::SigningKey,
    time::Window,
    wire::record,
};
use pnyx_testbed::evm::{Argument, Block, Contracts, Evm, EvmOptions, OddWallet};

use crate::{
    pipeline::{Platform, Says, window_closing_in},
    sample::{ballot, definition, wallet},
};

/// When chains begin: long before any window.
const GENESIS_S: u64 = 1_760_000_000;

/// A node and what can be deployed there.
pub(crate) struct Rig {
    pub(crate) evm: Evm,
    pub(crate) contracts: Contracts,
}

impl Rig {
    pub(crate) fn start(chain_id: u64) -> Self {
        let evm = Evm::start(EvmOptions::new().chain_id(chain_id).genesis_timestamp_s(GENESIS_S)).unwrap();
        Self { evm, contracts: Contracts::compiled().unwrap() }
    }

    pub(crate) fn id(&self) -> ChainId {
        ChainId::new(self.evm.chain_id()).unwrap()
    }

    pub(crate) fn deploy(&self, name: &str, arguments: &[Argument]) -> Address {
        self.evm.deploy(self.contracts.get(name), arguments).unwrap()
    }

    pub(crate) fn odd_wallet(&self, odd: OddWallet) -> Address {
        self.deploy("OddWallet", &[odd.into(), Address::ZERO.into()])
    }

    /// The newest block, which is final from now on.
    pub(crate) fn pin_head(&self) -> Pin {
        let head = self.evm.head().unwrap();
        self.evm.finalize(head.number).unwrap();
        self.pin(head)
    }

    pub(crate) fn pin(&self, block: Block) -> Pin {
        let (number, hash) = (BlockNumber(block.number), BlockHash::new(block.hash.0));
        Pin { chain: self.id(), number, hash, timestamp_s: block.timestamp_s }
    }
}

/// Chains with an endpoint each.
pub(crate) fn chains<const N: usize>(endpoints: [(ChainId, String); N]) -> Chains {
    let configured = endpoints.map(|(id, url)| {
        let (name, url) = ("node".parse().unwrap(), SecretUrl::parse(&url).unwrap());
        let endpoint = EndpointConfig { name, url, limits: EndpointLimits::default() };
        (id, ChainConfig::new(vec![endpoint], NonZeroUsize::MIN).unwrap())
    });
    // Only the first one is installed; they are all the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Chains::new(&ChainsConfig::new(configured).unwrap(), ChainsMetrics::unregistered()).unwrap()
}

pub(crate) fn voter(account: Address) -> Voter {
    Voter::new(account.0.0)
}

pub(crate) fn address_of(key: &SigningKey) -> Address {
    Address::from(*key.address().as_bytes())
}

/// The sample's proposal, but these accounts have a power of 1 beside its voters, and contracts may sign as of this
/// block.
pub(crate) fn with_signers(accounts: &[Address], pin: &Pin, window: Window) -> Arc<Definition> {
    let keys_only = definition(VotingSystem::Basic, window, 1);
    let parts = keys_only.proposal().parts().clone();
    let mut strategies = parts.strategies.clone();
    strategies.push(Strategy::WhitelistWeighted(accounts.iter().map(|it| (voter(*it), Power::ONE)).collect()));
    let snapshots = BTreeMap::from([(pin.chain, SnapshotRule::Block(pin.number))]);
    let parts = ProposalParts { strategies, snapshots, signers: Some(pin.chain), ..parts };
    Arc::new(Definition::new(Proposal::new(parts).unwrap(), 1, 1).unwrap())
}

/// Such a proposal with a ballot of a key, pinned at the newest block, whose verifier hears from contracts what `says`
/// says.
pub(crate) async fn propose(
    platform: &Platform,
    rig: &Rig,
    account: Address,
    closes_in_ms: u64,
    says: Says,
) -> Arc<Definition> {
    let pin = rig.pin_head();
    let definition = with_signers(&[account], &pin, window_closing_in(closes_in_ms));
    platform.propose(&definition).await;
    let pins = Pins::new(definition.proposal().id(), [pin]).unwrap();
    assert_eq!(platform.proposals.decide(Decision::Pins(pins)).await.unwrap(), Recorded::Stands);
    platform.append(&definition, ballot(&definition, 1, "1", clock::now().0 / 1_000 - 5)).await;
    platform.count_with(&definition, says).await;
    definition
}

/// A record of a ballot for the first choice, signed in some way.
pub(crate) fn record_of(
    definition: &Definition,
    account: Address,
    signed_at_s: u64,
    sign: &dyn Fn(B256) -> Vec<u8>,
) -> Vec<u8> {
    let proposal = definition.proposal();
    let space = &proposal.parts().space;
    let unsigned = compose(voter(account), space, signed_at_s, proposal.id(), "1", "", "pnyx").unwrap();
    record::encode(&unsigned.body_with(&sign(B256::from(*unsigned.digest().as_bytes()))))
}

/// A signature by one of the sample's wallets.
pub(crate) fn by_key(number: u8) -> impl Fn(B256) -> Vec<u8> {
    move |digest| wallet(number).sign_digest(digest.0).to_vec()
}
