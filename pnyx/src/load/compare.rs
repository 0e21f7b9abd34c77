//! Holds what the platform serves against the expectation: every standing ballot, every score, every count of
//! rejections.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use num_bigint::BigUint;
use serde_json::Value;

use super::{
    expectation::{Expectation, Standing},
    plan::Honest,
    proposal::{Target, decimal, units},
    readers::{Readers, Replica},
};

/// Standing ballots asked for at once.
const PAGE: usize = 1_000;
/// How many differences are kept to be shown.
pub(super) const DIFFERENCES_SHOWN_MAX: usize = 20;

/// What stood before the first ballot of this run was sent.
pub(super) struct Before {
    /// Standing ballots by lower-case address.
    pub(super) standing: BTreeMap<String, Standing>,
    rejected: BTreeMap<String, u64>,
    accepted: u64,
}

/// What one proposal must come to.
pub(super) struct Expected {
    /// From what was acknowledged.
    pub(super) expectation: Expectation,
    /// Honest ballots that were never acknowledged: they may be in the log all the same, and count.
    pub(super) given_up: Vec<Honest>,
    /// Acknowledgements of this run: the log has at least so many records more.
    pub(super) acknowledged: u64,
    /// What stood before.
    pub(super) before: Before,
    /// Whether counts of rejections must be equal; else they may be higher.
    pub(super) exact_rejections: bool,
}

/// What came of the comparison.
#[derive(Default)]
pub(super) struct Comparison {
    /// Standing ballots compared.
    pub(super) voters: u64,
    /// Records the platform rejected, as it must.
    pub(super) rejected: u64,
    /// Each names the replica, the proposal, what differs, and both values.
    pub(super) differences: Vec<String>,
}

/// Reads what already stands, so that a second run over the same proposals still knows what to expect.
pub(super) async fn before(readers: &Readers, targets: &[Target]) -> anyhow::Result<Vec<Before>> {
    let replica = &readers.replicas()[0];
    let mut all = Vec::new();
    for target in targets {
        let mut standing = BTreeMap::new();
        for ballot in standing_ballots(readers, replica, target).await? {
            let (voter, entry) = standing_of(&ballot)?;
            standing.insert(voter, entry);
        }
        let progress = readers.get(replica, &progress_path(target)).await?;
        all.push(Before { standing, rejected: rejections(&progress)?, accepted: number(&progress, "accepted") });
    }
    Ok(all)
}

impl Expected {
    /// Casts those of the ballots given up that are served as standing: the log had them although nobody was told.
    pub(super) fn adopt_given_up(
        &self,
        target: &Target,
        served: &[Value],
        expectation: &mut Expectation,
    ) -> anyhow::Result<()> {
        let given_up: BTreeMap<(&str, &str), &Honest> =
            self.given_up.iter().map(|honest| ((honest.voter.as_str(), honest.digest.as_str()), honest)).collect();
        for ballot in served {
            let (voter, standing) = standing_of(ballot)?;
            if let Some(honest) = given_up.get(&(voter.as_str(), standing.order.1.as_str())) {
                expectation.cast(target, honest);
            }
        }
        Ok(())
    }
}

/// Waits until every replica shows a verdict on every acknowledged record.
pub(super) async fn wait_until_counted(
    readers: &Readers,
    targets: &[Target],
    expected: &[Expected],
) -> anyhow::Result<()> {
    for replica in readers.replicas() {
        for (target, expected) in targets.iter().zip(expected) {
            let records = expected.before.accepted + expected.acknowledged;
            let is_counted = |progress: &Value| {
                let all = number(progress, "accepted") >= records && number(progress, "counted") >= records;
                (all && progress.get("lag").and_then(Value::as_u64) == Some(0)).then_some(())
            };
            let counted = readers.get_until(replica, &progress_path(target), readers.patience(), is_counted).await?;
            if let Err(progress) = counted {
                bail!(
                    "{}: {}: {records} records acknowledged, but after {} s {} are in the log, {} verified, {} counted",
                    replica.url,
                    target.name,
                    readers.patience().as_secs(),
                    number(&progress, "accepted"),
                    number(&progress, "verified"),
                    number(&progress, "counted")
                );
            }
        }
    }
    Ok(())
}

/// Compares all that one replica serves.
pub(super) async fn compare(
    readers: &Readers,
    replica: &Replica,
    targets: &[Target],
    expected: &[Expected],
    comparison: &mut Comparison,
) -> anyhow::Result<()> {
    comparison.voters = 0;
    comparison.rejected = 0;
    for (target, expected) in targets.iter().zip(expected) {
        let standing = standing_ballots(readers, replica, target).await?;
        let mut expectation = expected.expectation.clone();
        expected.adopt_given_up(target, &standing, &mut expectation)?;
        compare_standing(replica, target, &standing, &expectation, comparison)?;
        let proposal = readers.get(replica, &format!("v1/proposals/{}", target.id)).await?;
        compare_tally(replica, target, &proposal, &expectation, comparison)?;
        let progress = readers.get(replica, &progress_path(target)).await?;
        let served = rejections(&progress)?;
        for (name, wanted) in &expectation.rejected {
            let earlier = expected.before.rejected.get(*name).copied().unwrap_or_default();
            let served = served.get(*name).copied().unwrap_or_default().saturating_sub(earlier);
            comparison.rejected += served;
            if served < *wanted || (expected.exact_rejections && served != *wanted) {
                comparison.differs(replica, target, &format!("records rejected as {name}"), &served, wanted);
            }
        }
    }
    Ok(())
}

impl Comparison {
    /// Notes a difference.
    pub(super) fn differs(
        &mut self,
        replica: &Replica,
        target: &Target,
        what: &str,
        served: &dyn std::fmt::Display,
        expected: &dyn std::fmt::Display,
    ) {
        let Replica { url, .. } = replica;
        self.differences.push(format!("{}: {what}: served {served}, expected {expected} ({url})", target.name));
    }
}

fn compare_standing(
    replica: &Replica,
    target: &Target,
    standing: &[Value],
    expectation: &Expectation,
    comparison: &mut Comparison,
) -> anyhow::Result<()> {
    let mut missing = expectation.standing.clone();
    for ballot in standing {
        let (voter, served) = standing_of(ballot)?;
        comparison.voters += 1;
        let what = format!("voter {voter}");
        match missing.remove(&voter) {
            None => comparison.differs(replica, target, &what, &served.order.1, &"no ballot"),
            Some(expected) if expected.order != served.order => {
                comparison.differs(replica, target, &what, &served.order.1, &expected.order.1);
            }
            Some(expected) if expected.power != served.power => {
                comparison.differs(replica, target, &what, &decimal(&served.power), &decimal(&expected.power));
            }
            Some(_) => {}
        }
    }
    for (voter, expected) in missing {
        comparison.differs(replica, target, &format!("voter {voter}"), &"no ballot", &expected.order.1);
    }
    Ok(())
}

fn compare_tally(
    replica: &Replica,
    target: &Target,
    proposal: &Value,
    expectation: &Expectation,
    comparison: &mut Comparison,
) -> anyhow::Result<()> {
    let tally = proposal.get("tally").context("the platform's answer has no tally")?;
    let total = units(tally.get("totalPower").and_then(Value::as_str).context("the tally has no totalPower")?)?;
    let expected_total = expectation.total_power();
    if total != expected_total {
        comparison.differs(replica, target, "total power", &decimal(&total), &decimal(&expected_total));
    }
    let scores = tally.get("scores").and_then(Value::as_array).context("the tally has no scores")?;
    let scores: Vec<BigUint> =
        scores.iter().map(|score| units(score.as_str().unwrap_or_default())).collect::<anyhow::Result<_>>()?;
    let expected_scores = expectation.scores(target)?;
    if scores.len() != expected_scores.len() {
        comparison.differs(replica, target, "number of scores", &scores.len(), &expected_scores.len());
    }
    for (choice, (served, expected)) in (1..).zip(scores.iter().zip(&expected_scores)) {
        if served != expected {
            comparison.differs(
                replica,
                target,
                &format!("score of choice {choice}"),
                &decimal(served),
                &decimal(expected),
            );
        }
    }
    Ok(())
}

/// Every standing ballot that a replica lists.
pub(super) async fn standing_ballots(
    readers: &Readers,
    replica: &Replica,
    target: &Target,
) -> anyhow::Result<Vec<Value>> {
    let mut ballots = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = readers.get(replica, &format!("v1/proposals/{}/ballots?limit={PAGE}{cursor}", target.id)).await?;
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

fn progress_path(target: &Target) -> String {
    format!("v1/proposals/{}/progress", target.id)
}

fn number(progress: &Value, field: &str) -> u64 {
    progress.get(field).and_then(Value::as_u64).unwrap_or_default()
}

fn rejections(progress: &Value) -> anyhow::Result<BTreeMap<String, u64>> {
    let rejected = progress.get("rejected").and_then(Value::as_object).context("the progress has no rejected")?;
    Ok(rejected.iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap_or_default())).collect())
}
