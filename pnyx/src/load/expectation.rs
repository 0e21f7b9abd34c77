//! What the platform must serve, computed here from the acknowledged ballots alone. It shares no code with the
//! platform's counting: big rationals instead of fixed limbs, whole recounts instead of running totals, and the rules
//! read again from docs/formats.md.

use std::collections::BTreeMap;

use anyhow::Context as _;
use num_bigint::BigUint;
use num_rational::Ratio;
use serde_json::Value;

use super::{plan::Honest, proposal::Target};

type Rational = Ratio<BigUint>;

/// One voter's standing ballot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// Signed time, then digest: the higher stands.
    pub(super) order: (u64, String),
    /// The choice as signed.
    pub(super) choice: String,
    /// Units of 10^-18.
    pub(super) power: BigUint,
}

/// What one proposal must come to.
#[derive(Debug, Clone)]
pub(super) struct Expectation {
    /// Standing ballots by lower-case address.
    pub(super) standing: BTreeMap<String, Standing>,
    /// Acknowledged records that must be rejected, by reason.
    pub(super) rejected: BTreeMap<&'static str, u64>,
}

impl Expectation {
    /// Nothing beside what stood before.
    pub(super) const fn starting_from(standing: BTreeMap<String, Standing>) -> Self {
        Self { standing, rejected: BTreeMap::new() }
    }

    /// Takes an acknowledged honest ballot, in any order, any number of times.
    pub(super) fn cast(&mut self, target: &Target, honest: &Honest) {
        let order = (honest.signed_at_s, honest.digest.clone());
        let stands = self.standing.get(&honest.voter).is_none_or(|standing| standing.order < order);
        if stands {
            let power = target.power(&honest.voter);
            let standing = Standing { order, choice: honest.choice.clone(), power };
            self.standing.insert(honest.voter.clone(), standing);
        }
    }

    /// Power of all standing ballots.
    pub(super) fn total_power(&self) -> BigUint {
        self.standing.values().map(|standing| &standing.power).sum()
    }

    /// The score of each choice in units of 10^-18, rounded down.
    pub(super) fn scores(&self, target: &Target) -> anyhow::Result<Vec<BigUint>> {
        let count = usize::try_from(target.choices)?;
        match target.system.as_str() {
            "basic" | "single-choice" | "approval" => self.added_up(count),
            "weighted" => self.weighted(count),
            "quadratic" => self.quadratic(count),
            "ranked-choice" => self.runoff(count),
            "copeland" => self.copeland(count),
            other => anyhow::bail!("unknown voting system {other:?}"),
        }
    }

    fn added_up(&self, count: usize) -> anyhow::Result<Vec<BigUint>> {
        let mut scores = vec![BigUint::default(); count];
        for standing in self.standing.values() {
            for choice in numbers(&standing.choice)? {
                scores[choice - 1] += &standing.power;
            }
        }
        Ok(scores)
    }

    fn weighted(&self, count: usize) -> anyhow::Result<Vec<BigUint>> {
        let mut scores = vec![BigUint::default(); count];
        for standing in self.standing.values() {
            for (choice, share) in shares(standing)? {
                scores[choice - 1] += share;
            }
        }
        Ok(scores)
    }

    fn quadratic(&self, count: usize) -> anyhow::Result<Vec<BigUint>> {
        let one = BigUint::from(10_u8).pow(18);
        let mut roots = vec![BigUint::default(); count];
        for standing in self.standing.values() {
            for (choice, share) in shares(standing)? {
                roots[choice - 1] += (share * &one).sqrt();
            }
        }
        let squares: Vec<BigUint> = roots.iter().map(|root| root * root).collect();
        Ok(portions(&squares.into_iter().map(Rational::from_integer).collect::<Vec<_>>(), &self.total_power()))
    }

    /// Whole recounts of every ballot in every round.
    fn runoff(&self, count: usize) -> anyhow::Result<Vec<BigUint>> {
        let mut rankings = Vec::with_capacity(self.standing.len());
        for standing in self.standing.values() {
            rankings.push((numbers(&standing.choice)?, &standing.power));
        }
        let mut remaining: Vec<usize> = (1..=count).collect();
        loop {
            let mut piles: BTreeMap<usize, BigUint> =
                remaining.iter().map(|choice| (*choice, BigUint::default())).collect();
            for (ranking, power) in &rankings {
                if let Some(first) = ranking.iter().find(|choice| remaining.contains(choice)) {
                    *piles.entry(*first).or_default() += *power;
                }
            }
            let in_play: BigUint = piles.values().sum();
            let most = piles.values().max().cloned().unwrap_or_default();
            if most * 2_u8 > in_play || remaining.len() < 3 {
                return Ok((1..=count).map(|choice| piles.remove(&choice).unwrap_or_default()).collect());
            }
            let fewest = piles.values().min().cloned().unwrap_or_default();
            let lowest = piles.iter().find(|(_, pile)| **pile == fewest).map(|(choice, _)| *choice);
            let lowest = lowest.context("a runoff always has a candidate")?;
            remaining.retain(|choice| *choice != lowest);
        }
    }

    fn copeland(&self, count: usize) -> anyhow::Result<Vec<BigUint>> {
        let mut prefers = vec![vec![BigUint::default(); count + 1]; count + 1];
        for standing in self.standing.values() {
            let ranking = numbers(&standing.choice)?;
            for (position, better) in ranking.iter().enumerate() {
                for worse in &ranking[position + 1..] {
                    prefers[*better][*worse] += &standing.power;
                }
            }
        }
        let total = self.total_power();
        if total == BigUint::default() {
            return Ok(vec![BigUint::default(); count]);
        }
        let mut points = Vec::new();
        for (choice, against) in prefers.iter().enumerate().skip(1) {
            let mut won = Rational::from_integer(BigUint::default());
            let mut support = BigUint::default();
            for other in (1..=count).filter(|other| *other != choice) {
                support += &against[other];
                let two = match against[other].cmp(&prefers[other][choice]) {
                    std::cmp::Ordering::Greater => 2_u8,
                    std::cmp::Ordering::Equal => 1,
                    std::cmp::Ordering::Less => 0,
                };
                won += Rational::from_integer(two.into());
            }
            let match_ups = BigUint::from(count - 1) * &total;
            points.push(won + Rational::new(support, match_ups * 2_u8));
        }
        Ok(portions(&points, &total))
    }
}

/// Divides `total` in proportion to `parts`, each portion rounded down; all 0 where the parts are.
fn portions(parts: &[Rational], total: &BigUint) -> Vec<BigUint> {
    let sum: Rational = parts.iter().cloned().sum();
    if sum == Rational::from_integer(BigUint::default()) {
        return vec![BigUint::default(); parts.len()];
    }
    parts.iter().map(|part| (part.clone() * total.clone() / sum.clone()).to_integer()).collect()
}

/// The exact shares of one ballot: rounded down, then the units left over go one each to the largest remainders, the
/// lower choice first among equals.
fn shares(standing: &Standing) -> anyhow::Result<Vec<(usize, BigUint)>> {
    let weights = weights(&standing.choice)?;
    let sum: BigUint = weights.iter().map(|(_, weight)| weight).sum();
    let mut shares: Vec<(usize, BigUint, BigUint)> = Vec::new();
    for (choice, weight) in weights {
        let product = &standing.power * weight;
        shares.push((choice, &product / &sum, product % &sum));
    }
    let given: BigUint = shares.iter().map(|(_, share, _)| share).sum();
    let left = usize::try_from(&standing.power - given).context("fewer units are left than there are choices")?;
    shares.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(&b.0)));
    for (_, share, _) in shares.iter_mut().take(left) {
        *share += 1_u8;
    }
    shares.sort_by_key(|(choice, _, _)| *choice);
    Ok(shares.into_iter().map(|(choice, share, _)| (choice, share)).collect())
}

/// Weights above 0 in billionths, from the JSON text that was signed.
fn weights(choice: &str) -> anyhow::Result<Vec<(usize, BigUint)>> {
    let inner = choice.trim().trim_start_matches('{').trim_end_matches('}');
    let mut weights = Vec::new();
    for entry in inner.split(',') {
        let (choice, weight) = entry.split_once(':').with_context(|| format!("{entry:?} is not a weight"))?;
        let (whole, fraction) = weight.trim().split_once('.').unwrap_or_else(|| (weight.trim(), ""));
        let billionths: BigUint = format!("{whole}{fraction:0<9}").parse()?;
        if billionths > BigUint::default() {
            weights.push((choice.trim().trim_matches('"').parse()?, billionths));
        }
    }
    Ok(weights)
}

/// The numbers of a choice: one, or a list.
fn numbers(choice: &str) -> anyhow::Result<Vec<usize>> {
    let value: Value = serde_json::from_str(choice)?;
    let number = |value: &Value| Ok(usize::try_from(value.as_u64().context("a choice is not a number")?)?);
    match &value {
        Value::Array(values) => values.iter().map(number).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Ok(vec![number(&value)?])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expectation(ballots: &[(&str, u64)]) -> Expectation {
        let one = BigUint::from(10_u8).pow(18);
        let standing = ballots.iter().enumerate().map(|(voter, (choice, power))| {
            let standing = Standing {
                order: (0, String::new()),
                choice: (*choice).to_owned(),
                power: &one * BigUint::from(*power),
            };
            (voter.to_string(), standing)
        });
        Expectation { standing: standing.collect(), rejected: BTreeMap::new() }
    }

    fn decimals(scores: &[BigUint]) -> Vec<String> {
        scores.iter().map(super::super::proposal::decimal).collect()
    }

    #[test]
    fn copeland_of_seven_and_three_is_snapshots_published_example() {
        let scores = expectation(&[("[1,2]", 7), ("[2,1]", 3)]).copeland(2).unwrap();
        assert_eq!(decimals(&scores), ["9.4", "0.6"]);
    }

    #[test]
    fn quadratic_of_nine_four_one_one_is_snapshots_published_example() {
        let scores =
            expectation(&[("{\"1\":1}", 9), ("{\"2\":1}", 4), ("{\"2\":1}", 1), ("{\"2\":1}", 1)]).quadratic(2);
        assert_eq!(decimals(&scores.unwrap()), ["5.4", "9.6"]);
    }

    #[test]
    fn a_three_way_tie_eliminates_choice_one() {
        let scores = expectation(&[("[1,2,3]", 1), ("[2,3,1]", 1), ("[3,1,2]", 1)]).runoff(3).unwrap();
        assert_eq!(decimals(&scores), ["0", "2", "1"]);
    }

    #[test]
    fn shares_of_a_third_add_up() {
        let scores = expectation(&[("{\"1\":1,\"2\":1,\"3\":1}", 1)]).weighted(3).unwrap();
        assert_eq!(decimals(&scores), ["0.333333333333333334", "0.333333333333333333", "0.333333333333333333"]);
    }
}
