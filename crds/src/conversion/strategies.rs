//! Power strategies: one-of objects, as Kubernetes does for volumes.

use std::collections::{BTreeMap, BTreeSet};

use pnyx_core::{
    id::{IdError, Voter},
    proposal::Strategy,
};

use super::{Problems, decimal};
use crate::{StrategySpec, TicketSpec, WhitelistSpec, WhitelistWeightedSpec};

/// All strategies, or nothing after noting what is wrong with them.
pub(super) fn read(specs: &[StrategySpec], problems: &mut Problems) -> Option<Vec<Strategy>> {
    let read_one = |(index, spec)| strategy(&format!("spec.power.strategies[{index}]"), spec, problems);
    // Collected before the `?`, so that the problems of all strategies are noted.
    let strategies: Vec<Option<Strategy>> = specs.iter().enumerate().map(read_one).collect();
    strategies.into_iter().collect()
}

fn strategy(path: &str, spec: &StrategySpec, problems: &mut Problems) -> Option<Strategy> {
    let StrategySpec { whitelist: list, whitelist_weighted, ticket } = spec;
    match (list, whitelist_weighted, ticket) {
        (Some(spec), None, None) => whitelist(path, spec, problems),
        (None, Some(spec), None) => weighted(path, spec, problems),
        (None, None, Some(TicketSpec { value })) => {
            problems.keep(format!("{path}.ticket.value"), decimal::power(value)).map(Strategy::Ticket)
        }
        (None, None, None) => {
            problems.add(path, "one of whitelist, whitelistWeighted and ticket must be set");
            None
        }
        _ => {
            problems
                .add(path, "only one of whitelist, whitelistWeighted and ticket may be set; use one list item each");
            None
        }
    }
}

fn whitelist(path: &str, spec: &WhitelistSpec, problems: &mut Problems) -> Option<Strategy> {
    let mut voters = BTreeSet::new();
    let mut complete = true;
    for (index, text) in spec.addresses.iter().enumerate() {
        let voter = address(text)
            .and_then(|voter| voters.insert(voter).then_some(()).ok_or_else(|| format!("{voter} appears twice")));
        complete &= problems.keep(format!("{path}.whitelist.addresses[{index}]"), voter).is_some();
    }
    complete.then_some(Strategy::Whitelist(voters))
}

fn weighted(path: &str, spec: &WhitelistWeightedSpec, problems: &mut Problems) -> Option<Strategy> {
    let mut powers = BTreeMap::new();
    let mut complete = true;
    for (text, power) in &spec.addresses {
        let entry = address(text).and_then(|voter| match powers.insert(voter, decimal::power(power)?) {
            None => Ok(()),
            Some(_) => Err(format!("{voter} appears twice, in different case")),
        });
        complete &= problems.keep(format!("{path}.whitelistWeighted.addresses.{text}"), entry).is_some();
    }
    complete.then_some(Strategy::WhitelistWeighted(powers))
}

/// An address in one case, or in mixed case with its EIP-55 checksum, which catches a mistyped digit.
fn address(text: &str) -> Result<Voter, String> {
    let has = |case: fn(&u8) -> bool| text.bytes().skip(2).any(|byte| case(&byte));
    let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    let voter = Voter::from_any_case(text)
        .map_err(|_| format!("must be an address: 0x and 40 hexadecimal digits, not \"{text}\""))?;
    match Voter::from_checksummed(text) {
        Err(IdError::Checksum) if mixed => {
            Err(format!("has a wrong EIP-55 checksum; if no digit is mistyped it is {voter}"))
        }
        Ok(_) | Err(IdError::Checksum | IdError::Hex { .. }) => Ok(voter),
    }
}
