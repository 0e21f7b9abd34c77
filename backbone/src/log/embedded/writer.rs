//! The one writer: takes what is queued, gives it offsets and a time, writes and syncs it once, tells everybody.
//!
//! Group commit without a timer: while one write is being synced the next one gathers in the queue.

use std::{collections::BTreeMap, sync::Arc, thread, time::Instant};

use fjall::{OwnedWriteBatch, PersistMode};
use pnyx_core::{id::Place, time::TimestampMs};
use tracing::error;

use super::{
    Shared,
    entry::EntryBuilder,
    failure::WriterPanicked,
    keys,
    mark::Mark,
    queue::{Append, Work},
    topics::{PartitionState, TopicState},
};
use crate::{
    clock,
    log::{AppendError, Appended},
};

/// The writer's state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    mark: Mark,
    newest: TimestampMs,
}

/// A partition that the write in hand appends to.
struct Touched {
    topic: Arc<TopicState>,
    partition: u32,
    state: Arc<PartitionState>,
    entry: EntryBuilder,
}

type TouchedPartitions = BTreeMap<(u32, u32), Touched>;

impl Writer {
    /// A writer that continues after the mark's records and the time of the newest.
    pub(super) const fn new(shared: Arc<Shared>, mark: Mark, newest: TimestampMs) -> Self {
        Self { shared, mark, newest }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        while let Some(work) = self.shared.queue.take() {
            self.write(work);
        }
        // What only lies in the operating system's cache are committed offsets.
        if let Err(source) = self.shared.db.persist(PersistMode::SyncData)
            && self.shared.failure.cause().is_none()
        {
            error!(error = %source, "cannot sync the log while closing it");
        }
    }

    fn write(&mut self, work: Work) {
        let started = Instant::now();
        self.newest = self.shared.append_times.next(clock::now());
        let mode = if work.appends.is_empty() { PersistMode::Buffer } else { PersistMode::SyncData };
        let mut batch = self.shared.db.batch().durability(Some(mode));
        let mut touched = TouchedPartitions::new();
        let mut waiting = Vec::with_capacity(work.appends.len());
        let mut record_count = 0;
        for Append { topic, records, done } in work.appends {
            record_count += records.len();
            let mut appended = Vec::with_capacity(records.len());
            for (partition, record) in records {
                let offset = self.add(&mut batch, &mut touched, &topic, partition, &record);
                appended.push(Appended { place: Place { partition, offset }, appended_at: self.newest });
            }
            waiting.push((done, appended));
        }
        for touched in touched.values_mut() {
            self.flush_entry(&mut batch, touched);
        }
        for (key, next_offset) in work.commits {
            batch.insert(&self.shared.meta, key.encode(), next_offset.to_be_bytes());
        }
        let result = batch.commit();
        self.shared.metrics.observe_write(record_count, started.elapsed());
        match result {
            Ok(()) => {
                self.note_acknowledged(record_count);
                publish(touched);
                for (done, appended) in waiting {
                    // A caller that stopped waiting is told nothing; its records stay.
                    let _ = done.send(Ok(appended));
                }
            }
            Err(source) => self.fail(source, waiting),
        }
    }

    /// Adds a record to the entry of its partition and returns its offset.
    fn add(
        &self,
        batch: &mut OwnedWriteBatch,
        touched: &mut TouchedPartitions,
        topic: &Arc<TopicState>,
        partition: u32,
        record: &[u8],
    ) -> u64 {
        let touched = touched.entry((topic.number, partition)).or_insert_with(|| {
            let state = topic.partition(partition).expect("checked when it was queued; partitions are never removed");
            let entry = EntryBuilder::new(state.end(), self.newest);
            Touched { topic: topic.clone(), partition, state, entry }
        });
        if touched.entry.is_full() {
            self.flush_entry(batch, touched);
        }
        let offset = touched.entry.next_offset();
        touched.entry.push(record);
        offset
    }

    /// Puts the entry into the batch and begins the next one.
    fn flush_entry(&self, batch: &mut OwnedWriteBatch, touched: &mut Touched) {
        let next = EntryBuilder::new(touched.entry.next_offset(), self.newest);
        let (first_offset, value) = std::mem::replace(&mut touched.entry, next).finish();
        let key = keys::entry_key(touched.topic.number, touched.partition, first_offset);
        batch.insert(&self.shared.records, key, value);
    }

    /// A mark that cannot be written only protects less: the records are durable all the same.
    fn note_acknowledged(&mut self, record_count: usize) {
        if record_count > 0
            && let Err(source) = self.mark.set(self.mark.records() + record_count as u64)
        {
            error!(error = %source, "the mark of acknowledged records cannot be written");
        }
    }

    fn fail<T>(&self, source: fjall::Error, waiting: Vec<(tokio::sync::oneshot::Sender<Result<T, AppendError>>, T)>) {
        let source = self.shared.failure.note(source);
        self.shared.metrics.failed_writes.inc();
        for (done, _) in waiting {
            let _ = done.send(Err(AppendError::Failed { source: source.clone() }));
        }
    }
}

impl Drop for Writer {
    /// However the writer ends, nobody must wait for it any longer.
    fn drop(&mut self) {
        if thread::panicking() {
            self.shared.failure.note_other(WriterPanicked);
        }
        self.shared.queue.abandon();
        for topic in self.shared.topics.all() {
            topic.wake_all();
        }
    }
}

/// Moves the ends first, so that an acknowledged record can be read by whoever hears of it.
fn publish(touched: TouchedPartitions) {
    let mut active: Option<Arc<TopicState>> = None;
    for Touched { topic, partition: _, state, entry } in touched.into_values() {
        state.end.send_replace(entry.next_offset());
        // The map is ordered by topic, so each topic is marked once, after its last partition.
        if let Some(previous) = active.replace(topic.clone()).filter(|previous| previous.number != topic.number) {
            previous.mark_active();
        }
    }
    if let Some(last) = active {
        last.mark_active();
    }
}
