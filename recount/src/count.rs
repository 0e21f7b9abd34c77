//! Counting records over all cores: each is verified again, and what counts is folded into standing ballots.
//!
//! Workers share nothing but the queue: each folds its records into standing ballots of its own, and these are merged
//! at the end. Which ballot of a voter stands and which copy represents it are decided by what they carry, so neither
//! the number of workers nor the order of records shows in what comes out.
//!
//! **Memory.** While counting, a voter costs one map entry (at most [`CANDIDATE_BYTES_MAX`] bytes) and the bytes of the
//! smallest copy seen of the ballot that stands: an archive can only be read once, so a copy cannot be fetched again
//! when a smaller one is to be told from it. Beside the voters there are [`QUEUED_BATCHES_PER_THREAD`] and one more
//! batches of [`BATCH_BYTES_MAX`] bytes for each worker.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use pnyx_core::{
    ballot::HashMemo,
    id::{Digest, Place, RecordHash, Voter},
    proposal::Definition,
    rejection::Rejection,
    tally::StandingBallot,
    time::TimestampMs,
    verdict::{CountingBallot, RejectedRecord, Ruling},
    wire::archive::ArchivedRecord,
};
use pnyx_verification::{BallotRecord, ProposalVerifier};

/// Records a worker takes at once: about 10 ms of signature checks, so that the queue costs nothing beside them.
pub const BATCH_RECORDS_MAX: usize = 256;

/// Bytes after which a batch is full although it has fewer records: bounds what floods of large bodies can occupy.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Batches that may wait for each worker: one being fetched while one is checked.
pub const QUEUED_BATCHES_PER_THREAD: usize = 2;

/// Most bytes of the map entry of one voter while counting, the bytes of its record beside.
pub const CANDIDATE_BYTES_MAX: usize = 256;

/// All cores of this machine, or one where it does not say.
pub fn all_cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// What counting came to.
#[derive(Debug)]
pub struct Counted {
    /// How many records there were.
    pub records: u64,
    /// How many of them do not count, by reason; no entry is zero.
    pub rejected: BTreeMap<Rejection, u64>,
    /// The standing ballot of each voter with the record that represents it.
    pub standing: BTreeMap<Voter, CountedBallot>,
    /// The records at the places that were asked for, as far as there are any.
    pub watched: BTreeMap<Place, WatchedRecord>,
}

/// A standing ballot and its representing record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedBallot {
    /// The ballot.
    pub ballot: StandingBallot,
    /// Of its counting copies the one with the smallest bytes.
    pub record: RecordHash,
}

/// A record whose fate was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedRecord {
    /// Its hash.
    pub record: RecordHash,
    /// When the log appended it.
    pub appended_at: TimestampMs,
    /// The ballot's identity, where it could be read that far.
    pub digest: Option<Digest>,
    /// The voter it speaks for, or claims to, where it could be read that far.
    pub voter: Option<Voter>,
    /// Why it does not count; `None` when it does.
    pub rejection: Option<Rejection>,
}

/// A record with its hash, which whoever reads records has computed for their Merkle tree.
#[derive(Debug, Clone)]
pub struct HashedRecord {
    /// The record.
    pub archived: ArchivedRecord,
    /// SHA-256 of its bytes.
    pub hash: RecordHash,
}

impl From<ArchivedRecord> for HashedRecord {
    fn from(archived: ArchivedRecord) -> Self {
        Self { hash: RecordHash::of(&archived.record), archived }
    }
}

/// Takes records and counts them on threads of its own.
#[derive(Debug)]
pub struct Counter {
    sender: SyncSender<Vec<HashedRecord>>,
    workers: Vec<JoinHandle<Partial>>,
}

impl Counter {
    /// Starts `threads` workers that count by this definition and remember what became of the records at `watched`.
    ///
    /// # Panics
    /// If the operating system refuses to start a thread.
    pub fn start(definition: &Arc<Definition>, threads: NonZeroUsize, watched: BTreeSet<Place>) -> Self {
        let (sender, receiver) = sync_channel(threads.get().saturating_mul(QUEUED_BATCHES_PER_THREAD));
        let receiver = Arc::new(Mutex::new(receiver));
        let watched = Arc::new(watched);
        // A source of power of its own, made from the definition: the recount trusts no cache.
        let verifier = Arc::new(ProposalVerifier::new(Arc::clone(definition)));
        let workers = (0..threads.get())
            .map(|_| {
                let (verifier, receiver, watched) =
                    (Arc::clone(&verifier), Arc::clone(&receiver), Arc::clone(&watched));
                thread::spawn(move || Partial::default().count_all(&verifier, &receiver, &watched))
            })
            .collect();
        Self { sender, workers }
    }

    /// Hands over a batch; waits while the queue is full.
    pub fn submit(&self, batch: Vec<HashedRecord>) {
        // A queue without receivers means that every worker panicked; `finish` passes the panic on.
        let _ = self.sender.send(batch);
    }

    /// Waits for the workers and merges what they found.
    ///
    /// # Panics
    /// If a worker did.
    pub fn finish(self) -> Counted {
        let Self { sender, workers } = self;
        drop(sender);
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .fold(Partial::default(), Partial::merge)
            .into_counted()
    }
}

/// Collects single records into batches for a [`Counter`].
#[derive(Debug)]
pub struct Batches<'a> {
    counter: &'a Counter,
    batch: Vec<HashedRecord>,
    bytes: usize,
}

impl<'a> Batches<'a> {
    /// An empty batch for this counter.
    pub const fn new(counter: &'a Counter) -> Self {
        Self { counter, batch: Vec::new(), bytes: 0 }
    }

    /// Adds a record; hands the batch over once it is full.
    pub fn push(&mut self, record: HashedRecord) {
        self.bytes = self.bytes.saturating_add(record.archived.record.len());
        self.batch.push(record);
        if self.batch.len() >= BATCH_RECORDS_MAX || self.bytes >= BATCH_BYTES_MAX {
            self.flush();
        }
    }

    /// Hands over what there is.
    pub fn flush(&mut self) {
        self.bytes = 0;
        if !self.batch.is_empty() {
            self.counter.submit(std::mem::take(&mut self.batch));
        }
    }
}

/// The ballot of a voter that stands as far as a worker has seen.
#[derive(Debug)]
struct Candidate {
    ballot: StandingBallot,
    record: RecordHash,
    bytes: Box<[u8]>,
}

impl Candidate {
    /// Of two ballots of one voter the later stands; of two copies of one ballot the smaller represents it.
    fn take_better(&mut self, other: Self) {
        let order = |ballot: &StandingBallot| (ballot.signed_at_s, ballot.digest);
        match order(&other.ballot).cmp(&order(&self.ballot)) {
            std::cmp::Ordering::Greater => *self = other,
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => {
                self.ballot.place = self.ballot.place.min(other.ballot.place);
                if other.bytes < self.bytes {
                    (self.record, self.bytes) = (other.record, other.bytes);
                }
            }
        }
    }
}

/// What one worker has seen.
#[derive(Debug, Default)]
struct Partial {
    records: u64,
    rejected: BTreeMap<Rejection, u64>,
    standing: BTreeMap<Voter, Candidate>,
    watched: BTreeMap<Place, WatchedRecord>,
}

impl Partial {
    fn count_all(
        mut self,
        verifier: &ProposalVerifier,
        receiver: &Mutex<Receiver<Vec<HashedRecord>>>,
        watched: &BTreeSet<Place>,
    ) -> Self {
        let mut memo = HashMemo::default();
        loop {
            // The lock is held only while waiting, and a channel that another worker's panic left is whole.
            let batch = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(batch) = batch else { return self };
            let records = batch.iter().map(|HashedRecord { archived, hash: _ }| BallotRecord {
                place: archived.place,
                appended_at: archived.appended_at,
                bytes: &archived.record,
            });
            let verdicts = verifier.verify_batch(records, &mut memo).unwrap_or_else(|unavailable| match unavailable {});
            for (record, verdict) in batch.into_iter().zip(verdicts) {
                self.count(record, verdict.ruling, watched);
            }
        }
    }

    fn count(&mut self, HashedRecord { archived, hash }: HashedRecord, ruling: Ruling, watched: &BTreeSet<Place>) {
        self.records = self.records.saturating_add(1);
        if watched.contains(&archived.place) {
            self.watched.insert(archived.place, WatchedRecord::new(hash, archived.appended_at, &ruling));
        }
        match ruling {
            Ruling::Counts(CountingBallot { voter, digest, signed_at_s, choice, power }) => {
                let ballot = StandingBallot { digest, signed_at_s, choice, power, place: archived.place };
                self.offer(voter, Candidate { ballot, record: hash, bytes: archived.record.into_boxed_slice() });
            }
            Ruling::Rejected(RejectedRecord { rejection, .. }) => {
                let count = self.rejected.entry(rejection).or_default();
                *count = count.saturating_add(1);
            }
        }
    }

    fn offer(&mut self, voter: Voter, candidate: Candidate) {
        match self.standing.entry(voter) {
            Entry::Vacant(entry) => {
                entry.insert(candidate);
            }
            Entry::Occupied(mut entry) => entry.get_mut().take_better(candidate),
        }
    }

    fn merge(mut self, other: Self) -> Self {
        self.records = self.records.saturating_add(other.records);
        for (rejection, count) in other.rejected {
            let sum = self.rejected.entry(rejection).or_default();
            *sum = sum.saturating_add(count);
        }
        if self.standing.is_empty() {
            self.standing = other.standing;
        } else {
            for (voter, candidate) in other.standing {
                self.offer(voter, candidate);
            }
        }
        self.watched.extend(other.watched);
        self
    }

    fn into_counted(self) -> Counted {
        let Self { records, rejected, standing, watched } = self;
        let standing = standing
            .into_iter()
            .map(|(voter, Candidate { ballot, record, bytes: _ })| (voter, CountedBallot { ballot, record }))
            .collect();
        Counted { records, rejected, standing, watched }
    }
}

impl WatchedRecord {
    fn new(record: RecordHash, appended_at: TimestampMs, ruling: &Ruling) -> Self {
        let (digest, voter, rejection) = match ruling {
            Ruling::Counts(ballot) => (Some(ballot.digest), Some(ballot.voter), None),
            Ruling::Rejected(rejected) => (rejected.digest, rejected.claimed_voter, Some(rejected.rejection)),
        };
        Self { record, appended_at, digest, voter, rejection }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voter_costs_no_more_than_documented() {
        let entry_bytes = size_of::<(Voter, Candidate)>();
        assert!(entry_bytes <= CANDIDATE_BYTES_MAX, "{entry_bytes}");
    }
}
