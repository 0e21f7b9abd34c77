//! What an operator costs that looks after hundreds of proposals: how long it takes until all of them have what runs them,
//! how long its successor takes until it has looked at each, and what both write and compute once nothing happens any more.
//! On a real control plane and a real Kafka; verifiers are pods of nodes that exist in the API alone.

#[path = "../../tests/operators/bed.rs"]
#[expect(dead_code, reason = "what is asked of two operators is of no use where there is one")]
mod bed;
#[path = "../../tests/operators/fleet.rs"]
mod fleet;
#[path = "../../tests/operators/operator.rs"]
#[expect(dead_code, reason = "what an operator says it writes is not measured")]
mod operator;

use std::{
    io::{self, Write as _},
    thread,
    time::{Duration, Instant},
};

use pnyx_bench_support::{cpu_time_of, load_average, resident_bytes};
use pnyx_testbed::{KafkaOptions, kubernetes::Part};

use bed::wait_for;
use fleet::{Fleet, OPEN, PROPOSALS};
use operator::Operator;

/// The goal for the first reconcile of all, in seconds.
const RECONCILE_GOAL_S: f64 = 60.0;

/// The goal for what is used while nothing happens, in cores.
const CORES_GOAL: f64 = 0.1;

/// How long is counted while nothing happens, and how long nothing was written before.
const COUNTED: Duration = Duration::from_secs(120);
const QUIET: Duration = Duration::from_secs(15);

/// How long a successor may take.
const SUCCESSOR_LIMIT: Duration = Duration::from_secs(300);

fn main() -> anyhow::Result<()> {
    say(&format!("load before the run {}", load_average()?))?;
    let fleet = Fleet::start(KafkaOptions::one().for_load());
    say(&format!("{PROPOSALS} proposals, {OPEN} of them open, each with 9 partitions in one broker"))?;
    let mut operator = reconcile(&fleet)?;
    steady(&fleet, &operator, 0)?;
    operator.process.sigterm()?;
    operator.process.wait(SUCCESSOR_LIMIT)?;
    let successor = succeed(&fleet)?;
    steady(&fleet, &successor, 1)?;
    say(&format!("load after the run {}", load_average()?))?;
    Ok(())
}

/// All are new, and the operator begins.
fn reconcile(fleet: &Fleet) -> anyhow::Result<Operator> {
    let others = Others::of(fleet)?;
    let began = Instant::now();
    let operator = fleet.operator(0);
    fleet.wait_until_reconciled(&operator);
    let (took, used) = (began.elapsed().as_secs_f64(), cpu_time_of(operator.process.id())?.as_secs_f64());
    say(&format!("\nfirst reconcile of all: {took:.1} s, goal: less than {RECONCILE_GOAL_S}"))?;
    let after = Others::of(fleet)?;
    say(&format!(
        "processor time in it, s: operator {used:.1}, broker {:.1}, API server {:.1}, etcd {:.1}",
        after.broker - others.broker,
        after.api_server - others.api_server,
        after.etcd - others.etcd,
    ))?;
    let writes = fleet.writes(0, 0);
    say(&format!("writes to the Kubernetes API: {} {:?}", writes.all, writes.kinds))?;
    Ok(operator)
}

/// All stand in the log and have what runs them; another operator begins.
fn succeed(fleet: &Fleet) -> anyhow::Result<Operator> {
    let began = Instant::now();
    let successor = fleet.operator(1);
    let looks = || successor.metric("pnyx_operator_looks_total{resource=\"proposal\",outcome=\"done\"}");
    // Until it has read the log it only looks whether it has.
    wait_for("it follows the log", SUCCESSOR_LIMIT, || successor.says("the log is followed"));
    let before = looks().unwrap_or_default();
    wait_for("each was looked at", SUCCESSOR_LIMIT, || looks().is_some_and(|now| now >= before + PROPOSALS as f64));
    let took = began.elapsed().as_secs_f64();
    say(&format!("\nits successor has looked at all after {took:.1} s, goal: less than {RECONCILE_GOAL_S}"))?;
    Ok(successor)
}

/// Nothing happens.
fn steady(fleet: &Fleet, operator: &Operator, turn: usize) -> anyhow::Result<()> {
    fleet.wait_until_steady(turn, QUIET);
    let (written, used) = (fleet.written(turn), cpu_time_of(operator.process.id())?);
    thread::sleep(COUNTED);
    let (seconds, used) = (COUNTED.as_secs_f64(), cpu_time_of(operator.process.id())? - used);
    let writes = fleet.writes(turn, written);
    let most = writes.by_proposal.values().max().copied().unwrap_or_default();
    say(&format!("steady, over {seconds} s: writes {} {:?}", writes.all, writes.kinds))?;
    say(&format!("most of one proposal a minute: {:.1}, goal: at most 1", most as f64 * 60.0 / seconds))?;
    say(&format!("cores: {:.3}, goal: at most {CORES_GOAL}", used.as_secs_f64() / seconds))?;
    say(&format!("memory: {} MB", resident_bytes(operator.process.id())? / 1_000_000))?;
    Ok(())
}

/// Processor time of those that an operator works with, in seconds.
struct Others {
    broker: f64,
    api_server: f64,
    etcd: f64,
}

impl Others {
    fn of(fleet: &Fleet) -> anyhow::Result<Self> {
        let of = |process: Option<u32>| process.map_or(Ok(0.0), |id| cpu_time_of(id).map(|time| time.as_secs_f64()));
        let control_plane = &fleet.bed.control_plane;
        Ok(Self {
            broker: of(fleet.bed.kafka.process_ids().first().copied())?,
            api_server: of(control_plane.process_id(Part::ApiServer))?,
            etcd: of(control_plane.process_id(Part::Etcd))?,
        })
    }
}

/// Prints a line.
fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}
