//! Holds what the platform serves against the expectation: every standing ballot, every score, every count of
//! rejections.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use num_bigint::BigUint;
use serde_json::Value;

use super::{
    expectation::{Expectation, Standing},
    proposal::{Target, decimal, units},
};
use crate::client::Platform;

/// Standing ballots asked for at once.
const PAGE: usize = 1_000;
/// How long the platform may take, after the last answer, to count everything it acknowledged.
const COUNTED_WAIT_MAX: Duration = Duration::from_secs(600);
/// How often it is asked meanwhile.
const COUNTED_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How many differences are kept to be shown.
pub(super) const DIFFERENCES_SHOWN_MAX: usize = 20;

/// What stood before the first ballot of this run was sent.
pub(super) struct Before {
    standing: BTreeMap<String, Standing>,
    rejected: BTreeMap<String, u64>,
}

/// What came of the comparison.
pub(super) struct Comparison {
    /// Standing ballots compared.
    pub(super) voters: u64,
    /// Records the platform rejected, as it must.
    pub(super) rejected: u64,
    /// Each names the proposal, what differs, and both values.
    pub(super) differences: Vec<String>,
}

/// Reads what already stands, so that a second run over the same proposals still knows what to expect.
pub(super) async fn before(platform: &Platform, targets: &[Target]) -> anyhow::Result<Vec<Before>> {
    let mut all = Vec::new();
    for target in targets {
        let mut standing = BTreeMap::new();
        for ballot in standing_ballots(platform, target).await? {
            let (voter, entry) = standing_of(&ballot)?;
            standing.insert(voter, entry);
        }
        all.push(Before { standing, rejected: rejections(platform, target).await? });
    }
    Ok(all)
}

impl Before {
    /// An expectation that starts from what stood before.
    pub(super) fn expectation(&self) -> Expectation {
        Expectation { standing: self.standing.clone(), rejected: BTreeMap::new() }
    }
}

/// Waits until every acknowledged record has a verdict and every verdict is applied; gives the time since `answered`.
pub(super) async fn wait_until_counted(
    platform: &Platform,
    targets: &[Target],
    answered: Instant,
) -> anyhow::Result<Duration> {
    for target in targets {
        loop {
            let progress = platform.get(&format!("v1/proposals/{}/progress", target.id)).await?;
            let number = |field: &str| progress.get(field).and_then(Value::as_u64).unwrap_or_default();
            if progress.get("lag").and_then(Value::as_u64) == Some(0) {
                break;
            }
            if answered.elapsed() > COUNTED_WAIT_MAX {
                bail!(
                    "{}: {} records acknowledged, but only {} counted after {} s",
                    target.name,
                    number("accepted"),
                    number("counted"),
                    COUNTED_WAIT_MAX.as_secs()
                );
            }
            tokio::time::sleep(COUNTED_POLL_INTERVAL).await;
        }
    }
    Ok(answered.elapsed())
}

/// Compares everything. With `exact_rejections` counts of rejections must be equal; else (ballots were sent again)
/// they may be higher.
pub(super) async fn compare(
    platform: &Platform,
    targets: &[Target],
    expectations: &[Expectation],
    before: &[Before],
    exact_rejections: bool,
) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison { voters: 0, rejected: 0, differences: Vec::new() };
    for ((target, expectation), before) in targets.iter().zip(expectations).zip(before) {
        compare_standing(platform, target, expectation, &mut comparison).await?;
        compare_tally(platform, target, expectation, &mut comparison).await?;
        let served = rejections(platform, target).await?;
        for (name, expected) in &expectation.rejected {
            let earlier = before.rejected.get(*name).copied().unwrap_or_default();
            let served = served.get(*name).copied().unwrap_or_default().saturating_sub(earlier);
            comparison.rejected += served;
            if served < *expected || (exact_rejections && served != *expected) {
                comparison.differs(target, &format!("records rejected as {name}"), &served, expected);
            }
        }
    }
    Ok(comparison)
}

impl Comparison {
    fn differs(
        &mut self,
        target: &Target,
        what: &str,
        served: &dyn std::fmt::Display,
        expected: &dyn std::fmt::Display,
    ) {
        self.differences.push(format!("{}: {what}: served {served}, expected {expected}", target.name));
    }
}

async fn compare_standing(
    platform: &Platform,
    target: &Target,
    expectation: &Expectation,
    comparison: &mut Comparison,
) -> anyhow::Result<()> {
    let mut missing = expectation.standing.clone();
    for ballot in standing_ballots(platform, target).await? {
        let (voter, served) = standing_of(&ballot)?;
        comparison.voters += 1;
        let what = format!("voter {voter}");
        match missing.remove(&voter) {
            None => comparison.differs(target, &what, &served.order.1, &"no ballot"),
            Some(expected) if expected.order != served.order => {
                comparison.differs(target, &what, &served.order.1, &expected.order.1);
            }
            Some(expected) if expected.power != served.power => {
                comparison.differs(target, &what, &decimal(&served.power), &decimal(&expected.power));
            }
            Some(_) => {}
        }
    }
    for (voter, expected) in missing {
        comparison.differs(target, &format!("voter {voter}"), &"no ballot", &expected.order.1);
    }
    Ok(())
}

async fn compare_tally(
    platform: &Platform,
    target: &Target,
    expectation: &Expectation,
    comparison: &mut Comparison,
) -> anyhow::Result<()> {
    let proposal = platform.get(&format!("v1/proposals/{}", target.id)).await?;
    let tally = proposal.get("tally").context("the platform's answer has no tally")?;
    let total = units(tally.get("totalPower").and_then(Value::as_str).context("the tally has no totalPower")?)?;
    let expected_total = expectation.total_power();
    if total != expected_total {
        comparison.differs(target, "total power", &decimal(&total), &decimal(&expected_total));
    }
    let scores = tally.get("scores").and_then(Value::as_array).context("the tally has no scores")?;
    let scores: Vec<BigUint> =
        scores.iter().map(|score| units(score.as_str().unwrap_or_default())).collect::<anyhow::Result<_>>()?;
    let expected_scores = expectation.scores(target)?;
    if scores.len() != expected_scores.len() {
        comparison.differs(target, "number of scores", &scores.len(), &expected_scores.len());
    }
    for (choice, (served, expected)) in (1..).zip(scores.iter().zip(&expected_scores)) {
        if served != expected {
            comparison.differs(target, &format!("score of choice {choice}"), &decimal(served), &decimal(expected));
        }
    }
    Ok(())
}

async fn standing_ballots(platform: &Platform, target: &Target) -> anyhow::Result<Vec<Value>> {
    let mut ballots = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = platform.get(&format!("v1/proposals/{}/ballots?limit={PAGE}{cursor}", target.id)).await?;
        let listed = page.get("ballots").and_then(Value::as_array).context("the platform's answer has no ballots")?;
        ballots.extend(listed.iter().cloned());
        match page.get("nextCursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(ballots),
        }
    }
}

fn standing_of(ballot: &Value) -> anyhow::Result<(String, Standing)> {
    let text = |field: &str| -> anyhow::Result<&str> {
        ballot.get(field).and_then(Value::as_str).with_context(|| format!("a standing ballot has no {field}"))
    };
    let signed_at_s = ballot.get("signedAtS").and_then(Value::as_u64).context("a standing ballot has no signedAtS")?;
    let choice = ballot.get("choice").context("a standing ballot has no choice")?.to_string();
    let order = (signed_at_s, text("digest")?.to_owned());
    Ok((text("voter")?.to_lowercase(), Standing { order, choice, power: units(text("power")?)? }))
}

async fn rejections(platform: &Platform, target: &Target) -> anyhow::Result<BTreeMap<String, u64>> {
    let progress = platform.get(&format!("v1/proposals/{}/progress", target.id)).await?;
    let rejected = progress.get("rejected").and_then(Value::as_object).context("the progress has no rejected")?;
    Ok(rejected.iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap_or_default())).collect())
}
