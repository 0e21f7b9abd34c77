//! Holds verdicts and tally against what must be.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use axum::http::StatusCode;
use pnyx_backbone::store::ProposalView;
use pnyx_core::{
    counting::{CountingRules, Totals},
    id::{Digest, Place, Voter},
    rejection::Rejection,
    tally::StandingBallot,
    verdict::{Ruling, Verdict},
};

use crate::{
    describe,
    operators::Aim,
    plan::case,
    platform::Outcome,
    world::{Due, World},
};

/// A body that came into the log.
pub(crate) struct Posted {
    pub(crate) index: u64,
    /// Index of the proposal in whose topic it lies.
    pub(crate) proposal: usize,
    pub(crate) place: Place,
    pub(crate) aim: Aim,
    /// What the edge said if it refused the body.
    pub(crate) refused: Option<Rejection>,
    /// Of the ballot that it was made from.
    pub(crate) digest: Digest,
}

/// What became of the bodies.
#[derive(Default)]
pub(crate) struct Histogram {
    pub(crate) accepted: u64,
    /// Answers by status and what they say.
    answers: BTreeMap<(u16, String), u64>,
    /// Reasons the edge gave.
    refused: BTreeMap<Rejection, u64>,
    /// Verdicts; `None` counts.
    verdicts: BTreeMap<Option<Rejection>, u64>,
    standing: u64,
}

impl Histogram {
    pub(crate) fn note_answer(&mut self, status: StatusCode, outcome: &Outcome) {
        let text = match outcome {
            Outcome::Accepted(..) => {
                self.accepted += 1;
                "acknowledged".to_owned()
            }
            Outcome::Refused(rejection) => {
                *self.refused.entry(*rejection).or_default() += 1;
                format!("{} ({})", rejection.snapshot_text(), rejection.name())
            }
            Outcome::Again(text) | Outcome::Unexpected(text) => text.clone(),
        };
        *self.answers.entry((status.as_u16(), text)).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        let Self { accepted, answers, refused, verdicts, standing } = other;
        self.accepted += accepted;
        self.standing += standing;
        add_all(&mut self.answers, answers);
        add_all(&mut self.refused, refused);
        add_all(&mut self.verdicts, verdicts);
    }

    /// How often a reason was given, by the edge as its answer or by the verifier as its verdict.
    pub(crate) fn reached(&self, rejection: Rejection) -> u64 {
        let of = |count: Option<&u64>| count.copied().unwrap_or_default();
        of(self.refused.get(&rejection)) + of(self.verdicts.get(&Some(rejection)))
    }
}

fn add_all<K: Ord>(sums: &mut BTreeMap<K, u64>, counts: BTreeMap<K, u64>) {
    for (key, count) in counts {
        *sums.entry(key).or_default() += count;
    }
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "edge")?;
        for ((status, text), count) in &self.answers {
            writeln!(f, "{count:>9}  {status} {text}")?;
        }
        writeln!(f, "verifier")?;
        for (verdict, count) in &self.verdicts {
            let (code, name) = verdict.map_or((0, "counts"), |rejection| (rejection.code(), rejection.name()));
            writeln!(f, "{count:>9}  {code:>2} {name}")?;
        }
        write!(f, "tally\n{:>9}  standing", self.standing)
    }
}

/// Checks one proposal: each record has one verdict, as it must be; nothing counts but what the oracle knows; and the
/// tally is that of the ballots which count.
#[expect(clippy::too_many_arguments, reason = "everything there is to know of one proposal, used once")]
pub(crate) fn reckon<'p>(
    world: &World,
    seed: u64,
    proposal: usize,
    posted: impl Iterator<Item = &'p Posted>,
    verdicts: &[Verdict],
    view: &ProposalView,
    standing: &[(Voter, StandingBallot)],
    histogram: &mut Histogram,
) {
    let mut by_place: HashMap<Place, &Ruling> = HashMap::new();
    let mut expected: BTreeMap<Voter, (Digest, &Due)> = BTreeMap::new();
    for Verdict { place, ruling, .. } in verdicts {
        if let Some(earlier) = by_place.insert(*place, ruling) {
            assert_eq!(earlier, ruling, "two verdicts on the record at {place}");
            continue;
        }
        let rejection = match ruling {
            Ruling::Counts(ballot) => {
                let due = world.oracle.get(&(proposal, ballot.voter, ballot.digest));
                let due = due.unwrap_or_else(|| panic!("nobody signed what counts at {place}: {ballot:?}"));
                let is = Due { signed_at_s: ballot.signed_at_s, choice: ballot.choice.clone(), power: ballot.power };
                assert_eq!(is, *due, "at {place}");
                let stands = expected.entry(ballot.voter).or_insert((ballot.digest, due));
                if (due.signed_at_s, ballot.digest) > (stands.1.signed_at_s, stands.0) {
                    *stands = (ballot.digest, due);
                }
                None
            }
            Ruling::Rejected(rejected) => Some(rejected.rejection),
        };
        *histogram.verdicts.entry(rejection).or_default() += 1;
    }
    for posted in posted {
        let ruling = by_place.remove(&posted.place);
        let is_due = ruling.is_some_and(|ruling| is_due(posted, ruling));
        assert!(
            is_due,
            "at {}: {ruling:?}, {}",
            posted.place,
            describe(&case(world, seed, posted.index), seed, posted.index)
        );
    }
    assert!(by_place.is_empty(), "{} records that nobody posted", by_place.len());
    check_tally(world, proposal, &expected, view, standing);
    histogram.standing += view.totals.ballots;
}

/// Whether a verdict is what the aim says and agrees with the edge, which judges by the same rules. A body whose message
/// names another proposal is judged by that one's rules at the edge, and is unknown where it lies.
fn is_due(posted: &Posted, ruling: &Ruling) -> bool {
    let rejection = match ruling {
        Ruling::Counts(ballot) => {
            return posted.refused.is_none()
                && match posted.aim {
                    Aim::Counts => ballot.digest == posted.digest,
                    Aim::Rejected(_) => false,
                    Aim::Open => true,
                };
        }
        Ruling::Rejected(rejected) => rejected.rejection,
    };
    let as_aimed = match posted.aim {
        Aim::Counts => false,
        Aim::Rejected(aimed) => rejection == aimed,
        Aim::Open => true,
    };
    let as_refused = match posted.refused {
        Some(refused) => rejection == refused || posted.aim == Aim::Open && rejection == Rejection::UnknownProposal,
        None => rejection >= Rejection::UnsupportedSignature,
    };
    as_aimed && as_refused
}

/// The tally against the sum of what must stand.
fn check_tally(
    world: &World,
    proposal: usize,
    expected: &BTreeMap<Voter, (Digest, &Due)>,
    view: &ProposalView,
    standing: &[(Voter, StandingBallot)],
) {
    let rules = CountingRules::of(world.proposal(proposal));
    let mut totals = Totals::empty(rules);
    for (_, due) in expected.values() {
        totals.add(&rules.contribution(&due.choice, due.power));
    }
    assert_eq!(view.totals, totals, "totals of {}", world.proposal(proposal).parts().name);
    assert_eq!(standing.len(), expected.len());
    for ((voter, ballot), (expected_voter, (digest, due))) in standing.iter().zip(expected) {
        assert_eq!((voter, ballot.digest), (expected_voter, *digest));
        let is = Due { signed_at_s: ballot.signed_at_s, choice: ballot.choice.clone(), power: ballot.power };
        assert_eq!(is, **due, "of {voter}");
    }
}
