//! Asking chains for much, in parts and patiently: what an endpoint fails at in between costs one part, and never what was found before.

use std::{error::Error, future::Future, time::Duration};

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
        // No waiting adds to a record.
        let may_pass = |error: &PowerUnavailable| matches!(error, PowerUnavailable::Chain(_));
        powers.extend(patiently(tries_max, || source.powers(part), may_pass).await?);
    }
    Ok(powers)
}

/// What a chain is asked for, tried so often, with a pause in between if it may be known later.
pub(crate) async fn patiently<T, E: Error + 'static, F: Future<Output = Result<T, E>>>(
    tries_max: u32,
    ask: impl Fn() -> F,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E> {
    for _ in 1..tries_max {
        match ask().await {
            Err(error) if may_pass(&error) => {
                let error = telemetry::chain(&error);
                warn!(error, pause_ms = RETRY_PAUSE.as_millis(), "a chain does not answer, trying again");
                sleep(RETRY_PAUSE).await;
            }
            answer => return answer,
        }
    }
    ask().await
}
