//! Everything that is done to ballots, each with what must come of it.

mod domain;
mod envelope;
mod message;
mod raw;
mod signature;
mod sound;
mod types;

use std::{collections::BTreeMap, sync::LazyLock};

use pnyx_core::rejection::Rejection;

use crate::draft::Draft;

/// What must become of a body to which one operator was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Aim {
    /// It counts, as the ballot it was made from.
    Counts,
    /// It is rejected for this reason, by the edge or by the verifier.
    Rejected(Rejection),
    /// Whatever the rules say; only the oracle must hold.
    Open,
}

/// The ballots it is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// Such as count.
    Sound,
    /// Such as would count if their voters had power.
    Stranger,
    /// Such as would count if their proposals were open.
    Shut,
}

/// Which part of the draft it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// What is signed.
    Ballot,
    /// The signature's bytes.
    Signature,
    /// The document.
    Json,
    /// Its bytes.
    Body,
}

/// `None` where there is nothing that it could change: never on a draft that no other operator has touched.
pub(crate) type Change = fn(&mut Draft<'_>) -> Option<()>;

/// One way to change a ballot.
pub(crate) struct Operator {
    pub(crate) name: &'static str,
    pub(crate) aim: Aim,
    pub(crate) base: Base,
    pub(crate) phase: Phase,
    pub(crate) change: Change,
    /// How often it is chosen among those of its aim.
    pub(crate) share: u32,
}

impl Operator {
    const fn new(name: &'static str, aim: Aim, phase: Phase, change: Change) -> Self {
        Self { name, aim, base: Base::Sound, phase, change, share: USUAL_SHARE }
    }

    const fn on(self, base: Base) -> Self {
        Self { base, ..self }
    }

    /// For bodies of 100 kB.
    const fn rare(self) -> Self {
        Self { share: 1, ..self }
    }

    pub(crate) const fn is_rare(&self) -> bool {
        self.share < USUAL_SHARE
    }
}

const USUAL_SHARE: u32 = 20;

/// Every operator.
pub(crate) fn all() -> impl Iterator<Item = &'static Operator> {
    let groups: [&[Operator]; 7] = [
        sound::OPERATORS,
        raw::OPERATORS,
        envelope::OPERATORS,
        domain::OPERATORS,
        types::OPERATORS,
        message::OPERATORS,
        signature::OPERATORS,
    ];
    groups.into_iter().flatten()
}

/// Operators by aim.
pub(crate) static BY_AIM: LazyLock<BTreeMap<Aim, Vec<&'static Operator>>> = LazyLock::new(|| {
    let mut by_aim = BTreeMap::<_, Vec<_>>::new();
    for operator in all() {
        by_aim.entry(operator.aim).or_default().push(operator);
    }
    by_aim
});
