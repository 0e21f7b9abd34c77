//! The records of an archive: all below the cut, in order, with the roots that the cut recorded, counted again with
//! what chains said by the lines before them.

use std::{collections::BTreeSet, io::BufRead, sync::Arc};

use pnyx_core::{
    chain::Pins,
    id::Place,
    merkle::{RootBuilder, record_leaf},
    proposal::Definition,
    result::Cut,
    time::TimestampMs,
    wire::archive::ArchiveLine,
};
use pnyx_verification::Claim;

use super::{
    AuditFailure, AuditOptions,
    lines::Lines,
    powers::{read_pins, read_powers},
    recorded::{Recorded, Rulings},
    result::difference_of_cuts,
    signatures::read_rulings,
};
use crate::count::{Batches, Claims, Counter, HashedRecord, Signed};

/// What stands at the top of an archive.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) definition: Arc<Definition>,
    pub(super) cut: Cut,
    pub(super) pins: Option<Pins>,
}

/// What chains said by the archive, if its proposal reads any, and the line that follows that.
pub(super) type Said = (Option<Arc<Recorded>>, ArchiveLine);

/// Reads header, definition, cut and, where the proposal reads chains, pins, and holds them against each other.
pub(super) fn read_opening<R: BufRead>(lines: &mut Lines<R>) -> Result<Opening, AuditFailure> {
    let stated = match lines.next()? {
        ArchiveLine::Header { proposal } => proposal,
        other => return Err(lines.unexpected("the archive's header", &other)),
    };
    let definition = match lines.next()? {
        ArchiveLine::Definition(definition) => definition,
        other => return Err(lines.unexpected("the definition", &other)),
    };
    let computed = definition.proposal().id();
    if computed != stated {
        return Err(AuditFailure::DefinitionDiffers { stated, computed });
    }
    let cut = match lines.next()? {
        ArchiveLine::Cut(cut) => cut,
        other => return Err(lines.unexpected("the cut", &other)),
    };
    if cut.proposal != stated {
        return Err(AuditFailure::CutOfOther { proposal: stated, found: cut.proposal });
    }
    let (defined, found) = (definition.ballots_partitions(), cut.partitions.len());
    if u32::try_from(found).is_ok_and(|found| found < defined) {
        return Err(AuditFailure::CutPartitions { defined, found });
    }
    let pins = read_pins(lines, definition.proposal())?;
    Ok(Opening { definition: Arc::from(definition), cut, pins })
}

/// Reads what the archive says that chains said, where the proposal reads any.
pub(super) fn read_said<R: BufRead>(
    lines: &mut Lines<R>,
    opening: &Opening,
    keeps_asked: bool,
) -> Result<Said, AuditFailure> {
    let line = lines.next()?;
    let Some(pins) = &opening.pins else { return Ok((None, line)) };
    let proposal = opening.definition.proposal();
    let pin = proposal.signers().and_then(|chain| pins.get(chain)).copied();
    let (powers, line) = read_powers(lines, line, proposal)?;
    let (rulings, line) = match pin {
        Some(_) => read_rulings(lines, line)?,
        None => (Rulings::new(lines.number()), line),
    };
    Ok((Some(Arc::new(Recorded::new(powers, rulings, pin, keeps_asked))), line))
}

/// Reads all records, the first of which may be `line`, and checks their signatures, or settles them where contracts
/// may sign; gives the first line after them.
pub(super) fn count_records<R: BufRead>(
    lines: &mut Lines<R>,
    opening: &Opening,
    (said, mut line): Said,
    watched: BTreeSet<Place>,
    options: &AuditOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<(Signed, ArchiveLine), AuditFailure> {
    let answered = |said: Arc<Recorded>| {
        let pin = said.pin()?;
        Some(Claims::Answered(pin, Arc::new(move |claim: &Claim| said.answer(claim))))
    };
    let counter = Counter::start_with(&opening.definition, options.threads, watched, said.and_then(answered));
    let mut batches = Batches::new(&counter);
    let mut order = Order::new(&opening.cut);
    while let ArchiveLine::Record(record) = line {
        let record = HashedRecord::from(record);
        if let Err(failure) = order.take(&record, lines.number()) {
            return Err(blame(lines, &opening.cut, failure));
        }
        batches.push(record);
        if order.records.is_multiple_of(PROGRESS_RECORDS) {
            progress(order.records);
        }
        line = lines.next()?;
    }
    if matches!(line, ArchiveLine::Power(_) | ArchiveLine::ContractSignature(_)) {
        return Err(lines.unexpected("a record, a ballot or the result", &line));
    }
    if let Err(failure) = order.finish(lines.number()) {
        return Err(blame_from(lines, &opening.cut, failure, line));
    }
    batches.flush();
    progress(order.records);
    Ok((counter.finish(), line))
}

/// Records between two calls of the progress callback: about a tenth of a second's on one core.
const PROGRESS_RECORDS: u64 = 2_048;

/// Holds record lines against the cut: every place below it once, in order, with the recorded roots.
struct Order<'a> {
    cut: &'a Cut,
    expected: Place,
    root: RootBuilder,
    appended_at: TimestampMs,
    records: u64,
}

impl<'a> Order<'a> {
    fn new(cut: &'a Cut) -> Self {
        let expected = Place { partition: 0, offset: 0 };
        Self { cut, expected, root: RootBuilder::default(), appended_at: TimestampMs(0), records: 0 }
    }

    fn take(&mut self, HashedRecord { archived: record, hash }: &HashedRecord, line: u64) -> Result<(), AuditFailure> {
        let place = record.place;
        let cut_end = end_of(self.cut, place.partition);
        if place.offset >= cut_end {
            return Err(AuditFailure::RecordBeyondCut { line, place, cut_end });
        }
        if place < self.expected {
            return Err(AuditFailure::RecordRepeated { line, place });
        }
        self.close_full_partitions(place.partition)?;
        if place != self.expected {
            return Err(AuditFailure::RecordOutOfOrder { line, expected: self.expected, found: place });
        }
        if record.appended_at < self.appended_at {
            return Err(AuditFailure::AppendTimeDecreases {
                place,
                appended_at_ms: record.appended_at.0,
                previous_ms: self.appended_at.0,
            });
        }
        self.appended_at = record.appended_at;
        self.root.push(&record_leaf(*hash));
        self.expected.offset += 1;
        self.records += 1;
        Ok(())
    }

    fn finish(&mut self, line: u64) -> Result<(), AuditFailure> {
        let partitions = u32::try_from(self.cut.partitions.len()).expect("the cut numbers partitions by u32");
        self.close_full_partitions(partitions)?;
        if self.expected.partition < partitions {
            return Err(AuditFailure::RecordMissing { place: self.expected, line });
        }
        Ok(())
    }

    /// Closes partitions that have all their records, up to `partition`, each with its recorded root.
    fn close_full_partitions(&mut self, partition: u32) -> Result<(), AuditFailure> {
        while self.expected.partition < partition {
            let Some(cut) = self.cut.partitions.get(self.expected.partition as usize) else { return Ok(()) };
            if self.expected.offset < cut.end_offset {
                return Ok(());
            }
            let computed = std::mem::take(&mut self.root).root();
            if computed != cut.records_root {
                let partition = self.expected.partition;
                return Err(AuditFailure::RecordsRoot { partition, in_cut: cut.records_root, computed });
            }
            self.expected = Place { partition: self.expected.partition + 1, offset: 0 };
            self.appended_at = TimestampMs(0);
        }
        Ok(())
    }
}

/// Where the cut of a partition is; 0 where it has none.
pub(super) fn end_of(cut: &Cut, partition: u32) -> u64 {
    cut.partitions.get(partition as usize).map_or(0, |partition| partition.end_offset)
}

/// Looks through the rest of the archive for the cause of a failure among the records.
fn blame<R: BufRead>(lines: &mut Lines<R>, cut: &Cut, failure: AuditFailure) -> AuditFailure {
    match lines.next() {
        Ok(line) => blame_from(lines, cut, failure, line),
        Err(_) => missing_unless_seen(failure, false),
    }
}

/// As [`blame`], where `line` was already read. A result with another cut says that the cut line was altered; a record
/// that stands where another belongs was moved if that one comes later, and else that one is missing.
fn blame_from<R: BufRead>(
    lines: &mut Lines<R>,
    cut: &Cut,
    failure: AuditFailure,
    mut line: ArchiveLine,
) -> AuditFailure {
    let mut expected_seen = false;
    loop {
        match &line {
            ArchiveLine::Record(record) => {
                if let AuditFailure::RecordOutOfOrder { expected, .. } = failure {
                    expected_seen |= record.place == expected;
                }
            }
            ArchiveLine::Result(result) => {
                return difference_of_cuts(cut, &result.provenance.cut)
                    .unwrap_or_else(|| missing_unless_seen(failure, expected_seen));
            }
            ArchiveLine::Header { .. }
            | ArchiveLine::Definition(_)
            | ArchiveLine::Cut(_)
            | ArchiveLine::Pins(_)
            | ArchiveLine::Power(_)
            | ArchiveLine::ContractSignature(_)
            | ArchiveLine::Ballot(_)
            | ArchiveLine::End { .. } => {}
        }
        match lines.next() {
            Ok(next) => line = next,
            Err(_) => return missing_unless_seen(failure, expected_seen),
        }
    }
}

fn missing_unless_seen(failure: AuditFailure, expected_seen: bool) -> AuditFailure {
    match failure {
        AuditFailure::RecordOutOfOrder { line, expected, .. } if !expected_seen => {
            AuditFailure::RecordMissing { place: expected, line }
        }
        other => other,
    }
}
