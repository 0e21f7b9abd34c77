//! What a verdict costs on one core, beside the bare signature recovery that it cannot do without, and what hashing a
//! ballot costs beside alloy. Candidates take turns within each round, so that a noisy machine disturbs all alike.

use std::{
    collections::BTreeMap,
    hint::black_box,
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_sol_types::{Eip712Domain, SolStruct as _, eip712_domain};
use pnyx_bench_support::{SPACE, key, single_choice};
use pnyx_core::{
    ballot::{self, Domain, Envelope, HashMemo, Vote, compose},
    choice::RawChoice,
    id::{Digest, Place, ProposalId, Voter},
    power::Power,
    proposal::{Definition, Proposal, Strategy},
    signing::SigningKey,
    time::TimestampMs,
    wire::{
        self,
        vote_types::{ChoiceType, VoteTypes},
    },
};
use pnyx_verification::{BallotRecord, ListedPower, ProposalVerifier};
use secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId},
};

/// Ballots of a round.
const BALLOTS: usize = 1_024;

/// Rounds, of which the median is told.
const ROUNDS: usize = 31;

/// Ballots that one candidate takes before the next has its turn; also the pipeline's batch.
const TURN: usize = 256;

const OPENS_AT_S: u64 = 1_796_000_000;
const REASON: &str = "Builders first";
const APP: &str = "snapshot-v2";

/// The ballot's type as alloy's macro wants it.
mod alloy {
    alloy_sol_types::sol! {
        struct Vote {
            string from;
            string space;
            uint64 timestamp;
            string proposal;
            uint32 choice;
            string reason;
            string app;
            string metadata;
        }
    }
}

/// A signed ballot in the forms that the candidates start from.
struct Ballot {
    record: Vec<u8>,
    from: String,
    voter: Voter,
    signed_at_s: u64,
    choice: u32,
    digest: [u8; 32],
    signature: [u8; 65],
}

/// Something that takes a turn.
type Candidate<'a> = &'a mut dyn FnMut(&[Ballot]);

fn main() -> io::Result<()> {
    let keys: Vec<_> = (1..=BALLOTS as u64).map(key).collect();
    let proposal = proposal(&keys);
    let ballots: Vec<_> = (0_u32..).zip(&keys).map(|(number, key)| ballot(&proposal, key, number)).collect();
    let verifier = ProposalVerifier::new(Arc::new(Definition::new(proposal, 16, 4).expect("a layout")));
    let mut out = io::stdout().lock();
    let bytes = ballots.iter().map(|ballot| ballot.record.len()).sum::<usize>() / BALLOTS;
    writeln!(out, "{BALLOTS} ballots of {bytes} bytes, {ROUNDS} rounds, one thread, median µs a ballot\n")?;
    compare_pipeline(&mut out, &verifier, &ballots)?;
    compare_digests(&mut out, verifier.definition().proposal().id(), &ballots)
}

fn compare_pipeline(out: &mut impl Write, verifier: &ProposalVerifier, ballots: &[Ballot]) -> io::Result<()> {
    let mut bare = |turn: &[Ballot]| {
        for ballot in turn {
            black_box(recover(ballot));
        }
    };
    let mut memo = HashMemo::default();
    let listed = ListedPower::of(verifier.definition().proposal());
    let mut pipeline = |turn: &[Ballot]| {
        for record in turn.iter().map(record) {
            let judged = verifier.judge(record, &mut memo);
            let verdict = judged.weigh(record, |voter| pnyx_core::power::VoterPower::Known(listed.power(voter)));
            black_box(wire::verdict::encode(&verdict));
        }
    };
    // The pipeline's first and its costliest step alone, to see where the rest goes.
    let mut parse_memo = HashMemo::default();
    let mut parse = |turn: &[Ballot]| {
        for ballot in turn {
            let _ = black_box(Envelope::parse(&ballot.record[1..], &mut parse_memo));
        }
    };
    let mut signature = |turn: &[Ballot]| {
        for ballot in turn {
            let _ = black_box(ballot::verify(Digest::new(ballot.digest), &ballot.signature, ballot.voter));
        }
    };
    let times = compete(ballots, &mut [&mut bare, &mut pipeline, &mut parse, &mut signature]);
    writeln!(out, "bare recovery                         {:8.3}", micros(times[0]))?;
    writeln!(out, "record to verdict record              {:8.3}", micros(times[1]))?;
    writeln!(out, "  of it: envelope, with its digest    {:8.3}", micros(times[2]))?;
    writeln!(out, "  of it: signature, with the address  {:8.3}", micros(times[3]))?;
    tell(out, "recovery / pipeline", times[0], times[1], "at least", 0.85)?;
    writeln!(out)
}

fn compare_digests(out: &mut impl Write, proposal: ProposalId, ballots: &[Ballot]) -> io::Result<()> {
    let domain: Eip712Domain = eip712_domain! { name: "snapshot", version: "0.1.4", };
    let proposal_text = proposal.to_string();
    let votes: BTreeMap<_, _> = ballots.iter().map(|it| (it.signed_at_s, alloy_vote(it, &proposal_text))).collect();
    for ballot in ballots {
        let digest = votes[&ballot.signed_at_s].eip712_signing_hash(&domain);
        assert_eq!(digest.0, ballot.digest, "alloy and the hand-written encoding agree");
    }
    let mut alloy = |turn: &[Ballot]| {
        for ballot in turn {
            black_box(votes[&ballot.signed_at_s].eip712_signing_hash(&domain));
        }
    };
    let separator = Domain::default().separator();
    let hash = |turn: &[Ballot], memo: &mut HashMemo| {
        for ballot in turn {
            let vote = Vote {
                types: VoteTypes::of_current_client(ChoiceType::Number),
                voter: ballot.voter,
                from: &ballot.from,
                space: SPACE,
                signed_at_s: ballot.signed_at_s,
                proposal,
                choice: &RawChoice::Number(ballot.choice),
                reason: REASON,
                app: APP,
                metadata: "{}",
            };
            black_box(vote.digest(separator, memo));
        }
    };
    let (mut forgetful, mut shared) = (HashMemo::forgetful(), HashMemo::default());
    let mut hand = |turn: &[Ballot]| hash(turn, &mut forgetful);
    let mut memoised = |turn: &[Ballot]| hash(turn, &mut shared);
    let times = compete(ballots, &mut [&mut alloy, &mut hand, &mut memoised]);
    writeln!(out, "digest by alloy's eip712_signing_hash {:8.3}", micros(times[0]))?;
    writeln!(out, "digest by hand                        {:8.3}", micros(times[1]))?;
    writeln!(out, "digest by hand, texts memoised        {:8.3}", micros(times[2]))?;
    tell(out, "hand / alloy", times[1], times[0], "at most", 0.60)?;
    tell(out, "memoised / alloy", times[2], times[0], "at most", 0.35)
}

fn tell(out: &mut impl Write, name: &str, a: Duration, b: Duration, bound: &str, goal: f64) -> io::Result<()> {
    writeln!(out, "{name:<38}{:8.3}   goal: {bound} {goal:.2}", a.as_secs_f64() / b.as_secs_f64())
}

/// Runs the candidates in turns over all ballots, in every round again, and gives the median time of a round of each.
fn compete<const N: usize>(ballots: &[Ballot], candidates: &mut [Candidate<'_>; N]) -> [Duration; N] {
    let mut rounds = [const { Vec::new() }; N];
    for _ in 0..=ROUNDS {
        let mut round = [Duration::ZERO; N];
        for turn in ballots.chunks(TURN) {
            for (candidate, time) in candidates.iter_mut().zip(&mut round) {
                let started = Instant::now();
                candidate(turn);
                *time += started.elapsed();
            }
        }
        rounds.iter_mut().zip(round).for_each(|(times, time)| times.push(time));
    }
    rounds.map(|times| {
        // The first round warms up.
        let mut times = times[1..].to_vec();
        times.sort_unstable();
        times[times.len() / 2]
    })
}

fn micros(round: Duration) -> f64 {
    let ballots = u32::try_from(BALLOTS).expect("a round is small");
    (round / ballots).as_secs_f64() * 1e6
}

fn recover(ballot: &Ballot) -> secp256k1::PublicKey {
    let [compact @ .., v] = ballot.signature;
    let recovery = if v == 27 { RecoveryId::Zero } else { RecoveryId::One };
    let signature = RecoverableSignature::from_compact(&compact, recovery).expect("a signature");
    signature.recover_ecdsa(Message::from_digest(ballot.digest)).expect("a signer")
}

fn record(ballot: &Ballot) -> BallotRecord<'_> {
    BallotRecord {
        place: Place { partition: 0, offset: 0 },
        appended_at: TimestampMs((ballot.signed_at_s + 1) * 1_000),
        bytes: &ballot.record,
    }
}

fn alloy_vote(ballot: &Ballot, proposal: &str) -> alloy::Vote {
    alloy::Vote {
        from: ballot.from.clone(),
        space: SPACE.to_owned(),
        timestamp: ballot.signed_at_s,
        proposal: proposal.to_owned(),
        choice: ballot.choice,
        reason: REASON.to_owned(),
        app: APP.to_owned(),
        metadata: "{}".to_owned(),
    }
}

fn ballot(proposal: &Proposal, key: &SigningKey, number: u32) -> Ballot {
    let choice = number % 3 + 1;
    let signed_at_s = OPENS_AT_S + u64::from(number);
    let choice_json = choice.to_string();
    let unsigned = compose(key.address(), SPACE, signed_at_s, proposal.id(), &choice_json, REASON, APP);
    let unsigned = unsigned.expect("a choice");
    let digest = *unsigned.digest().as_bytes();
    let signature = key.sign_digest(digest);
    let record = wire::record::encode(&unsigned.body_with(&signature));
    let from = key.address().to_string();
    Ballot { record, from, voter: key.address(), signed_at_s, choice, digest, signature }
}

fn proposal(keys: &[SigningKey]) -> Proposal {
    let power = Power::parse("1250.5").expect("a power");
    let powers = keys.iter().map(|key| (key.address(), power)).collect();
    single_choice(TimestampMs(OPENS_AT_S * 1_000), vec![Strategy::WhitelistWeighted(powers)])
}
