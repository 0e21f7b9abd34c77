//! Arrival curves from CSV or JSON lines.

use pnyx_core::scaling::{
    RATE_PER_SECOND_MAX, Rate,
    simulation::{Broker, Curve, Step},
};
use serde::Deserialize;
use thiserror::Error;

/// The first line of a CSV may name its columns so.
const HEADERS: [&str; 2] = ["second,ballots_per_second", "second,ballots_per_second,broker"];

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub(super) struct LineError {
    line: usize,
    problem: String,
}

/// A line of a JSON-lines file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JsonStep {
    second: u64,
    ballots_per_second: serde_json::Number,
    broker: Option<JsonBroker>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum JsonBroker {
    Up,
    Away,
}

/// The curve, and the line that each of its steps stands in.
pub(super) fn read(text: &str) -> Result<(Vec<usize>, Curve), LineError> {
    let (mut lines, mut steps) = (Vec::new(), Vec::new());
    let contents = (1..).zip(text.lines().map(str::trim));
    let mut is_first = true;
    for (line, content) in contents.filter(|(_, content)| !content.is_empty() && !content.starts_with('#')) {
        if std::mem::take(&mut is_first) && HEADERS.contains(&content) {
            continue;
        }
        let read = if content.starts_with('{') { json(content) } else { csv(content) };
        let (second, arrivals, broker) = read.map_err(|problem| LineError { line, problem })?;
        lines.push(line);
        steps.push(Step { second, arrivals, broker });
    }
    match Curve::new(steps) {
        Ok(curve) => Ok((lines, curve)),
        Err(error) => {
            let line = error.index().and_then(|index| lines.get(index)).copied();
            let line = line.unwrap_or_else(|| text.lines().count().max(1));
            Err(LineError { line, problem: error.to_string() })
        }
    }
}

type Fields = (u64, Rate, Broker);

fn csv(line: &str) -> Result<Fields, String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let (second, rate, broker) = match fields.as_slice() {
        [second, rate] => (second, rate, Broker::Up),
        [second, rate, "" | "up"] => (second, rate, Broker::Up),
        [second, rate, "away"] => (second, rate, Broker::Away),
        [_, _, other] => return Err(format!("the broker is \"up\" or \"away\", not \"{other}\"")),
        _ => return Err(format!("expected \"{}\", not {} fields", HEADERS[0], fields.len())),
    };
    let second = second
        .parse()
        .ok()
        .filter(|_| second.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| format!("\"{second}\" is not a whole number of seconds after the window opens"))?;
    Ok((second, rate_of(rate)?, broker))
}

fn json(line: &str) -> Result<Fields, String> {
    let JsonStep { second, ballots_per_second, broker } =
        serde_json::from_str(line).map_err(|error| format!("not a step: {error}"))?;
    let broker = match broker {
        None | Some(JsonBroker::Up) => Broker::Up,
        Some(JsonBroker::Away) => Broker::Away,
    };
    Ok((second, rate_of(&ballots_per_second.to_string())?, broker))
}

/// A rate with at most three digits after the point.
fn rate_of(text: &str) -> Result<Rate, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let milli = (is_digits(whole) && is_digits(fraction) && fraction.len() <= 3)
        .then(|| format!("{whole}{fraction:0<3}").parse::<u64>().ok())
        .flatten()
        .filter(|milli| Rate::from_milli(*milli) <= Rate::per_second(RATE_PER_SECOND_MAX));
    milli.map(Rate::from_milli).ok_or_else(|| {
        format!("\"{text}\" is not a rate of 0 to {RATE_PER_SECOND_MAX} ballots/s with up to 3 digits after the point")
    })
}
