//! What power from a chain costs: look-ups of many voters against a real node, beside one call a voter and strategy;
//! cached power, beside a bare table.
//!
//! `cargo bench --profile dev -p pnyx-chains --bench powers`

use std::{
    collections::HashMap,
    error::Error,
    hint::black_box,
    io::{self, Write as _},
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, U256, hex};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pnyx_chains::{ChainConfig, ChainPower, Chains, ChainsConfig, ChainsMetrics, EndpointConfig, SecretUrl};
use pnyx_core::{
    chain::{BlockHash, BlockNumber, ChainId, ContractAddress, Pin, Pins},
    id::{ProposalId, Voter},
    power::VoterPower,
    proposal::{ChainRead, ChainStrategy, Decimals, Strategy},
};
use pnyx_testbed::evm::{Contracts, Evm, EvmOptions, FaultyEndpoint};
use rustix::time::{ClockId, clock_gettime};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Voters of the first table.
const VOTERS: u64 = 100_000;

/// Voters that are asked for one by one, for comparison.
const VOTERS_SINGLY: u64 = 3_000;

/// Calls in flight when voters are asked for one by one: as many as an endpoint gets by default.
const IN_FLIGHT: usize = 8;

/// Voters of the second table; each is looked up often enough to leave every cache of the processor.
const CACHED: u64 = 1_000_000;

/// Voters that a batch asks the cache for, and rounds of the measurement.
const BATCH: usize = 512;
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    rustls::crypto::ring::default_provider().install_default().expect("the first");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let node = Node::start()?;
        measure_look_ups(&node).await?;
        measure_cache(&node).await
    })
}

struct Node {
    evm: Evm,
    tokens: [Address; 2],
}

impl Node {
    fn start() -> Result<Self> {
        let evm = Evm::start(EvmOptions::new())?;
        let contracts = Contracts::compiled()?;
        let token = || evm.deploy(contracts.get("Token"), &[18_u64.into()]);
        let tokens = [token()?, token()?];
        let mint = contracts.get("Token");
        for first in (0..VOTERS).step_by(500) {
            let to: Vec<Address> = (first..first + 500).map(account).collect();
            let values: Vec<U256> = (first..first + 500).map(U256::from).collect();
            let arguments = [to.as_slice().into(), values.as_slice().into()];
            evm.send(tokens[usize::from(first % 1_000 == 0)], &mint.calldata(MINT_MANY, &arguments))?;
        }
        Ok(Self { evm, tokens })
    }

    fn reads(&self) -> [ChainRead; 3] {
        let decimals = Decimals::new(18).expect("as many as a power");
        let erc20 = |token: Address| ChainRead::Erc20BalanceOf { address: ContractAddress::new(token.0.0), decimals };
        [erc20(self.tokens[0]), erc20(self.tokens[1]), ChainRead::EthBalance]
    }

    fn pin(&self) -> Result<Pin> {
        let head = self.evm.head()?;
        self.evm.finalize(head.number)?;
        Ok(Pin {
            chain: self.id()?,
            number: BlockNumber(head.number),
            hash: BlockHash::new(head.hash.0),
            timestamp_s: head.timestamp_s,
        })
    }

    fn id(&self) -> Result<ChainId> {
        ChainId::new(self.evm.chain_id()).ok_or_else(|| "chain 0".into())
    }

    fn power(&self, url: &str, pin: Pin) -> Result<(Chains, ChainPower)> {
        let endpoint = EndpointConfig::new("node".parse()?, SecretUrl::parse(url)?);
        let config = ChainsConfig::new([(self.id()?, ChainConfig::new(vec![endpoint], NonZeroUsize::MIN)?)])?;
        let chains = Chains::new(&config, ChainsMetrics::unregistered())?;
        let network = self.id()?;
        let strategies = self.reads().map(|read| Strategy::OnChain(ChainStrategy { network, read }));
        let power = ChainPower::new(&chains, &strategies, &Pins::new(ProposalId::new([1; 32]), [pin])?)?;
        Ok((chains, power))
    }
}

const MINT_MANY: &str = "mintMany(address[],uint256[])";

async fn measure_look_ups(node: &Node) -> Result<()> {
    let pin = node.pin()?;
    let voters: Vec<Voter> = (0..VOTERS).map(|number| Voter::new(account(number).0.0)).collect();
    // Once through an endpoint that counts calls, of a tenth of the voters.
    let counting = FaultyEndpoint::start(&node.evm)?;
    let (_, counted) = node.power(&counting.url(), pin)?;
    let tenth = &voters[..voters.len() / 10];
    counted.powers(tenth).await?;
    let look_ups = (tenth.len() * 3) as f64 / counting.calls("eth_call") as f64;
    let (_, power) = node.power(&node.evm.url(), pin)?;
    let singly = singly(node, pin, &voters[..usize::try_from(VOTERS_SINGLY)?]).await?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (started, cpu) = (Instant::now(), cpu_time());
        let powers = power.powers(&voters).await?;
        rounds.push((started.elapsed(), cpu_time() - cpu));
        assert_eq!(powers.iter().filter(|power| matches!(power, VoterPower::Known(_))).count(), voters.len());
    }
    rounds.sort_unstable();
    let (wall, _) = rounds[ROUNDS / 2];
    rounds.sort_unstable_by_key(|(_, cpu)| *cpu);
    let (_, cpu) = rounds[ROUNDS / 2];
    let each = |time: Duration, voters: u64| time.as_secs_f64() * 1e6 / voters as f64;
    print(format_args!("{VOTERS} voters, two ERC-20 and the native balance"))?;
    print(format_args!("look-ups a call               {look_ups:>10.0}   goal: at least 500"))?;
    print(format_args!("wall, us a voter              {:>10.2}", each(wall, VOTERS)))?;
    print(format_args!("one call a strategy, us       {:>10.2}", each(singly, VOTERS_SINGLY)))?;
    let ratio = each(singly, VOTERS_SINGLY) / each(wall, VOTERS);
    print(format_args!("times as quick                {ratio:>10.1}   goal: at least 50"))?;
    print(format_args!("our own CPU, us a voter       {:>10.2}   goal: at most 5\n", each(cpu, VOTERS)))
}

/// Wall time of plain calls, one for each voter and strategy, by the same HTTP client.
async fn singly(node: &Node, pin: Pin, voters: &[Voter]) -> Result<Duration> {
    let (client, url, reads) = (reqwest::Client::new(), node.evm.url(), node.reads());
    let bodies = voters.iter().flat_map(|voter| reads.iter().map(|read| body(read, *voter, pin)));
    let started = Instant::now();
    let calls = stream::iter(bodies).map(|body| {
        let request = client.post(&url).header("content-type", "application/json").body(body);
        async move { request.send().await?.error_for_status()?.bytes().await }
    });
    let answers: Vec<_> = calls.buffer_unordered(IN_FLIGHT).try_collect().await?;
    black_box(answers);
    Ok(started.elapsed())
}

fn body(read: &ChainRead, voter: Voter, pin: Pin) -> String {
    let block = format!(r#"{{"blockHash":"{}","requireCanonical":true}}"#, pin.hash);
    match read.calldata(voter) {
        Some((to, data)) => format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{{"to":"{to}","data":"0x{}"}},{block}]}}"#,
            hex::encode(data)
        ),
        None => format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["{voter}",{block}]}}"#),
    }
}

async fn measure_cache(node: &Node) -> Result<()> {
    let pin = node.pin()?;
    let (chains, power) = node.power(&node.evm.url(), pin)?;
    let power = power.cached(&chains, 256 * 1024 * 1024);
    let voters: Vec<Voter> = (0..CACHED).map(|number| Voter::new(account(number).0.0)).collect();
    let before = resident_bytes()?;
    let mut floor: HashMap<Voter, [u8; 25]> = HashMap::new();
    for batch in voters.chunks(50_000) {
        power.powers(batch).await?;
    }
    let resident = resident_bytes()?.saturating_sub(before);
    floor.extend(voters.iter().map(|voter| (*voter, [1; 25])));
    let (mut cached, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (mut cached_time, mut bare_time) = (Duration::ZERO, Duration::ZERO);
        for batch in voters.chunks(BATCH) {
            let started = Instant::now();
            black_box(power.powers(batch).await?);
            cached_time += started.elapsed();
            let started = Instant::now();
            black_box(batch.iter().map(|voter| floor.get(voter).copied()).collect::<Vec<_>>());
            bare_time += started.elapsed();
        }
        cached.push(cached_time.as_secs_f64() * 1e6 / CACHED as f64);
        bare.push(bare_time.as_secs_f64() * 1e6 / CACHED as f64);
    }
    cached.sort_unstable_by(f64::total_cmp);
    bare.sort_unstable_by(f64::total_cmp);
    print(format_args!("{CACHED} cached voters, asked for {BATCH} at a time"))?;
    print(format_args!("cached power, us              {:>10.3}   goal: at most 0.2", cached[ROUNDS / 2]))?;
    print(format_args!("bare table, us                {:>10.3}", bare[ROUNDS / 2]))?;
    let bytes = |bytes: usize| bytes as f64 / CACHED as f64;
    print(format_args!("tables, bytes a voter         {:>10.1}   goal: at most 128", bytes(power.cache_bytes())))?;
    print(format_args!("resident, bytes a voter       {:>10.1}", bytes(resident)))
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// Memory of this process that is in RAM.
fn resident_bytes() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1_024)
}

fn account(number: u64) -> Address {
    let mut bytes = [0xa0; 20];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    Address::from(bytes)
}

fn print(line: std::fmt::Arguments<'_>) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}
