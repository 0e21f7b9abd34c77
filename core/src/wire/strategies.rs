//! Strategies and snapshot rules as JSON: parts of a definition.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    WireError,
    json::{Format, OrderedMap},
};
use crate::{
    chain::{BlockNumber, ChainId, ContractAddress, SnapshotRule},
    id::Voter,
    proposal::{ChainRead, ChainStrategy, Decimals, MethodName, Strategy},
    time::TimestampMs,
};

/// Snapshot's names and parameters, but `network` stands among the parameters.
#[derive(Serialize, Deserialize)]
#[serde(tag = "name", content = "params", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum StrategyDto {
    Whitelist(AddressesDto<Vec<String>>),
    WhitelistWeighted(AddressesDto<OrderedMap<String>>),
    Ticket(TicketDto),
    Erc20BalanceOf(TokenDto),
    Erc20Votes(TokenDto),
    Erc721(CollectionDto),
    Erc1155BalanceOf(CollectionTokenDto),
    EthBalance(NetworkDto),
    ContractCall(ContractCallDto),
    Multichain(MultichainDto),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddressesDto<T> {
    addresses: T,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TicketDto {
    value: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenDto {
    network: String,
    address: String,
    decimals: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CollectionDto {
    network: String,
    address: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CollectionTokenDto {
    network: String,
    address: String,
    token_id: String,
    decimals: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkDto {
    network: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ContractCallDto {
    network: String,
    address: String,
    method: String,
    decimals: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MultichainDto {
    strategies: Vec<StrategyDto>,
}

/// At which block one chain is read.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SnapshotDto {
    network: String,
    rule: SnapshotRuleDto,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum SnapshotRuleDto {
    Block(u64),
    AtOrBeforeMs(u64),
}

impl StrategyDto {
    pub(super) fn of(strategy: &Strategy) -> Self {
        match strategy {
            Strategy::Whitelist(voters) => {
                Self::Whitelist(AddressesDto { addresses: voters.iter().map(Voter::to_string).collect() })
            }
            Strategy::WhitelistWeighted(powers) => {
                let entries = powers.iter().map(|(voter, power)| (voter.to_string(), power.to_string()));
                Self::WhitelistWeighted(AddressesDto { addresses: OrderedMap(entries.collect()) })
            }
            Strategy::Ticket(power) => Self::Ticket(TicketDto { value: power.to_string() }),
            Strategy::OnChain(strategy) => Self::of_chain(strategy),
            Strategy::Multichain(strategies) => {
                Self::Multichain(MultichainDto { strategies: strategies.iter().map(Self::of_chain).collect() })
            }
        }
    }

    fn of_chain(strategy: &ChainStrategy) -> Self {
        let network = strategy.network.to_string();
        match &strategy.read {
            ChainRead::Erc20BalanceOf { address, decimals } => {
                Self::Erc20BalanceOf(TokenDto { network, address: address.to_string(), decimals: decimals.get() })
            }
            ChainRead::Erc20Votes { address, decimals } => {
                Self::Erc20Votes(TokenDto { network, address: address.to_string(), decimals: decimals.get() })
            }
            ChainRead::Erc721 { address } => Self::Erc721(CollectionDto { network, address: address.to_string() }),
            ChainRead::Erc1155BalanceOf { address, token_id, decimals } => Self::Erc1155BalanceOf(CollectionTokenDto {
                network,
                address: address.to_string(),
                token_id: token_id.to_string(),
                decimals: decimals.get(),
            }),
            ChainRead::EthBalance => Self::EthBalance(NetworkDto { network }),
            ChainRead::ContractCall { address, method, decimals } => Self::ContractCall(ContractCallDto {
                network,
                address: address.to_string(),
                method: method.to_string(),
                decimals: decimals.get(),
            }),
        }
    }

    pub(super) fn into_strategy(self, format: Format) -> Result<Strategy, WireError> {
        const ADDRESSES: &str = "strategies.params.addresses";
        match self {
            Self::Whitelist(AddressesDto { addresses }) => {
                let voters = addresses.iter().map(|text| format.voter(ADDRESSES, text));
                Ok(Strategy::Whitelist(voters.collect::<Result<_, _>>()?))
            }
            Self::WhitelistWeighted(AddressesDto { addresses: OrderedMap(entries) }) => {
                let powers = entries
                    .iter()
                    .map(|(voter, weight)| Ok((format.voter(ADDRESSES, voter)?, format.power(ADDRESSES, weight)?)));
                Ok(Strategy::WhitelistWeighted(powers.collect::<Result<_, WireError>>()?))
            }
            Self::Ticket(TicketDto { value }) => Ok(Strategy::Ticket(format.power("strategies.params.value", &value)?)),
            Self::Multichain(MultichainDto { strategies }) => {
                let members = strategies.into_iter().map(|strategy| strategy.into_chain_strategy(format));
                Ok(Strategy::Multichain(members.collect::<Result<_, _>>()?))
            }
            Self::Erc20BalanceOf(_)
            | Self::Erc20Votes(_)
            | Self::Erc721(_)
            | Self::Erc1155BalanceOf(_)
            | Self::EthBalance(_)
            | Self::ContractCall(_) => self.into_chain_strategy(format).map(Strategy::OnChain),
        }
    }

    fn into_chain_strategy(self, format: Format) -> Result<ChainStrategy, WireError> {
        let contract = |text: &str| format.field("strategies.params.address", ContractAddress::from_checksummed(text));
        let decimals = |number| format.field("strategies.params.decimals", Decimals::new(number));
        let (network, read) = match self {
            Self::Erc20BalanceOf(TokenDto { network, address, decimals: number }) => {
                (network, ChainRead::Erc20BalanceOf { address: contract(&address)?, decimals: decimals(number)? })
            }
            Self::Erc20Votes(TokenDto { network, address, decimals: number }) => {
                (network, ChainRead::Erc20Votes { address: contract(&address)?, decimals: decimals(number)? })
            }
            Self::Erc721(CollectionDto { network, address }) => {
                (network, ChainRead::Erc721 { address: contract(&address)? })
            }
            Self::Erc1155BalanceOf(CollectionTokenDto { network, address, token_id, decimals: number }) => {
                let token_id = format.field("strategies.params.tokenId", token_id.parse())?;
                let (address, decimals) = (contract(&address)?, decimals(number)?);
                (network, ChainRead::Erc1155BalanceOf { address, token_id, decimals })
            }
            Self::EthBalance(NetworkDto { network }) => (network, ChainRead::EthBalance),
            Self::ContractCall(ContractCallDto { network, address, method, decimals: number }) => {
                let method = format.field("strategies.params.method", MethodName::new(method))?;
                let (address, decimals) = (contract(&address)?, decimals(number)?);
                (network, ChainRead::ContractCall { address, method, decimals })
            }
            Self::Whitelist(_) | Self::WhitelistWeighted(_) | Self::Ticket(_) | Self::Multichain(_) => {
                return Err(format.malformed("strategies.params.strategies: every one must read one chain"));
            }
        };
        Ok(ChainStrategy { network: format.field("strategies.params.network", network.parse())?, read })
    }
}

impl SnapshotDto {
    pub(super) fn of((chain, rule): (ChainId, SnapshotRule)) -> Self {
        Self {
            network: chain.to_string(),
            rule: match rule {
                SnapshotRule::Block(number) => SnapshotRuleDto::Block(number.0),
                SnapshotRule::AtOrBefore(time) => SnapshotRuleDto::AtOrBeforeMs(time.0),
            },
        }
    }
}

/// The rules by chain. Another order than the ascending one, and repeats, are left to the comparison with the canonical
/// bytes.
pub(super) fn read_snapshots(
    snapshots: Vec<SnapshotDto>,
    format: Format,
) -> Result<BTreeMap<ChainId, SnapshotRule>, WireError> {
    let rule = |SnapshotDto { network, rule }: SnapshotDto| {
        let rule = match rule {
            SnapshotRuleDto::Block(number) => SnapshotRule::Block(BlockNumber(number)),
            SnapshotRuleDto::AtOrBeforeMs(time_ms) => SnapshotRule::AtOrBefore(TimestampMs(time_ms)),
        };
        Ok((format.field("snapshots.network", network.parse())?, rule))
    };
    snapshots.into_iter().map(rule).collect()
}
