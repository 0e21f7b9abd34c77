//! Receipts against an archive: an acknowledged record must be in it.

use std::collections::{BTreeMap, BTreeSet};

use pnyx_core::{
    id::{Digest, Place, ProposalId, Voter},
    receipt::SignedReceipt,
    rejection::Rejection,
    result::Cut,
};

use super::{AuditFailure, records::end_of, result::list_keys};
use crate::count::{Counted, CountedBallot, WatchedRecord};

/// What became of an acknowledged ballot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptReport {
    /// The ballot.
    pub digest: Digest,
    /// Where its record lies.
    pub place: Place,
    /// What became of it.
    pub finding: ReceiptFinding,
}

/// What became of an acknowledged record, which in every case is included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptFinding {
    /// Its ballot stands.
    Counts,
    /// A later ballot of the same voter stands instead.
    Superseded {
        /// That ballot.
        by: Digest,
    },
    /// The record does not count.
    Rejected {
        /// Why.
        rejection: Rejection,
        /// Whether its ballot stands all the same, by another copy.
        stands_by_another_copy: bool,
    },
}

/// The places that are asked for.
pub(super) fn places(receipts: &[SignedReceipt]) -> BTreeSet<Place> {
    receipts.iter().map(|signed| signed.receipt.place).collect()
}

/// What receipts are held against.
pub(super) struct Evidence<'a> {
    pub(super) proposal: ProposalId,
    pub(super) cut: &'a Cut,
    pub(super) watched: &'a BTreeMap<Place, WatchedRecord>,
    pub(super) standing: &'a BTreeMap<Voter, CountedBallot>,
    pub(super) accepted_keys: &'a [Voter],
}

/// What an archive's records say of the places that were asked for, taken out of what was counted.
pub(super) fn find(signed: &SignedReceipt, evidence: &Evidence<'_>) -> Result<ReceiptReport, AuditFailure> {
    let receipt = signed.receipt;
    let (digest, place) = (receipt.digest, receipt.place);
    signed.verify().map_err(|source| AuditFailure::ReceiptInvalid { digest, source })?;
    if !evidence.accepted_keys.contains(&signed.key) {
        let accepted = list_keys(evidence.accepted_keys);
        return Err(AuditFailure::ReceiptKey { digest, found: signed.key, accepted });
    }
    if receipt.proposal != evidence.proposal {
        let (found, proposal) = (receipt.proposal, evidence.proposal);
        return Err(AuditFailure::ReceiptOfOther { digest, found, proposal });
    }
    let cut_end = end_of(evidence.cut, place.partition);
    if place.offset >= cut_end {
        return Err(AuditFailure::AcknowledgedBeyondCut { digest, place, cut_end });
    }
    let archived = evidence.watched.get(&place).expect("every place below the cut has a record, checked before");
    if archived.record != receipt.record {
        let (acknowledged, archived) = (receipt.record, archived.record);
        return Err(AuditFailure::AcknowledgedRecordMissing { digest, place, acknowledged, archived });
    }
    if archived.appended_at != receipt.appended_at {
        let (acknowledged, archived) = (receipt.appended_at, archived.appended_at);
        return Err(AuditFailure::AcknowledgedTimeDiffers { digest, place, acknowledged, archived });
    }
    if archived.digest != Some(digest) {
        let archived = archived.digest.map_or_else(|| "no readable ballot".to_owned(), |digest| digest.to_string());
        return Err(AuditFailure::AcknowledgedDigestDiffers { place, acknowledged: digest, archived });
    }
    Ok(ReceiptReport { digest, place, finding: fate(digest, archived, evidence.standing) })
}

fn fate(digest: Digest, record: &WatchedRecord, standing: &BTreeMap<Voter, CountedBallot>) -> ReceiptFinding {
    let standing = record.voter.and_then(|voter| standing.get(&voter)).map(|counted| counted.ballot.digest);
    match (record.rejection, standing) {
        (Some(rejection), standing) => {
            ReceiptFinding::Rejected { rejection, stands_by_another_copy: standing == Some(digest) }
        }
        (None, Some(by)) if by != digest => ReceiptFinding::Superseded { by },
        (None, _) => ReceiptFinding::Counts,
    }
}

impl<'a> Evidence<'a> {
    /// Of one archive, its records counted.
    pub(super) const fn new(
        proposal: ProposalId,
        cut: &'a Cut,
        counted: &'a Counted,
        accepted_keys: &'a [Voter],
    ) -> Self {
        Self { proposal, cut, watched: &counted.watched, standing: &counted.standing, accepted_keys }
    }
}
