//! Arrival curves: how many ballots a second voters send, and whether the broker is there.

use std::str::FromStr;

use pnyx_core::scaling::{RATE_PER_SECOND_MAX, Rate};
use serde::Deserialize;
use thiserror::Error;

/// The first line of a CSV may name its columns so.
const HEADERS: [&str; 2] = ["second,ballots_per_second", "second,ballots_per_second,broker"];

/// Steps in order: each holds until the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Curve(Vec<Step>);

/// What holds from a second on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// Seconds after the window opened.
    pub(super) second: u64,
    /// What voters send.
    pub(super) arrivals: Rate,
    /// Whether the broker answers.
    pub(super) broker: Broker,
    /// Where it stands in the file.
    line: usize,
}

/// Whether the broker answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Broker {
    Up,
    Away,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub(super) struct CurveError {
    line: usize,
    problem: String,
}

/// A line of a JSON-lines file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JsonStep {
    second: u64,
    ballots_per_second: serde_json::Number,
    broker: Option<Broker>,
}

impl Curve {
    /// What holds in the given second; nothing arrives before the first step.
    pub(super) fn at(&self, second: u64) -> Step {
        let next = self.0.partition_point(|step| step.second <= second);
        let before = Step { second: 0, arrivals: Rate::ZERO, broker: Broker::Up, line: 0 };
        next.checked_sub(1).and_then(|index| self.0.get(index)).copied().unwrap_or(before)
    }

    /// A step that comes after the window's end is a mistake in one of the two files.
    pub(super) fn check_within(&self, window_s: u64) -> Result<(), CurveError> {
        match self.0.iter().find(|step| step.second >= window_s) {
            None => Ok(()),
            Some(Step { second, line, .. }) => {
                let problem = format!("second {second} is not in the window, which closes after {window_s}");
                Err(CurveError { line: *line, problem })
            }
        }
    }
}

impl FromStr for Curve {
    type Err = CurveError;

    fn from_str(text: &str) -> Result<Self, CurveError> {
        let mut steps: Vec<Step> = Vec::new();
        let lines = (1..).zip(text.lines().map(str::trim));
        let mut is_first = true;
        for (line, content) in lines.filter(|(_, content)| !content.is_empty() && !content.starts_with('#')) {
            if std::mem::take(&mut is_first) && HEADERS.contains(&content) {
                continue;
            }
            let read = if content.starts_with('{') { json(content) } else { csv(content) };
            let (second, arrivals, broker) = read.map_err(|problem| CurveError { line, problem })?;
            if let Some(earlier) = steps.last().filter(|earlier| earlier.second >= second) {
                let problem = format!("second {second} must be after {} of line {}", earlier.second, earlier.line);
                return Err(CurveError { line, problem });
            }
            steps.push(Step { second, arrivals, broker, line });
        }
        if steps.is_empty() {
            return Err(CurveError {
                line: text.lines().count().max(1),
                problem: "no line says what arrives".to_owned(),
            });
        }
        Ok(Self(steps))
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
    Ok((second, rate_of(&ballots_per_second.to_string())?, broker.unwrap_or(Broker::Up)))
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
