//! A million ballots, changed in every way that came to mind, through edge, verifier and tally.
//!
//! Two things are held against each other. An *aim* says what one change must lead to. The *oracle* knows nothing of
//! changes: a record may count only as a ballot that one of the wallets really signed for that proposal, with that
//! choice, and with the power that the lists give to that wallet.
//!
//! `PNYX_FUZZ_SEED` and `PNYX_FUZZ_BODIES` choose other bodies and more of them.

mod choices;
mod draft;
mod json;
mod operators;
mod plan;
mod platform;
mod reckoning;
mod world;

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use pnyx_core::{id::Place, rejection::Rejection};

use crate::{
    operators::Aim,
    plan::{Case, case},
    platform::{Outcome, Platform, post},
    reckoning::{Histogram, Posted, reckon},
    world::World,
};

/// Another seed is as good; this one makes a failure repeat.
const SEED_DEFAULT: u64 = 0x706e_7978;

const BODIES_DEFAULT: u64 = 1_000_000;

/// Requests in flight: enough that the log writes a few hundred records at once.
const IN_FLIGHT: usize = 256;

/// Of the bodies that the edge refused one in so many is put into the log all the same, as if the edge had taken it.
const SMUGGLED_ONE_IN: u64 = 8;

/// Least share of bodies that must pass the edge, in percent.
const ACCEPTED_PERCENT_MIN: u64 = 30;

/// How often each reason must be met.
const REACHED_MIN: u64 = 1_000;

/// How often a body is posted again when it is asked to be: a disk may stall.
const ATTEMPTS_MAX: usize = 5;

/// What a proposal of lists can reject; the rest only chains say, which `tests/chains` meet.
fn reachable() -> impl Iterator<Item = Rejection> {
    Rejection::ALL.into_iter().filter(|rejection| *rejection != Rejection::PowerUnavailable)
}

#[test]
fn every_rejection_is_aimed_at() {
    let aims: BTreeSet<_> = operators::all().map(|operator| operator.aim).collect();
    for rejection in reachable() {
        assert!(aims.contains(&Aim::Rejected(rejection)), "no operator aims at {}", rejection.name());
    }
    assert!(aims.contains(&Aim::Counts) && aims.contains(&Aim::Open));
}

#[test]
fn operators_have_names_of_their_own() {
    let names: Vec<_> = operators::all().map(|operator| operator.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

#[test]
fn bodies_depend_on_the_seed_alone() {
    let (one, other) = (World::new(7), World::new(7));
    for index in 0..2_000 {
        assert_eq!(case(&one, 7, index).body, case(&other, 7, index).body, "body {index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_counts_that_was_not_signed_and_everything_that_was() {
    let (seed, bodies) = (setting("PNYX_FUZZ_SEED", SEED_DEFAULT), setting("PNYX_FUZZ_BODIES", BODIES_DEFAULT));
    say(&format!("fuzz: seed {seed}, {bodies} bodies, {} operators", operators::all().count()));
    let started = Instant::now();
    let world = Arc::new(World::new(seed));
    let platform = Arc::new(Platform::start(&world).await);
    say(&format!("fuzz: {} ballots signed, {:.1} s", world.sound.len(), started.elapsed().as_secs_f64()));

    let mut histogram = Histogram::default();
    let posted = post_all(&world, &platform, seed, bodies, &mut histogram).await;
    say(&format!("fuzz: posted, {:.1} s", started.elapsed().as_secs_f64()));

    for (index, definition) in world.definitions.iter().enumerate() {
        let id = definition.proposal().id();
        platform.until_drained(id).await;
        let of_proposal = posted.iter().filter(|posted| posted.proposal == index);
        let (view, standing) = platform.tally(id).await;
        let verdicts = platform.verdicts(id).await;
        reckon(&world, seed, index, of_proposal, &verdicts, &view, &standing, &mut histogram);
    }
    say(&histogram.to_string());
    say(&format!("fuzz: {:.1} s", started.elapsed().as_secs_f64()));
    Arc::into_inner(platform).expect("all posting has ended").stop().await;

    assert!(histogram.accepted * 100 >= bodies * ACCEPTED_PERCENT_MIN, "{} passed the edge", histogram.accepted);
    for rejection in reachable() {
        let reached = histogram.reached(rejection);
        assert!(reached >= REACHED_MIN, "{} was reached {reached} times", rejection.name());
    }
}

/// Posts every body; gives those that came into the log.
async fn post_all(
    world: &Arc<World>,
    platform: &Arc<Platform>,
    seed: u64,
    bodies: u64,
    histogram: &mut Histogram,
) -> Vec<Posted> {
    let next = Arc::new(AtomicU64::new(0));
    let senders: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (world, platform, next) = (Arc::clone(world), Arc::clone(platform), Arc::clone(&next));
            tokio::spawn(async move {
                let (mut posted, mut histogram) = (Vec::new(), Histogram::default());
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= bodies {
                        return (posted, histogram);
                    }
                    posted.extend(post_one(&world, &platform, seed, index, &mut histogram).await);
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for sender in senders {
        let (posted, of_sender) = sender.await.expect("nothing panics, whatever is posted");
        all.extend(posted);
        histogram.merge(of_sender);
    }
    all
}

async fn post_one(
    world: &World,
    platform: &Platform,
    seed: u64,
    index: u64,
    histogram: &mut Histogram,
) -> Option<Posted> {
    let case = case(world, seed, index);
    let mut router = platform.router.clone();
    for _ in 0..ATTEMPTS_MAX {
        let answer = post(&mut router, case.body.clone()).await;
        histogram.note_answer(answer.status, &answer.outcome);
        match answer.outcome {
            Outcome::Accepted(digest, place) => {
                let is_due = match case.aim {
                    Aim::Counts => digest == case.base.digest,
                    Aim::Rejected(rejection) => rejection >= Rejection::UnsupportedSignature,
                    Aim::Open => true,
                };
                assert!(is_due, "accepted at {place}: {}", describe(&case, seed, index));
                return accepted_proposal(world, &case).map(|proposal| case_at(&case, index, proposal, place, None));
            }
            Outcome::Refused(rejection) => {
                let is_due = matches!(case.aim, Aim::Open) || case.aim == Aim::Rejected(rejection);
                assert!(is_due, "refused as {}: {}", rejection.name(), describe(&case, seed, index));
                if !index.is_multiple_of(SMUGGLED_ONE_IN) {
                    return None;
                }
                let proposal = case.base.proposal;
                let place = platform.smuggle(world.proposal(proposal).id(), &case.body).await;
                return Some(case_at(&case, index, proposal, place, Some(rejection)));
            }
            Outcome::Again(_) => {}
            Outcome::Unexpected(text) => panic!("{} {text}: {}", answer.status, describe(&case, seed, index)),
        }
    }
    panic!("asked to come again too often: {}", describe(&case, seed, index));
}

fn case_at(case: &Case<'_>, index: u64, proposal: usize, place: Place, refused: Option<Rejection>) -> Posted {
    let digest = case.base.digest;
    Posted { index, proposal, place, aim: case.aim, refused, digest }
}

/// The proposal whose topic an accepted body lies in: the one that its message names.
fn accepted_proposal(world: &World, case: &Case<'_>) -> Option<usize> {
    if case.aim != Aim::Open {
        return Some(case.base.proposal);
    }
    let envelope =
        pnyx_core::ballot::Envelope::parse(&case.body, &mut pnyx_core::ballot::HashMemo::forgetful()).ok()?;
    world.definitions.iter().position(|definition| definition.proposal().id() == envelope.proposal())
}

/// For a person who looks for the cause.
fn describe(case: &Case<'_>, seed: u64, index: u64) -> String {
    const SHOWN_BYTES_MAX: usize = 1_500;
    let names: Vec<_> = case.operators.iter().map(|operator| operator.name).collect();
    let body = String::from_utf8_lossy(&case.body[..case.body.len().min(SHOWN_BYTES_MAX)]);
    format!("body {index} of seed {seed}, {names:?}, aim {:?}, {} bytes: {body}", case.aim, case.body.len())
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Past the test's captured output, so that the seed is seen whatever happens.
fn say(text: &str) {
    writeln!(io::stdout().lock(), "{text}").expect("standard output is there");
}
