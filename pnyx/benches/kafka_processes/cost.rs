//! What a counted ballot costs each process, in blocks of ballots one after the other, as fast as answers come.

use std::time::{Duration, Instant};

use crate::{
    client,
    platform::{PROCESSES, Platform},
    say,
};

/// One of so many parts is counted before anything is measured: until then the broker's compiler is most at work, which a
/// broker of production, up for weeks, has behind it.
const WARM_PART: usize = 3;

/// Blocks, of which the first and the last are compared.
const BLOCKS: usize = 10;

/// The goal for the sum over the processes, in microseconds.
const GOAL_MICROS: f64 = 140.0;

/// Measures and prints.
pub(crate) fn measure(platform: &mut Platform, ballots: usize) -> anyhow::Result<()> {
    let connections = platform.connections;
    say(&format!("\n{ballots} signed ballots of as many voters, as fast as {connections} connections get answers"))?;
    let floor = platform.recovery_floor(ballots).as_secs_f64() * crate::cores() as f64 * 1e6 / ballots as f64;
    say(&format!("floor: bare recovery of their signatures, all cores at work, takes {floor:.1} µs a ballot"))?;
    say(&format!("µs of processor time a ballot\ncounted   ballots/s       sum {}", names()))?;
    let warm = ballots / WARM_PART;
    count(platform, warm)?;
    say("measured from here on:")?;
    let measured = ballots - warm;
    let (mut sums, started, before) = (Vec::new(), Instant::now(), platform.cpu_times()?);
    for block in 0..BLOCKS {
        sums.push(count(platform, measured * (block + 1) / BLOCKS - measured * block / BLOCKS)?);
    }
    say(&format!("all {measured}:"))?;
    let whole = started.elapsed();
    let sum = row(platform, &before, whole, measured)?;
    say(&format!("whole time {:.1} s; sum {sum:.1} µs a ballot, goal: at most {GOAL_MICROS}", whole.as_secs_f64()))?;
    say(&format!("last block / first block: {:.2}", sums[BLOCKS - 1] / sums[0]))?;
    Ok(())
}

/// Sends so many ballots and waits until they are counted; gives the sum in microseconds a ballot.
fn count(platform: &mut Platform, ballots: usize) -> anyhow::Result<f64> {
    let (started, before) = (Instant::now(), platform.cpu_times()?);
    let (edge, connections) = (platform.edge, platform.connections);
    client::send(edge, platform.next_ballots(ballots), None, connections)?;
    platform.wait_until_counted()?;
    row(platform, &before, started.elapsed(), ballots)
}

fn names() -> String {
    PROCESSES.map(|name| format!("{name:>9}")).join(" ")
}

/// Prints what a block cost; gives the sum in microseconds a ballot.
fn row(
    platform: &Platform,
    before: &[Duration; PROCESSES.len()],
    took: Duration,
    ballots: usize,
) -> anyhow::Result<f64> {
    let after = platform.cpu_times()?;
    let micros: Vec<f64> = after
        .iter()
        .zip(before)
        .map(|(after, before)| (*after - *before).as_secs_f64() * 1e6 / ballots as f64)
        .collect();
    let sum: f64 = micros.iter().sum();
    let shown: Vec<String> = micros.iter().map(|micros| format!("{micros:>9.1}")).collect();
    let rate = ballots as f64 / took.as_secs_f64();
    say(&format!("{:<9} {rate:>9.0} {sum:>9.1} {}", platform.sent(), shown.join(" ")))?;
    Ok(sum)
}
