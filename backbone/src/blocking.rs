//! Work that blocks a thread, on one that may be blocked: the disk, a client library without async, seconds of counting.

use thiserror::Error;
use tokio::task;

/// The process ends: its runtime is going down and runs no more such work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the process ends")]
pub struct RuntimeEnded;

/// Runs `work` and returns what it came to. A panic in it goes on here, in whoever asked for it.
///
/// # Errors
/// If the runtime is going down; whether the work was done is then unknown.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RuntimeEnded> {
    match task::spawn_blocking(work).await {
        Ok(output) => Ok(output),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(RuntimeEnded),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_work_comes_to_is_returned_and_a_panic_goes_on() {
        assert_eq!(blocking(|| 1 + 1).await, Ok(2));
        let panicking = tokio::spawn(blocking(|| -> u8 { panic!("in the work") }));
        let panic = panicking.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"in the work"));
    }

    #[test]
    fn a_runtime_that_goes_down_runs_nothing_more() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        runtime.shutdown_background();
        assert_eq!(handle.block_on(blocking(|| ())), Err(RuntimeEnded));
    }
}
