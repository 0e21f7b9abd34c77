//! What a ballot costs the tally: time beside the bare map it is built on, memory a voter, and the runoff over a
//! million distinct rankings. Run with `cargo bench --profile dev -p pnyx-tally --bench apply`.

use std::{
    collections::BTreeMap,
    hint::black_box,
    io::{self, Write},
    process,
    time::{Duration, Instant},
};

use pnyx_bench_support::resident_bytes;
use pnyx_core::{
    choice::{Choice, ChoiceNumber, Ranking},
    counting::{CountingRules, Totals, TotalsDelta},
    id::{Digest, Place, Voter},
    outcome::outcome,
    power::Power,
    proposal::{Abstentions, Voting, VotingSystem},
    tally::{LaneTally, StandingBallot},
    verdict::CountingBallot,
};

/// Voters of a large vote, all in one lane.
const VOTERS: u64 = 1_000_000;

/// Rounds of each candidate, interleaved; the median counts.
const ROUNDS: u64 = 7;

/// Ballots of one round.
const ROUND_BALLOTS: u64 = 200_000;

/// Distinct rankings of a large ranked vote.
const RANKINGS: usize = 1_000_000;

/// Times an outcome is computed; the median counts.
const OUTCOMES: usize = 3;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    // All is built before anything is freed, so that memory is never measured in pages that were used before.
    let lane = built(lane)?;
    let ranked = [built(|| ranked_totals(10))?, built(|| ranked_totals(20))?];
    apply(&mut out, lane)?;
    ranked.into_iter().try_for_each(|totals| runoff(&mut out, totals))
}

/// Something large, and the memory it takes.
struct Built<T> {
    value: T,
    bytes: u64,
}

fn built<T>(build: impl FnOnce() -> T) -> io::Result<Built<T>> {
    let before = resident_bytes(process::id())?;
    let value = build();
    Ok(Built { value, bytes: resident_bytes(process::id())?.saturating_sub(before) })
}

fn lane() -> LaneTally {
    let rules = CountingRules { system: VotingSystem::SingleChoice, choice_count: 3 };
    let (mut tally, mut delta) = (LaneTally::new(rules), TotalsDelta::empty(rules));
    for number in 0..VOTERS {
        let (place, ballot) = ballot(number, 0);
        tally.apply(place, ballot, &mut delta);
    }
    tally
}

fn ranked_totals(choice_count: u8) -> (CountingRules, Totals) {
    let rules = CountingRules { system: VotingSystem::RankedChoice, choice_count };
    let mut totals = Totals::empty(rules);
    let mut seed = 0;
    while totals.rankings.len() < RANKINGS {
        seed += 1;
        totals.add(&rules.contribution(&Choice::Ranking(shuffled(choice_count, seed)), Power::ONE));
    }
    (rules, totals)
}

fn apply(out: &mut impl Write, lane: Built<LaneTally>) -> io::Result<()> {
    let Built { value: mut tally, bytes } = lane;
    let mut map: BTreeMap<Voter, StandingBallot> = tally.standing().clone();
    let (mut applied, mut looked_up) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        // Drawn and made beforehand, so that only the tally's own work is measured.
        let ballots: Vec<_> = (0..ROUND_BALLOTS).map(|n| ballot(mix(round << 32 | n) % VOTERS, round)).collect();
        let copies = ballots.clone();
        let started = Instant::now();
        let mut delta = TotalsDelta::empty(tally.rules());
        for (place, ballot) in ballots {
            black_box(tally.apply(place, ballot, &mut delta));
        }
        applied.push(started.elapsed());
        let started = Instant::now();
        for (place, ballot) in copies {
            let CountingBallot { voter, digest, signed_at_s, choice, power, check: _ } = ballot;
            let standing = map.get_mut(&voter).expect("every voter has a ballot");
            *black_box(standing) = StandingBallot { digest, signed_at_s, choice, power, place };
        }
        looked_up.push(started.elapsed());
    }
    let (applied, looked_up) = (median(applied), median(looked_up));
    let per_ballot = |total: Duration| total.as_nanos() / u128::from(ROUND_BALLOTS);
    let hundredths = applied.as_nanos() * 100 / looked_up.as_nanos().max(1);
    writeln!(
        out,
        "one lane, {VOTERS} voters, single choice; {ROUND_BALLOTS} changed votes a round, median of {ROUNDS}"
    )?;
    writeln!(out, "  LaneTally::apply                {:>8} ns a ballot", per_ballot(applied))?;
    writeln!(out, "  lookup and update of the map    {:>8} ns a ballot", per_ballot(looked_up))?;
    writeln!(out, "  ratio                           {:>5}.{:02}    (goal 2.00)", hundredths / 100, hundredths % 100)?;
    writeln!(out, "  memory                          {:>8} bytes a voter", bytes / VOTERS)
}

fn runoff(out: &mut impl Write, totals: Built<(CountingRules, Totals)>) -> io::Result<()> {
    let Built { value: (rules, totals), bytes } = totals;
    let voting =
        Voting { system: rules.system, quorum: None, approval_threshold: None, abstentions: Abstentions::default() };
    let (mut merged, mut computed) = (Vec::new(), Vec::new());
    for _ in 0..OUTCOMES {
        let started = Instant::now();
        let mut sum = Totals::empty(rules);
        sum.merge(&totals);
        merged.push(started.elapsed());
        let started = Instant::now();
        black_box(outcome(&voting, rules, &sum));
        computed.push(started.elapsed());
    }
    let per_ranking = bytes / u64::try_from(RANKINGS).expect("a million fits");
    let choices = rules.choice_count;
    writeln!(out, "ranked choice, {choices} choices, {RANKINGS} distinct rankings; median of {OUTCOMES}")?;
    writeln!(out, "  memory                          {per_ranking:>8} bytes a ranking")?;
    writeln!(out, "  adding up                       {:>8} ms", median(merged).as_millis())?;
    writeln!(out, "  outcome                         {:>8} ms", median(computed).as_millis())
}

/// A voter's ballot of a round; later rounds are signed later.
fn ballot(number: u64, round: u64) -> (Place, CountingBallot) {
    let (mut address, mut digest) = ([0; 20], [0; 32]);
    address[..8].copy_from_slice(&mix(number).to_be_bytes());
    digest[..8].copy_from_slice(&mix(number ^ round << 40).to_be_bytes());
    let choice = Choice::Single(u8::try_from(mix(number + round) % 3).expect("below 3") + 1);
    let ballot = CountingBallot {
        voter: Voter::new(address),
        digest: Digest::new(digest),
        signed_at_s: 1_800_000_000 + round,
        choice,
        power: Power::ONE,
        check: pnyx_core::signature_check::SignatureCheck::Key,
    };
    (Place { partition: 0, offset: number }, ballot)
}

fn shuffled(choice_count: u8, seed: u64) -> Ranking {
    let mut order: Vec<ChoiceNumber> = (1..=choice_count).collect();
    for last in (1..order.len()).rev() {
        let other = mix(seed << 8 | last as u64) % (last as u64 + 1);
        order.swap(last, usize::try_from(other).expect("an index"));
    }
    Ranking::new(&order).expect("a permutation")
}

/// SplitMix64's finaliser: spreads numbers evenly, the same in every run.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
