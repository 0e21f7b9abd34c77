//! Changes of the body as a whole, and of bytes without regard for what they mean.

use pnyx_core::{ballot::BODY_BYTES_MAX, rejection::Rejection};
use rand::Rng as _;

use super::{Aim, Base, Operator, Phase};
use crate::{draft::Draft, json::Json};

const TOO_LARGE: Aim = Aim::Rejected(Rejection::TooLarge);
const MALFORMED: Aim = Aim::Rejected(Rejection::MalformedEnvelope);

/// Most bytes above the limit: any body beyond is as good as another.
const EXCESS_MAX: usize = 20_000;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::new("padded beyond the limit", TOO_LARGE, Phase::Body, |draft| {
        let excess = if draft.rng.random() { 0 } else { draft.below(EXCESS_MAX) };
        draft.body.resize(BODY_BYTES_MAX + excess, b' ');
        Some(())
    }),
    Operator::new("a text beyond the limit", TOO_LARGE, Phase::Json, |draft| {
        let length = BODY_BYTES_MAX + draft.below(EXCESS_MAX);
        draft.set(&["data", "message", "space"], Json::text("x".repeat(length)))
    }),
    Operator::new("nested beyond the limit", TOO_LARGE, Phase::Body, |draft| {
        draft.body = b"[".repeat(BODY_BYTES_MAX + draft.below(EXCESS_MAX));
        Some(())
    }),
    Operator::new("any bytes beyond the limit", TOO_LARGE, Phase::Body, |draft| {
        draft.body = vec![0; BODY_BYTES_MAX + draft.below(EXCESS_MAX)];
        draft.rng.fill(&mut draft.body[..]);
        Some(())
    }),
    Operator::new("truncated", MALFORMED, Phase::Body, |draft| {
        let length = draft.below(draft.body.len());
        draft.body.truncate(length);
        Some(())
    }),
    Operator::new("cut at the front", MALFORMED, Phase::Body, |draft| {
        let length = 1 + draft.below(draft.body.len());
        draft.body.drain(..length);
        Some(())
    }),
    Operator::new("something behind", MALFORMED, Phase::Body, |draft| {
        let behind = draft.pick(&["}", "{}", ",", "x", "null", "\0", "\u{feff}", "\u{a0}", "\u{c}", "//", ";"]);
        draft.body.extend_from_slice(behind.as_bytes());
        Some(())
    }),
    Operator::new("something before", MALFORMED, Phase::Body, |draft| {
        let before = draft.pick(&["\u{feff}", "\u{a0}", "{", "[", "\"", "0", "\0", "\u{b}", "sig=", ")]}',\n"]);
        draft.body.splice(0..0, before.bytes());
        Some(())
    }),
    Operator::new("twice", MALFORMED, Phase::Body, |draft| {
        draft.body.extend_from_within(..);
        Some(())
    }),
    Operator::new("in an array", MALFORMED, Phase::Body, |draft| {
        draft.body.insert(0, b'[');
        draft.body.push(b']');
        Some(())
    }),
    Operator::new("a NUL or another control character", MALFORMED, Phase::Body, |draft| {
        let (at, byte) = (draft.below(draft.body.len()), draft.pick(&[0, 1, 0x0b, 0x0c, 0x1b, 0x1f]));
        draft.body.insert(at, byte);
        Some(())
    }),
    Operator::new("no UTF-8", MALFORMED, Phase::Body, |draft| {
        let bytes = draft.pick(&[&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xfe"]);
        let at = draft.below(draft.body.len());
        draft.body.splice(at..at, bytes.iter().copied());
        Some(())
    }),
    Operator::new("nested", MALFORMED, Phase::Body, |draft| {
        draft.body = draft.pick(&[&b"["[..], b"{\"data\":", b"[{\"a\":["]).repeat(1 + draft.below(5_000));
        Some(())
    }),
    Operator::new("something else", MALFORMED, Phase::Body, |draft| {
        draft.body = draft.pick(&["null", "true", "0", "\"\"", "[]", "{}", "not json", "address=0x"]).into();
        Some(())
    }),
    Operator::new("random bytes", MALFORMED, Phase::Body, |draft| {
        draft.body = vec![0; draft.below(2_000)];
        draft.rng.fill(&mut draft.body[..]);
        Some(())
    }),
    Operator::new("not open", Aim::Rejected(Rejection::OutsideWindow), Phase::Body, |_| Some(())).on(Base::Shut),
    Operator::new("not open, in other bytes", Aim::Rejected(Rejection::OutsideWindow), Phase::Json, |draft| {
        draft.style.spaces = true;
        draft.shuffle(&["data"])
    })
    .on(Base::Shut),
    Operator::new("without power", Aim::Rejected(Rejection::NoPower), Phase::Body, |_| Some(())).on(Base::Stranger),
    Operator::new("without power, in other bytes", Aim::Rejected(Rejection::NoPower), Phase::Json, |draft| {
        draft.style.escapes = true;
        draft.shuffle(&["data", "message"])
    })
    .on(Base::Stranger),
    Operator::new("bits flipped", Aim::Open, Phase::Body, |draft| {
        for _ in 0..1 + draft.below(8) {
            let (at, bit) = (draft.below(draft.body.len()), draft.below(8));
            draft.body[at] ^= 1 << bit;
        }
        Some(())
    }),
    Operator::new("bytes set", Aim::Open, Phase::Body, |draft| {
        for _ in 0..1 + draft.below(4) {
            let at = draft.below(draft.body.len());
            draft.body[at] = draft.rng.random();
        }
        Some(())
    }),
    Operator::new("bytes removed", Aim::Open, Phase::Body, |draft| {
        let (at, length) = (draft.below(draft.body.len()), 1 + draft.below(40));
        let end = (at + length).min(draft.body.len());
        draft.body.drain(at..end);
        Some(())
    }),
    Operator::new("a piece inserted", Aim::Open, Phase::Body, |draft| {
        let pieces =
            ["null", "{", "}", "[", "]", "\"", ",", ":", "0", "e9", "-", "\\u0000", "\\ud800", "\\", "0x", "\n"];
        let (at, piece) = (draft.below(draft.body.len()), draft.pick(&pieces));
        draft.body.splice(at..at, piece.bytes());
        Some(())
    }),
    Operator::new("a piece copied", Aim::Open, Phase::Body, |draft| {
        let (from, at, length) = (draft.below(draft.body.len()), draft.below(draft.body.len()), 1 + draft.below(200));
        let piece = draft.body[from..(from + length).min(draft.body.len())].to_vec();
        draft.body.splice(at..at, piece);
        Some(())
    }),
    Operator::new("spliced with another ballot", Aim::Open, Phase::Body, |draft| {
        let world = draft.world;
        let other = &world.sound[draft.below(world.sound.len())];
        let (other, _) = Draft::body_of(world, other, draft.rng.clone(), &[]);
        let at = draft.below(draft.body.len());
        draft.body.truncate(at);
        draft.body.extend_from_slice(other.get(at..).unwrap_or_default());
        Some(())
    }),
    Operator::new("any value replaced", Aim::Open, Phase::Json, |draft| {
        let mut number = draft.below(draft.json.nodes());
        let mut value = Some(draft.strange(&[]));
        draft.json.change_node(&mut number, &mut |node| {
            if let Some(value) = value.take() {
                *node = value;
            }
        });
        Some(())
    }),
    Operator::new("any value moved", Aim::Open, Phase::Json, |draft| {
        let nodes = draft.json.nodes();
        let (mut from, mut to) = (draft.below(nodes), draft.below(nodes));
        let mut moved = Json::raw("null");
        draft.json.change_node(&mut from, &mut |node| moved = node.clone());
        draft.json.change_node(&mut to, &mut |node| *node = moved.clone());
        Some(())
    }),
];
