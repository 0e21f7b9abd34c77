//! Ballots that are signed before the clock starts, on all cores, and the floor: the bare recovery of their signers.

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use pnyx_core::{
    ballot::compose,
    proposal::{Proposal, VotingSystem},
    signing::SigningKey,
};
use rand::{Rng as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use crate::cores;

/// A ballot as it is posted, and what its signer is recovered from.
pub(crate) struct SignedBallot {
    /// The body to post.
    pub(crate) body: Vec<u8>,
    digest: [u8; 32],
    signature: [u8; 65],
}

/// Signs ballots of as many different (voter, proposal): each voter votes once on every proposal.
pub(crate) fn sign(proposals: &[Proposal], ballots: usize) -> Vec<SignedBallot> {
    let signed_at_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let numbers: Vec<usize> = (0..ballots).collect();
    let sign_share = |share: &[usize]| -> Vec<_> {
        share
            .iter()
            .map(|number| {
                let proposal = &proposals[number % proposals.len()];
                sign_one(proposal, (number / proposals.len()) as u64, signed_at_s)
            })
            .collect()
    };
    on_all_cores(&numbers, sign_share).into_iter().flatten().collect()
}

/// How long all cores need to recover the signers and to do nothing else.
pub(crate) fn recover(ballots: &[SignedBallot]) -> Duration {
    let started = Instant::now();
    on_all_cores(ballots, |share| {
        for SignedBallot { body: _, digest, signature: [compact @ .., v] } in share {
            let recovery = if *v == 27 { RecoveryId::Zero } else { RecoveryId::One };
            let signature = RecoverableSignature::from_compact(compact, recovery).expect("it was signed here");
            black_box(signature.recover_ecdsa(Message::from_digest(*digest)).expect("it was signed here"));
        }
    });
    started.elapsed()
}

/// Gives each core a share of the items.
fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let work = &work;
    thread::scope(|scope| {
        let shares = items.chunks(items.len().div_ceil(cores()).max(1));
        let threads: Vec<_> = shares.map(|share| scope.spawn(move || work(share))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the work does not panic")).collect()
    })
}

fn sign_one(proposal: &Proposal, voter: u64, signed_at_s: u64) -> SignedBallot {
    let mut bytes = [0x11; 32];
    bytes[24..].copy_from_slice(&voter.to_be_bytes());
    let key = SigningKey::from_bytes(bytes).expect("above 0 and below the group's order");
    let parts = proposal.parts();
    let choice = choice(parts.voting.system, parts.choices.len(), voter);
    let unsigned = compose(key.address(), &parts.space, signed_at_s, proposal.id(), &choice, "", "snapshot-v2");
    let unsigned = unsigned.expect("a choice");
    let digest = *unsigned.digest().as_bytes();
    let signature = key.sign_digest(digest);
    SignedBallot { body: unsigned.body_with(&signature), digest, signature }
}

/// A valid choice, as JSON; the same in every run.
fn choice(system: VotingSystem, choice_count: usize, voter: u64) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(voter);
    match system {
        VotingSystem::Basic | VotingSystem::SingleChoice => random.random_range(1..=choice_count).to_string(),
        VotingSystem::Approval => {
            let chosen: Vec<_> = (1..=choice_count).filter(|_| random.random_bool(0.5)).collect();
            list(&chosen)
        }
        VotingSystem::RankedChoice | VotingSystem::Copeland => {
            let mut ranking: Vec<_> = (1..=choice_count).collect();
            ranking.shuffle(&mut random);
            list(&ranking)
        }
        VotingSystem::Weighted | VotingSystem::Quadratic => {
            let weights: Vec<_> =
                (1..=choice_count).map(|choice| format!("\"{choice}\":{}", random.random_range(1..=9_u8))).collect();
            format!("{{{}}}", weights.join(","))
        }
    }
}

fn list(numbers: &[usize]) -> String {
    let numbers: Vec<_> = numbers.iter().map(usize::to_string).collect();
    format!("[{}]", numbers.join(","))
}
