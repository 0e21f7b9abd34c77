//! Reads durable records of one partition.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    Shared,
    entry::Entry,
    keys,
    topics::{PartitionState, TopicState},
};
use crate::{
    blocking::{RuntimeEnded, blocking},
    log::{LogError, LogRecord},
};

/// A read that reaches this close to the end runs where it was called: so few and so new records lie in the memtable,
/// which costs less than handing the read to another thread and waking up again. Older ones may need the disk and
/// are read on the blocking pool.
const TAIL_RECORDS_MAX: u64 = 256;

/// Bytes after which [`EmbeddedReader::read_available`] ends: what its caller holds in memory at once.
const AVAILABLE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How much one read returns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Most records.
    pub(super) records_max: usize,
    /// Ends after the record that reaches this many bytes.
    pub(super) bytes_max: usize,
}

/// Reads one partition from a position of its own.
#[derive(Debug)]
pub struct EmbeddedReader {
    shared: Arc<Shared>,
    topic: Arc<TopicState>,
    partition: u32,
    end: watch::Receiver<u64>,
    position: u64,
}

impl EmbeddedReader {
    pub(super) fn new(
        shared: Arc<Shared>,
        topic: Arc<TopicState>,
        partition: u32,
        state: &PartitionState,
        position: u64,
    ) -> Self {
        let end = state.end.subscribe();
        Self { shared, topic, partition, end, position }
    }

    /// The offset of the record that comes next.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// See [`super::super::PartitionReader::next_batch`].
    pub async fn next_batch(&mut self, records_max: usize, bytes_max: usize) -> Result<Vec<LogRecord>, LogError> {
        loop {
            let end = *self.end.borrow_and_update();
            if end > self.position {
                return self.read(end, Bounds { records_max, bytes_max }).await;
            }
            if self.shared.queue.is_closed() {
                return Err(LogError::Closed);
            }
            self.end.changed().await.map_err(|_| LogError::Closed)?;
        }
    }

    /// See [`super::super::PartitionReader::read_available`].
    pub async fn read_available(&mut self, records_max: usize) -> Result<Vec<LogRecord>, LogError> {
        let end = *self.end.borrow_and_update();
        self.read(end, Bounds { records_max, bytes_max: AVAILABLE_BYTES_MAX }).await
    }

    async fn read(&mut self, end: u64, bounds: Bounds) -> Result<Vec<LogRecord>, LogError> {
        let records = read(&self.shared, &self.topic, self.partition, self.position, end, bounds).await?;
        // Nothing is awaited between here and the return, so a dropped call has moved nothing.
        self.position += records.len() as u64;
        Ok(records)
    }
}

/// Durable records of `from..end`, as many as the bounds allow.
pub(super) async fn read(
    shared: &Arc<Shared>,
    topic: &Arc<TopicState>,
    partition: u32,
    from: u64,
    end: u64,
    bounds: Bounds,
) -> Result<Vec<LogRecord>, LogError> {
    if end.saturating_sub(from) <= TAIL_RECORDS_MAX {
        return read_blocking(shared, topic, partition, from, end, bounds);
    }
    let (shared, topic) = (shared.clone(), topic.clone());
    let reading = blocking(move || read_blocking(&shared, &topic, partition, from, end, bounds));
    reading.await.unwrap_or_else(|RuntimeEnded| Err(LogError::Closed))
}

fn read_blocking(
    shared: &Shared,
    topic: &TopicState,
    partition: u32,
    from: u64,
    end: u64,
    bounds: Bounds,
) -> Result<Vec<LogRecord>, LogError> {
    let mut taken = Taken { records: Vec::new(), next_offset: from, bytes: 0, bounds };
    if from >= end {
        return Ok(taken.records);
    }
    let damaged = |offset| LogError::Damaged { topic: topic.topic.clone(), partition, offset };
    let engine = |source: fjall::Error| LogError::Read { topic: topic.topic.clone(), source: Arc::new(source) };
    let key = |offset| keys::entry_key(topic.number, partition, offset);
    // Whoever reads in order usually begins where an entry does; else the entry began before.
    let before = shared.records.range(key(0)..=key(from)).next_back().ok_or_else(|| damaged(from))?;
    let after = shared.records.range(key(from.saturating_add(1))..key(end));
    for entry in std::iter::once(before).chain(after) {
        let (key, value) = entry.into_inner().map_err(engine)?;
        let first_offset = keys::offset_of(&key).ok_or_else(|| damaged(taken.next_offset))?;
        let entry = Entry::parse(&value).ok_or_else(|| damaged(first_offset))?;
        taken.take(first_offset, entry).map_err(damaged)?;
        if taken.is_full() || taken.next_offset >= end {
            return Ok(taken.records);
        }
    }
    Err(damaged(taken.next_offset))
}

/// What a read has taken so far.
struct Taken {
    records: Vec<LogRecord>,
    next_offset: u64,
    bytes: usize,
    bounds: Bounds,
}

impl Taken {
    /// Takes records of an entry from the next offset on; fails with the first offset that should be there and is not.
    fn take(&mut self, first_offset: u64, mut entry: Entry<'_>) -> Result<(), u64> {
        let entry_end = first_offset + u64::from(entry.count);
        if !(first_offset..entry_end).contains(&self.next_offset) {
            return Err(self.next_offset);
        }
        for offset in first_offset..entry_end {
            let record = entry.next_record().ok_or(offset)?;
            if offset < self.next_offset {
                continue;
            }
            if self.is_full() {
                break;
            }
            self.bytes += record.len();
            self.next_offset = offset + 1;
            self.records.push(LogRecord { offset, appended_at: entry.appended_at, value: record.to_vec() });
        }
        Ok(())
    }

    /// At least one record is taken, or whoever asked with a bound of 0 would ask for ever.
    const fn is_full(&self) -> bool {
        !self.records.is_empty()
            && (self.records.len() >= self.bounds.records_max || self.bytes >= self.bounds.bytes_max)
    }
}
