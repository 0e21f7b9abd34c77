//! Asking chains for much, in parts and patiently: what an endpoint fails at in between costs one part, and never what
//! was found before.

use std::{error::Error, future::Future, time::Duration};

use pnyx_backbone::telemetry;
use pnyx_core::{id::Voter, power::VoterPower};
use pnyx_verification::{PowerSource, PowerUnavailable};
use tokio::time::sleep;
use tracing::warn;

use crate::facts::Facts;

/// Voters that are looked up together: many full calls, and little to ask again where an endpoint fails in between.
pub(crate) const VOTERS_AT_ONCE: usize = 20_000;

/// How often a recount asks a chain for the same: some ten minutes with the pauses, after which it is worth a line in
/// the log and a new beginning.
pub(crate) const LOOK_UP_TRIES_MAX: u32 = 150;

/// Pause before the same is asked for again: about as long as an endpoint that failed is left alone.
const RETRY_PAUSE: Duration = Duration::from_secs(4);

/// Tries that are left of a bounded number.
#[derive(Debug)]
pub(crate) struct Tries {
    left: u32,
}

impl Tries {
    /// So many, at least one.
    pub(crate) const fn of(tries_max: u32) -> Self {
        Self { left: tries_max }
    }

    /// Takes the one that failed, and pauses before the next.
    ///
    /// # Errors
    /// There is none left.
    pub(crate) async fn after<E: Error + 'static>(&mut self, error: E) -> Result<(), E> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return Err(error);
        }
        let error = telemetry::chain(&error);
        warn!(error, pause_ms = RETRY_PAUSE.as_millis(), "a chain does not answer, trying again");
        sleep(RETRY_PAUSE).await;
        Ok(())
    }
}

/// Looks up the power of those voters of whom it is not known yet.
///
/// # Errors
/// The last try of a part failed. What was found stays known.
pub(crate) async fn learn(
    source: &PowerSource,
    voters: impl IntoIterator<Item = Voter>,
    facts: &Facts,
) -> Result<(), PowerUnavailable> {
    for part in facts.unknown(voters).chunks(VOTERS_AT_ONCE) {
        let powers = part_of_powers(source, part, LOOK_UP_TRIES_MAX).await?;
        facts.note_powers(part.iter().copied().zip(powers));
    }
    Ok(())
}

/// The power of each voter of one part, in the same order, tried so often.
///
/// # Errors
/// The last try failed.
pub(crate) async fn part_of_powers(
    source: &PowerSource,
    voters: &[Voter],
    tries_max: u32,
) -> Result<Vec<VoterPower>, PowerUnavailable> {
    // No waiting adds to a record.
    let may_pass = |error: &PowerUnavailable| matches!(error, PowerUnavailable::Chain(_));
    patiently(tries_max, || source.powers(voters), may_pass).await
}

/// What a chain is asked for, tried so often, with a pause in between if it may be known later.
pub(crate) async fn patiently<T, E: Error + 'static, F: Future<Output = Result<T, E>>>(
    tries_max: u32,
    ask: impl Fn() -> F,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut tries = Tries::of(tries_max);
    loop {
        match ask().await {
            Err(error) if may_pass(&error) => tries.after(error).await?,
            answer => return answer,
        }
    }
}
