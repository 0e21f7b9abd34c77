//! When topics go, and what is said of an archive that was stored.

use std::sync::Arc;

use expect_test::expect;
use jiff::Timestamp;
use pnyx_core::{id::ProposalId, stored_archive::StoredArchive};
use pnyx_crds::{ArchiveSpec, PersistentVolumeClaimArchiveSpec, ResultStatus};
use serde_json::json;

use super::*;
use crate::{
    observe::PlatformSeen,
    plan::proposal::tests::{Book, observed},
    validate::{self, OwnImage},
};

/// When the archive was read back.
const STORED_AT: TimestampMs = TimestampMs(1_800_000_000_000);

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// A proposal that keeps its topics for a day, on a platform that keeps archives in a claim.
fn situation() -> (ProposalObserved, ValidatedProposal, ProposalDecisions) {
    let mut observed = observed(Book::Defined);
    observed.seen.resource.spec.retention = Some("24h".to_owned());
    let PlatformSeen::Found(platform) = &mut observed.platform else { unreachable!("it is there") };
    let claim = PersistentVolumeClaimArchiveSpec { claim_name: "archives".to_owned() };
    let archive = ArchiveSpec { persistent_volume_claim: Some(claim), ..ArchiveSpec::default() };
    platform.resource.spec.archive = Some(archive);
    let validated = validate::proposal(&observed, &OwnImage::default(), Timestamp::UNIX_EPOCH).expect("it is valid");
    let id = validated.proposal().id();
    let mut decisions = observed.book.as_ref().and_then(|book| book.get(id)).expect("it is defined").clone();
    let stored = StoredArchive::new(id, "s3://votes/a.jsonl".to_owned(), 1_234, [0xab; 32], STORED_AT).expect("short");
    decisions.archive = Some(Arc::new(stored));
    (observed, validated, decisions)
}

fn lines(effects: impl IntoIterator<Item = Effect>, id: ProposalId) -> String {
    effects.into_iter().map(|effect| format!("{effect}\n").replace(&id.to_string(), "ID")).collect()
}

#[test]
fn topics_go_once_the_archive_was_kept_for_as_long_as_is_asked() {
    let (observed, validated, decisions) = situation();
    let there = TopicsSeen { is_followed: true, partitions: Some(4), ..TopicsSeen::default() };
    let effects = |decisions: &ProposalDecisions, topics: &TopicsSeen, after_ms| {
        let now = STORED_AT.saturating_add_ms(after_ms);
        lines(retention(&observed, &validated, decisions, topics, now), validated.proposal().id())
    };
    assert_eq!(effects(&decisions, &there, DAY_MS - 1), "");
    let expected = expect![[r#"
        remove the topics of ID
        note RetentionOver: its topics are being removed: the archive is kept since 2027-01-15T08:00:00Z
    "#]];
    expected.assert_eq(&effects(&decisions, &there, DAY_MS));
    for gone in [
        TopicsSeen { are_removed: true, ..there.clone() },
        TopicsSeen { partitions: Some(0), ..there.clone() },
        // Nobody has looked since this process was started.
        TopicsSeen { partitions: None, ..there.clone() },
        TopicsSeen { is_followed: false, ..there.clone() },
    ] {
        assert_eq!(effects(&decisions, &gone, DAY_MS), "", "{gone:?}");
    }
    let unstored = ProposalDecisions { archive: None, ..decisions };
    assert_eq!(effects(&unstored, &there, 100 * DAY_MS), "", "nothing else is left to count again from");
}

#[test]
fn a_stored_archive_is_said_once() {
    let (mut observed, validated, decisions) = situation();
    let said = |observed: &ProposalObserved| lines(news(&decisions, observed), validated.proposal().id());
    let expected = expect![[r#"
        note ArchiveStored: 1234 bytes, read back and audited: s3://votes/a.jsonl
    "#]];
    expected.assert_eq(&said(&observed));
    let reference = reference(&decisions);
    let shown = serde_json::to_value(&reference).expect("plain data");
    let sha256 = "ab".repeat(32);
    let expected = json!({"location": "s3://votes/a.jsonl", "sha256": sha256, "verifiedAt": "2027-01-15T08:00:00Z"});
    assert_eq!(shown, expected);
    let result: ResultStatus = serde_json::from_value(json!({
        "outcome": "NoBallots", "scores": [], "ballots": 0, "totalPower": "0", "merkleRoot": "0x", "archive": reference,
    }))
    .expect("a result");
    observed.before.result = Some(result);
    assert_eq!(said(&observed), "");
}
