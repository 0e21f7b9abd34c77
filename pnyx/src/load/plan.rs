//! What is sent: every shot follows from the seed and the proposals.

use anyhow::bail;
use pnyx_core::signing::SigningKey;
use rand::{Rng as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

use super::{
    choices::random_choice,
    faults::{self, Fault},
    proposal::Target,
    signing::{Wallet, unsigned, wallet_of},
};
use crate::wallet;

/// Of 100 ballots, how many replace an earlier one of their voter.
const REVOTES_PERCENT: u32 = 5;
/// Of 100 ballots, how many are an exact copy of an earlier one.
const DUPLICATES_PERCENT: u32 = 5;
/// Public demo wallets, which the examples list with unequal powers.
const DEMO_WALLETS: u8 = 16;
/// Signed times lie within this many seconds before the opening: never in the future, whatever the clocks say.
const SIGNED_BEFORE_OPENING_S_MAX: u64 = 120;
/// One in this many honest ballots comes from a listed voter, so that unequal powers are well represented.
const LISTED_ONE_IN: u32 = 20;

/// One ballot to send, and what should come of it.
#[derive(Debug, Clone)]
pub(super) struct Shot {
    /// Index of the target.
    pub(super) target: usize,
    /// The body of the POST.
    pub(super) body: Vec<u8>,
    /// What the platform should answer and do.
    pub(super) expected: Expected,
}

/// What should come of a shot.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    /// Acknowledged, and counting.
    Counts(Honest),
    /// Refused by the edge with this text of Snapshot's.
    RefusedAtEdge {
        /// Which fault it has.
        fault: Fault,
    },
    /// Acknowledged, then rejected.
    RejectedLater {
        /// Which fault it has.
        fault: Fault,
    },
}

/// An honest ballot, in the load generator's own words.
#[derive(Debug, Clone)]
pub(super) struct Honest {
    /// Lower-case address.
    pub(super) voter: String,
    /// `0x` and 64 digits.
    pub(super) digest: String,
    /// The signed time.
    pub(super) signed_at_s: u64,
    /// The choice as signed.
    pub(super) choice: String,
}

/// The state from which shots are drawn.
pub(super) struct Planner<'a> {
    targets: &'a [Target],
    closed: Option<&'a Target>,
    seed: u64,
    random: ChaCha8Rng,
    demo: Vec<Wallet>,
    /// Honest shots so far by target, for revotes and duplicates, with the index of their wallet.
    sent: Vec<Vec<(WalletRef, Vec<u8>, Honest)>>,
    next_voter: u64,
}

/// Which wallet: one of the demo wallets, or a seeded one.
#[derive(Debug, Clone, Copy)]
enum WalletRef {
    Demo(usize),
    Seeded(u64),
}

impl<'a> Planner<'a> {
    /// A planner for open `targets`; `closed` is one whose window is not open, for the fault of that kind.
    pub(super) fn new(targets: &'a [Target], closed: Option<&'a Target>, seed: u64) -> Self {
        let demo = (0..DEMO_WALLETS).map(|number| wallet_of(wallet::demo(number))).collect();
        let random = ChaCha8Rng::seed_from_u64(seed);
        let sent = vec![Vec::new(); targets.len()];
        Self { targets, closed, seed, random, demo, sent, next_voter: 0 }
    }

    /// The next shot.
    pub(super) fn next_shot(&mut self) -> anyhow::Result<Shot> {
        let target = self.random.random_range(0..self.targets.len());
        let draw = self.random.random_range(0..100_u32);
        let faults = Fault::all();
        let fault_draw = usize::try_from(draw)?;
        if let Some(fault) = faults.get(fault_draw) {
            if let Some(shot) = self.faulty(target, *fault)? {
                return Ok(shot);
            }
            return self.honest(target);
        }
        let after_faults = draw - u32::try_from(faults.len())?;
        if self.sent[target].is_empty() || after_faults >= REVOTES_PERCENT + DUPLICATES_PERCENT {
            self.honest(target)
        } else if after_faults < REVOTES_PERCENT {
            self.revote(target)
        } else {
            Ok(self.duplicate(target))
        }
    }

    /// A first ballot of a voter who has power; where only listed voters have, usually a revote of one of them.
    fn honest(&mut self, target: usize) -> anyhow::Result<Shot> {
        let everybody_has_power = self.targets[target].everybody > num_bigint::BigUint::default();
        let wallet = if !everybody_has_power || self.random.random_ratio(1, LISTED_ONE_IN) {
            self.listed_wallet(target)
        } else {
            None
        };
        match wallet {
            Some(wallet) => self.cast(target, wallet),
            None if everybody_has_power => {
                let wallet = WalletRef::Seeded(self.next_voter);
                self.next_voter += 1;
                self.cast(target, wallet)
            }
            None => bail!(
                "nobody whose key is known has power in {}: choose other proposals with --proposal",
                self.targets[target].name
            ),
        }
    }

    fn listed_wallet(&mut self, target: usize) -> Option<WalletRef> {
        let listed = &self.targets[target].listed;
        let candidates: Vec<usize> =
            (0..self.demo.len()).filter(|index| listed.contains_key(&self.demo[*index].address)).collect();
        candidates.choose(&mut self.random).map(|index| WalletRef::Demo(*index))
    }

    fn revote(&mut self, target: usize) -> anyhow::Result<Shot> {
        let earlier = self.random.random_range(0..self.sent[target].len());
        let wallet = self.sent[target][earlier].0;
        self.cast(target, wallet)
    }

    fn duplicate(&mut self, target: usize) -> Shot {
        let earlier = self.random.random_range(0..self.sent[target].len());
        let (_, body, honest) = self.sent[target][earlier].clone();
        Shot { target, body, expected: Expected::Counts(honest) }
    }

    /// Signs a ballot. Signed times are drawn anew for each, so that often an earlier ballot arrives later, and for
    /// voters with many ballots often the digest decides.
    fn cast(&mut self, target: usize, wallet_ref: WalletRef) -> anyhow::Result<Shot> {
        let wallet = self.wallet(wallet_ref);
        let signed_at_s = self.targets[target].opens_at_s - self.random.random_range(0..SIGNED_BEFORE_OPENING_S_MAX);
        let choice = random_choice(&self.targets[target], &mut self.random);
        let unsigned = unsigned(&self.targets[target], &wallet, signed_at_s, &choice);
        let digest = unsigned.digest();
        let body = unsigned.body_with(&wallet.key.sign_digest(*digest.as_bytes()));
        let honest = Honest { voter: wallet.address, digest: digest.to_string(), signed_at_s, choice };
        self.sent[target].push((wallet_ref, body.clone(), honest.clone()));
        Ok(Shot { target, body, expected: Expected::Counts(honest) })
    }

    /// A ballot with one fault, by a voter of its own so that it never touches an honest one. `None` where this set of
    /// proposals cannot show the fault.
    fn faulty(&mut self, target: usize, fault: Fault) -> anyhow::Result<Option<Shot>> {
        let stranger = u64::MAX - self.random.random_range(0..1_000_000_u64);
        let stranger = self.wallet(WalletRef::Seeded(stranger));
        let (target, proposal) = match fault {
            Fault::NoPower => {
                match self.targets.iter().position(|target| target.everybody == num_bigint::BigUint::default()) {
                    Some(powerless) => (powerless, &self.targets[powerless]),
                    None => return Ok(None),
                }
            }
            Fault::OutsideWindow => match self.closed {
                Some(closed) => (target, closed),
                None => return Ok(None),
            },
            Fault::TooLarge
            | Fault::MalformedEnvelope
            | Fault::WrongDomain
            | Fault::WrongTypes
            | Fault::MalformedMessage
            | Fault::AddressMismatch
            | Fault::UnknownProposal
            | Fault::WrongSpace
            | Fault::InvalidChoice
            | Fault::SignedInFuture
            | Fault::UnsupportedSignature
            | Fault::MalformedSignature
            | Fault::HighS
            | Fault::WrongSigner => (target, &self.targets[target]),
        };
        let choice = random_choice(proposal, &mut self.random);
        let body = faults::body(fault, proposal, &stranger, &choice)?;
        let expected =
            if fault.is_seen_at_edge() { Expected::RefusedAtEdge { fault } } else { Expected::RejectedLater { fault } };
        Ok(Some(Shot { target, body, expected }))
    }

    fn wallet(&self, wallet: WalletRef) -> Wallet {
        match wallet {
            WalletRef::Demo(index) => {
                wallet_of(wallet::demo(u8::try_from(index).expect("there are sixteen demo wallets")))
            }
            WalletRef::Seeded(index) => {
                let bytes: [u8; 32] = Sha256::digest(format!("pnyx load voter {index} of seed {}", self.seed)).into();
                wallet_of(SigningKey::from_bytes(bytes).expect("a hash is a valid key but for odds of 2^-128"))
            }
        }
    }
}
