//! Counting records over all cores: each is verified again, and what counts is folded into standing ballots.
//!
//! Two phases, because a voter's power is a function of the voter alone. First the workers check signatures: they share
//! nothing but the queue, each folds its records into the signed ballot of each voter that would stand, and these are
//! merged at the end ([`Signed`]). Which ballot that is and which copy represents it are decided by what they carry, so
//! neither the number of workers nor the order of records shows in what comes out. Then the power of all signers is
//! looked up, by whoever counts, and those without any are taken out with all their records ([`Signed::count`]). Where
//! the definition lists all power, signers without any are taken out at once: they cost an attacker nothing but keys.
//!
//! Where contracts may sign, records that no key signed are *claimed*: workers hand them over to whoever settles them
//! with what the chains say ([`crate::claims`]), or settle them at once with what an archive says that they said.
//!
//! **Memory.** While counting, a voter costs one map entry (at most [`CANDIDATE_BYTES_MAX`] bytes) and the bytes of the
//! smallest copy seen of the ballot that stands: an archive can only be read once, so a copy cannot be fetched again
//! when a smaller one is to be told from it. Beside the voters there are [`QUEUED_BATCHES_PER_THREAD`] and one more
//! batches of [`BATCH_BYTES_MAX`] bytes for each worker. Of claimed records nothing is kept but of those that may
//! stand.

mod weighing;

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
    chain::Pin,
    id::{Digest, Place, RecordHash, Voter},
    power::VoterPower,
    proposal::Definition,
    rejection::Rejection,
    tally::StandingBallot,
    time::TimestampMs,
    wire::archive::{ArchivedContractSignature, ArchivedRecord},
};
use pnyx_verification::{BallotRecord, Claim, ClaimAnswer, Judged, ListedPower, ProposalVerifier};

use crate::claims::ClaimSender;

pub(crate) use self::weighing::Settled;
pub use self::weighing::Signed;

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

/// A record that no key signed and a contract may have signed.
#[derive(Debug)]
pub(crate) struct ClaimedRecord {
    place: Place,
    appended_at: TimestampMs,
    bytes: Box<[u8]>,
    is_watched: bool,
    pub(crate) claim: Claim,
}

/// Where claimed records go.
#[derive(Clone)]
pub(crate) enum Claims {
    /// To whoever settles them; workers wait while that queue is full.
    HandedOver(ClaimSender),
    /// They are settled at once, at the pin of the signers' chain, with what this answers. A record that it cannot
    /// answer for is no part of what is counted: whoever answers has noted that.
    Answered(Pin, Arc<AnswerClaim>),
}

/// What decides a claim, if that is known.
pub(crate) type AnswerClaim = dyn Fn(&Claim) -> Option<ClaimAnswer> + Send + Sync;

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
    /// The power of each voter with a validly signed or claimed record, whether or not there is any, ascending by
    /// voter.
    pub powers: Vec<(Voter, VoterPower)>,
    /// What contracts said of claimed records of accounts with power, ascending by record.
    pub signatures: Vec<ArchivedContractSignature>,
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
    /// Starts `threads` workers that count by this definition and remember what became of the records at `watched`. Of
    /// a proposal where only keys sign: no record may be claimed.
    ///
    /// # Panics
    /// If the operating system refuses to start a thread.
    pub fn start(definition: &Arc<Definition>, threads: NonZeroUsize, watched: BTreeSet<Place>) -> Self {
        Self::start_with(definition, threads, watched, None)
    }

    /// The same of any proposal.
    pub(crate) fn start_with(
        definition: &Arc<Definition>,
        threads: NonZeroUsize,
        watched: BTreeSet<Place>,
        claims: Option<Claims>,
    ) -> Self {
        let (sender, receiver) = sync_channel(threads.get().saturating_mul(QUEUED_BATCHES_PER_THREAD));
        let proposal = definition.proposal();
        let worker = Arc::new(Worker {
            verifier: ProposalVerifier::new(Arc::clone(definition)),
            listed: (proposal.chains().len() == 0).then(|| ListedPower::of(proposal)),
            receiver: Mutex::new(receiver),
            watched,
        });
        let workers = (0..threads.get())
            .map(|_| {
                let (worker, claims) = (Arc::clone(&worker), claims.clone());
                thread::spawn(move || worker.count_all(claims.as_ref()))
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
        let partials =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        Signed { partial: partials.fold(Partial::default(), Partial::merge) }
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

/// What all workers share.
struct Worker {
    verifier: ProposalVerifier,
    /// Everybody's power, where no chain is needed for it.
    listed: Option<ListedPower>,
    receiver: Mutex<Receiver<Vec<HashedRecord>>>,
    watched: BTreeSet<Place>,
}

impl Worker {
    fn count_all(&self, claims: Option<&Claims>) -> Partial {
        let mut partial = Partial::default();
        let mut memo = HashMemo::default();
        loop {
            // The lock is held only while waiting, and a channel that another worker's panic left is whole.
            let batch = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(batch) = batch else { return partial };
            for record in batch {
                if let Some(claimed) = self.count(record, &mut memo, &mut partial) {
                    match claims.expect("records are claimed only where contracts may sign") {
                        Claims::HandedOver(claims) => claims.send(claimed),
                        Claims::Answered(pin, answer) => {
                            if let Some(answer) = answer(&claimed.claim) {
                                partial.settle(claimed, answer, pin);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Refuses the ballot of somebody who is known to have no power.
    fn refuse_unlisted(&self, ballot: SignedBallot) -> Result<SignedBallot, Refusal> {
        match &self.listed {
            Some(listed) if listed.power(ballot.voter()).is_zero() => Err(Refusal {
                rejection: Rejection::NoPower,
                digest: Some(ballot.digest()),
                claimed_voter: Some(ballot.voter()),
            }),
            Some(_) | None => Ok(ballot),
        }
    }

    /// Counts a record as far as its signature decides; gives back one that is claimed.
    fn count(
        &self,
        HashedRecord { archived, hash }: HashedRecord,
        memo: &mut HashMemo,
        partial: &mut Partial,
    ) -> Option<ClaimedRecord> {
        let ArchivedRecord { place, appended_at, record } = archived;
        let judged = self.verifier.judge(BallotRecord { place, appended_at, bytes: &record }, memo);
        partial.records = partial.records.saturating_add(1);
        let (is_watched, bytes) = (self.watched.contains(&place), record.into_boxed_slice());
        let signed = match judged {
            Judged::Claim(claim) => return Some(ClaimedRecord { place, appended_at, bytes, is_watched, claim }),
            Judged::Record(judged) => judged.into_signed().and_then(|ballot| self.refuse_unlisted(ballot)),
        };
        if is_watched {
            partial.watched.insert(place, WatchedRecord::new(hash, appended_at, &signed));
        }
        partial.take(signed, place, hash, bytes);
        None
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
    fn take(&mut self, signed: Result<SignedBallot, Refusal>, place: Place, record: RecordHash, bytes: Box<[u8]>) {
        match signed {
            Ok(ballot) => self.offer(ballot.voter(), Candidate { ballot, place, record, bytes, records: 1 }),
            Err(refusal) => add(&mut self.rejected, refusal.rejection, 1),
        }
    }

    fn settle(&mut self, claimed: ClaimedRecord, answer: ClaimAnswer, pin: &Pin) {
        let ClaimedRecord { place, appended_at, bytes, is_watched, claim } = claimed;
        let record = claim.record();
        let signed = claim.settle(answer, pin);
        if is_watched {
            self.watched.insert(place, WatchedRecord::new(record, appended_at, &signed));
        }
        self.take(signed, place, record, bytes);
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
}

impl ClaimedRecord {
    /// Memory that it takes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let parts = [size_of::<Self>(), self.bytes.len(), self.claim.signature_bytes()];
        parts.into_iter().fold(0, usize::saturating_add)
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
