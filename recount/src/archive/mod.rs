//! Archives of final proposals: JSON lines of `wire::archive`, the same bytes for the same log.
//!
//! Records are read from the log as they are sent, so memory does not grow with them. Standing ballots are no part of
//! the log; they are derived again by a recount, whose signature checks cost far more than sending the file. So the
//! ballots of the last few archives are remembered (the closing hands over those it has just counted), and one recount
//! runs at a time, whoever asks: a crowd of auditors costs one. How many archives are under way at once and how long
//! one waits for its reader are bounded, and all end with the process.
//!
//! An archive that is kept elsewhere ([`crate::storing`]) is read from there: no recount, and no need of the log.

mod sending;
mod writer;

use std::{collections::VecDeque, num::NonZeroUsize, sync::Arc, time::Duration};

use pnyx_backbone::{
    archives::{ArchivePlace, ArchiveStore, ArchiveStoreError},
    disabled::Fault,
    log::Log,
    proposals::Proposals,
    shutdown::Shutdown,
    telemetry,
};
use pnyx_core::{
    id::{ProposalId, Voter},
    power::VoterPower,
    proposal::Definition,
    result::PublishedResult,
    stored_archive::StoredArchive,
    wire::archive::{ArchivedBallot, ArchivedContractSignature},
};
use thiserror::Error;
use tokio::sync::{Mutex, Semaphore};
use tokio_stream::wrappers::ReceiverStream;
use tracing::{error, warn};

use self::sending::{Sending, chunks};
pub use self::writer::{ArchiveWriter, CHUNK_BYTES_MIN};
use crate::{
    evidence::{EvidenceError, published_sources},
    recounting::{ReadError, RecountError, Recounted, recount},
};

/// Archives under way at once: each holds a few chunks and a reader of the log, and keeps its proposal's ballots in
/// memory even where they are no longer remembered.
pub const STREAMS_AT_ONCE_MAX: usize = 32;

/// How long a chunk may wait for its reader: as long as a client of ours waits for a chunk.
const READER_WAIT_MAX: Duration = Duration::from_secs(30);

/// Proposals whose ballots are remembered: what is audited just after a close.
const REMEMBERED_PROPOSALS_MAX: usize = 4;

/// Ballots that are remembered in all, at about 200 bytes each. More than this of one proposal are not remembered.
const REMEMBERED_BALLOTS_MAX: usize = 2_000_000;

/// Why there is no archive.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// No such proposal.
    #[error("there is no proposal {proposal}")]
    UnknownProposal {
        /// The id asked for.
        proposal: ProposalId,
    },
    /// Its result is not published.
    #[error("proposal {proposal} has no result yet: an archive exists only of a final proposal")]
    NotFinal {
        /// The proposal.
        proposal: ProposalId,
    },
    /// The ballots could not be counted again.
    #[error("the standing ballots could not be derived from the log")]
    Recount(#[from] RecountError),
    /// What the chains said could not be read from the verdicts.
    #[error("what the chains said could not be read from the log")]
    Evidence(#[from] EvidenceError),
    /// The log gives another result than the published one.
    #[error(
        "the log no longer gives the published result of proposal {proposal}: run `pnyx recount` and have a person look"
    )]
    Differs {
        /// The proposal.
        proposal: ProposalId,
    },
    /// As many archives as may be at once are under way.
    #[error("{STREAMS_AT_ONCE_MAX} archives are being sent already")]
    Busy,
    /// The process ends; a stream under way ends without its end line.
    #[error("the process is shutting down")]
    ShuttingDown,
    /// The stream was given up: its reader took nothing for too long.
    #[error("whoever was to take the archive took nothing for {} s", waited.as_secs())]
    ReaderStalled {
        /// For how long.
        waited: Duration,
    },
    /// The records could not be read; the stream ends without its end line.
    #[error("the archive's records could not be read")]
    Read(#[from] ReadError),
    /// The store of archives did not give it.
    #[error("the stored archive could not be read")]
    Store(#[from] ArchiveStoreError),
    /// What the store gave is not what was stored; a stream ends with this error after its last byte.
    #[error("the archive {location} of proposal {proposal} is not what was stored there")]
    Damaged {
        /// The proposal.
        proposal: ProposalId,
        /// Where it is kept.
        location: String,
    },
}

impl ArchiveError {
    /// Whether it will be so whenever it is tried again, as far as can be known: what is needed is gone, or is something else.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::UnknownProposal { .. } | Self::Differs { .. } | Self::Damaged { .. } => true,
            Self::Recount(RecountError::LogBehindCut { .. } | RecountError::RecordsRoot { .. }) => true,
            Self::Recount(RecountError::Read(ReadError::Log(error)))
            | Self::Evidence(EvidenceError::Log(error))
            | Self::Read(ReadError::Log(error)) => {
                matches!(error.fault(), Some(Fault::Missing | Fault::Partitions | Fault::Damaged))
            }
            Self::Recount(_)
            | Self::Evidence(EvidenceError::Stalled { .. })
            | Self::Read(ReadError::Stalled { .. })
            | Self::NotFinal { .. }
            | Self::Busy
            | Self::ShuttingDown
            | Self::ReaderStalled { .. }
            | Self::Store(_) => false,
        }
    }
}

/// The bytes of an archive. A stream that fails ends without the end line, which every reader notices.
pub type ArchiveStream = ReceiverStream<Result<Vec<u8>, ArchiveError>>;

/// What is in an archive and not in the log: a recount gives it.
#[derive(Debug)]
pub(crate) struct Derived {
    /// Standing ballots by voter.
    pub(crate) ballots: Vec<ArchivedBallot>,
    /// The power of each signer, by voter.
    pub(crate) powers: Vec<(Voter, VoterPower)>,
    /// What contracts said, by record.
    pub(crate) signatures: Vec<ArchivedContractSignature>,
}

impl Derived {
    /// Entries, for the bound on what is remembered.
    fn len(&self) -> usize {
        self.ballots.len().max(self.powers.len()).max(self.signatures.len())
    }
}

/// Makes archives.
#[derive(Debug)]
pub struct Archives {
    log: Log,
    pub(crate) proposals: Proposals,
    pub(crate) threads: NonZeroUsize,
    remembered: Mutex<VecDeque<(ProposalId, Arc<Derived>)>>,
    recounting: Mutex<()>,
    places: Arc<Semaphore>,
    place: Option<ArchivePlace>,
    pub(crate) shutdown: Shutdown,
}

impl Archives {
    /// Archives of what is in this log; a recount that is needed uses `threads` cores. All end with the shutdown.
    pub fn new(log: Log, proposals: Proposals, threads: NonZeroUsize, shutdown: Shutdown) -> Self {
        let places = Arc::new(Semaphore::new(STREAMS_AT_ONCE_MAX));
        let (remembered, recounting) = (Mutex::default(), Mutex::default());
        Self { log, proposals, threads, remembered, recounting, places, place: None, shutdown }
    }

    /// The same, kept at a place outside the log.
    #[must_use]
    pub fn kept_at(self, place: Option<ArchivePlace>) -> Self {
        Self { place, ..self }
    }

    /// Where archives are kept, if that is not only in the log.
    pub(crate) const fn place(&self) -> Option<&ArchivePlace> {
        self.place.as_ref()
    }

    /// The archive of a final proposal, from where it is kept if it is; else, or if it cannot be had from there, from the
    /// log. If the log can never give it, the error says what is wrong with what is kept: that is what can be mended.
    pub async fn stream(&self, proposal: ProposalId) -> Result<ArchiveStream, ArchiveError> {
        let book = self.proposals.book();
        let stored = book.get(proposal).and_then(|decisions| decisions.archive.clone());
        if let (Some(stored), Some(place)) = (stored, &self.place) {
            match self.stream_stored(place, stored).await {
                Err(error @ (ArchiveError::Store(_) | ArchiveError::Damaged { .. })) => {
                    let problem = telemetry::chain(&error);
                    warn!(%proposal, problem, "a stored archive cannot be had, it is made from the log instead");
                    return match self.stream_log(proposal, READER_WAIT_MAX).await {
                        Err(never) if never.is_lasting() => {
                            let reason = telemetry::chain(&never);
                            error!(%proposal, reason, "the log cannot give that archive either, a person has to look");
                            Err(error)
                        }
                        streamed => streamed,
                    };
                }
                streamed => return streamed,
            }
        }
        self.stream_log(proposal, READER_WAIT_MAX).await
    }

    async fn stream_stored(
        &self,
        place: &ArchivePlace,
        stored: Arc<StoredArchive>,
    ) -> Result<ArchiveStream, ArchiveError> {
        let place_taken = Arc::clone(&self.places).try_acquire_owned().map_err(|_| ArchiveError::Busy)?;
        let store = ArchiveStore::open(place)?;
        let (bytes, pieces) = tokio::select! {
            () = self.shutdown.requested() => return Err(ArchiveError::ShuttingDown),
            read = store.read(stored.proposal) => read?,
        };
        if bytes != stored.bytes {
            // Seen before the first byte is sent, so the log may still help.
            let (proposal, location) = (stored.proposal, stored.location().to_owned());
            return Err(ArchiveError::Damaged { proposal, location });
        }
        let (chunks, for_error, receiver) = chunks(READER_WAIT_MAX);
        let sending = Sending { for_error, shutdown: self.shutdown.clone(), proposal: stored.proposal };
        let send = async move { chunks.send_stored(Box::pin(pieces), &stored).await };
        self.shutdown.spawn("archive", sending.run(place_taken, send));
        Ok(receiver)
    }

    /// The archive of a final proposal from the log, for somebody who takes something within `wait_max` each time. Waits for
    /// a recount where its ballots are not remembered.
    pub(crate) async fn stream_log(
        &self,
        proposal: ProposalId,
        wait_max: Duration,
    ) -> Result<ArchiveStream, ArchiveError> {
        let book = self.proposals.book();
        let decisions = book.get(proposal).ok_or(ArchiveError::UnknownProposal { proposal })?;
        let result = decisions.result.clone().ok_or(ArchiveError::NotFinal { proposal })?;
        let definition = Arc::clone(&decisions.definition);
        // Taken before the recount, so that those who wait for it are bounded, too.
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| ArchiveError::Busy)?;
        let derived = tokio::select! {
            () = self.shutdown.requested() => return Err(ArchiveError::ShuttingDown),
            derived = self.derived(&definition, &result) => derived?,
        };
        let (mut chunks, for_error, receiver) = chunks(wait_max);
        let sending = Sending { for_error, shutdown: self.shutdown.clone(), proposal };
        let log = self.log.clone();
        let send = async move { chunks.send_archive(&log, &definition, &result, &derived).await };
        self.shutdown.spawn("archive", sending.run(place, send));
        Ok(receiver)
    }

    /// Keeps what a recount derived for the next archives.
    pub(crate) async fn remember(&self, proposal: ProposalId, derived: Derived) {
        self.remember_shared(proposal, Arc::new(derived)).await;
    }

    async fn remember_shared(&self, proposal: ProposalId, derived: Arc<Derived>) {
        if derived.len() > REMEMBERED_BALLOTS_MAX {
            return;
        }
        let mut remembered = self.remembered.lock().await;
        remembered.retain(|(id, _)| *id != proposal);
        remembered.push_back((proposal, derived));
        let count = |remembered: &VecDeque<(_, Arc<Derived>)>| {
            remembered.iter().map(|(_, derived)| derived.len()).sum::<usize>()
        };
        while remembered.len() > REMEMBERED_PROPOSALS_MAX || count(&remembered) > REMEMBERED_BALLOTS_MAX {
            remembered.pop_front();
        }
    }

    async fn recall(&self, proposal: ProposalId) -> Option<Arc<Derived>> {
        let remembered = self.remembered.lock().await;
        remembered.iter().find(|(id, _)| *id == proposal).map(|(_, derived)| Arc::clone(derived))
    }

    async fn derived(
        &self,
        definition: &Arc<Definition>,
        result: &PublishedResult,
    ) -> Result<Arc<Derived>, ArchiveError> {
        let proposal = result.core.proposal;
        if let Some(derived) = self.recall(proposal).await {
            return Ok(derived);
        }
        let _alone = self.recounting.lock().await;
        if let Some(derived) = self.recall(proposal).await {
            return Ok(derived);
        }
        let PublishedResult { core, provenance, .. } = result;
        let sources = published_sources(&self.log, definition, provenance).await?;
        let recounted = recount(&self.log, definition, &provenance.cut, &sources, self.threads, |_| {}).await?;
        if recounted.core != *core || recounted.provenance.chains != provenance.chains {
            return Err(ArchiveError::Differs { proposal });
        }
        let Recounted { ballots, powers, signatures, .. } = recounted;
        let derived = Arc::new(Derived { ballots, powers, signatures });
        self.remember_shared(proposal, Arc::clone(&derived)).await;
        Ok(derived)
    }
}
