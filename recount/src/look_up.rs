//! Power of many voters, in parts: what an endpoint fails at in between costs one part, and never what was found before.

use std::time::Duration;

use pnyx_backbone::telemetry;
use pnyx_core::{id::Voter, power::VoterPower};
use pnyx_verification::{PowerSource, PowerUnavailable};
use tokio::time::sleep;
use tracing::warn;

/// Voters that are looked up together: many full calls, and little to ask again where an endpoint fails in between.
pub(crate) const VOTERS_AT_ONCE: usize = 20_000;

/// Pause before the same voters are asked for again: about as long as an endpoint that failed is left alone.
const RETRY_PAUSE: Duration = Duration::from_secs(4);

/// The power of each voter, in the same order. Each part is tried so often, at least once, with a pause in between.
///
/// # Errors
/// The last try of a part failed.
pub(crate) async fn powers(
    source: &PowerSource,
    voters: &[Voter],
    tries_max: u32,
) -> Result<Vec<VoterPower>, PowerUnavailable> {
    let mut powers = Vec::with_capacity(voters.len());
    for part in voters.chunks(VOTERS_AT_ONCE) {
        powers.extend(part_powers(source, part, tries_max).await?);
    }
    Ok(powers)
}

async fn part_powers(
    source: &PowerSource,
    voters: &[Voter],
    tries_max: u32,
) -> Result<Vec<VoterPower>, PowerUnavailable> {
    for _ in 1..tries_max {
        match source.powers(voters).await {
            Ok(powers) => return Ok(powers),
            // No waiting adds to a record.
            Err(error @ PowerUnavailable::NotRecorded(_)) => return Err(error),
            Err(error @ PowerUnavailable::Chain(_)) => {
                let error = telemetry::chain(&error);
                warn!(error, pause_ms = RETRY_PAUSE.as_millis(), "the power of voters is not known now, trying again");
                sleep(RETRY_PAUSE).await;
            }
        }
    }
    source.powers(voters).await
}
