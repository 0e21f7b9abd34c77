//! Power strategies: one-of objects, as Kubernetes does for volumes.

use std::collections::{BTreeMap, BTreeSet};

use pnyx_core::{
    id::{IdError, Voter},
    proposal::{ChainStrategy, Strategy},
};

use super::{
    Problems,
    chains::{self, READ_NAMES, ReadSpec},
    decimal,
};
use crate::{ChainStrategySpec, MultichainSpec, StrategySpec, TicketSpec, WhitelistSpec, WhitelistWeightedSpec};

/// All strategies, or nothing after noting what is wrong with them.
pub(super) fn read(specs: &[StrategySpec], problems: &mut Problems) -> Option<Vec<Strategy>> {
    let read_one = |(index, spec)| strategy(&format!("spec.power.strategies[{index}]"), spec, problems);
    // Collected before the `?`, so that the problems of all strategies are noted.
    let strategies: Vec<Option<Strategy>> = specs.iter().enumerate().map(read_one).collect();
    strategies.into_iter().collect()
}

/// A member of a strategy's one-of object.
enum MemberSpec<'a> {
    Whitelist(&'a WhitelistSpec),
    WhitelistWeighted(&'a WhitelistWeightedSpec),
    Ticket(&'a TicketSpec),
    Read(ReadSpec<'a>),
    Multichain(&'a MultichainSpec),
}

impl StrategySpec {
    fn set_members(&self) -> Vec<MemberSpec<'_>> {
        let Self {
            whitelist,
            whitelist_weighted,
            ticket,
            erc20_balance_of,
            erc20_votes,
            erc721,
            erc1155_balance_of,
            eth_balance,
            contract_call,
            multichain,
        } = self;
        let members = [
            whitelist.as_ref().map(MemberSpec::Whitelist),
            whitelist_weighted.as_ref().map(MemberSpec::WhitelistWeighted),
            ticket.as_ref().map(MemberSpec::Ticket),
            erc20_balance_of.as_ref().map(ReadSpec::Erc20BalanceOf).map(MemberSpec::Read),
            erc20_votes.as_ref().map(ReadSpec::Erc20Votes).map(MemberSpec::Read),
            erc721.as_ref().map(ReadSpec::Erc721).map(MemberSpec::Read),
            erc1155_balance_of.as_ref().map(ReadSpec::Erc1155BalanceOf).map(MemberSpec::Read),
            eth_balance.as_ref().map(ReadSpec::EthBalance).map(MemberSpec::Read),
            contract_call.as_ref().map(ReadSpec::ContractCall).map(MemberSpec::Read),
            multichain.as_ref().map(MemberSpec::Multichain),
        ];
        members.into_iter().flatten().collect()
    }
}

fn strategy(path: &str, spec: &StrategySpec, problems: &mut Problems) -> Option<Strategy> {
    let names = format!("whitelist, whitelistWeighted, ticket, multichain, {READ_NAMES}");
    match only_member(path, spec.set_members(), &names, problems)? {
        MemberSpec::Whitelist(spec) => whitelist(path, spec, problems),
        MemberSpec::WhitelistWeighted(spec) => weighted(path, spec, problems),
        MemberSpec::Ticket(TicketSpec { value }) => {
            problems.keep(format!("{path}.ticket.value"), decimal::power(value)).map(Strategy::Ticket)
        }
        MemberSpec::Read(spec) => chains::strategy(path, &spec, problems).map(Strategy::OnChain),
        MemberSpec::Multichain(spec) => multichain(path, spec, problems),
    }
}

/// The one member that is set of a one-of object, or nothing after noting that there are none or several.
fn only_member<T>(path: &str, members: Vec<T>, names: &str, problems: &mut Problems) -> Option<T> {
    match <[T; 1]>::try_from(members) {
        Ok([member]) => Some(member),
        Err(members) if members.is_empty() => {
            problems.add(path, format!("one of {names} must be set"));
            None
        }
        Err(_) => {
            problems.add(path, format!("only one of {names} may be set; use one list item each"));
            None
        }
    }
}

fn multichain(path: &str, spec: &MultichainSpec, problems: &mut Problems) -> Option<Strategy> {
    let mut read_one = |(index, spec): (usize, &ChainStrategySpec)| {
        let path = format!("{path}.multichain.strategies[{index}]");
        let member = only_member(&path, spec.set_members(), READ_NAMES, problems)?;
        chains::strategy(&path, &member, problems)
    };
    // Collected before the `?`, so that the problems of all strategies are noted.
    let strategies: Vec<Option<ChainStrategy>> = spec.strategies.iter().enumerate().map(&mut read_one).collect();
    strategies.into_iter().collect::<Option<_>>().map(Strategy::Multichain)
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
pub(super) fn address(text: &str) -> Result<Voter, String> {
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
