//! Signed ballots from fixed keys and times, and archives made of them without a log.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use pnyx_core::{
    ballot::compose,
    id::{Place, RecordHash, Voter},
    merkle::{RootBuilder, record_leaf},
    power::{Power, VoterPower},
    proposal::{Abstentions, Definition, Proposal, ProposalParts, Quorum, Strategy, Voting, VotingSystem},
    receipt::{Receipt, SignedReceipt, sign_receipts},
    result::{Cut, CutPartition, PublishedResult},
    signing::SigningKey,
    time::{TimestampMs, Window},
    wire::{
        archive::{ArchiveLine, ArchivedRecord},
        record,
    },
};
use pnyx_recount::{
    AuditFailure, AuditOptions, AuditReport, Recounted,
    archive::ArchiveWriter,
    audit,
    count::{Batches, Counter},
};
use pnyx_verification::ListedPower;

/// 2025-10-09, a fixed time.
pub(crate) const OPENS_AT_MS: u64 = 1_760_000_000_000;
pub(crate) const CLOSES_AT_MS: u64 = OPENS_AT_MS + 3_600_000;
/// How many wallets have power: number n has n and a quarter.
pub(crate) const VOTERS: u8 = 9;
const SPACE: &str = "grants.example.org";

/// The n-th wallet.
pub(crate) fn wallet(number: u8) -> SigningKey {
    let mut bytes = [0x11; 32];
    bytes[31] = number;
    SigningKey::from_bytes(bytes).unwrap()
}

pub(crate) fn platform_key() -> SigningKey {
    SigningKey::from_bytes([0x77; 32]).unwrap()
}

pub(crate) fn fixed_window() -> Window {
    Window::new(TimestampMs(OPENS_AT_MS), TimestampMs(CLOSES_AT_MS)).unwrap()
}

pub(crate) fn definition(system: VotingSystem, window: Window, partitions: u32) -> Arc<Definition> {
    let powers: BTreeMap<Voter, Power> =
        (1..=VOTERS).map(|number| (wallet(number).address(), Power::parse(&format!("{number}.25")).unwrap())).collect();
    let proposal = Proposal::new(ProposalParts {
        platform: "test".to_owned(),
        namespace: "default".to_owned(),
        name: format!("round-{}", system.name()),
        space: SPACE.to_owned(),
        title: "Fund the spring grants round".to_owned(),
        body: "Which tree shall be planted?".to_owned(),
        discussion: String::new(),
        author: String::new(),
        choices: ["Oak", "Beech", "Lime"].map(str::to_owned).to_vec(),
        voting: Voting {
            system,
            quorum: Some(Quorum::Participation(Power::parse("10").unwrap())),
            approval_threshold: None,
            abstentions: Abstentions::default(),
        },
        window,
        strategies: vec![Strategy::WhitelistWeighted(powers)],
        snapshots: BTreeMap::new(),
        signers: None,
        clock_skew_s: 300,
    })
    .unwrap();
    Arc::new(Definition::new(proposal, 3, partitions).unwrap())
}

/// A choice of this system, as JSON; different seeds give different ones.
pub(crate) fn choice_json(system: VotingSystem, seed: u8) -> String {
    let rankings = ["[1,2,3]", "[1,3,2]", "[2,1,3]", "[2,3,1]", "[3,1,2]", "[3,2,1]"];
    match system {
        VotingSystem::Basic | VotingSystem::SingleChoice => (seed % 3 + 1).to_string(),
        VotingSystem::Approval => ["[]", "[1]", "[2,3]", "[1,2,3]", "[3]"][usize::from(seed % 5)].to_owned(),
        VotingSystem::Weighted | VotingSystem::Quadratic => {
            format!(r#"{{"1":{},"2":{}.5,"3":7}}"#, seed % 11 + 1, seed % 7)
        }
        VotingSystem::RankedChoice | VotingSystem::Copeland => rankings[usize::from(seed % 6)].to_owned(),
    }
}

/// A record of a ballot signed by wallet `voter`, `at_s` seconds after the fixed opening (or an earlier real one).
pub(crate) fn ballot(definition: &Definition, voter: u8, choice_json: &str, signed_at_s: u64) -> Vec<u8> {
    let key = wallet(voter);
    let proposal = definition.proposal();
    let unsigned =
        compose(key.address(), SPACE, signed_at_s, proposal.id(), choice_json, "", "pnyx").expect("a choice's JSON");
    let signature = key.sign_digest(*unsigned.digest().as_bytes());
    record::encode(&unsigned.body_with(&signature))
}

/// The same ballot with a signature of nobody.
pub(crate) fn garbage_copy(record: &[u8]) -> Vec<u8> {
    replace_in_sig(record, |sig| sig[4..40].fill(b'1'))
}

/// The same ballot with the same signature, its v written as 0 or 1 instead of 27 or 28: other bytes, as good.
pub(crate) fn short_v_copy(record: &[u8]) -> Vec<u8> {
    replace_in_sig(record, |sig| {
        let v = if &sig[130..132] == b"1b" { b"00" } else { b"01" };
        sig[130..132].copy_from_slice(v);
    })
}

/// `change` gets the signature's text, `0x` included.
fn replace_in_sig(record: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut record = record.to_vec();
    let start = record.windows(7).position(|window| window == br#""sig":""#).expect("an envelope has a signature") + 7;
    change(&mut record[start..start + 132]);
    record
}

/// A proposal's records by partition, appended at these times.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) definition: Arc<Definition>,
    pub(crate) partitions: Vec<Vec<(TimestampMs, Vec<u8>)>>,
}

impl Sample {
    pub(crate) fn records(&self) -> Vec<ArchivedRecord> {
        let partition = |(partition, records): (u32, &Vec<(TimestampMs, Vec<u8>)>)| {
            (0..)
                .zip(records.clone())
                .map(|(offset, (appended_at, record))| ArchivedRecord {
                    place: Place { partition, offset },
                    appended_at,
                    record,
                })
                .collect::<Vec<_>>()
        };
        (0..).zip(&self.partitions).flat_map(partition).collect()
    }

    pub(crate) fn cut(&self) -> Cut {
        let partitions = self.partitions.iter().map(|records| {
            let mut root = RootBuilder::default();
            records.iter().for_each(|(_, record)| root.push(&record_leaf(RecordHash::of(record))));
            CutPartition { end_offset: records.len() as u64, records_root: root.root() }
        });
        let decided_at = TimestampMs(CLOSES_AT_MS + 5_000);
        Cut { proposal: self.definition.proposal().id(), decided_at, partitions: partitions.collect() }
    }

    pub(crate) fn recount(&self, threads: usize) -> Recounted {
        recount_records(&self.definition, self.cut(), self.records(), threads)
    }

    pub(crate) fn result(&self) -> PublishedResult {
        let recounted = self.recount(2);
        PublishedResult::sign(recounted.core, recounted.provenance, &platform_key())
    }

    /// The archive, made from the records alone.
    pub(crate) fn archive(&self) -> Vec<u8> {
        let (recounted, result) = (self.recount(2), self.result());
        let mut writer = ArchiveWriter::default();
        writer.open(&self.definition, &result);
        self.records().into_iter().for_each(|record| writer.push(&ArchiveLine::Record(record)));
        recounted.ballots.into_iter().for_each(|ballot| writer.push(&ArchiveLine::Ballot(ballot)));
        writer.close(&result);
        writer.take()
    }

    /// Receipts of all records that have a digest, acknowledged together.
    pub(crate) fn receipts(&self) -> Vec<SignedReceipt> {
        let receipts: Vec<_> = self
            .records()
            .iter()
            .filter_map(|ArchivedRecord { place, appended_at, record }| {
                let body = record::decode(record).ok()?;
                let envelope = pnyx_core::ballot::Envelope::parse(body, &mut Default::default()).ok()?;
                Some(Receipt {
                    proposal: self.definition.proposal().id(),
                    digest: envelope.digest(),
                    record: RecordHash::of(record),
                    place: *place,
                    appended_at: *appended_at,
                })
            })
            .collect();
        sign_receipts(&receipts, &platform_key())
    }
}

pub(crate) fn recount_records(
    definition: &Arc<Definition>,
    cut: Cut,
    records: impl IntoIterator<Item = ArchivedRecord>,
    threads: usize,
) -> Recounted {
    let counter = Counter::start(definition, NonZeroUsize::new(threads).unwrap(), [].into());
    let mut batches = Batches::new(&counter);
    records.into_iter().for_each(|record| batches.push(record.into()));
    batches.flush();
    let signed = counter.finish();
    let listed = ListedPower::of(definition.proposal());
    let power = |voter| (voter, VoterPower::Known(listed.power(voter)));
    let powers = signed.signers().into_iter().map(power).collect();
    Recounted::new(definition, None, cut, signed.count(powers, Vec::new()))
}

pub(crate) fn options() -> AuditOptions {
    AuditOptions { threads: NonZeroUsize::new(2).unwrap(), ..AuditOptions::default() }
}

pub(crate) fn audit_with(archive: &[u8], receipts: &[SignedReceipt]) -> Result<AuditReport, AuditFailure> {
    audit(archive, receipts, &options(), &mut |_| {})
}

/// Twelve ballots of nine wallets in 18 records, and one record that is no ballot: votes that were changed, repeated,
/// copied with other bytes, appended too early, too late, without power, or beside garbage copies before and after.
pub(crate) fn weighted() -> Sample {
    let definition = definition(VotingSystem::Weighted, fixed_window(), 2);
    let signed_at_s = OPENS_AT_MS / 1_000;
    let vote = |voter, choice: &str, after_s| ballot(&definition, voter, choice, signed_at_s + after_s);
    let plain: Vec<_> = (1..=7).map(|voter| vote(voter, &choice_json(VotingSystem::Weighted, voter), 60)).collect();
    let changed = vote(2, r#"{"3":1}"#, 120);
    let changed_again = vote(2, r#"{"1":1,"2":1,"3":1}"#, 180);
    let late_signed = vote(3, r#"{"2":0.000000001}"#, 10);
    let stranger = vote(200, r#"{"1":1}"#, 60);
    let window_edge = vote(8, r#"{"1":2,"3":1}"#, 60);
    let (opens, closes) = (OPENS_AT_MS, CLOSES_AT_MS);
    let at = |time: u64, record: &[u8]| (TimestampMs(time), record.to_vec());
    Sample {
        partitions: vec![
            vec![
                at(opens - 1, &plain[0]),
                at(opens, &plain[0]),
                at(opens + 1_000, &garbage_copy(&plain[1])),
                at(opens + 2_000, &plain[1]),
                at(opens + 3_000, &changed_again),
                at(opens + 4_000, &plain[2]),
                at(opens + 5_000, &stranger),
                at(opens + 6_000, &late_signed),
                at(opens + 7_000, b"\x01not an envelope"),
                at(closes - 1, &window_edge),
                at(closes, &plain[6]),
            ],
            vec![
                at(opens + 1_500, &changed),
                at(opens + 2_500, &plain[3]),
                at(opens + 2_600, &short_v_copy(&plain[3])),
                at(opens + 2_700, &plain[3]),
                at(opens + 3_500, &plain[4]),
                at(opens + 3_600, &garbage_copy(&plain[4])),
                at(opens + 4_500, &plain[5]),
                at(opens + 5_500, &changed),
            ],
        ],
        definition,
    }
}
