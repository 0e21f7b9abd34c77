//! The bounded queue between those who append and the one writer.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{keys::CommitKey, topics::TopicState};
use crate::log::{AppendError, Appended};

/// Most records that wait: less than 0.1 s of what the writer can write, so that what is accepted is also answered in
/// time and the rest is shed.
pub(super) const QUEUE_RECORDS_MAX: usize = 16_384;

/// Most bytes that wait: so many records of the largest size would take 16 GiB.
pub(super) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most records of one write: above this a larger write is hardly cheaper a record, it only delays its first one.
const WRITE_RECORDS_MAX: usize = 1_024;

/// Bytes after which a write is full, for the same reason.
const WRITE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Records to append together, and whom to tell.
pub(super) struct Append {
    /// The topic.
    pub(super) topic: Arc<TopicState>,
    /// By existing partition.
    pub(super) records: Vec<(u32, Vec<u8>)>,
    /// Told once the records are durable, or when they could not be written.
    pub(super) done: oneshot::Sender<Result<Vec<Appended>, AppendError>>,
}

/// What the writer takes at once.
pub(super) struct Work {
    /// Ordered by arrival.
    pub(super) appends: Vec<Append>,
    /// The newest offset of each key.
    pub(super) commits: BTreeMap<CommitKey, u64>,
}

#[derive(Default)]
struct State {
    appends: VecDeque<Append>,
    records: usize,
    bytes: usize,
    commits: BTreeMap<CommitKey, u64>,
    closed: bool,
}

/// The queue. Committed offsets are bounded by themselves: one entry a group and partition.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

impl Queue {
    /// Queues records, or refuses them at once.
    pub(super) fn push(&self, append: Append) -> Result<(), AppendError> {
        let bytes = bytes_of(&append);
        let mut state = self.lock();
        if state.closed {
            return Err(AppendError::Closed);
        }
        if state.records + append.records.len() > QUEUE_RECORDS_MAX || state.bytes + bytes > QUEUE_BYTES_MAX {
            return Err(AppendError::Overloaded);
        }
        state.records += append.records.len();
        state.bytes += bytes;
        state.appends.push_back(append);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Queues a committed offset; `false` when the queue is closed.
    pub(super) fn push_commit(&self, key: CommitKey, next_offset: u64) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.commits.insert(key, next_offset);
        drop(state);
        self.wake.notify_one();
        true
    }

    /// Waits for work; `None` once the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Work> {
        let mut state = self.lock();
        while state.appends.is_empty() && state.commits.is_empty() {
            if state.closed {
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut appends = Vec::new();
        let (mut records, mut bytes) = (0, 0);
        while records < WRITE_RECORDS_MAX && bytes < WRITE_BYTES_MAX {
            let Some(append) = state.appends.pop_front() else { break };
            records += append.records.len();
            bytes += bytes_of(&append);
            appends.push(append);
        }
        state.records -= records;
        state.bytes -= bytes;
        Some(Work { appends, commits: std::mem::take(&mut state.commits) })
    }

    /// Refuses whatever comes from here on; what is queued is still taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Closes the queue and drops what is in it, so that whoever waits for it hears that the log is closed.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.appends);
        drop(state);
        drop(dropped);
    }

    /// Whether the queue was closed.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of(append: &Append) -> usize {
    append.records.iter().map(|(_, value)| value.len()).sum()
}
