//! Whatever is done to the bytes of a good ballot, judging it ends in a verdict, the same with and without a memo.

use pnyx_core::{
    ballot::{Envelope, HashMemo},
    proposal::VotingSystem,
};
use proptest::{prelude::*, sample::Index};

use super::support::{APPENDED_AT, judge, proposal, signed_body};

/// One change of a body.
#[derive(Debug, Clone)]
enum Change {
    Set(Index, u8),
    Remove(Index, Index),
    Insert(Index, Vec<u8>),
    Copy(Index, Index, Index),
}

fn changes() -> impl Strategy<Value = Change> {
    let pieces = prop::sample::select(vec![
        "null",
        "[",
        "]",
        "{",
        "}",
        "\"",
        ",",
        ":",
        "0",
        "1e9",
        "-1",
        "\\u0000",
        "\\ud800",
        "\u{1f5f3}",
        "\"Vote\":",
        "0x",
    ]);
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Remove(from, to)),
        (any::<Index>(), pieces).prop_map(|(at, piece)| Change::Insert(at, piece.as_bytes().to_vec())),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<Index>(), any::<Index>(), any::<Index>()).prop_map(|(from, to, at)| Change::Copy(from, to, at)),
    ]
}

fn apply(body: &mut Vec<u8>, change: &Change) {
    if body.is_empty() {
        return;
    }
    let range = |from: &Index, to: &Index, length: usize| {
        let (from, to) = (from.index(length), to.index(length));
        from.min(to)..from.max(to)
    };
    match change {
        Change::Set(at, byte) => {
            let at = at.index(body.len());
            body[at] = *byte;
        }
        Change::Remove(from, to) => {
            body.drain(range(from, to, body.len()));
        }
        Change::Insert(at, bytes) => {
            let at = at.index(body.len());
            body.splice(at..at, bytes.iter().copied());
        }
        Change::Copy(from, to, at) => {
            let copied = body[range(from, to, body.len())].to_vec();
            let at = at.index(body.len());
            body.splice(at..at, copied);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn judging_never_panics(
        (system, choice) in prop::sample::select(vec![
            (VotingSystem::SingleChoice, "2"),
            (VotingSystem::Approval, "[1,3]"),
            (VotingSystem::Copeland, "[3,1,2]"),
            (VotingSystem::Quadratic, "{\"1\":2.5,\"3\":1}"),
        ]),
        changes in prop::collection::vec(changes(), 0..4),
    ) {
        let proposal = proposal(system, 3);
        let mut body = signed_body(&proposal, choice);
        let mut memo = HashMemo::default();
        for change in &changes {
            apply(&mut body, change);
            let remembered = Envelope::parse(&body, &mut memo).map(|envelope| envelope.digest());
            let plain = Envelope::parse(&body, &mut HashMemo::forgetful()).map(|envelope| envelope.digest());
            prop_assert_eq!(remembered, plain);
        }
        let judged = judge(&body, &proposal, APPENDED_AT);
        if changes.is_empty() {
            prop_assert!(judged.is_ok());
        }
    }

    #[test]
    fn any_bytes_are_judged(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Envelope::parse(&body, &mut HashMemo::default()).is_err());
    }
}

#[test]
fn a_memo_that_overflows_still_tells_the_truth() {
    let proposal = proposal(VotingSystem::SingleChoice, 3);
    let good = String::from_utf8(signed_body(&proposal, "1")).unwrap();
    let mut memo = HashMemo::default();
    for round in 0..2 {
        for number in 0..2_000 {
            let body = good
                .replacen("because", &format!("because {number}"), 1)
                .replacen("\"domain\":{", &format!("\"domain\":{{\"chainId\":{},", number % 20), 1)
                .replacen("\"types\":{", &format!("\"types\":{{{}", " ".repeat(number % 20)), 1);
            let remembered = Envelope::parse(body.as_bytes(), &mut memo).unwrap().digest();
            let plain = Envelope::parse(body.as_bytes(), &mut HashMemo::forgetful()).unwrap().digest();
            assert_eq!(remembered, plain, "round {round}, number {number}");
        }
    }
}
