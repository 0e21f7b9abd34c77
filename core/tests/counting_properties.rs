//! Properties of counting that hold for any ballots, in any order and any division into lanes.

use alloy_primitives::{U256, aliases::U512};
use pnyx_core::{
    chain::BlockNumber,
    choice::{ApprovalSet, Choice, ChoiceNumber, Ranking, Weights},
    counting::{Contribution, CountingRules, Totals, TotalsDelta, runoff_rounds, scores},
    id::{Digest, Place, RecordHash, Voter},
    power::{Power, UNITS_PER_ONE, format_units},
    proposal::VotingSystem,
    signature_check::{ContractCheck, SignatureCheck},
    tally::{LaneTally, StandingBallot},
    verdict::CountingBallot,
};
use proptest::{collection::vec, prelude::*};

// ---- strategies ----

fn any_power() -> impl Strategy<Value = Power> {
    prop_oneof![
        (1..5_u64).prop_map(|whole| power(U256::from(whole) * U256::from(UNITS_PER_ONE))),
        (1..20_u64).prop_map(|units| power(U256::from(units))),
        (1..=u128::MAX).prop_map(|units| power(U256::from(units))),
        Just(Power::max()),
    ]
}

fn power(units: U256) -> Power {
    Power::from_units(units).expect("below the bound")
}

fn any_rules() -> impl Strategy<Value = CountingRules> {
    prop::sample::select(VotingSystem::ALL.to_vec()).prop_flat_map(|system| {
        let counts = match system {
            VotingSystem::Basic => 2..=3_u8,
            VotingSystem::SingleChoice | VotingSystem::Approval => 1..=64,
            VotingSystem::Weighted | VotingSystem::Quadratic => 1..=64,
            VotingSystem::RankedChoice | VotingSystem::Copeland => 1..=20,
        };
        counts.prop_map(move |choice_count| CountingRules { system, choice_count })
    })
}

fn any_weights(choice_count: u8) -> impl Strategy<Value = Weights> {
    let weight = prop_oneof![
        Just(0),
        (1..4_u128).prop_map(|whole| whole * 1_000_000_000),
        1..Weights::BILLIONTHS_BOUND,
        Just(Weights::BILLIONTHS_BOUND - 1),
    ];
    vec(weight, usize::from(choice_count)).prop_filter_map("no weight above 0", |weights| {
        Weights::new((1..).zip(weights).filter(|(_, weight)| *weight > 0).collect())
    })
}

fn any_order(choice_count: u8) -> impl Strategy<Value = Vec<ChoiceNumber>> {
    Just((1..=choice_count).collect::<Vec<_>>()).prop_shuffle()
}

fn any_choice(rules: CountingRules) -> BoxedStrategy<Choice> {
    match rules.system {
        VotingSystem::Basic | VotingSystem::SingleChoice => (1..=rules.choice_count).prop_map(Choice::Single).boxed(),
        VotingSystem::Approval => any::<u64>()
            .prop_map(move |bits| Choice::Approval(ApprovalSet::from_bits(bits >> (64 - rules.choice_count))))
            .boxed(),
        VotingSystem::Weighted | VotingSystem::Quadratic => {
            any_weights(rules.choice_count).prop_map(Choice::Weights).boxed()
        }
        VotingSystem::RankedChoice | VotingSystem::Copeland => any_order(rules.choice_count)
            .prop_map(|order| Choice::Ranking(Ranking::new(&order).expect("a permutation")))
            .boxed(),
    }
}

fn any_contribution(rules: CountingRules) -> impl Strategy<Value = Contribution> {
    (any_choice(rules), any_power()).prop_map(move |(choice, power)| rules.contribution(&choice, power))
}

fn any_totals(rules: CountingRules) -> impl Strategy<Value = Totals> {
    vec(any_contribution(rules), 0..6).prop_map(move |contributions| sum(rules, &contributions))
}

fn sum(rules: CountingRules, contributions: &[Contribution]) -> Totals {
    let mut totals = Totals::empty(rules);
    contributions.iter().for_each(|contribution| totals.add(contribution));
    totals
}

/// Few voters and few times, so that voters change their minds and times collide; a digest stands for one ballot.
fn any_ballots(rules: CountingRules) -> impl Strategy<Value = Vec<CountingBallot>> {
    vec((0..5_u8, 0..4_u64, any_choice(rules), any_power()), 1..20).prop_map(|drafts| {
        let ballot = |(index, (voter, signed_at_s, choice, power)): (usize, (u8, u64, Choice, Power))| CountingBallot {
            voter: Voter::new([voter; 20]),
            digest: Digest::new([u8::try_from(index).expect("few ballots"); 32]),
            signed_at_s,
            choice,
            power,
            // What proved a signature has no weight: every other voter is a contract.
            check: if voter % 2 == 0 {
                SignatureCheck::Key
            } else {
                SignatureCheck::Contract {
                    kind: ContractCheck::Eip1271,
                    block: BlockNumber(signed_at_s),
                    record: RecordHash::of(&[voter]),
                }
            },
        };
        drafts.into_iter().enumerate().map(ballot).collect()
    })
}

type Records = Vec<(Place, CountingBallot)>;

/// Every ballot in one to three records.
fn any_records(rules: CountingRules) -> impl Strategy<Value = Records> {
    any_ballots(rules).prop_flat_map(|ballots| {
        let copies = vec(1..=3_usize, ballots.len());
        (Just(ballots), copies).prop_flat_map(|(ballots, copies)| {
            let each = ballots.into_iter().zip(copies);
            let repeated: Vec<_> = each.flat_map(|(ballot, copies)| std::iter::repeat_n(ballot, copies)).collect();
            Just(repeated).prop_shuffle().prop_map(|ballots| {
                (0..).zip(ballots).map(|(offset, ballot)| (Place { partition: 0, offset }, ballot)).collect()
            })
        })
    })
}

fn deliver(rules: CountingRules, records: &[(Place, CountingBallot)]) -> (LaneTally, TotalsDelta) {
    let mut lane = LaneTally::new(rules);
    let mut delta = TotalsDelta::empty(rules);
    for (place, ballot) in records {
        lane.apply(*place, ballot.clone(), &mut delta);
    }
    (lane, delta)
}

// ---- what stands ----

proptest! {
    #[test]
    fn any_arrival_gives_the_same_tally(
        (rules, records, again) in any_rules().prop_flat_map(|rules| {
            any_records(rules).prop_flat_map(move |records| {
                let again = vec(prop::sample::select(records.clone()), 0..10);
                let again = (Just(records.clone()), again).prop_map(|(records, more)| [records, more].concat());
                (Just(rules), Just(records), again.prop_shuffle())
            })
        })
    ) {
        let (lane, _) = deliver(rules, &records);
        let (other, _) = deliver(rules, &again);
        prop_assert_eq!(lane.standing(), other.standing());
        prop_assert_eq!(lane.totals(), other.totals());
        prop_assert_eq!(scores(rules, lane.totals()), scores(rules, other.totals()));
    }

    #[test]
    fn the_highest_time_and_digest_stands_with_its_lowest_place(
        (rules, records) in any_rules().prop_flat_map(|rules| (Just(rules), any_records(rules)))
    ) {
        let (lane, _) = deliver(rules, &records);
        let mut contributions = Vec::new();
        for (voter, standing) in lane.standing() {
            let own = || records.iter().filter(|(_, ballot)| ballot.voter == *voter);
            let (_, last) = own().max_by_key(|(_, ballot)| (ballot.signed_at_s, ballot.digest)).unwrap();
            let (place, _) = own().find(|(_, ballot)| ballot.digest == last.digest).unwrap();
            let CountingBallot { voter: _, digest, signed_at_s, choice, power, check: _ } = last.clone();
            prop_assert_eq!(standing, &StandingBallot { digest, signed_at_s, choice, power, place: *place });
            contributions.push(rules.contribution(&standing.choice, standing.power));
        }
        let voters: std::collections::BTreeSet<_> = records.iter().map(|(_, ballot)| ballot.voter).collect();
        prop_assert_eq!(lane.standing().len(), voters.len());
        prop_assert_eq!(lane.totals(), &sum(rules, &contributions));
    }

    #[test]
    fn lanes_add_up_to_one_tally(
        (rules, records) in any_rules().prop_flat_map(|rules| (Just(rules), any_records(rules))),
        lane_count in 1..4_u8
    ) {
        let (whole, _) = deliver(rules, &records);
        let mut merged = Totals::empty(rules);
        for number in 0..lane_count {
            let of_lane = |record: &&(Place, CountingBallot)| record.1.voter.as_bytes()[0] % lane_count == number;
            let own: Records = records.iter().filter(of_lane).cloned().collect();
            merged.merge(deliver(rules, &own).0.totals());
        }
        prop_assert_eq!(&merged, whole.totals());
        prop_assert_eq!(scores(rules, &merged), scores(rules, whole.totals()));
    }

    #[test]
    fn deltas_lead_from_any_totals_to_the_next(
        (rules, records) in any_rules().prop_flat_map(|rules| (Just(rules), any_records(rules))),
        cut in any::<prop::sample::Index>()
    ) {
        let (first, rest) = records.split_at(cut.index(records.len()));
        let (mut lane, delta) = deliver(rules, first);
        let mut totals = Totals::empty(rules);
        totals.apply(&delta);
        prop_assert_eq!(&totals, lane.totals());
        let mut delta = TotalsDelta::empty(rules);
        for (place, ballot) in rest {
            lane.apply(*place, ballot.clone(), &mut delta);
        }
        totals.apply(&delta);
        prop_assert_eq!(&totals, lane.totals());
    }
}

// ---- the group of totals ----

proptest! {
    #[test]
    fn subtracting_undoes_adding(
        (rules, totals, contribution) in
            any_rules().prop_flat_map(|rules| (Just(rules), any_totals(rules), any_contribution(rules)))
    ) {
        let mut changed = totals.clone();
        changed.add(&contribution);
        prop_assert_ne!(&changed, &totals);
        changed.subtract(&contribution);
        prop_assert_eq!(&changed, &totals);
        prop_assert_eq!(totals.slots.len(), rules.slot_count());
    }

    #[test]
    fn merging_is_commutative_and_associative(
        (a, b, c) in any_rules().prop_flat_map(|rules| (any_totals(rules), any_totals(rules), any_totals(rules)))
    ) {
        let merge = |one: &Totals, other: &Totals| {
            let mut merged = one.clone();
            merged.merge(other);
            merged
        };
        prop_assert_eq!(merge(&a, &b), merge(&b, &a));
        prop_assert_eq!(merge(&merge(&a, &b), &c), merge(&a, &merge(&b, &c)));
    }

    #[test]
    fn two_to_the_fortieth_ballots_of_any_power_do_not_overflow(
        (rules, contribution) in any_rules().prop_flat_map(|rules| {
            (Just(rules), any_choice(rules).prop_map(move |choice| rules.contribution(&choice, Power::max())))
        })
    ) {
        let mut totals = sum(rules, std::slice::from_ref(&contribution));
        for _ in 0..40 {
            totals.merge(&totals.clone());
        }
        prop_assert_eq!(totals.ballots, 1 << 40);
        prop_assert_eq!(totals.power, Power::max().units() << 40);
        let all = scores(rules, &totals).0;
        prop_assert!(all.iter().all(|score| *score <= totals.power));
    }
}

// ---- scores ----

proptest! {
    #[test]
    fn weighted_shares_are_exact(
        (choice_count, weights) in (1..=64_u8).prop_flat_map(|count| (Just(count), any_weights(count))),
        power in any_power()
    ) {
        let rules = CountingRules { system: VotingSystem::Weighted, choice_count };
        let contribution = rules.contribution(&Choice::Weights(weights.clone()), power);
        let total = contribution.slots.iter().fold(U256::ZERO, |sum, (_, share)| sum + *share);
        prop_assert_eq!(total, power.units());
        prop_assert!(contribution.slots.is_sorted_by(|one, next| one.0 < next.0));

        let share = |number: ChoiceNumber| {
            let found = contribution.slots.iter().find(|(slot, _)| *slot == u16::from(number) - 1);
            U512::from(found.map_or(U256::ZERO, |(_, share)| *share))
        };
        let weight_sum = U512::from(weights.entries().iter().map(|(_, weight)| *weight).sum::<u128>());
        for (number, weight) in weights.entries() {
            let exact = U512::from(power.units()) * U512::from(*weight);
            prop_assert!(exact.abs_diff(share(*number) * weight_sum) < weight_sum);
        }
        for (index, (lower, weight)) in weights.entries().iter().enumerate() {
            for (higher, _) in weights.entries()[index + 1..].iter().filter(|(_, other)| other == weight) {
                prop_assert!(share(*lower) >= share(*higher), "of equal weights the lower choice comes first");
            }
        }
    }

    #[test]
    fn roots_are_rounded_down(power in any_power()) {
        let rules = CountingRules { system: VotingSystem::Quadratic, choice_count: 1 };
        let weights = Weights::new(vec![(1, 1)]).unwrap();
        let root = U512::from(rules.contribution(&Choice::Weights(weights), power).slots[0].1);
        let radicand = U512::from(power.units()) * U512::from(UNITS_PER_ONE);
        let next = root + U512::from(1);
        prop_assert!(root * root <= radicand && radicand < next * next);
    }

    #[test]
    fn quadratic_scores_are_parts_of_the_total(
        (rules, totals) in (1..=64_u8).prop_flat_map(|choice_count| {
            let rules = CountingRules { system: VotingSystem::Quadratic, choice_count };
            (Just(rules), any_totals(rules))
        })
    ) {
        let ours = scores(rules, &totals).0;
        let sum = ours.iter().fold(U256::ZERO, |sum, score| sum + *score);
        prop_assert!(sum <= totals.power && totals.power - sum < U256::from(rules.choice_count).max(U256::from(1)));
        let squares: Vec<f64> = totals.slots.iter().map(|root| float(*root).powi(2)).collect();
        let all: f64 = squares.iter().sum();
        for (ours, square) in ours.iter().zip(squares) {
            prop_assert!(totals.ballots == 0 || is_close(*ours, square / all * float(totals.power)));
        }
    }

    #[test]
    fn runoff_equals_the_naive_one(
        (rules, ballots) in ranked_ballots(VotingSystem::RankedChoice)
    ) {
        let totals = totals_of(rules, &ballots);
        let rounds = naive_runoff(rules.choice_count, &ballots);
        prop_assert_eq!(&scores(rules, &totals).0, rounds.last().unwrap());
        let ours: Vec<_> = runoff_rounds(rules, &totals).into_iter().map(|round| round.scores).collect();
        prop_assert_eq!(ours, rounds);
    }

    #[test]
    fn copeland_equals_the_naive_one((rules, ballots) in ranked_ballots(VotingSystem::Copeland)) {
        let ours = scores(rules, &totals_of(rules, &ballots)).0;
        let naive = naive_copeland(rules.choice_count, &ballots);
        prop_assert_eq!(ours.len(), naive.len());
        for (ours, naive) in ours.into_iter().zip(naive) {
            prop_assert!(is_close(ours, naive), "{} is not {}", ours, naive);
        }
    }
}

type RankedBallots = Vec<(Vec<ChoiceNumber>, U256)>;

/// Powers of few and of many units, so that ties are as frequent as rounding; never so few that a unit matters.
fn ranked_ballots(system: VotingSystem) -> impl Strategy<Value = (CountingRules, RankedBallots)> {
    let power = prop_oneof![
        (1..4_u64).prop_map(|whole| U256::from(whole) * U256::from(UNITS_PER_ONE)),
        (u128::from(u64::MAX)..u128::from(u64::MAX) << 12).prop_map(U256::from),
    ];
    (1..=20_u8, 3..=5_u8, any::<bool>()).prop_flat_map(move |(many, few, is_few)| {
        let choice_count = if is_few { few } else { many };
        let ballots = vec((any_order(choice_count), power.clone()), 1..12);
        (Just(CountingRules { system, choice_count }), ballots)
    })
}

fn totals_of(rules: CountingRules, ballots: &RankedBallots) -> Totals {
    let mut totals = Totals::empty(rules);
    for (order, units) in ballots {
        let ranking = Choice::Ranking(Ranking::new(order).expect("a permutation"));
        totals.add(&rules.contribution(&ranking, power(*units)));
    }
    totals
}

/// Scores of every round, counted anew over all ballots.
fn naive_runoff(choice_count: u8, ballots: &RankedBallots) -> Vec<Vec<U256>> {
    let mut in_play: Vec<ChoiceNumber> = (1..=choice_count).collect();
    let mut rounds = Vec::new();
    loop {
        let mut scores = vec![U256::ZERO; usize::from(choice_count)];
        let mut total = U256::ZERO;
        for (order, units) in ballots {
            let first = order.iter().find(|number| in_play.contains(number)).expect("a full ranking");
            scores[usize::from(*first) - 1] += *units;
            total += *units;
        }
        let score = |number: ChoiceNumber| scores[usize::from(number) - 1];
        let highest = in_play.iter().map(|number| score(*number)).max().expect("at least one choice");
        let mut lowest = in_play[0];
        for number in &in_play {
            if score(*number) < score(lowest) {
                lowest = *number;
            }
        }
        rounds.push(scores);
        if highest * U256::from(2) > total || in_play.len() < 3 {
            return rounds;
        }
        in_play.retain(|number| *number != lowest);
    }
}

/// Copeland's scores in units, in floating point but for the comparisons.
fn naive_copeland(choice_count: u8, ballots: &RankedBallots) -> Vec<f64> {
    let total: U256 = ballots.iter().fold(U256::ZERO, |sum, (_, units)| sum + *units);
    let prefer = |one: ChoiceNumber, other: ChoiceNumber| {
        let place = |order: &Vec<ChoiceNumber>, number| order.iter().position(|entry| *entry == number);
        let supporters = ballots.iter().filter(|(order, _)| place(order, one) < place(order, other));
        supporters.fold(U256::ZERO, |sum, (_, units)| sum + *units)
    };
    let points: Vec<f64> = (1..=choice_count)
        .map(|one| {
            let mut points = 0.0;
            for other in (1..=choice_count).filter(|other| *other != one) {
                points += match prefer(one, other).cmp(&prefer(other, one)) {
                    std::cmp::Ordering::Greater => 2.0,
                    std::cmp::Ordering::Equal => 1.0,
                    std::cmp::Ordering::Less => 0.0,
                };
                points += 0.5 * float(prefer(one, other)) / (f64::from(choice_count - 1) * float(total));
            }
            points
        })
        .collect();
    let all: f64 = points.iter().sum();
    if all == 0.0 {
        return vec![float(total) / f64::from(choice_count); usize::from(choice_count)];
    }
    points.into_iter().map(|points| points / all * float(total)).collect()
}

fn float(units: U256) -> f64 {
    format_units(units).parse::<f64>().expect("a decimal") * 1e18
}

/// Within a relative 10^-9, or the unit that rounding down may cost.
fn is_close(ours: U256, expected: f64) -> bool {
    (float(ours) - expected).abs() <= expected * 1e-9 + 1.0
}
