//! A chain of its own for each test, with the token of `examples/chains`, and `pnyx` beside it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use alloy_primitives::{Address, U256};
use pnyx_core::signing::SigningKey;
use pnyx_testbed::{
    Process,
    evm::{Argument, Contracts, Evm, EvmOptions, Receipt},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::common::{
    Dev,
    ballots::{Target, now_s},
    get_json, http, pnyx, repository, succeed,
};

/// Name of the proposal in `examples/chains`.
pub(crate) const PROPOSAL: &str = "token-holders";

/// How long a ballot may take to be counted once nothing is in its way: an endpoint that failed is left alone for up to
/// 8 s, a shard or the pinning for 2 s more, and the machine may be busy.
pub(crate) const COUNTED_WAIT_MAX: Duration = Duration::from_secs(90);

/// How long a start that is refused may take.
const REFUSED_WAIT_MAX: Duration = Duration::from_secs(120);

/// How far the chain is behind the clock until a test says what time it is: whatever is in a block when a window opens
/// was there before.
const BEHIND_S: u64 = 3_600;

/// A node with the token that the demo wallets 0 to 7 hold: 100 of it, 200, and so on.
pub(crate) struct Chain {
    pub(crate) evm: Evm,
    pub(crate) contracts: Contracts,
    pub(crate) token: Address,
}

impl Chain {
    pub(crate) fn start() -> Self {
        let evm = Evm::start(EvmOptions::new().genesis_timestamp_s(now_s() - BEHIND_S)).unwrap();
        let token = evm.deploy_demo_token().unwrap();
        // Strategies are tried at the last final block: the token has to be there by then.
        evm.mine(3).unwrap();
        Self { evm, contracts: Contracts::compiled().unwrap(), token }
    }

    /// The value of `--chain` for an endpoint of this chain.
    pub(crate) fn flag(&self, url: &str) -> String {
        format!("{}={url}", self.evm.chain_id())
    }

    /// `pnyx dev` with the example, reading the chain at `url`.
    pub(crate) fn dev(&self, data: &Path, url: &str, open_for: &str) -> Dev {
        Dev::start(data, None, &[&example(), "--open-for", open_for, "--chain", &self.flag(url)])
    }

    /// Makes tokens, in a block of their own.
    pub(crate) fn mint(&self, to: Address, raw: U256) -> Receipt {
        let calldata = self.calldata("mint(address,uint256)", &[to.into(), raw.into()]);
        self.evm.send(self.token, &calldata).unwrap()
    }

    /// Makes tokens of several holders, in a block of their own.
    pub(crate) fn mint_many(&self, to: &[Address], raw: &[U256]) {
        let calldata = self.calldata("mintMany(address[],uint256[])", &[to.into(), raw.into()]);
        self.evm.send(self.token, &calldata).unwrap();
    }

    /// Moves tokens, in a block of its own; the node needs no key for it.
    pub(crate) fn transfer(&self, from: Address, to: Address, raw: U256) -> Receipt {
        let calldata = self.calldata("transfer(address,uint256)", &[to.into(), raw.into()]);
        self.evm.send_from(from, self.token, U256::ZERO, &calldata).unwrap()
    }

    /// Ends the snapshot of a window that opened then: a block a second later, and that one final.
    pub(crate) fn pass(&self, opens_at_s: u64) {
        self.evm.set_next_timestamp(opens_at_s + 1).unwrap();
        let after = self.evm.mine(1).unwrap();
        self.evm.finalize(after.number).unwrap();
    }

    fn calldata(&self, signature: &str, arguments: &[Argument]) -> Vec<u8> {
        self.contracts.get("Token").calldata(signature, arguments)
    }
}

/// The file of the example.
pub(crate) fn example() -> String {
    example_path().display().to_string()
}

pub(crate) fn example_path() -> PathBuf {
    repository().join("examples/chains/token-holders.yaml")
}

/// So many whole tokens of 18 decimals, or as much native currency.
pub(crate) fn whole(number: u64) -> U256 {
    U256::from(number) * U256::from(10).pow(U256::from(18))
}

/// The account of a demo wallet, by the rule of `examples/README.md`.
pub(crate) fn demo_wallet(number: u8) -> Address {
    let key = SigningKey::from_bytes(Sha256::digest(format!("pnyx demo wallet {number}")).into()).unwrap();
    Address::from(*key.address().as_bytes())
}

/// The URL of a part of the proposal; of the proposal itself for an empty path.
pub(crate) fn url(dev: &Dev, path: &str) -> String {
    format!("{}/v1/proposals/{PROPOSAL}{path}", dev.url)
}

/// What the read API says of the proposal's definition.
pub(crate) fn target(dev: &Dev) -> Target {
    Target::from_json(&get_json(&url(dev, "")))
}

/// What the read API says of a demo wallet.
pub(crate) fn voter(dev: &Dev, wallet: u8) -> Value {
    get_json(&url(dev, &format!("/voters/{}", demo_wallet(wallet))))
}

/// Casts the ballot of a demo wallet, which has to be acknowledged; gives the command's words.
pub(crate) fn vote(dev: &Dev, folder: &Path, wallet: u8, choice: &str) -> String {
    let mut vote = pnyx();
    vote.args(["vote", PROPOSAL, "--choice", choice, "--demo-wallet", &wallet.to_string(), "--url", &dev.url]);
    succeed(vote.arg("--receipt").arg(folder.join(format!("receipt-{wallet}.json"))))
}

/// Waits until so many records are counted and none waits.
pub(crate) fn await_counted(dev: &Dev, records: u64) {
    let progress = url(dev, "/progress");
    http::poll(&format!("counting of {records} records"), COUNTED_WAIT_MAX, || {
        http::try_json(&progress).filter(|progress| progress["counted"] == records && progress["lag"] == 0)
    });
}

/// Waits until readers are told how the chain does, and why: nothing for an empty reason.
pub(crate) fn await_chain(dev: &Dev, status: &str, reason: &str) {
    http::poll(&format!("status {status}: {reason}"), COUNTED_WAIT_MAX, || {
        let chain = http::try_json(&url(dev, ""))?["snapshot"]["chains"][0].clone();
        assert_eq!(chain["chain"], "31337", "{chain}");
        let is_told = match chain["reason"].as_str() {
            Some(told) => !reason.is_empty() && told.contains(reason),
            None => reason.is_empty(),
        };
        (chain["status"] == status && is_told && chain["since"].is_string()).then_some(())
    });
}

/// Whether the metrics say that requests to an endpoint came to this.
pub(crate) fn has_failed(metrics: &str, endpoint: &str, outcome: &str) -> bool {
    let labels = format!("endpoint=\"{endpoint}\",outcome=\"{outcome}\"");
    let is_meant = |line: &&str| line.starts_with("pnyx_chain_requests_total{") && line.contains(&labels);
    metrics.lines().filter(is_meant).any(|line| !line.ends_with(" 0"))
}

/// What a `pnyx dev` says that does not start: it has to end by itself, with exit code 2.
pub(crate) fn refused(folder: &Path, name: &str, arguments: &[&str]) -> String {
    let log = folder.join(format!("{name}.log"));
    let mut command = pnyx();
    command.args(["dev", "--listen", "127.0.0.1:0"]).args(arguments).arg("--data").arg(folder.join(name));
    let mut process = Process::spawn("pnyx dev", &command, &log).unwrap();
    let status = process.wait(REFUSED_WAIT_MAX).unwrap();
    let said = fs::read_to_string(&log).unwrap();
    assert_eq!(status.code(), Some(2), "{name}: {said}");
    said
}
