//! Ballots that keep coming, each by a voter of its own with a known power, from a thread beside the test.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, U256};
use pnyx_core::{ballot, signing::SigningKey};
use serde_json::{Value, json};

use crate::{
    common::{
        Dev,
        ballots::{Target, now_s},
        http,
        proposals::{Window, write_plain},
    },
    rig::{Chain, PROPOSAL, whole},
};

/// Ballots a second.
const RATE: u32 = 80;

/// Voters with tokens; those behind them have one vote like everybody. More than a test sends.
const HOLDERS: u64 = 16_000;

/// As many get tokens in one transaction.
const HOLDERS_AT_ONCE: u64 = 500;

/// How long the proposal is open: far above what a test takes.
const OPEN_S: i64 = 60 * 60;

/// A running thread that votes.
pub(crate) struct Steady {
    accepted: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
    began: Instant,
}

/// Gives tokens to the voters and writes a proposal in which everybody has one vote and one for each token, read at a block
/// that is final.
pub(crate) fn prepare(chain: &Chain, folder: &Path) -> String {
    for first in (0..HOLDERS).step_by(usize::try_from(HOLDERS_AT_ONCE).unwrap()) {
        let voters = first..first + HOLDERS_AT_ONCE;
        let to: Vec<Address> = voters.clone().map(address).collect();
        let values: Vec<U256> = voters.map(|voter| whole(tokens(voter))).collect();
        chain.mint_many(&to, &values);
    }
    chain.evm.mine(3).unwrap();
    let block = chain.evm.finalized().unwrap().number;
    let file = write_plain(PROPOSAL, Window::around_now(60, OPEN_S), folder);
    let plain = fs::read_to_string(&file).unwrap();
    let (network, token) = (chain.evm.chain_id(), chain.token);
    let reads = format!(
        "      - erc20BalanceOf:
          network: \"{network}\"
          address: \"{token}\"
          decimals: 18
    snapshot:
      - network: \"{network}\"
        block: {block}
"
    );
    fs::write(&file, plain + &reads).unwrap();
    file.display().to_string()
}

impl Steady {
    /// Votes until it is told to end. Every ballot must be acknowledged, whatever the chain does.
    pub(crate) fn start(dev: &Dev, target: &Target) -> Self {
        let (accepted, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (url, target, began) = (dev.url.clone(), target.clone(), Instant::now());
        let (counts, ends) = (Arc::clone(&accepted), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            for voter in 0.. {
                let due = began + Duration::from_secs(1) / RATE * voter;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if ends.load(Ordering::Relaxed) {
                    break;
                }
                let answer = http::post(&url, body(&target, voter.into())).unwrap();
                assert!(answer.is_success(), "{answer:?}");
                counts.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { accepted, is_over, thread, began }
    }

    /// How many were acknowledged until now.
    pub(crate) fn accepted(&self) -> u64 {
        assert!(!self.thread.is_finished(), "the voting thread failed");
        self.accepted.load(Ordering::Relaxed)
    }

    /// Ends; gives how many were acknowledged, and how many a second.
    pub(crate) fn finish(self) -> (u64, f64) {
        let took = self.began.elapsed();
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        let accepted = self.accepted.load(Ordering::Relaxed);
        (accepted, accepted as f64 / took.as_secs_f64())
    }
}

/// The scores of the first so many ballots.
pub(crate) fn scores(ballots: u64) -> Value {
    let score = |choice: u64| {
        let voters = (0..ballots).filter(|voter| choice_of(*voter) == choice);
        voters.map(|voter| 1 + tokens(voter)).sum::<u64>().to_string()
    };
    json!([score(1), score(2), score(3)])
}

const fn choice_of(voter: u64) -> u64 {
    voter % 3 + 1
}

const fn tokens(voter: u64) -> u64 {
    if voter < HOLDERS { voter % 7 } else { 0 }
}

fn body(target: &Target, voter: u64) -> Vec<u8> {
    let (key, choice) = (key(voter), choice_of(voter).to_string());
    let proposal = target.id.parse().unwrap();
    let unsigned = ballot::compose(key.address(), &target.space, now_s(), proposal, &choice, "", "pnyx-test").unwrap();
    unsigned.body_with(&key.sign_digest(*unsigned.digest().as_bytes()))
}

fn address(voter: u64) -> Address {
    Address::from(*key(voter).address().as_bytes())
}

fn key(voter: u64) -> SigningKey {
    let mut bytes = [0x44; 32];
    bytes[24..].copy_from_slice(&voter.to_be_bytes());
    SigningKey::from_bytes(bytes).unwrap()
}
