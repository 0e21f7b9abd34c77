//! Many ballots at once, straight to the log: an edge would take minutes for what a test does in seconds, and adds nothing
//! to a record that the log does not.

use std::thread;

use pnyx_backbone::log::Topic;
use pnyx_core::{
    ballot,
    id::{ProposalId, Voter},
    signing::SigningKey,
    wire,
};

use crate::{
    bed::{Bed, PARTITIONS},
    common::{
        ballots::{Target, now_s},
        http,
    },
};

/// Records that are appended at once.
const BATCH: u64 = 500;

/// Threads that sign and append.
const THREADS: u64 = 2;

/// Bytes of a signature that no Safe of two owners could tell from a real one by its length.
const GARBAGE: [u8; 130] = [0x1f; 130];

/// Ballots for a proposal.
pub(crate) struct Flood<'a> {
    pub(crate) target: &'a Target,
    pub(crate) ballots: u64,
    /// What they have together at least; reasons are as long as it takes.
    pub(crate) bytes: u64,
    pub(crate) signed: Signed<'a>,
}

/// How ballots are signed, and for whom.
#[derive(Clone, Copy)]
pub(crate) enum Signed<'a> {
    /// Each by the key of a voter of its own.
    ByKeys,
    /// The same, by keys that sign nothing else.
    ByFirstKeys,
    /// Not at all, in the name of each of these accounts in turn.
    Garbage(&'a [Voter]),
}

impl Flood<'_> {
    /// Appends all of them; gives how many bytes the records had.
    pub(crate) fn append(&self, bed: &Bed) -> u64 {
        let proposal: ProposalId = self.target.id.parse().unwrap();
        let topic = Topic::ballots(proposal);
        let reason = "r".repeat(usize::try_from(self.bytes / self.ballots).unwrap());
        let signed_at_s = now_s();
        let append_share = |share: u64| {
            let mut bytes = 0;
            for first in (share * BATCH..self.ballots).step_by(usize::try_from(THREADS * BATCH).unwrap()) {
                let numbers = first..self.ballots.min(first + BATCH);
                let records = numbers.map(|number| {
                    let record = wire::record::encode(&self.body(proposal, number, signed_at_s, &reason));
                    bytes += record.len() as u64;
                    (u32::try_from(number % u64::from(PARTITIONS)).unwrap(), record)
                });
                http::block_on(bed.log.append_batch(&topic, records.collect())).unwrap();
            }
            bytes
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|share| scope.spawn(move || append_share(share))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        })
    }

    fn body(&self, proposal: ProposalId, number: u64, signed_at_s: u64, reason: &str) -> Vec<u8> {
        // The number tells ballots of one account apart.
        let reason = format!("{number} {reason}");
        let compose = |voter| {
            ballot::compose(voter, &self.target.space, signed_at_s, proposal, "1", &reason, "pnyx-test").unwrap()
        };
        let by_key = |kind| {
            let key = key(kind, number);
            let unsigned = compose(key.address());
            unsigned.body_with(&key.sign_digest(*unsigned.digest().as_bytes()))
        };
        match self.signed {
            Signed::ByKeys => by_key(0x22),
            Signed::ByFirstKeys => by_key(0x33),
            Signed::Garbage(accounts) => {
                let account = accounts[usize::try_from(number % accounts.len() as u64).unwrap()];
                compose(account).body_with(&GARBAGE)
            }
        }
    }
}

fn key(kind: u8, number: u64) -> SigningKey {
    let mut bytes = [kind; 32];
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    SigningKey::from_bytes(bytes).unwrap()
}
