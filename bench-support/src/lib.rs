//! What the benchmarks of several crates share: one proposal and its ballots, and what the kernel says of a process.

use std::{collections::BTreeMap, fs, io, time::Duration};

use pnyx_core::{
    ballot::compose,
    id::ProposalId,
    proposal::{Abstentions, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
    signing::SigningKey,
    time::{TimestampMs, Window},
};
use rustix::{
    param::clock_ticks_per_second,
    time::{ClockId, clock_gettime},
};

/// The proposal's space.
pub const SPACE: &str = "grants.example.eth";

/// A single-choice proposal among three, open for a day.
///
/// # Panics
/// If the strategies are none or contradict each other.
pub fn single_choice(opens_at: TimestampMs, strategies: Vec<Strategy>) -> Proposal {
    Proposal::new(ProposalParts {
        platform: "dev".to_owned(),
        namespace: "default".to_owned(),
        name: "grants-round".to_owned(),
        space: SPACE.to_owned(),
        title: "Grants round".to_owned(),
        body: String::new(),
        discussion: String::new(),
        author: String::new(),
        choices: ["For", "Against", "Abstain"].map(str::to_owned).to_vec(),
        voting: Voting {
            system: VotingSystem::SingleChoice,
            quorum: None,
            approval_threshold: None,
            abstentions: Abstentions::default(),
        },
        window: Window::new(opens_at, opens_at.saturating_add_ms(86_400_000)).expect("it closes after it opens"),
        strategies,
        snapshots: BTreeMap::new(),
        clock_skew_s: 300,
    })
    .expect("the strategies fit")
}

/// The key of a voter, the same in every run.
pub fn key(number: u64) -> SigningKey {
    let mut bytes = [0x11; 32];
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    SigningKey::from_bytes(bytes).expect("above 0 and below the group's order")
}

/// The body of a voter's ballot on a proposal of [`single_choice`], of Snapshot's usual size.
pub fn ballot(proposal: ProposalId, voter: u64, signed_at_s: u64) -> Vec<u8> {
    let (key, choice) = (key(voter), (voter % 3 + 1).to_string());
    let unsigned = compose(key.address(), SPACE, signed_at_s, proposal, &choice, "Builders first", "snapshot-v2");
    let unsigned = unsigned.expect("a choice");
    unsigned.body_with(&key.sign_digest(*unsigned.digest().as_bytes()))
}

/// Processor time of this process, of all its threads, in user and in kernel mode.
pub fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).expect("processor time is not negative")
}

/// Processor time of a process, in user and in kernel mode. The kernel counts in hundredths of a second.
///
/// # Errors
/// There is no such process.
pub fn cpu_time_of(process: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // After the name, which may hold anything, come the state and ten numbers, then utime and stime.
    let (_, fields) = stat.rsplit_once(')').ok_or_else(|| io::Error::other("no name in /proc/PID/stat"))?;
    let ticks = fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<_, _>>().map_err(io::Error::other)?;
    Ok(Duration::from_micros(ticks * 1_000_000 / clock_ticks_per_second()))
}

/// Memory of a process that is in use, in bytes.
///
/// # Errors
/// There is no such process.
pub fn resident_bytes(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::Error::other("no VmRSS in /proc/PID/status"))
}

/// How many processes wanted a core in the last minute: what a table must say of the run it comes from.
///
/// # Errors
/// The kernel does not say.
pub fn load_average() -> io::Result<String> {
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(load.split(' ').next().unwrap_or_default().to_owned())
}

/// The middle one, or of two the larger.
///
/// # Panics
/// If there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
