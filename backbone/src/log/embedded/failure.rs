//! Why the log takes no more writes. The engine says it once: of every later write it only says that one failed before.

use std::sync::{Arc, OnceLock};

use thiserror::Error;
use tracing::error;

use crate::{log::BackendError, telemetry};

/// What failed first, if anything did.
#[derive(Debug, Default)]
pub(super) struct Failure {
    first: OnceLock<BackendError>,
}

/// A thread of the engine failed, and the first write after that hears of it without its reason.
#[derive(Debug, Error)]
#[error("a write of the storage engine in the background failed; the log lines before say why")]
struct BackgroundFailed;

/// The writer's thread is gone.
#[derive(Debug, Error)]
#[error("the log's writer panicked")]
pub(super) struct WriterPanicked;

impl Failure {
    /// Notes that a write failed, and returns why the first one did. The disk's content is unknown from then on until the
    /// files are read again, so the process must be started anew, and until then nothing is acknowledged.
    pub(super) fn note(&self, source: fjall::Error) -> BackendError {
        match source {
            fjall::Error::Poisoned => self.note_other(BackgroundFailed),
            source => self.note_other(source),
        }
    }

    /// The same of what is not the engine's.
    pub(super) fn note_other(&self, source: impl std::error::Error + Send + Sync + 'static) -> BackendError {
        let first = self.first.get_or_init(|| {
            error!(
                error = telemetry::chain(&source),
                "the log could not be written: no ballot is accepted until a restart"
            );
            Arc::new(source)
        });
        Arc::clone(first)
    }

    /// Why nothing can be written any more.
    pub(super) fn cause(&self) -> Option<&BackendError> {
        self.first.get()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_first_cause_is_told_of_every_later_write() {
        let failure = Failure::default();
        assert!(failure.cause().is_none());
        let full = || fjall::Error::Io(io::Error::from(io::ErrorKind::StorageFull));
        for source in [full(), fjall::Error::Poisoned, fjall::Error::Locked] {
            let told = telemetry::chain(&*failure.note(source));
            assert!(told.contains("no storage space") && !told.contains("Poisoned"), "{told}");
        }
        let background = Failure::default();
        let told = telemetry::chain(&*background.note(fjall::Error::Poisoned));
        assert_eq!(told, "a write of the storage engine in the background failed; the log lines before say why");
    }
}
