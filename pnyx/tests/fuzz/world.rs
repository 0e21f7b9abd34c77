//! The proposals that are voted on, the wallets that vote, and every ballot that they really signed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use alloy_primitives::U256;
use pnyx_core::{
    ballot::{Domain, HashMemo, Vote},
    choice::{Choice, RawChoice},
    id::{Digest, ProposalId, Voter},
    power::{Power, UNITS_PER_ONE},
    proposal::{Abstentions, Definition, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
    signing::SigningKey,
    time::{TimestampMs, Window},
    wire::vote_types::{ChoiceType, VoteTypes},
};
use rand::{Rng, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::choices;

/// The space of every proposal.
pub(crate) const SPACE: &str = "fuzz.example.eth";

/// Ballots that count, signed before the first body is made.
const SOUND_BALLOTS: usize = 20_000;

/// Ballots of wallets without power, and for proposals that are not open.
const OTHER_BALLOTS: usize = 2_000;

const WALLETS: usize = 512;

/// How many wallets the listed-only proposal names: those of the lowest indices.
const LISTED_WALLETS: usize = 256;

/// Seconds in which all ballots were signed: so few that some of a voter's are of the same second.
const SIGNING_SECONDS: u64 = 1_000;

/// 2024-01-01, 2020-01-01, 2021-01-01, 2200-01-01 and 2201-01-01, so that bodies do not depend on the day.
const SIGNED_FROM_S: u64 = 1_704_067_200;
const YEAR_2020_MS: u64 = 1_577_836_800_000;
const YEAR_2021_MS: u64 = 1_609_459_200_000;
pub(crate) const YEAR_2200_MS: u64 = 7_258_118_400_000;
const YEAR_2201_MS: u64 = 7_289_654_400_000;

/// Index of the proposal whose power is listed and nothing else.
const LISTED_ONLY: usize = 7;
const PENDING: usize = 8;
const CLOSED: usize = 9;

/// What a ballot says.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    pub(crate) types: VoteTypes,
    pub(crate) domain: Domain,
    pub(crate) voter: Voter,
    pub(crate) space: String,
    pub(crate) signed_at_s: u64,
    pub(crate) proposal: ProposalId,
    pub(crate) choice: RawChoice<'static>,
    pub(crate) reason: String,
    pub(crate) app: String,
    pub(crate) metadata: String,
}

/// A ballot that a wallet signed.
#[derive(Debug, Clone)]
pub(crate) struct Ballot {
    /// Index of the proposal.
    pub(crate) proposal: usize,
    /// Index of the wallet.
    pub(crate) wallet: usize,
    pub(crate) fields: Fields,
    pub(crate) digest: Digest,
    pub(crate) signature: [u8; 65],
}

/// What a ballot in the oracle must come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) signed_at_s: u64,
    pub(crate) choice: Choice,
    pub(crate) power: Power,
}

/// Everything bodies are made from.
pub(crate) struct World {
    pub(crate) definitions: Vec<Definition>,
    pub(crate) wallets: Vec<SigningKey>,
    /// Ballots that count as they are.
    pub(crate) sound: Vec<Ballot>,
    /// Sound but for the power of their voters.
    pub(crate) strangers: Vec<Ballot>,
    /// Sound but for the windows of their proposals.
    pub(crate) shut: Vec<Ballot>,
    /// By proposal, voter and digest: nothing else may ever count.
    pub(crate) oracle: HashMap<(usize, Voter, Digest), Due>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let wallets: Vec<_> = std::iter::repeat_with(|| SigningKey::from_bytes(rng.random()).expect("not 0 by luck"))
            .take(WALLETS)
            .collect();
        let definitions = definitions(&wallets);
        let mut world =
            Self { definitions, wallets, sound: vec![], strangers: vec![], shut: vec![], oracle: HashMap::new() };
        for index in 0..SOUND_BALLOTS {
            let proposal = index % (LISTED_ONLY + 1);
            let below = if proposal == LISTED_ONLY { LISTED_WALLETS } else { WALLETS };
            let wallet = rng.random_range(0..below);
            let (ballot, choice) = world.ballot(proposal, wallet, &mut rng);
            let due = Due { signed_at_s: ballot.fields.signed_at_s, choice, power: power(proposal, wallet) };
            world.oracle.insert((proposal, ballot.fields.voter, ballot.digest), due);
            world.sound.push(ballot);
        }
        for index in 0..OTHER_BALLOTS {
            let stranger = world.ballot(LISTED_ONLY, rng.random_range(LISTED_WALLETS..WALLETS), &mut rng).0;
            world.strangers.push(stranger);
            let shut = world.ballot([PENDING, CLOSED][index % 2], rng.random_range(0..WALLETS), &mut rng).0;
            world.shut.push(shut);
        }
        world
    }

    pub(crate) fn proposal(&self, index: usize) -> &Proposal {
        self.definitions[index].proposal()
    }

    /// A ballot of a random choice, type set and domain.
    fn ballot(&self, proposal: usize, wallet: usize, rng: &mut ChaCha8Rng) -> (Ballot, Choice) {
        let voted = self.proposal(proposal);
        let (choice, raw) = choices::sound(voted.system(), voted.choice_count(), rng);
        let kind = match raw {
            RawChoice::Number(_) => ChoiceType::Number,
            RawChoice::Numbers(_) => ChoiceType::Numbers,
            RawChoice::Text(_) => ChoiceType::Text,
        };
        let sets: Vec<_> = VoteTypes::all().iter().filter(|types| types.choice() == kind).collect();
        let key = &self.wallets[wallet];
        let texts = ["", "because", "«πνύξ» \u{1f5f3}", "a \"quoted\"\nreason\u{0}", "{}", "pnyx"];
        let text = |rng: &mut ChaCha8Rng| (*texts.choose(rng).expect("not empty")).to_owned();
        let fields = Fields {
            types: **sets.choose(rng).expect("each type of choice has 12 sets"),
            domain: domain(rng),
            voter: key.address(),
            space: SPACE.to_owned(),
            signed_at_s: SIGNED_FROM_S + rng.random_range(0..SIGNING_SECONDS),
            proposal: voted.id(),
            choice: raw,
            reason: text(rng),
            app: text(rng),
            metadata: text(rng),
        };
        let digest = fields.digest();
        let signature = key.sign_digest(*digest.as_bytes());
        (Ballot { proposal, wallet, fields, digest, signature }, choice)
    }
}

impl Fields {
    pub(crate) fn digest(&self) -> Digest {
        let vote = Vote {
            types: self.types,
            voter: self.voter,
            from: &self.voter.to_string(),
            space: &self.space,
            signed_at_s: self.signed_at_s,
            proposal: self.proposal,
            choice: &self.choice,
            reason: &self.reason,
            app: &self.app,
            metadata: &self.metadata,
        };
        vote.digest(self.domain.separator(), &mut HashMemo::forgetful())
    }
}

/// Snapshot's plain domain, or with what wallets may add.
fn domain(rng: &mut ChaCha8Rng) -> Domain {
    if rng.random() {
        return Domain::default();
    }
    Domain {
        chain_id: rng.random::<bool>().then(|| U256::from(rng.random_range(0..100_000_u64))),
        verifying_contract: rng.random::<bool>().then(|| Voter::new(rng.random())),
        salt: rng.random::<bool>().then(|| rng.random()),
    }
}

/// Units of a wallet's listed weight: different for most, with fractions down to one unit.
fn listed_units(wallet: usize) -> u128 {
    let number = u128::try_from(wallet).expect("a usize fits");
    (number % 97 + 1) * u128::from(UNITS_PER_ONE) + number
}

/// What a voter's power must be, by hand: see [`definitions`].
fn power(proposal: usize, wallet: usize) -> Power {
    let one = u128::from(UNITS_PER_ONE);
    let units = match proposal {
        LISTED_ONLY => one,
        _ if wallet.is_multiple_of(2) => listed_units(wallet) + 3 * one,
        _ => listed_units(wallet) + 2 * one,
    };
    Power::from_units(U256::from(units)).expect("far below the bound")
}

/// Seven open ones, one a system, with weights for all wallets, 1 for those of even index, and a ticket of 2 for
/// everybody; one with a list only; one that opens in 2200; one that closed in 2021.
fn definitions(wallets: &[SigningKey]) -> Vec<Definition> {
    let even: BTreeSet<_> = wallets.iter().step_by(2).map(SigningKey::address).collect();
    let weights: BTreeMap<_, _> = (0..)
        .zip(wallets)
        .map(|(index, key)| (key.address(), Power::from_units(U256::from(listed_units(index))).expect("small")))
        .collect();
    let two = Power::parse("2").expect("a power");
    let open = vec![Strategy::Whitelist(even), Strategy::WhitelistWeighted(weights), Strategy::Ticket(two)];
    let listed = wallets[..LISTED_WALLETS].iter().map(SigningKey::address).collect();
    let mut definitions: Vec<_> = VotingSystem::ALL
        .into_iter()
        .map(|system| definition(system.name(), system, open.clone(), YEAR_2020_MS, YEAR_2200_MS))
        .collect();
    let single = VotingSystem::SingleChoice;
    let listed = vec![Strategy::Whitelist(listed)];
    definitions.push(definition("listed-only", single, listed, YEAR_2020_MS, YEAR_2200_MS));
    definitions.push(definition("pending", single, open.clone(), YEAR_2200_MS, YEAR_2201_MS));
    definitions.push(definition("closed", single, open, YEAR_2020_MS, YEAR_2021_MS));
    definitions
}

fn definition(
    name: &str,
    system: VotingSystem,
    strategies: Vec<Strategy>,
    opens_at_ms: u64,
    closes_at_ms: u64,
) -> Definition {
    let choices: &[&str] = if system == VotingSystem::Basic {
        &["For", "Against", "Abstain"]
    } else {
        &["Oak", "Beech", "Lime", "Elm", "Yew"]
    };
    let proposal = Proposal::new(ProposalParts {
        platform: "fuzz".to_owned(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        space: SPACE.to_owned(),
        title: "Which tree".to_owned(),
        body: String::new(),
        discussion: String::new(),
        author: String::new(),
        choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
        voting: Voting { system, quorum: None, approval_threshold: None, abstentions: Abstentions::default() },
        window: Window::new(TimestampMs(opens_at_ms), TimestampMs(closes_at_ms)).expect("in order"),
        strategies,
        snapshots: BTreeMap::new(),
        clock_skew_s: 300,
    });
    Definition::new(proposal.expect("a sound proposal"), 4, 4).expect("a layout")
}
