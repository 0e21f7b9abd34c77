//! The recount beside its floor: recovering the same signatures, and nothing else, on the same cores.
//!
//! `cargo bench -p pnyx-recount`. Rounds alternate, so that whatever else the machine does falls on both; medians.

use std::{
    io::Write as _,
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use pnyx_core::{
    ballot::compose,
    id::{Place, ProposalId, RecordHash},
    merkle::{RootBuilder, record_leaf},
    power::{Power, VoterPower},
    proposal::{Abstentions, Definition, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
    result::{Cut, CutPartition},
    signing::SigningKey,
    time::{TimestampMs, Window},
    wire::{archive::ArchivedRecord, record},
};
use pnyx_recount::{
    Recounted,
    count::{Batches, Counter, HashedRecord, all_cores},
};
use pnyx_verification::ListedPower;
use secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId},
};

const RECORDS: u64 = 20_000;
const ROUNDS: usize = 7;
const OPENS_AT_MS: u64 = 1_760_000_000_000;
const SPACE: &str = "grants.example.org";

/// A ballot's digest and signature, ready for recovery.
type Floor = (Message, RecoverableSignature);

fn main() {
    let definition = Arc::new(definition());
    let (records, floor) = sign(definition.proposal().id());
    let cut = cut(definition.proposal().id(), &records);
    let threads = all_cores();
    let (mut recounts, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        recounts.push(time(|| recount(&definition, &cut, &records, threads)));
        floors.push(time(|| recover(&floor, threads)));
    }
    let per_record = |times: &mut Vec<Duration>| {
        times.sort();
        times[ROUNDS / 2].as_secs_f64() * 1e6 / RECORDS as f64
    };
    let (recount_us, floor_us) = (per_record(&mut recounts), per_record(&mut floors));
    writeln!(
        std::io::stdout().lock(),
        "recount of {RECORDS} records on {threads} cores: {recount_us:.1} µs a record; bare recovery {floor_us:.1} µs; \
         {:.2} of the floor's rate",
        floor_us / recount_us
    )
    .expect("standard output is open");
}

fn time(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

/// What a recount does with records once they are read: order, record roots, every check, standing ballots, result.
fn recount(definition: &Arc<Definition>, cut: &Cut, records: &[ArchivedRecord], threads: NonZeroUsize) {
    let counter = Counter::start(definition, threads, [].into());
    let mut batches = Batches::new(&counter);
    let mut root = RootBuilder::default();
    for record in records {
        let record = HashedRecord::from(record.clone());
        root.push(&record_leaf(record.hash));
        batches.push(record);
    }
    batches.flush();
    assert_eq!(root.root(), cut.partitions[0].records_root, "the same records");
    let signed = counter.finish();
    let listed = ListedPower::of(definition.proposal());
    let power = |voter| (voter, VoterPower::Known(listed.power(voter)));
    let powers = signed.signers().into_iter().map(power).collect();
    let counted = signed.count(powers, Vec::new());
    let recounted = Recounted::new(definition, None, cut.clone(), counted);
    assert_eq!(recounted.core.ballots, RECORDS, "every ballot counts");
}

fn recover(floor: &[Floor], threads: NonZeroUsize) {
    thread::scope(|scope| {
        for chunk in floor.chunks(floor.len().div_ceil(threads.get())) {
            scope.spawn(move || {
                for (message, signature) in chunk {
                    std::hint::black_box(signature.recover_ecdsa(*message).expect("a good signature"));
                }
            });
        }
    });
}

fn definition() -> Definition {
    let opens_at = TimestampMs(OPENS_AT_MS);
    let proposal = Proposal::new(ProposalParts {
        platform: "bench".to_owned(),
        namespace: "default".to_owned(),
        name: "bench".to_owned(),
        space: SPACE.to_owned(),
        title: "Measured".to_owned(),
        body: String::new(),
        discussion: String::new(),
        author: String::new(),
        choices: ["For", "Against", "Abstain"].map(str::to_owned).to_vec(),
        voting: Voting {
            system: VotingSystem::SingleChoice,
            quorum: None,
            approval_threshold: None,
            abstentions: Abstentions::default(),
        },
        window: Window::new(opens_at, opens_at.saturating_add_ms(3_600_000)).expect("an hour"),
        strategies: vec![Strategy::Ticket(Power::parse("1").expect("a power"))],
        snapshots: std::collections::BTreeMap::new(),
        signers: None,
        clock_skew_s: 300,
    })
    .expect("a good proposal");
    Definition::new(proposal, 1, 1).expect("a good layout")
}

fn sign(proposal: ProposalId) -> (Vec<ArchivedRecord>, Vec<Floor>) {
    let one = |offset: u64| {
        let mut secret = [0x42; 32];
        secret[24..].copy_from_slice(&(offset + 1).to_be_bytes());
        let key = SigningKey::from_bytes(secret).expect("a good key");
        let choice = (offset % 3 + 1).to_string();
        let unsigned =
            compose(key.address(), SPACE, OPENS_AT_MS / 1_000, proposal, &choice, "", "pnyx").expect("a good choice");
        let digest = *unsigned.digest().as_bytes();
        let signature = key.sign_digest(digest);
        let recovery = if signature[64] == 27 { RecoveryId::Zero } else { RecoveryId::One };
        let recoverable = RecoverableSignature::from_compact(&signature[..64], recovery).expect("a good signature");
        let archived = ArchivedRecord {
            place: Place { partition: 0, offset },
            appended_at: TimestampMs(OPENS_AT_MS),
            record: record::encode(&unsigned.body_with(&signature)),
        };
        (archived, (Message::from_digest(digest), recoverable))
    };
    (0..RECORDS).map(one).unzip()
}

fn cut(proposal: ProposalId, records: &[ArchivedRecord]) -> Cut {
    let mut root = RootBuilder::default();
    records.iter().for_each(|record| root.push(&record_leaf(RecordHash::of(&record.record))));
    let partitions = vec![CutPartition { end_offset: RECORDS, records_root: root.root() }];
    Cut { proposal, decided_at: TimestampMs(OPENS_AT_MS + 3_605_000), partitions }
}
