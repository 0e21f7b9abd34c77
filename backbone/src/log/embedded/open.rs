//! Opens or makes the embedded log and finds out where each partition ends.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, config::FilterPolicy};
use pnyx_core::time::TimestampMs;

use super::{
    Shared,
    append_times::AppendTimes,
    entry::Entry,
    failure::Failure,
    group::Groups,
    keys::{self, CommitKey},
    lock::DirectoryLock,
    mark::{MARK_FILE, Mark},
    metrics::LogMetrics,
    queue::Queue,
    topics::{TopicState, Topics},
    writer::Writer,
};
use crate::{
    clock,
    log::{LogIdentity, OpenError, Topic},
};

/// The engine's folder in the data directory.
const STORAGE_FOLDER: &str = "log";

/// The engine's background threads. With one, compaction and flushing take turns; with more, the engine lets one of
/// them spin while another compacts.
const STORAGE_THREADS: usize = 1;

/// Blocks of tables kept in memory. Whoever tails reads the memtable; only catching up and recounts read tables, once
/// and in order.
const BLOCK_CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// The newest records, kept in memory until they fill this, then written as one table: about 100,000 ballots, far more
/// than any reader that keeps up is behind. While four wait to be written the engine holds up writes.
const MEMTABLE_BYTES: u64 = 64 * 1024 * 1024;

/// Journals above this make the engine write whatever holds them as tables: it bounds what a start must replay.
const JOURNAL_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Opens the log and starts its writer.
pub(super) fn open(dir: &Path) -> Result<(Arc<Shared>, JoinHandle<()>), OpenError> {
    fs::create_dir_all(dir).map_err(|source| OpenError::Create { dir: dir.to_owned(), source })?;
    let lock = DirectoryLock::acquire(dir)?;
    let opening = Opening { dir: dir.to_owned() };
    let storage = opening.storage()?;
    let (identity, next) = (opening.identity(&storage)?, opening.topics(&storage)?);
    let groups = opening.groups(&storage)?;
    let mark = opening.mark(next.records)?;
    let shared = Arc::new(Shared {
        identity,
        queue: Queue::default(),
        topics: next.topics,
        groups,
        changing_topics: Mutex::new(()),
        failure: Failure::default(),
        append_times: AppendTimes::continuing(next.newest, clock::now()),
        metrics: LogMetrics::new(),
        records: storage.records,
        meta: storage.meta,
        db: storage.db,
        _lock: lock,
    });
    let writer = Writer::new(shared.clone(), mark, next.newest);
    let thread = thread::Builder::new()
        .name("pnyx-log".to_owned())
        .spawn(move || writer.run())
        .map_err(|source| OpenError::Writer { source })?;
    Ok((shared, thread))
}

struct Opening {
    dir: PathBuf,
}

struct Storage {
    db: Database,
    records: Keyspace,
    meta: Keyspace,
}

/// Where the log goes on.
struct Next {
    topics: Topics,
    records: u64,
    newest: TimestampMs,
}

impl Opening {
    fn storage(&self) -> Result<Storage, OpenError> {
        let db = Database::builder(self.dir.join(STORAGE_FOLDER))
            .worker_threads(STORAGE_THREADS)
            .cache_size(BLOCK_CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            // Compressing belongs to the background, not between a ballot and its acknowledgement.
            .journal_compression(CompressionType::None)
            .manual_journal_persist(true)
            .open()
            .map_err(|source| self.engine(source))?;
        let records = db.keyspace("records", keyspace_options).map_err(|source| self.engine(source))?;
        let meta = db.keyspace("meta", keyspace_options).map_err(|source| self.engine(source))?;
        Ok(Storage { db, records, meta })
    }

    /// Reads the identity, or makes one for a new log. Format and identity are written together, so a log that has one
    /// has both.
    fn identity(&self, storage: &Storage) -> Result<LogIdentity, OpenError> {
        let found = storage.meta.get(keys::FORMAT_KEY).map_err(|source| self.engine(source))?;
        let Some(format) = found else {
            let identity = LogIdentity(rand::random());
            let mut batch = storage.db.batch().durability(Some(PersistMode::SyncData));
            batch.insert(&storage.meta, keys::FORMAT_KEY, keys::FORMAT.to_be_bytes());
            batch.insert(&storage.meta, keys::IDENTITY_KEY, identity.0);
            batch.commit().map_err(|source| self.engine(source))?;
            return Ok(identity);
        };
        let format = <[u8; 4]>::try_from(&*format).map_err(|_| self.damaged("its format is not a number"))?;
        match u32::from_be_bytes(format) {
            keys::FORMAT => {}
            found => return Err(OpenError::Format { dir: self.dir.clone(), found, known: keys::FORMAT }),
        }
        let identity = storage.meta.get(keys::IDENTITY_KEY).map_err(|source| self.engine(source))?;
        let identity = identity.and_then(|bytes| <[u8; 16]>::try_from(&*bytes).ok());
        identity.map(LogIdentity).ok_or_else(|| self.damaged("it has no identity"))
    }

    fn topics(&self, storage: &Storage) -> Result<Next, OpenError> {
        let mut next = Next { topics: Topics::default(), records: 0, newest: TimestampMs(0) };
        for entry in storage.meta.prefix(keys::TOPIC_PREFIX) {
            let (key, value) = entry.into_inner().map_err(|source| self.engine(source))?;
            let name = key.strip_prefix(keys::TOPIC_PREFIX).and_then(|name| std::str::from_utf8(name).ok());
            let (Some(name), Some((number, partitions))) = (name, keys::split_topic_value(&value)) else {
                return Err(self.damaged("an entry of a topic cannot be read"));
            };
            let mut ends = Vec::new();
            for partition in 0..partitions {
                let (end, newest) = self.end_of(storage, number, partition)?;
                ends.push(end);
                next.records += end;
                next.newest = next.newest.max(newest);
            }
            next.topics.insert(TopicState::new(number, Topic::recovered(name), ends));
        }
        Ok(next)
    }

    /// Where a partition ends, and the time of its last record.
    fn end_of(&self, storage: &Storage, topic: u32, partition: u32) -> Result<(u64, TimestampMs), OpenError> {
        let Some(last) = storage.records.prefix(keys::partition_prefix(topic, partition)).next_back() else {
            return Ok((0, TimestampMs(0)));
        };
        let (key, value) = last.into_inner().map_err(|source| self.engine(source))?;
        let first_offset = keys::offset_of(&key).ok_or_else(|| self.damaged("an entry has no offset"))?;
        let entry = Entry::parse(&value).ok_or_else(|| self.damaged("an entry cannot be read"))?;
        Ok((first_offset + u64::from(entry.count), entry.appended_at))
    }

    fn groups(&self, storage: &Storage) -> Result<Groups, OpenError> {
        let groups = Groups::default();
        for entry in storage.meta.prefix(keys::COMMIT_PREFIX) {
            let (key, value) = entry.into_inner().map_err(|source| self.engine(source))?;
            let (Some(key), Some(next_offset)) = (CommitKey::decode(&key), keys::number(&value)) else {
                return Err(self.damaged("a committed offset cannot be read"));
            };
            groups.get(key.topic, &key.group).note_commit(key.partition, next_offset);
        }
        Ok(groups)
    }

    /// Opens the mark and checks that nothing acknowledged is missing.
    fn mark(&self, found: u64) -> Result<Mark, OpenError> {
        let failed = |source| OpenError::Mark { dir: self.dir.clone(), source };
        let mut mark = Mark::open(&self.dir).map_err(failed)?;
        let acknowledged = mark.records();
        if found < acknowledged {
            return Err(OpenError::Missing { dir: self.dir.clone(), found, acknowledged, mark_file: MARK_FILE });
        }
        mark.set(found).map_err(failed)?;
        Ok(mark)
    }

    fn engine(&self, source: fjall::Error) -> OpenError {
        OpenError::Storage { dir: self.dir.clone(), source: Arc::new(source) }
    }

    fn damaged(&self, problem: &str) -> OpenError {
        OpenError::Damaged { dir: self.dir.clone(), problem: problem.to_owned() }
    }
}

/// Both keyspaces are read by range or nearly always hit, so filters would be built for nothing. Values stay in the
/// tree: apart from it every entry would cost a read of its own when a partition is read from its beginning.
fn keyspace_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES)
        .manual_journal_persist(true)
        .filter_policy(FilterPolicy::disabled())
}
