//! Taking records off a partition's queue in the client library.

use rdkafka::{
    Message as _,
    consumer::{ConsumerContext, base_consumer::PartitionQueue},
    error::KafkaError,
    message::BorrowedMessage,
};

use crate::log::LogRecord;

/// How much one read takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Most records.
    pub(super) records_max: usize,
    /// Ends after the record that reaches this many bytes.
    pub(super) bytes_max: usize,
}

/// Records taken so far.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) records: Vec<LogRecord>,
    bytes: usize,
}

/// Why taking ended before the bounds were reached.
#[derive(Debug)]
pub(super) enum Stopped {
    /// Nothing more is there now.
    Empty,
    /// This many records are enough.
    Full,
    /// A record that does not follow the one before was next. It was not taken.
    Gap {
        /// Its offset.
        found: u64,
    },
    /// The library reports an error instead of a record.
    Error(KafkaError),
}

impl Taken {
    /// At least one record is taken, or whoever asked with a bound of 0 would ask for ever.
    pub(super) const fn is_full(&self, bounds: Bounds) -> bool {
        !self.records.is_empty() && (self.records.len() >= bounds.records_max || self.bytes >= bounds.bytes_max)
    }

    /// Takes what the queue holds from the offset `next` on, which moves along: records below it are left out, and one
    /// above it stops.
    pub(super) fn fill<C: ConsumerContext>(
        &mut self,
        queue: &PartitionQueue<C>,
        next: &mut u64,
        bounds: Bounds,
    ) -> Stopped {
        while !self.is_full(bounds) {
            match queue.poll(std::time::Duration::ZERO) {
                None => return Stopped::Empty,
                Some(Err(error)) => return Stopped::Error(error),
                Some(Ok(message)) => {
                    let record = record_of(&message);
                    if record.offset < *next {
                        continue;
                    }
                    if record.offset > *next {
                        return Stopped::Gap { found: record.offset };
                    }
                    *next = record.offset.saturating_add(1);
                    self.push(record);
                }
            }
        }
        Stopped::Full
    }

    fn push(&mut self, record: LogRecord) {
        self.bytes = self.bytes.saturating_add(record.value.len());
        self.records.push(record);
    }

    /// Gives away what was taken.
    pub(super) fn take(&mut self) -> Vec<LogRecord> {
        self.bytes = 0;
        std::mem::take(&mut self.records)
    }
}

fn record_of(message: &BorrowedMessage<'_>) -> LogRecord {
    let appended_at = message.timestamp().to_millis().and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0);
    LogRecord {
        offset: u64::try_from(message.offset()).unwrap_or(0),
        appended_at: pnyx_core::time::TimestampMs(appended_at),
        value: message.payload().unwrap_or_default().to_vec(),
    }
}
