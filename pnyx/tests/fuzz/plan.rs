//! Which body comes as which number: the same for the same seed, whoever makes it and when.

use pnyx_core::rejection::Rejection;
use rand::{Rng as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::{
    draft::Draft,
    operators::{self, Aim, BY_AIM, Base, Operator},
    world::{Ballot, World},
};

/// Thousandths of the bodies that several operators at once have changed.
const STACKED_PERMILLE: u32 = 80;

/// Most operators at once.
const STACKED_MAX: usize = 5;

/// A body to post, and what must become of it.
pub(crate) struct Case<'w> {
    pub(crate) base: &'w Ballot,
    pub(crate) operators: Vec<&'static Operator>,
    pub(crate) aim: Aim,
    pub(crate) body: Vec<u8>,
}

/// Body number `index`.
pub(crate) fn case(world: &World, seed: u64, index: u64) -> Case<'_> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Stream 0 made the world.
    rng.set_stream(index + 1);
    let operators = operators_of(&mut rng);
    let ballots = match operators[0].base {
        Base::Sound => &world.sound,
        Base::Stranger => &world.strangers,
        Base::Shut => &world.shut,
    };
    let base = ballots.choose(&mut rng).expect("there are ballots of each kind");
    let aim = match operators.as_slice() {
        [only] => only.aim,
        several if several.iter().all(|operator| operator.aim == Aim::Counts) => Aim::Counts,
        _ => Aim::Open,
    };
    let (body, all_applied) = Draft::body_of(world, base, rng, &operators);
    let names = || operators.iter().map(|operator| operator.name).collect::<Vec<_>>();
    assert!(all_applied || operators.len() > 1, "body {index}: {:?} found nothing to change", names());
    Case { base, operators, aim, body }
}

/// One operator of a random aim, or several that change the same kind of ballot.
fn operators_of(rng: &mut ChaCha8Rng) -> Vec<&'static Operator> {
    if rng.random_range(0..1_000) >= STACKED_PERMILLE {
        let aims: Vec<_> = BY_AIM.iter().collect();
        let (_, operators) = aims.choose_weighted(rng, |(aim, _)| permille(**aim)).expect("shares are above 0");
        return vec![operators.choose_weighted(rng, |operator| operator.share).expect("shares are above 0")];
    }
    let only_sound = rng.random::<bool>();
    let fitting: Vec<_> = operators::all()
        .filter(|operator| operator.base == Base::Sound && !operator.is_rare())
        .filter(|operator| operator.aim != Aim::Rejected(Rejection::TooLarge))
        .filter(|operator| !only_sound || operator.aim == Aim::Counts)
        .collect();
    let count = rng.random_range(2..=STACKED_MAX);
    fitting.choose_multiple(rng, count).copied().collect()
}

/// How often an aim is chosen. Bodies of 100 kB are few, and a good half passes the edge.
const fn permille(aim: Aim) -> u32 {
    match aim {
        Aim::Counts => 290,
        Aim::Open => 70,
        Aim::Rejected(rejection) => match rejection {
            Rejection::TooLarge => 4,
            Rejection::MalformedEnvelope
            | Rejection::WrongDomain
            | Rejection::WrongTypes
            | Rejection::MalformedMessage
            | Rejection::AddressMismatch
            | Rejection::UnknownProposal
            | Rejection::WrongSpace
            | Rejection::InvalidChoice
            | Rejection::SignedInFuture
            | Rejection::OutsideWindow => 36,
            Rejection::UnsupportedSignature
            | Rejection::MalformedSignature
            | Rejection::HighS
            | Rejection::WrongSigner
            | Rejection::NoPower
            | Rejection::PowerUnavailable => 56,
        },
    }
}
