//! How long to wait before something that failed is tried again.

use std::time::Duration;

use tokio::time;

/// The first wait: short against the 2 s within which lost data is noticed, long enough that what is down is not flooded.
pub(crate) const RETRY_DELAY: Duration = Duration::from_millis(200);

/// The longest wait: what comes back is used again within 2 s.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);

/// Waits that double from [`RETRY_DELAY`] up to [`RETRY_DELAY_MAX`].
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: RETRY_DELAY }
    }
}

impl Backoff {
    /// The next wait.
    pub(crate) async fn wait(&mut self) {
        time::sleep(self.next).await;
        self.next = (self.next * 2).min(RETRY_DELAY_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_double_up_to_the_longest() {
        let (mut backoff, mut waited) = (Backoff::default(), Vec::new());
        for _ in 0..6 {
            let before = time::Instant::now();
            backoff.wait().await;
            waited.push(before.elapsed().as_millis());
        }
        assert_eq!(waited, [200, 400, 800, 1600, 2000, 2000]);
    }
}
