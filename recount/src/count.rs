//! Counting records over all cores: each is verified again, and what counts is folded into standing ballots.
//!
//! Two phases, because a voter's power is a function of the voter alone. First the workers check signatures: they share
//! nothing but the queue, each folds its records into the signed ballot of each voter that would stand, and these are
//! merged at the end ([`Signed`]). Which ballot that is and which copy represents it are decided by what they carry, so
//! neither the number of workers nor the order of records shows in what comes out. Then the power of all signers is
//! looked up, by whoever counts, and those without any are taken out with all their records ([`Signed::weigh`]). Where the
//! definition lists all power, signers without any are taken out at once: they cost an attacker nothing but keys.
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
    ballot::{HashMemo, Refusal, SignedBallot},
    id::{Digest, Place, RecordHash, Voter},
    power::VoterPower,
    proposal::Definition,
    rejection::Rejection,
    tally::StandingBallot,
    time::TimestampMs,
    verdict::CountingBallot,
    wire::archive::ArchivedRecord,
};
use pnyx_verification::{BallotRecord, ListedPower, ProposalVerifier};

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

/// What the signatures came to: everything but power is decided.
#[derive(Debug)]
pub struct Signed {
    records: u64,
    rejected: BTreeMap<Rejection, u64>,
    signers: BTreeMap<Voter, Candidate>,
    watched: BTreeMap<Place, WatchedRecord>,
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
    /// The power of each voter with a validly signed record, whether or not there is any, ascending by voter.
    pub powers: Vec<(Voter, VoterPower)>,
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
        let proposal = definition.proposal();
        let rules = Arc::new(Rules {
            verifier: ProposalVerifier::new(Arc::clone(definition)),
            listed: (proposal.chains().len() == 0).then(|| ListedPower::of(proposal)),
            watched,
        });
        let workers = (0..threads.get())
            .map(|_| {
                let (rules, receiver) = (Arc::clone(&rules), Arc::clone(&receiver));
                thread::spawn(move || Partial::default().count_all(&rules, &receiver))
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
    pub fn finish(self) -> Signed {
        let Self { sender, workers } = self;
        drop(sender);
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .fold(Partial::default(), Partial::merge)
            .into_signed()
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

/// What all workers go by.
struct Rules {
    verifier: ProposalVerifier,
    /// Everybody's power, where no chain is needed for it.
    listed: Option<ListedPower>,
    watched: BTreeSet<Place>,
}

impl Rules {
    /// The ballot that a record holds, unless it is known not to count.
    fn judge(&self, record: BallotRecord<'_>, memo: &mut HashMemo) -> Result<SignedBallot, Refusal> {
        let ballot = self.verifier.judge(record, memo).into_signed()?;
        match &self.listed {
            Some(listed) if listed.power(ballot.voter()).is_zero() => Err(Refusal {
                rejection: Rejection::NoPower,
                digest: Some(ballot.digest()),
                claimed_voter: Some(ballot.voter()),
            }),
            Some(_) | None => Ok(ballot),
        }
    }
}

/// The signed ballot of a voter that stands as far as a worker has seen, if the voter has power.
#[derive(Debug)]
struct Candidate {
    ballot: SignedBallot,
    /// The lowest of the ballot's validly signed records.
    place: Place,
    /// Of those the one with the smallest bytes.
    record: RecordHash,
    bytes: Box<[u8]>,
    /// All validly signed records of the voter, whichever ballot they hold.
    records: u64,
}

impl Candidate {
    /// Of two ballots of one voter the later stands; of two copies of one ballot the smaller represents it.
    fn take_better(&mut self, other: Self) {
        let records = self.records.saturating_add(other.records);
        let order = |ballot: &SignedBallot| (ballot.signed_at_s(), ballot.digest());
        match order(&other.ballot).cmp(&order(&self.ballot)) {
            std::cmp::Ordering::Greater => *self = other,
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => {
                self.place = self.place.min(other.place);
                if other.bytes < self.bytes {
                    (self.record, self.bytes) = (other.record, other.bytes);
                }
            }
        }
        self.records = records;
    }
}

/// What one worker has seen.
#[derive(Debug, Default)]
struct Partial {
    records: u64,
    rejected: BTreeMap<Rejection, u64>,
    signers: BTreeMap<Voter, Candidate>,
    watched: BTreeMap<Place, WatchedRecord>,
}

impl Partial {
    fn count_all(mut self, rules: &Rules, receiver: &Mutex<Receiver<Vec<HashedRecord>>>) -> Self {
        let mut memo = HashMemo::default();
        loop {
            // The lock is held only while waiting, and a channel that another worker's panic left is whole.
            let batch = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(batch) = batch else { return self };
            for record in batch {
                let archived = &record.archived;
                let bytes = &archived.record;
                let judged = BallotRecord { place: archived.place, appended_at: archived.appended_at, bytes };
                let signed = rules.judge(judged, &mut memo);
                self.count(record, signed, &rules.watched);
            }
        }
    }

    fn count(
        &mut self,
        HashedRecord { archived, hash }: HashedRecord,
        signed: Result<SignedBallot, Refusal>,
        watched: &BTreeSet<Place>,
    ) {
        self.records = self.records.saturating_add(1);
        if watched.contains(&archived.place) {
            self.watched.insert(archived.place, WatchedRecord::new(hash, archived.appended_at, &signed));
        }
        match signed {
            Ok(ballot) => {
                let (place, bytes) = (archived.place, archived.record.into_boxed_slice());
                self.offer(ballot.voter(), Candidate { ballot, place, record: hash, bytes, records: 1 });
            }
            Err(refusal) => add(&mut self.rejected, refusal.rejection, 1),
        }
    }

    fn offer(&mut self, voter: Voter, candidate: Candidate) {
        match self.signers.entry(voter) {
            Entry::Vacant(entry) => {
                entry.insert(candidate);
            }
            Entry::Occupied(mut entry) => entry.get_mut().take_better(candidate),
        }
    }

    fn merge(mut self, other: Self) -> Self {
        self.records = self.records.saturating_add(other.records);
        for (rejection, records) in other.rejected {
            add(&mut self.rejected, rejection, records);
        }
        if self.signers.is_empty() {
            self.signers = other.signers;
        } else {
            for (voter, candidate) in other.signers {
                self.offer(voter, candidate);
            }
        }
        self.watched.extend(other.watched);
        self
    }

    fn into_signed(self) -> Signed {
        let Self { records, rejected, signers, watched } = self;
        Signed { records, rejected, signers, watched }
    }
}

impl Signed {
    /// Whose power [`Self::weigh`] needs: each voter with a validly signed record once, ascending.
    pub fn signers(&self) -> Vec<Voter> {
        self.signers.keys().copied().collect()
    }

    /// What counts, when each of the [`Self::signers`] has the power at the same position.
    ///
    /// # Panics
    /// If there are not as many powers as signers.
    pub fn weigh(self, powers: &[VoterPower]) -> Counted {
        let Self { records, mut rejected, signers, mut watched } = self;
        assert_eq!(signers.len(), powers.len(), "there is a power for each signer");
        let mut standing = BTreeMap::new();
        let mut without_power = BTreeMap::new();
        let mut all_powers = Vec::with_capacity(powers.len());
        for ((voter, candidate), power) in signers.into_iter().zip(powers) {
            all_powers.push((voter, *power));
            match candidate.ballot.with_power(*power) {
                Ok(CountingBallot { voter: _, digest, signed_at_s, choice, power }) => {
                    let ballot = StandingBallot { digest, signed_at_s, choice, power, place: candidate.place };
                    standing.insert(voter, CountedBallot { ballot, record: candidate.record });
                }
                Err(refusal) => {
                    add(&mut rejected, refusal.rejection, candidate.records);
                    without_power.insert(voter, refusal.rejection);
                }
            }
        }
        for record in watched.values_mut().filter(|record| record.rejection.is_none()) {
            record.rejection = record.voter.and_then(|voter| without_power.get(&voter).copied());
        }
        Counted { records, rejected, standing, watched, powers: all_powers }
    }
}

fn add(rejected: &mut BTreeMap<Rejection, u64>, rejection: Rejection, records: u64) {
    let sum = rejected.entry(rejection).or_default();
    *sum = sum.saturating_add(records);
}

impl WatchedRecord {
    /// As far as the signature decides.
    fn new(record: RecordHash, appended_at: TimestampMs, signed: &Result<SignedBallot, Refusal>) -> Self {
        let (digest, voter, rejection) = match signed {
            Ok(ballot) => (Some(ballot.digest()), Some(ballot.voter()), None),
            Err(refusal) => (refusal.digest, refusal.claimed_voter, Some(refusal.rejection)),
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
