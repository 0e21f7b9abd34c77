//! Random choices of every voting system, as the JSON that a client signs.

use rand::{Rng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use super::proposal::Target;

/// A valid choice for the target: for weights the JSON text that goes into the string field.
pub(super) fn random_choice(target: &Target, random: &mut ChaCha8Rng) -> String {
    let count = target.choices;
    match target.system.as_str() {
        "approval" => {
            let chosen: Vec<u32> = (1..=count).filter(|_| random.random_bool(0.4)).collect();
            json_list(&chosen)
        }
        "weighted" | "quadratic" => random_weights(count, random),
        "ranked-choice" | "copeland" => {
            let mut ranking: Vec<u32> = (1..=count).collect();
            ranking.shuffle(random);
            json_list(&ranking)
        }
        _ => random.random_range(1..=count).to_string(),
    }
}

fn random_weights(count: u32, random: &mut ChaCha8Rng) -> String {
    let certain = random.random_range(1..=count);
    let mut entries = Vec::new();
    for choice in 1..=count {
        if choice == certain || random.random_bool(0.5) {
            let weight = match random.random_range(0..3_u8) {
                0 => random.random_range(1..=100_u32).to_string(),
                1 => format!("{}.{}", random.random_range(0..10_u32), random.random_range(1..=9_u32)),
                _ => format!("0.{:09}", random.random_range(1..1_000_000_000_u32)),
            };
            entries.push(format!("\"{choice}\":{weight}"));
        }
    }
    format!("{{{}}}", entries.join(","))
}

fn json_list(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    format!("[{}]", numbers.join(","))
}
