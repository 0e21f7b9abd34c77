//! What came out of rounds: a JSON line each, accumulated in a file, and a table of them all.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{plan::Plan, probe::Recovery};

/// What came out of a round.
pub(crate) struct RoundReport {
    seed: u64,
    index: u64,
    brokers: usize,
    /// How it failed, if it did.
    pub(crate) problem: Option<String>,
    pub(crate) seconds: f64,
    /// Ballots a second that were asked, and that the platform took without faults.
    rate: [f64; 2],
    /// Each with its recovery.
    faults: Vec<Value>,
    /// What `pnyx load` reported.
    pub(crate) load: Value,
    /// Figures of the checks.
    pub(crate) checks: BTreeMap<&'static str, u64>,
}

/// All rounds.
pub(crate) struct Report {
    file: Option<PathBuf>,
    rounds: Vec<Value>,
}

impl RoundReport {
    /// Of a round that begins.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            seed: plan.seed,
            index: plan.index,
            brokers: plan.brokers,
            problem: None,
            seconds: 0.0,
            rate: [0.0; 2],
            faults: Vec::new(),
            load: Value::Null,
            checks: BTreeMap::new(),
        }
    }

    /// Notes how many ballots a second are asked, and how many the platform took without faults.
    pub(crate) fn asked(&mut self, rate: f64, taken: f64) {
        println!("  asked for {rate:.0} ballots/s; without faults {taken:.0} were taken");
        self.rate = [rate, taken];
    }

    /// Notes a fault after which a probe was acknowledged and counted.
    pub(crate) fn recovered(&mut self, fault: &str, detail: &str, recovery: &Recovery, is_under_load: bool) {
        let Recovery { acknowledged, counted } = recovery;
        println!(
            "  {fault:<34} acknowledged after {:>6.2} s, counted after {:>6.2} s   {detail}{}",
            acknowledged.as_secs_f64(),
            counted.as_secs_f64(),
            if is_under_load { "" } else { "   (after the load)" }
        );
        self.faults.push(json!({
            "fault": fault, "detail": detail, "underLoad": is_under_load,
            "acknowledgedMs": milliseconds(*acknowledged), "countedMs": milliseconds(*counted),
        }));
    }

    /// Notes a fault that has no moment of recovery.
    pub(crate) fn survived(&mut self, fault: &str, detail: &str) {
        println!("  {fault:<34} {detail}");
        self.faults.push(json!({ "fault": fault, "detail": detail }));
    }

    fn json(self) -> Value {
        let Self { seed, index, brokers, problem, seconds, rate: [asked, taken], faults, load, checks } = self;
        json!({
            "seed": seed, "round": index, "brokers": brokers, "passed": problem.is_none(), "problem": problem,
            "seconds": seconds, "ballotsPerSecond": { "asked": asked, "takenWithoutFaults": taken }, "faults": faults, "checks": checks, "load": load,
        })
    }
}

impl Report {
    /// Goes on from the rounds in the file, if there are any.
    pub(crate) fn open(file: Option<PathBuf>) -> Self {
        let text = file.as_ref().map(|file| fs::read_to_string(file).unwrap_or_default()).unwrap_or_default();
        Self { file, rounds: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() }
    }

    /// Whether a round was run, whatever came out.
    pub(crate) fn has(&self, seed: u64, index: u64) -> bool {
        self.rounds.iter().any(|round| round["seed"] == seed && round["round"] == index)
    }

    /// Adds a round, to the file first.
    pub(crate) fn add(&mut self, round: RoundReport) {
        let round = round.json();
        if let Some(file) = &self.file {
            let mut file = File::options().create(true).append(true).open(file).unwrap();
            writeln!(file, "{round}").unwrap();
        }
        match round["problem"].as_str() {
            None => println!("  passed in {:.0} s: {}", number(&round["seconds"]), round["checks"]),
            Some(problem) => println!("  FAILED: {problem}"),
        }
        self.rounds.push(round);
    }

    /// Whether a round failed.
    pub(crate) fn has_failure(&self) -> bool {
        self.rounds.iter().any(|round| round["passed"] != true)
    }

    /// The table.
    pub(crate) fn print(&self) {
        let passed = self.rounds.iter().filter(|round| round["passed"] == true).count();
        let sum = |field: &str| self.rounds.iter().map(|round| number(&round["checks"][field])).sum::<f64>();
        println!("\n{} rounds, {passed} passed", self.rounds.len());
        println!(
            "acknowledged {:.0} · lost {:.0} · records {:.0}, of them unacknowledged {:.0} · counted twice {:.0} · standing {:.0}",
            sum("acknowledged"),
            sum("lost"),
            sum("records"),
            sum("unacknowledged"),
            sum("countedTwice"),
            sum("standing")
        );
        let mut recoveries: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for fault in self.rounds.iter().flat_map(|round| round["faults"].as_array().into_iter().flatten()) {
            let times = recoveries.entry(fault["fault"].as_str().unwrap_or_default()).or_default();
            times.extend(fault["countedMs"].as_f64());
        }
        println!("{:<40} {:>5} {:>12} {:>12}", "fault", "times", "median", "worst");
        for (fault, mut times) in recoveries {
            times.sort_by(f64::total_cmp);
            match (times.get(times.len() / 2), times.last()) {
                (Some(median), Some(worst)) => {
                    println!("{fault:<40} {:>5} {:>10.2} s {:>10.2} s", times.len(), median / 1000.0, worst / 1000.0);
                }
                _ => println!("{fault:<40} survived; nothing to recover from"),
            }
        }
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}
