//! Shards and contracts that sign, on a real log and a real node: each record gets its verdict, and slow contracts, floods and
//! a chain that is away hold back nobody who signs with a key.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    time::Duration,
};

use alloy_primitives::{Address, U256};
use pnyx_backbone::{
    clock, drain,
    log::{AppendTo, DEFERRED_GROUP, EmbeddedLog, Log, Topic, VERIFIER_GROUP},
    proposals::Proposals,
    shutdown::Shutdown,
    telemetry::Metrics,
};
use pnyx_chains::{ChainConfig, Chains, ChainsConfig, ChainsMetrics, EndpointConfig, EndpointLimits, SecretUrl};
use pnyx_core::{
    ballot::compose,
    chain::{BlockHash, BlockNumber, ChainId, Pin, Pins, SnapshotRule},
    decisions::{Decision, Recorded},
    id::{Lane, Place, ProposalId, Voter},
    proposal::{Abstentions, Definition, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
    rejection::Rejection,
    signature_check::{ContractCheck, SignatureCheck},
    signing::SigningKey,
    time::{TimestampMs, Window},
    verdict::{Ruling, Verdict},
    wire,
};
use pnyx_testbed::evm::{Contracts, Evm, EvmOptions, Fault, FaultyEndpoint, OddWallet};
use pnyx_verifier::{VerifierConfig, VerifierError};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const SPACE: &str = "dao.example.eth";
const LANES: u16 = 4;

/// How long a test waits before it says that something never happens.
const PATIENCE: Duration = Duration::from_secs(120);

/// Keys that have power.
const LISTED: u8 = 120;

/// Claims of an account whose contract is slow: more than a batch.
const FLOOD: u64 = 40;

/// The owner of the wallets.
const OWNER: u8 = 200;

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes([number; 32]).unwrap()
}

fn voter(account: Address) -> Voter {
    Voter::new(account.0.0)
}

fn lane(account: Voter) -> Lane {
    Lane::of_voter(account, LANES)
}

/// A signature of an account that some factory is to make first: an ERC-6492 wrapper without calldata and signature.
fn wrapped() -> Vec<u8> {
    let words = [1, 3 * 32, 4 * 32, 0, 0].map(|word| U256::from(word).to_be_bytes::<32>());
    [words.as_flattened(), [0x64, 0x92].repeat(16).as_slice()].concat()
}

/// A node with wallets, in front of it an endpoint that fails on request.
struct Wallets {
    evm: Evm,
    endpoint: FaultyEndpoint,
    /// Accepts what its owner signs, and has another lane than the burner.
    good: Voter,
    /// As good, but has the burner's lane.
    neighbour: Voter,
    /// Burns all gas it is given.
    burner: Voter,
}

impl Wallets {
    fn deploy() -> Self {
        let evm = Evm::start(EvmOptions::new()).unwrap();
        let contracts = Contracts::compiled().unwrap();
        let owner = Address::from(*key(OWNER).address().as_bytes());
        let burns = OddWallet::BurnsAllGas;
        let burner = evm.deploy(contracts.get("OddWallet"), &[burns.into(), Address::ZERO.into()]).unwrap();
        let burner = voter(burner);
        let wallet_where = |is_right: &dyn Fn(Lane) -> bool| loop {
            let wallet = voter(evm.deploy(contracts.get("OwnerWallet"), &[owner.into()]).unwrap());
            if is_right(lane(wallet)) {
                return wallet;
            }
        };
        let good = wallet_where(&|lane_of| lane_of != lane(burner));
        let neighbour = wallet_where(&|lane_of| lane_of == lane(burner));
        let endpoint = FaultyEndpoint::start(&evm).unwrap();
        Self { evm, endpoint, good, neighbour, burner }
    }

    fn chain(&self) -> ChainId {
        ChainId::new(self.evm.chain_id()).unwrap()
    }

    fn chains(&self) -> Chains {
        // Only the first one is installed; they are all the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let endpoint = EndpointConfig {
            name: "node".parse().unwrap(),
            url: SecretUrl::parse(&self.endpoint.url()).unwrap(),
            limits: EndpointLimits::default(),
        };
        let config = ChainConfig::new(vec![endpoint], NonZeroUsize::MIN).unwrap();
        Chains::new(&ChainsConfig::new([(self.chain(), config)]).unwrap(), ChainsMetrics::unregistered()).unwrap()
    }

    fn pin(&self) -> Pin {
        let head = self.evm.head().unwrap();
        Pin {
            chain: self.chain(),
            number: BlockNumber(head.number),
            hash: BlockHash::new(head.hash.0),
            timestamp_s: head.timestamp_s,
        }
    }
}

/// A proposal that lists the wallets and twenty keys, on a log of its own.
struct Bed {
    log: Log,
    proposals: Proposals,
    definition: Definition,
    wallets: Wallets,
    shutdown: Shutdown,
    metrics: Metrics,
    task: JoinHandle<Result<(), VerifierError>>,
    _dir: TempDir,
}

impl Bed {
    async fn start() -> Self {
        let bed = Self::unpinned().await;
        bed.pin().await;
        bed
    }

    async fn pin(&self) {
        let pins = Pins::new(self.id(), [self.wallets.pin()]).unwrap();
        assert_eq!(self.proposals.decide(Decision::Pins(pins)).await.unwrap(), Recorded::Stands);
    }

    async fn unpinned() -> Self {
        let wallets = Wallets::deploy();
        let definition = Definition::new(proposal(&wallets), LANES, 2).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let log = Log::Embedded(EmbeddedLog::open(dir.path()).unwrap());
        let (shutdown, metrics) = (Shutdown::new(), Metrics::new());
        let proposals = Proposals::start(log.clone(), &shutdown).await.unwrap();
        let decision = Decision::Definition(Box::new(definition.clone()));
        assert_eq!(proposals.decide(decision).await.unwrap(), Recorded::Stands);
        log.ensure_topic(&Topic::ballots(definition.proposal().id()), 2).await.unwrap();
        let config = VerifierConfig {
            shards: NonZeroUsize::new(2).unwrap(),
            batch_records_max: NonZeroUsize::new(32).unwrap(),
            only: None,
        };
        let (stop, registry, chains) = (shutdown.clone(), metrics.clone(), wallets.chains());
        let (of_log, of_proposals) = (log.clone(), proposals.clone());
        let task =
            tokio::spawn(
                async move { pnyx_verifier::run(config, of_log, chains, of_proposals, stop, &registry).await },
            );
        Self { log, proposals, definition, wallets, shutdown, metrics, task, _dir: dir }
    }

    fn id(&self) -> ProposalId {
        self.definition.proposal().id()
    }

    /// A ballot that speaks for `voter`, signed by a key; the number tells ballots of one voter apart.
    async fn cast(&self, voter: Voter, signer: &SigningKey, number: u64) -> Place {
        let signed_at_s = clock::now().0 / 1_000 - number;
        let unsigned = compose(voter, SPACE, signed_at_s, self.id(), "1", "", "test").unwrap();
        self.append(unsigned.body_with(&signer.sign_digest(*unsigned.digest().as_bytes()))).await
    }

    /// The same with bytes that are nobody's signature.
    async fn claim(&self, voter: Voter, garbage: &[u8], number: u64) -> Place {
        let signed_at_s = clock::now().0 / 1_000 - number;
        let unsigned = compose(voter, SPACE, signed_at_s, self.id(), "1", "", "test").unwrap();
        self.append(unsigned.body_with(garbage)).await
    }

    async fn append(&self, body: Vec<u8>) -> Place {
        let topic = Topic::ballots(self.id());
        self.log.append(&topic, AppendTo::Any, wire::record::encode(&body)).await.unwrap().place
    }

    async fn verdicts(&self) -> BTreeMap<Place, Verdict> {
        let mut verdicts = BTreeMap::new();
        for lane in 0..LANES {
            let mut reader = self.log.reader(&Topic::verdicts(self.id()), lane.into(), 0).unwrap();
            for record in reader.read_available(10_000).await.unwrap() {
                let verdict = wire::verdict::decode(&record.value).unwrap();
                let place = verdict.place;
                if let Some(before) = verdicts.insert(place, verdict.clone()) {
                    assert_eq!(before, verdict, "a repeated verdict is the same");
                }
            }
        }
        verdicts
    }

    /// Waits until all of a topic is committed.
    async fn until_committed(&self, topic: &Topic, group: &str) {
        self.until("all records are committed", async || {
            match (self.log.committed(topic, group).await, self.log.ends(topic).await) {
                (Ok(committed), Ok(ends)) => committed == ends && ends.iter().sum::<u64>() > 0,
                _ => false,
            }
        })
        .await;
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("waited in vain: {what}\n{}", self.metrics.encode()));
    }

    async fn until_ballots_are_committed(&self) {
        self.until_committed(&Topic::ballots(self.id()), VERIFIER_GROUP).await;
    }

    async fn until_nothing_waits(&self) {
        self.until_ballots_are_committed().await;
        self.until("contracts are heard", async || {
            drain::deferred_waiting(&self.log, self.definition.proposal()).await.is_ok_and(|waiting| waiting == 0)
        })
        .await;
    }

    fn metric(&self, name: &str) -> u64 {
        let metrics = self.metrics.encode();
        let figure = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        figure.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
    }

    async fn stop(self) {
        self.shutdown.trigger();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it ends").unwrap().unwrap();
        drop(self.proposals);
    }
}

fn proposal(wallets: &Wallets) -> Proposal {
    let now = clock::now();
    let listed =
        (1..=LISTED).map(|number| key(number).address()).chain([wallets.good, wallets.neighbour, wallets.burner]);
    Proposal::new(ProposalParts {
        platform: "test".to_owned(),
        namespace: "default".to_owned(),
        name: "contracts".to_owned(),
        space: SPACE.to_owned(),
        title: "P".to_owned(),
        body: String::new(),
        discussion: String::new(),
        author: String::new(),
        choices: vec!["For".to_owned(), "Against".to_owned()],
        voting: Voting {
            system: VotingSystem::SingleChoice,
            quorum: None,
            approval_threshold: None,
            abstentions: Abstentions::default(),
        },
        window: Window::new(TimestampMs(now.0 - 1_000), now.saturating_add_ms(3_600_000)).unwrap(),
        strategies: vec![Strategy::Whitelist(listed.collect::<BTreeSet<_>>())],
        snapshots: BTreeMap::from([(wallets.chain(), SnapshotRule::Block(wallets.pin().number))]),
        signers: Some(wallets.chain()),
        clock_skew_s: 300,
    })
    .unwrap()
}

fn rejection(verdict: &Verdict) -> Option<Rejection> {
    match &verdict.ruling {
        Ruling::Counts(_) => None,
        Ruling::Rejected(rejected) => Some(rejected.rejection),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_claim_gets_the_verdict_of_its_contract() {
    let bed = Bed::start().await;
    let (good, burner) = (bed.wallets.good, bed.wallets.burner);
    let by_key = bed.cast(key(1).address(), &key(1), 0).await;
    let by_owner = bed.cast(good, &key(OWNER), 0).await;
    let rejected = [
        (bed.cast(good, &key(1), 1).await, Rejection::ContractRefused),
        (bed.claim(good, &[], 2).await, Rejection::ContractRefused),
        (bed.claim(burner, &[7; 130], 0).await, Rejection::ContractRefused),
        (bed.cast(key(2).address(), &key(3), 0).await, Rejection::WrongSigner),
        (bed.claim(key(2).address(), &[7; 10], 1).await, Rejection::UnsupportedSignature),
        (bed.claim(key(2).address(), &[0; 65], 2).await, Rejection::MalformedSignature),
        (bed.cast(key(150).address(), &key(3), 0).await, Rejection::SignerWithoutPower),
        (bed.cast(key(150).address(), &key(150), 1).await, Rejection::NoPower),
    ];
    bed.until_nothing_waits().await;
    let verdicts = bed.verdicts().await;
    assert_eq!(verdicts.len(), 10);
    for (place, check) in [(by_key, None), (by_owner, Some(ContractCheck::Eip1271))] {
        let Ruling::Counts(ballot) = &verdicts[&place].ruling else { panic!("{:?}", verdicts[&place]) };
        match (ballot.check, check) {
            (SignatureCheck::Key, None) => {}
            (SignatureCheck::Contract { kind, block, record: _ }, Some(check)) => {
                assert_eq!((kind, block), (check, bed.wallets.pin().number));
            }
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }
    for (place, expected) in rejected {
        assert_eq!(rejection(&verdicts[&place]), Some(expected), "{place}");
    }
    assert_eq!(bed.metric("pnyx_verifier_deferred_total"), 8, "all but those that a key signed");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_contract_holds_neither_other_lanes_back_nor_others_of_its_lane() {
    let bed = Bed::start().await;
    let Wallets { good, neighbour, burner, .. } = bed.wallets;
    let account = Address::from(*burner.as_bytes());
    bed.wallets.endpoint.set(&[Fault::SlowAbout(account, Duration::from_secs(1))]).unwrap();
    // More than a batch; each claim takes a second at least.
    for number in 0..FLOOD {
        bed.claim(burner, &[7; 65], number).await;
    }
    bed.until("a claim of the flood is asked about", async || {
        bed.metric("pnyx_verifier_signature_waiting_ballots") > 0
    })
    .await;
    let of_others = [bed.cast(good, &key(OWNER), 0).await, bed.cast(neighbour, &key(OWNER), 0).await];
    for number in 1..=20 {
        bed.cast(key(number).address(), &key(number), 0).await;
    }
    bed.until_ballots_are_committed().await;
    for place in of_others {
        bed.until("the others' contracts are heard", async || bed.verdicts().await.contains_key(&place)).await;
        assert_eq!(rejection(&bed.verdicts().await[&place]), None);
        let waiting = drain::deferred_waiting(&bed.log, bed.definition.proposal()).await.unwrap();
        assert!(waiting > FLOOD / 2, "only {waiting} claims of the flood still wait: they were not slow");
    }
    assert!(bed.metric("pnyx_verifier_deferred_put_back_total") > 0);
    bed.wallets.endpoint.heal().unwrap();
    bed.until_nothing_waits().await;
    let verdicts = bed.verdicts().await;
    assert_eq!(verdicts.len() as u64, FLOOD + 22);
    let refused = verdicts.values().filter(|verdict| rejection(verdict) == Some(Rejection::ContractRefused)).count();
    assert_eq!(refused as u64, FLOOD);
    bed.stop().await;
}

/// Accounts are many, each with one claim that the chain fails at, more than there is time for in one go: the next time others
/// are asked about first.
#[tokio::test(flavor = "multi_thread")]
async fn many_claims_that_the_chain_fails_at_give_way() {
    let bed = Bed::start().await;
    let good = bed.wallets.good;
    let keys = (1..=LISTED).map(|number| key(number).address());
    let failing: Vec<Voter> = keys.filter(|voter| *voter < good && lane(*voter) == lane(good)).take(24).collect();
    assert!(failing.len() >= 12, "{} of the listed are below the wallet in its lane", failing.len());
    bed.wallets.endpoint.set(&[Fault::GasCap(12_500_000), Fault::Slow(Duration::from_millis(200))]).unwrap();
    let mut places = Vec::new();
    for voter in failing {
        places.push(bed.claim(voter, &wrapped(), 0).await);
    }
    bed.until("the chain fails at them", async || bed.metric("pnyx_verifier_signature_failures_total") > 0).await;
    let accepted = bed.cast(good, &key(OWNER), 0).await;
    bed.until("the other's contract is heard", async || bed.verdicts().await.contains_key(&accepted)).await;
    let verdicts = bed.verdicts().await;
    assert_eq!(rejection(&verdicts[&accepted]), None);
    assert!(places.iter().all(|place| !verdicts.contains_key(place)), "what endpoints fail at decides nothing");
    bed.wallets.endpoint.heal().unwrap();
    bed.until_nothing_waits().await;
    assert_eq!(bed.verdicts().await.len(), places.len() + 1);
    bed.stop().await;
}

/// A node that grants less gas than a rule fixes never answers what needs it, and answers all else.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_the_chain_fails_at_waits_alone() {
    let bed = Bed::start().await;
    let good = bed.wallets.good;
    let unmade = (1..=20).map(|number| key(number).address()).find(|voter| lane(*voter) == lane(good)).unwrap();
    bed.wallets.endpoint.set(&[Fault::GasCap(12_500_000)]).unwrap();
    let failing = [bed.claim(unmade, &wrapped(), 0).await, bed.claim(unmade, &wrapped(), 1).await];
    let failures = || bed.metric("pnyx_verifier_signature_failures_total");
    let written = async || bed.log.ends(&Topic::deferred(bed.id())).await.unwrap().iter().sum::<u64>();
    // The first may have made room for the second.
    bed.until("the chain fails at both", async || failures() > 2).await;
    let (failed_before, written_before) = (failures(), written().await);
    bed.until("they are asked about again", async || failures() > failed_before + 1).await;
    assert_eq!(written().await, written_before, "while nobody else waits they are not written again");
    for number in 0..3 {
        let accepted = bed.cast(good, &key(OWNER), number).await;
        bed.until("the other's contract is heard", async || bed.verdicts().await.contains_key(&accepted)).await;
        assert_eq!(rejection(&bed.verdicts().await[&accepted]), None);
    }
    let verdicts = bed.verdicts().await;
    assert!(failing.iter().all(|place| !verdicts.contains_key(place)), "what endpoints fail at decides nothing");
    bed.wallets.endpoint.heal().unwrap();
    bed.until_nothing_waits().await;
    let verdicts = bed.verdicts().await;
    for place in failing {
        assert_eq!(rejection(&verdicts[&place]), Some(Rejection::UnsupportedSignature));
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_away_delays_claims_alone() {
    let bed = Bed::start().await;
    let good = bed.wallets.good;
    bed.wallets.endpoint.set(&[Fault::Dead]).unwrap();
    let accepted = bed.cast(good, &key(OWNER), 0).await;
    for number in 1..=20 {
        bed.cast(key(number).address(), &key(number), 0).await;
    }
    bed.until_ballots_are_committed().await;
    assert_eq!(bed.verdicts().await.len(), 20, "power is listed, so nobody else needs the chain");
    bed.until("the claim waits for the chain", async || bed.metric("pnyx_verifier_signature_failures_total") > 0).await;
    assert_eq!(bed.metric("pnyx_verifier_signature_waiting_ballots"), 1);
    let deferred = Topic::deferred(bed.id());
    assert_eq!(bed.log.committed(&deferred, DEFERRED_GROUP).await.unwrap().iter().sum::<u64>(), 0);
    bed.wallets.endpoint.heal().unwrap();
    bed.until_nothing_waits().await;
    assert_eq!(rejection(&bed.verdicts().await[&accepted]), None);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_pins_only_claims_wait() {
    let bed = Bed::unpinned().await;
    let accepted = bed.cast(bed.wallets.good, &key(OWNER), 0).await;
    for number in 1..=20 {
        bed.cast(key(number).address(), &key(number), 0).await;
    }
    bed.until_ballots_are_committed().await;
    assert_eq!(bed.verdicts().await.len(), 20);
    assert_eq!(bed.metric("pnyx_verifier_unpinned_proposals"), 1);
    assert_eq!(drain::deferred_waiting(&bed.log, bed.definition.proposal()).await.unwrap(), 1);
    bed.pin().await;
    bed.until_nothing_waits().await;
    assert_eq!(rejection(&bed.verdicts().await[&accepted]), None);
    assert_eq!(bed.metric("pnyx_verifier_unpinned_proposals"), 0);
    bed.stop().await;
}
