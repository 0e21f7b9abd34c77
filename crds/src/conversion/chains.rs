//! Strategies that read chains: which contract of which chain, and what its integers mean.

use pnyx_core::{
    chain::{ChainId, ChainIdError, ContractAddress},
    proposal::{ChainRead, ChainStrategy, Decimals, MethodName, TokenId, TokenIdError},
};

use super::{Problems, strategies::address};
use crate::{ChainStrategySpec, CollectionSpec, CollectionTokenSpec, ContractCallSpec, NativeSpec, TokenSpec};

/// A member of a one-of object that reads one chain.
pub(super) enum ReadSpec<'a> {
    Erc20BalanceOf(&'a TokenSpec),
    Erc20Votes(&'a TokenSpec),
    Erc721(&'a CollectionSpec),
    Erc1155BalanceOf(&'a CollectionTokenSpec),
    EthBalance(&'a NativeSpec),
    ContractCall(&'a ContractCallSpec),
}

/// The members of a [`ChainStrategySpec`], as its schema names them.
pub(super) const READ_NAMES: &str = "erc20BalanceOf, erc20Votes, erc721, erc1155BalanceOf, ethBalance and contractCall";

impl ChainStrategySpec {
    pub(super) fn set_members(&self) -> Vec<ReadSpec<'_>> {
        let Self { erc20_balance_of, erc20_votes, erc721, erc1155_balance_of, eth_balance, contract_call } = self;
        let members = [
            erc20_balance_of.as_ref().map(ReadSpec::Erc20BalanceOf),
            erc20_votes.as_ref().map(ReadSpec::Erc20Votes),
            erc721.as_ref().map(ReadSpec::Erc721),
            erc1155_balance_of.as_ref().map(ReadSpec::Erc1155BalanceOf),
            eth_balance.as_ref().map(ReadSpec::EthBalance),
            contract_call.as_ref().map(ReadSpec::ContractCall),
        ];
        members.into_iter().flatten().collect()
    }
}

/// The strategy, or nothing after noting all that is wrong with its parameters.
pub(super) fn strategy(path: &str, spec: &ReadSpec<'_>, problems: &mut Problems) -> Option<ChainStrategy> {
    let path = format!("{path}.{}", spec.name());
    let network = problems.keep(format!("{path}.network"), network(spec.network()));
    let address = spec.address().map(|text| problems.keep(format!("{path}.address"), contract(text)));
    let decimals = spec.decimals().map(|number| problems.keep(format!("{path}.decimals"), decimals(number)));
    // Parameters that a strategy does not have are `None`, those it has and that are wrong `Some(None)`.
    let (address, decimals) = (address.flatten(), decimals.flatten());
    let read = match spec {
        ReadSpec::Erc20BalanceOf(_) => ChainRead::Erc20BalanceOf { address: address?, decimals: decimals? },
        ReadSpec::Erc20Votes(_) => ChainRead::Erc20Votes { address: address?, decimals: decimals? },
        ReadSpec::Erc721(_) => ChainRead::Erc721 { address: address? },
        ReadSpec::Erc1155BalanceOf(CollectionTokenSpec { token_id, .. }) => {
            let token_id = problems.keep(format!("{path}.tokenId"), token(token_id));
            ChainRead::Erc1155BalanceOf { address: address?, token_id: token_id?, decimals: decimals? }
        }
        ReadSpec::EthBalance(_) => ChainRead::EthBalance,
        ReadSpec::ContractCall(ContractCallSpec { method, .. }) => {
            let method = MethodName::new(method.as_str()).map_err(|error| format!("{error}, not \"{method}\""));
            let method = problems.keep(format!("{path}.method"), method);
            ChainRead::ContractCall { address: address?, method: method?, decimals: decimals? }
        }
    };
    Some(ChainStrategy { network: network?, read })
}

/// A chain's id such as `"1"`.
pub(super) fn network(text: &str) -> Result<ChainId, String> {
    text.parse().map_err(|error: ChainIdError| format!("{error} for Ethereum, not \"{text}\""))
}

impl ReadSpec<'_> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Erc20BalanceOf(_) => "erc20BalanceOf",
            Self::Erc20Votes(_) => "erc20Votes",
            Self::Erc721(_) => "erc721",
            Self::Erc1155BalanceOf(_) => "erc1155BalanceOf",
            Self::EthBalance(_) => "ethBalance",
            Self::ContractCall(_) => "contractCall",
        }
    }

    fn network(&self) -> &str {
        match self {
            Self::Erc20BalanceOf(TokenSpec { network, .. })
            | Self::Erc20Votes(TokenSpec { network, .. })
            | Self::Erc721(CollectionSpec { network, .. })
            | Self::Erc1155BalanceOf(CollectionTokenSpec { network, .. })
            | Self::EthBalance(NativeSpec { network })
            | Self::ContractCall(ContractCallSpec { network, .. }) => network,
        }
    }

    fn address(&self) -> Option<&str> {
        match self {
            Self::Erc20BalanceOf(TokenSpec { address, .. })
            | Self::Erc20Votes(TokenSpec { address, .. })
            | Self::Erc721(CollectionSpec { address, .. })
            | Self::Erc1155BalanceOf(CollectionTokenSpec { address, .. })
            | Self::ContractCall(ContractCallSpec { address, .. }) => Some(address),
            Self::EthBalance(NativeSpec { .. }) => None,
        }
    }

    const fn decimals(&self) -> Option<i64> {
        match self {
            Self::Erc20BalanceOf(TokenSpec { decimals, .. })
            | Self::Erc20Votes(TokenSpec { decimals, .. })
            | Self::Erc1155BalanceOf(CollectionTokenSpec { decimals, .. })
            | Self::ContractCall(ContractCallSpec { decimals, .. }) => Some(*decimals),
            Self::Erc721(_) | Self::EthBalance(_) => None,
        }
    }
}

fn contract(text: &str) -> Result<ContractAddress, String> {
    address(text).map(|address| ContractAddress::new(*address.as_bytes()))
}

fn decimals(number: i64) -> Result<Decimals, String> {
    let decimals = u8::try_from(number).ok().and_then(|number| Decimals::new(number).ok());
    decimals.ok_or_else(|| format!("must be 0 to {}, not {number}", Decimals::MAX))
}

fn token(text: &str) -> Result<TokenId, String> {
    text.parse().map_err(|error: TokenIdError| format!("{error}, not \"{text}\""))
}
