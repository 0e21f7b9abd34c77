//! Everything that can be wrong with an archive, a variant each: the first wrong thing, both values, and what it means
//! for the vote.

use std::io;

use pnyx_core::{
    id::{Digest, Place, ProposalId, RecordHash, Root, Voter},
    power::Power,
    receipt::ReceiptError,
    rejection::Rejection,
    time::TimestampMs,
    wire::WireError,
};
use thiserror::Error;

use super::powers::PowersFailure;

/// The first thing in an archive, or in a receipt held against it, that contradicts the rest.
#[derive(Debug, Error)]
pub enum AuditFailure {
    /// The source of the archive failed.
    #[error("the archive could not be read after line {lines}")]
    Read {
        /// Lines read before.
        lines: u64,
        /// The reader's error.
        #[source]
        source: io::Error,
    },
    /// No end line.
    #[error(
        "the archive breaks off after line {lines}, its end line is missing: the file is incomplete and says nothing \
         about the vote; fetch it again"
    )]
    Truncated {
        /// Whole lines that were read.
        lines: u64,
    },
    /// The end line counts other lines than there are.
    #[error(
        "the end line says that {stated} lines stand before it, but {found} do: lines were removed from the archive or \
         added to it"
    )]
    LineCount {
        /// What the end line says.
        stated: u64,
        /// Lines before it.
        found: u64,
    },
    /// Something stands after the end line.
    #[error("line {line} stands after the end line: lines were added to the archive")]
    AfterEnd {
        /// The line's number, from 1.
        line: u64,
    },
    /// A line longer than any archive has.
    #[error("line {line} is longer than {bytes_max} bytes: this is not an archive")]
    LineTooLong {
        /// The line's number, from 1.
        line: u64,
        /// The longest line that is read.
        bytes_max: usize,
    },
    /// A line that is none of an archive's.
    #[error("line {line} is not a line of an archive: the file is damaged or not an archive")]
    Malformed {
        /// The line's number, from 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        source: WireError,
    },
    /// A line where another kind belongs.
    #[error("line {line} should be {expected} but is {found}: lines were removed, added or moved")]
    UnexpectedLine {
        /// The line's number, from 1.
        line: u64,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// The definition is not the proposal's.
    #[error(
        "the archive is of proposal {stated}, but the definition in it has id {computed}: text, choices, rules, window \
         or power differ from what voters signed"
    )]
    DefinitionDiffers {
        /// The id in the first line.
        stated: ProposalId,
        /// The id of the definition in the archive.
        computed: ProposalId,
    },
    /// The cut is another proposal's.
    #[error("the archive is of proposal {proposal}, but the cut in it is of {found}: counting ended somewhere else")]
    CutOfOther {
        /// The proposal.
        proposal: ProposalId,
        /// The cut's proposal.
        found: ProposalId,
    },
    /// The cut leaves out partitions that existed from the beginning.
    #[error(
        "the cut has {found} partitions, but the proposal began with {defined}: all ballots of the others are missing"
    )]
    CutPartitions {
        /// Partitions in the definition.
        defined: u32,
        /// Partitions in the cut.
        found: usize,
    },
    /// The cut line is not the cut of the result.
    #[error(
        "the cut differs: {what} is {in_cut_line} in the cut line and {in_result} in the signed result: the records \
         shown are not the ones that were counted"
    )]
    CutDiffers {
        /// Which number or root of it.
        what: String,
        /// Its value in the cut line.
        in_cut_line: String,
        /// Its value in the result.
        in_result: String,
    },
    /// A place below the cut without a record.
    #[error(
        "the record at {place} is missing (line {line} continues elsewhere): a ballot that was acknowledged may have \
         been dropped"
    )]
    RecordMissing {
        /// The place.
        place: Place,
        /// The line where it should stand, from 1.
        line: u64,
    },
    /// The record of a place stands later than it should.
    #[error("line {line} should be the record at {expected} but is the one at {found}: records were reordered")]
    RecordOutOfOrder {
        /// The line's number, from 1.
        line: u64,
        /// The place that comes next.
        expected: Place,
        /// The place of the record there.
        found: Place,
    },
    /// A second record of a place.
    #[error("line {line} is a second record at {place}: a record was added")]
    RecordRepeated {
        /// The line's number, from 1.
        line: u64,
        /// The place.
        place: Place,
    },
    /// A record at or above the cut.
    #[error("line {line} is a record at {place}, but that partition is cut at {cut_end}: a record was added")]
    RecordBeyondCut {
        /// The line's number, from 1.
        line: u64,
        /// The place.
        place: Place,
        /// Where the cut of that partition is; 0 where there is no such partition.
        cut_end: u64,
    },
    /// Append times that run backwards.
    #[error(
        "the record at {place} was appended at {appended_at_ms} ms, its predecessor at {previous_ms} ms: an append time was \
         altered, and with it who voted in time"
    )]
    AppendTimeDecreases {
        /// The later place.
        place: Place,
        /// Its append time.
        appended_at_ms: u64,
        /// The append time before it.
        previous_ms: u64,
    },
    /// The records of a partition are not those of the cut.
    #[error(
        "the records of partition {partition} have root {computed}, but the cut recorded {in_cut}: at least one record \
         was altered or exchanged"
    )]
    RecordsRoot {
        /// The partition.
        partition: u32,
        /// The root in the cut.
        in_cut: Root,
        /// The root of the records in the archive.
        computed: Root,
    },
    /// Two ballot lines of one voter.
    #[error("line {line} is a second ballot of voter {voter}: that voter would count twice")]
    VoterRepeated {
        /// The line's number, from 1.
        line: u64,
        /// The voter.
        voter: Voter,
    },
    /// Ballot lines that are not sorted by voter.
    #[error("line {line} is the ballot of voter {voter}, which belongs before {previous}: ballots were reordered")]
    BallotOutOfOrder {
        /// The line's number, from 1.
        line: u64,
        /// The voter.
        voter: Voter,
        /// The voter of the line before.
        previous: Voter,
    },
    /// What the archive says of chains.
    #[error(transparent)]
    Powers(#[from] PowersFailure),
    /// A ballot without a counting record.
    #[error(
        "line {line} is ballot {digest} of voter {voter}, but no record of that voter counts: the ballot was invented, \
         or the append time of its record altered"
    )]
    BallotWithoutRecord {
        /// The line's number, from 1.
        line: u64,
        /// The voter.
        voter: Voter,
        /// The ballot.
        digest: Digest,
    },
    /// A voter whose records count but who has no ballot line.
    #[error("voter {voter} has no line, but ballot {digest} of that voter counts: the ballot was left out")]
    BallotLeftOut {
        /// The voter.
        voter: Voter,
        /// The ballot that stands.
        digest: Digest,
    },
    /// Another ballot stands.
    #[error(
        "voter {voter} is listed with ballot {archived}, but {recounted} stands: an outdated or foreign ballot was counted"
    )]
    BallotDigest {
        /// The voter.
        voter: Voter,
        /// The ballot in the archive.
        archived: Digest,
        /// The ballot that stands.
        recounted: Digest,
    },
    /// Another choice was signed.
    #[error("voter {voter} is listed with choice {archived}, but signed {recounted}: the vote was altered")]
    BallotChoice {
        /// The voter.
        voter: Voter,
        /// The choice in the archive.
        archived: String,
        /// The choice that was signed.
        recounted: String,
    },
    /// Another power follows from the definition.
    #[error(
        "voter {voter} is listed with power {archived}, but the proposal's strategies give {recounted}: the vote's weight \
         was altered"
    )]
    BallotPower {
        /// The voter.
        voter: Voter,
        /// The power in the archive.
        archived: Power,
        /// The power by the definition.
        recounted: Power,
    },
    /// Another copy represents the ballot.
    #[error(
        "the ballot of voter {voter} names record {archived}, but its smallest counting copy is {recounted}: the vote is \
         the same, the evidence was altered"
    )]
    BallotRecord {
        /// The voter.
        voter: Voter,
        /// The record in the archive.
        archived: RecordHash,
        /// The smallest copy.
        recounted: RecordHash,
    },
    /// The result is another proposal's.
    #[error("the archive is of proposal {proposal}, but the result in it is of {found}")]
    ResultOfOther {
        /// The proposal.
        proposal: ProposalId,
        /// The result's proposal.
        found: ProposalId,
    },
    /// Another number of ballots.
    #[error("the result says that {published} ballots stand, but {recounted} do: votes were left out or invented")]
    BallotCount {
        /// What the result says.
        published: u64,
        /// What the records give.
        recounted: u64,
    },
    /// Another total.
    #[error("the result says that the total power is {published}, but the ballots add up to {recounted}")]
    TotalPower {
        /// What the result says.
        published: String,
        /// What the records give.
        recounted: String,
    },
    /// Another number of scores than choices.
    #[error("the result has {published} scores, but the proposal has {choices} choices")]
    ScoreCount {
        /// Scores in the result.
        published: usize,
        /// Choices of the proposal.
        choices: usize,
    },
    /// Another score.
    #[error("the result says that choice {choice} scores {published}, but the ballots give {recounted}")]
    Score {
        /// The choice's number, from 1.
        choice: usize,
        /// What the result says.
        published: String,
        /// What the ballots give.
        recounted: String,
    },
    /// Another decision or condition.
    #[error("the result says {published}, but the ballots give {recounted}: the wrong decision was announced")]
    Decision {
        /// What the result says.
        published: String,
        /// What the ballots give.
        recounted: String,
    },
    /// Another root of ballots.
    #[error(
        "the result has ballots root {published}, but the standing ballots have {recounted}: it is of other ballots"
    )]
    BallotsRoot {
        /// The root in the result.
        published: Root,
        /// The root of the recount.
        recounted: Root,
    },
    /// Another number of records.
    #[error("the result says that {published} records lie below the cut, but {recounted} do")]
    RecordCount {
        /// What the result says.
        published: u64,
        /// What the archive holds.
        recounted: u64,
    },
    /// Another number of rejections.
    #[error(
        "the result says that {published} records were rejected as {}, but {recounted} were: what did not count is \
         misstated", .rejection.name()
    )]
    RejectedCount {
        /// The reason.
        rejection: Rejection,
        /// What the result says.
        published: u64,
        /// What the records give.
        recounted: u64,
    },
    /// Nobody answers for the result.
    #[error("the result's signature was not made by key {key} over this result: nobody answers for it")]
    ResultSignature {
        /// The key that should have signed.
        key: Voter,
    },
    /// A key that the auditor does not accept.
    #[error(
        "the result is signed by key {found}, which is not among the accepted ones ({accepted}): somebody else made it"
    )]
    ResultKey {
        /// The result's key.
        found: Voter,
        /// The accepted keys.
        accepted: String,
    },
    /// A receipt that proves nothing.
    #[error("the receipt of ballot {digest} is not genuine: it proves nothing, against the archive or for it")]
    ReceiptInvalid {
        /// The receipt's ballot.
        digest: Digest,
        /// Why.
        #[source]
        source: ReceiptError,
    },
    /// A receipt by somebody else.
    #[error(
        "the receipt of ballot {digest} is signed by key {found}, which is not among the accepted ones ({accepted}): \
         either the receipt or the archive is not the platform's; name the platform's key to know which"
    )]
    ReceiptKey {
        /// The receipt's ballot.
        digest: Digest,
        /// The receipt's key.
        found: Voter,
        /// The accepted keys.
        accepted: String,
    },
    /// A receipt of another proposal.
    #[error(
        "the receipt of ballot {digest} is for proposal {found}, the archive is of {proposal}: hold it against that one"
    )]
    ReceiptOfOther {
        /// The receipt's ballot.
        digest: Digest,
        /// The receipt's proposal.
        found: ProposalId,
        /// The archive's proposal.
        proposal: ProposalId,
    },
    /// An acknowledged record above the cut.
    #[error(
        "the platform acknowledged ballot {digest} at {place}, but the archive's cut there is at {cut_end}: an acknowledged \
         ballot is not in the archive, the result was made without it"
    )]
    AcknowledgedBeyondCut {
        /// The receipt's ballot.
        digest: Digest,
        /// Its place.
        place: Place,
        /// The cut of that partition; 0 where there is no such partition.
        cut_end: u64,
    },
    /// Another record where the acknowledged one should be.
    #[error(
        "the platform acknowledged record {acknowledged} of ballot {digest} at {place}, but the archive has {archived} \
         there: an acknowledged ballot is not in the archive, the result was made without it"
    )]
    AcknowledgedRecordMissing {
        /// The receipt's ballot.
        digest: Digest,
        /// Its place.
        place: Place,
        /// The record that was acknowledged.
        acknowledged: RecordHash,
        /// The record in the archive.
        archived: RecordHash,
    },
    /// The acknowledged record with another time.
    #[error(
        "the platform acknowledged ballot {digest} at {place} as appended at {} ms, but the archive says {} ms: an append \
         time was altered, and with it who voted in time", .acknowledged.0, .archived.0
    )]
    AcknowledgedTimeDiffers {
        /// The receipt's ballot.
        digest: Digest,
        /// Its place.
        place: Place,
        /// The time in the receipt.
        acknowledged: TimestampMs,
        /// The time in the archive.
        archived: TimestampMs,
    },
    /// The acknowledged record is of another ballot.
    #[error(
        "the receipt for {place} names ballot {acknowledged}, but that record is of {archived}: the receipt does not say \
         what was stored"
    )]
    AcknowledgedDigestDiffers {
        /// The place.
        place: Place,
        /// The ballot in the receipt.
        acknowledged: Digest,
        /// The ballot of the record, or `no readable ballot`.
        archived: String,
    },
}
