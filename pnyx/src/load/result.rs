//! Holds the published results against the expectation.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use num_bigint::BigUint;
use serde_json::Value;

use super::{
    compare::{self, Comparison, Expected},
    proposal::{Target, units},
    readers::{Readers, Replica},
};

/// Waits until every replica serves every result, then compares them, and once more all that is served beside.
pub(super) async fn compare(
    readers: &Readers,
    targets: &[Target],
    expected: &[Expected],
    comparison: &mut Comparison,
) -> anyhow::Result<()> {
    for replica in readers.replicas() {
        for (target, expected) in targets.iter().zip(expected) {
            if !wait_until_final(readers, replica, target).await? {
                comparison.differs(replica, target, "phase", &"disputed", &"final");
                continue;
            }
            compare_result(readers, replica, target, expected, comparison).await?;
        }
        compare::compare(readers, replica, targets, expected, comparison).await?;
    }
    Ok(())
}

/// Whether it became final; else it is disputed.
async fn wait_until_final(readers: &Readers, replica: &Replica, target: &Target) -> anyhow::Result<bool> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let limit = Duration::from_secs(target.closes_at_s).saturating_sub(now) + readers.patience();
    let phase = |proposal: &Value| proposal.get("phase").and_then(Value::as_str).map(str::to_owned);
    let end = |proposal: &Value| phase(proposal).filter(|phase| phase == "final" || phase == "disputed");
    match readers.get_until(replica, &format!("v1/proposals/{}", target.id), limit, end).await? {
        Ok(phase) => Ok(phase == "final"),
        Err(proposal) => bail!("{}: {} is still {:?}", replica.url, target.name, phase(&proposal)),
    }
}

async fn compare_result(
    readers: &Readers,
    replica: &Replica,
    target: &Target,
    expected: &Expected,
    comparison: &mut Comparison,
) -> anyhow::Result<()> {
    let result = readers.get(replica, &format!("v1/proposals/{}/result", target.id)).await?;
    let core = result.get("core").context("the result has no core")?;
    let mut expectation = expected.expectation.clone();
    let standing = compare::standing_ballots(readers, replica, target).await?;
    expected.adopt_given_up(target, &standing, &mut expectation)?;
    let ballots = core.get("ballots").and_then(Value::as_u64).context("the result has no ballots")?;
    let count = u64::try_from(expectation.standing.len())?;
    if ballots != count {
        comparison.differs(replica, target, "ballots of the result", &ballots, &count);
    }
    let total = units(core.get("totalPower").and_then(Value::as_str).context("the result has no totalPower")?)?;
    if total != expectation.total_power() {
        comparison.differs(replica, target, "power of the result", &total, &expectation.total_power());
    }
    let scores = core.get("scores").and_then(Value::as_array).context("the result has no scores")?;
    let scores: Vec<BigUint> =
        scores.iter().map(|score| units(score.as_str().unwrap_or_default())).collect::<anyhow::Result<_>>()?;
    let expected_scores = expectation.scores(target)?;
    if scores != expected_scores {
        let text = |scores: &[BigUint]| format!("{:?}", scores.iter().map(BigUint::to_string).collect::<Vec<_>>());
        comparison.differs(replica, target, "scores of the result", &text(&scores), &text(&expected_scores));
    }
    Ok(())
}
