//! What contract wallets cost, and what they cost others: ballots of which a tenth is signed by the owners of real Safes,
//! through the verifier's shards, beside the node's own limit for the same calls and beside plain ballots alone. The node
//! has one core and everything of this process another; what is compared takes turns. A second time the node has only a
//! part of its core, so that more Safes come than it can check.
//!
//! `cargo bench --profile dev -p pnyx-verifier --bench signers -- slowed` runs one part alone, `whole` the other.

mod ballots;
mod node;
mod recorder;
mod replay;
mod turn;

use std::{
    env,
    error::Error,
    fmt,
    io::{self, Write as _},
};

use pnyx_bench_support::{load_average, median};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::runtime::Runtime;

use ballots::Ballots;
use node::Node;
use replay::{Busy, Calls};
use turn::{Turn, verify};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Ballots that owners of Safes signed, each of another Safe.
const SAFES: u64 = 4_000;

/// Ballots that keys signed: nine tenths of all.
const PLAIN: u64 = 36_000;

/// Turns of each, after one that warms up; the median counts.
const TURNS: usize = 3;

/// Checks that are made by a call each, for comparison.
const SINGLE: usize = 2_000;

/// The goals: of the node's own rate of checks, and of the rate of plain ballots alone.
const CHECKS_GOAL: f64 = 0.8;
const PLAIN_GOAL: f64 = 0.95;

/// The cores of the two.
#[derive(Clone, Copy)]
struct Cores {
    node: usize,
    own: usize,
}

fn main() -> Result<()> {
    rustls::crypto::ring::default_provider().install_default().expect("the first");
    let all = sched_getaffinity(None)?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).collect();
    let cores = Cores { own: cores[0], node: *cores.last().ok_or("no core")? };
    // Whatever is started from here on stays on the core of whoever starts it.
    pin(cores.node)?;
    let node = Node::start(SAFES)?;
    pin(cores.own)?;
    Runtime::new()?.block_on(measure(&node, cores))
}

/// What was measured of one kind, a figure a turn.
#[derive(Default)]
struct Measured {
    checks_by_node: Vec<f64>,
    checks_by_shards: Vec<f64>,
    plain_alone: Vec<f64>,
    plain_beside_load: Vec<f64>,
    plain_beside_safes: Vec<f64>,
    cpu_plain: Vec<f64>,
    cpu_mixed: Vec<f64>,
}

async fn measure(node: &Node, cores: Cores) -> Result<()> {
    let ballots = Ballots::sign(node, PLAIN);
    // What the shards ask is recorded once and then sent again by a client that does nothing else.
    let calls = recorded(node, &ballots).await?;
    let single = Calls::single(node, &ballots.questions(SINGLE));
    let one_by_one = SINGLE as f64 / single.send(&node.url()).await?.as_secs_f64();
    say(format_args!("{PLAIN} plain ballots, {SAFES} of Safes, median of {TURNS} turns, load {}", load_average()?))?;
    say(format_args!("{} requests for {SAFES} checks", calls.len()))?;
    say(format_args!("checks/s, one request each, the node with a whole core: {one_by_one:.0}"))?;
    if is_wanted("whole") {
        say(format_args!("\nThe node with a whole core: it is quicker than Safes come"))?;
        compare(node, cores, &ballots, &calls).await?.tell()?;
    }
    if is_wanted("slowed") {
        say(format_args!("\nThe node stands still most of the time: Safes come quicker than it is"))?;
        let slowed = node.slow_down(cores);
        compare(node, cores, &ballots, &calls).await?.tell()?;
        slowed.end();
    }
    Ok(())
}

/// Whether the command line names this part or none; cargo itself adds an option.
fn is_wanted(part: &str) -> bool {
    let mut named = env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    named.peek().is_none() || named.any(|name| name == part)
}

/// What is compared takes turns.
async fn compare(node: &Node, cores: Cores, ballots: &Ballots, calls: &Calls) -> Result<Measured> {
    let mut measured = Measured::default();
    for number in 0..=TURNS {
        let bare = calls.send(&node.url()).await?;
        let alone = verify(node, &node.url(), &ballots.plain).await?;
        let busy = Busy::start(calls, node, cores)?;
        let beside_load = verify(node, &node.url(), &ballots.plain).await?;
        busy.stop()?;
        let mixed = verify(node, &node.url(), &ballots.mixed).await?;
        // The first round warms up.
        if number > 0 {
            measured.checks_by_node.push(SAFES as f64 / bare.as_secs_f64());
            measured.checks_by_shards.push(mixed.checks_rate());
            measured.plain_alone.push(alone.plain_rate());
            measured.plain_beside_load.push(beside_load.plain_rate());
            measured.plain_beside_safes.push(mixed.plain_rate());
            measured.cpu_plain.push(alone.cpu_us());
            measured.cpu_mixed.push(mixed.cpu_us());
        }
    }
    Ok(measured)
}

/// The requests of a turn's Safes.
async fn recorded(node: &Node, ballots: &Ballots) -> Result<Calls> {
    let recorder = recorder::Recorder::start(node.address())?;
    let Turn { .. } = verify(node, &recorder.url(), &ballots.safes).await?;
    Ok(Calls::from_bodies(recorder.bodies()))
}

impl Measured {
    fn tell(&self) -> io::Result<()> {
        let row = |name: &str, rates: &[f64]| {
            let turns: Vec<String> = rates.iter().map(|rate| format!("{rate:.1}")).collect();
            say(format_args!("{name:<48} {:>9.1}   {}", median(rates.to_vec()), turns.join("  ")))
        };
        row("checks/s, the same requests, bare client (floor)", &self.checks_by_node)?;
        row("checks/s, deferred shards beside plain ballots", &self.checks_by_shards)?;
        row("plain ballots/s, alone, the node idle", &self.plain_alone)?;
        row("plain ballots/s, alone, the node busy (floor)", &self.plain_beside_load)?;
        row("plain ballots/s, beside Safes", &self.plain_beside_safes)?;
        row("own CPU, us a ballot, plain alone", &self.cpu_plain)?;
        row("own CPU, us a ballot, with Safes", &self.cpu_mixed)?;
        let ratios = |of: &[f64], to: &[f64]| median(of.iter().zip(to).map(|(of, to)| of / to).collect());
        let checks = ratios(&self.checks_by_shards, &self.checks_by_node);
        let beside_load = ratios(&self.plain_beside_safes, &self.plain_beside_load);
        let alone = ratios(&self.plain_beside_safes, &self.plain_alone);
        say(format_args!("checks / the node's own limit      {checks:>6.3}   goal: at least {CHECKS_GOAL}"))?;
        say(format_args!("plain / alone with the node busy   {beside_load:>6.3}   goal: at least {PLAIN_GOAL}"))?;
        say(format_args!("plain / alone with the node idle   {alone:>6.3}"))
    }
}

/// Prints a line.
fn say(line: fmt::Arguments<'_>) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// Keeps this thread, and those that it starts from now on, on one core.
fn pin(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}
