//! How a proposal of version v1alpha1 says what power voters have: lists of its own, and reads of chains.

use std::collections::BTreeMap;

use pnyx_core::proposal::{
    CHAINS_MAX, Decimals, LISTED_VOTERS_MAX, MULTICHAIN_STRATEGIES_MAX, MethodName, STRATEGIES_MAX,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest power: 40 digits, a point and 18 digits. Every text here has a bound, or rules over it would cost too much.
pub(crate) const POWER_BYTES_MAX: usize = 59;

/// How a voter's power is found.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PowerSpec {
    /// A voter's power is the sum over these.
    #[schemars(length(min = 1, max = STRATEGIES_MAX))]
    pub strategies: Vec<StrategySpec>,
    /// At which block each chain is read that the strategies or signers name. A chain that is not listed is read at the last
    /// block at or before window.opensAt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = CHAINS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["network"])
    )]
    pub snapshot: Vec<SnapshotSpec>,
}

/// The block at which one chain is read: exactly one of block and atOrBefore is set. It is read once it is finalized.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.block) != has(self.atOrBefore)",
    "message": "exactly one of block and atOrBefore must be set"
}]))]
pub struct SnapshotSpec {
    /// The chain's id in decimal digits, "1" for Ethereum.
    #[schemars(length(max = 20), regex(pattern = r"^[1-9][0-9]{0,19}$"))]
    pub network: String,
    /// The number of the block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub block: Option<i64>,
    /// The last block whose timestamp is not after this time, RFC 3339, at latest window.closesAt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub at_or_before: Option<String>,
}

/// One way to find a voter's power: exactly one member is set. Names and parameters are Snapshot's.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.whitelist), has(self.whitelistWeighted), has(self.ticket), has(self.erc20BalanceOf), \
             has(self.erc20Votes), has(self.erc721), has(self.erc1155BalanceOf), has(self.ethBalance), \
             has(self.contractCall), has(self.multichain)].exists_one(is_set, is_set)",
    "message": "exactly one of whitelist, whitelistWeighted, ticket, erc20BalanceOf, erc20Votes, erc721, \
                erc1155BalanceOf, ethBalance, contractCall and multichain must be set"
}]))]
pub struct StrategySpec {
    /// Each listed address has 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whitelist: Option<WhitelistSpec>,
    /// Each listed address has the power beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whitelist_weighted: Option<WhitelistWeightedSpec>,
    /// Every address has the same power.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketSpec>,
    /// The balance of an ERC-20 token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erc20_balance_of: Option<TokenSpec>,
    /// The votes of an ERC-20 token that were delegated to the voter (getVotes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erc20_votes: Option<TokenSpec>,
    /// 1 for each token of an ERC-721 collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erc721: Option<CollectionSpec>,
    /// The balance of one token of an ERC-1155 collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erc1155_balance_of: Option<CollectionTokenSpec>,
    /// The balance in the chain's own currency, in units of 10^18.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eth_balance: Option<NativeSpec>,
    /// What a function of a contract says of the voter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_call: Option<ContractCallSpec>,
    /// The sum of reads of several chains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multichain: Option<MultichainSpec>,
}

/// Addresses that have 1 each.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WhitelistSpec {
    /// Addresses, with their EIP-55 checksum or all in lower case.
    #[schemars(length(max = LISTED_VOTERS_MAX), inner(length(max = 42)), extend("x-kubernetes-list-type" = "set"))]
    pub addresses: Vec<String>,
}

/// Addresses with their power.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WhitelistWeightedSpec {
    /// Power by address: decimal strings such as "12.5".
    #[schemars(extend(
        "maxProperties" = LISTED_VOTERS_MAX,
        "additionalProperties" = {"type": "string", "maxLength": POWER_BYTES_MAX}
    ))]
    pub addresses: BTreeMap<String, String>,
}

/// The same power for everyone.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TicketSpec {
    /// The power: a decimal string such as "1".
    #[schemars(length(max = POWER_BYTES_MAX), regex(pattern = r"^(0|[1-9][0-9]{0,39})(\.[0-9]{1,18})?$"))]
    pub value: String,
}

/// One read of a chain: exactly one member is set.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.erc20BalanceOf), has(self.erc20Votes), has(self.erc721), has(self.erc1155BalanceOf), \
             has(self.ethBalance), has(self.contractCall)].exists_one(is_set, is_set)",
    "message": "exactly one of erc20BalanceOf, erc20Votes, erc721, erc1155BalanceOf, ethBalance and contractCall \
                must be set"
}]))]
pub struct ChainStrategySpec {
    /// The balance of an ERC-20 token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erc20_balance_of: Option<TokenSpec>,
    /// The votes of an ERC-20 token that were delegated to the voter (getVotes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erc20_votes: Option<TokenSpec>,
    /// 1 for each token of an ERC-721 collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erc721: Option<CollectionSpec>,
    /// The balance of one token of an ERC-1155 collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erc1155_balance_of: Option<CollectionTokenSpec>,
    /// The balance in the chain's own currency, in units of 10^18.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eth_balance: Option<NativeSpec>,
    /// What a function of a contract says of the voter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_call: Option<ContractCallSpec>,
}

/// An ERC-20 token.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TokenSpec {
    /// The chain's id in decimal digits, "1" for Ethereum.
    #[schemars(length(max = 20), regex(pattern = r"^[1-9][0-9]{0,19}$"))]
    pub network: String,
    /// The token's contract, with its EIP-55 checksum or all in lower case.
    #[schemars(length(max = 42), regex(pattern = r"^0x[0-9a-fA-F]{40}$"))]
    pub address: String,
    /// The token's decimals. Of more than 18 the power is rounded down to 18.
    #[schemars(range(min = 0, max = Decimals::MAX))]
    pub decimals: i64,
}

/// An ERC-721 collection.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CollectionSpec {
    /// The chain's id in decimal digits, "1" for Ethereum.
    #[schemars(length(max = 20), regex(pattern = r"^[1-9][0-9]{0,19}$"))]
    pub network: String,
    /// The collection's contract, with its EIP-55 checksum or all in lower case.
    #[schemars(length(max = 42), regex(pattern = r"^0x[0-9a-fA-F]{40}$"))]
    pub address: String,
}

/// One token of an ERC-1155 collection.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CollectionTokenSpec {
    /// The chain's id in decimal digits, "1" for Ethereum.
    #[schemars(length(max = 20), regex(pattern = r"^[1-9][0-9]{0,19}$"))]
    pub network: String,
    /// The collection's contract, with its EIP-55 checksum or all in lower case.
    #[schemars(length(max = 42), regex(pattern = r"^0x[0-9a-fA-F]{40}$"))]
    pub address: String,
    /// The token's id, a number of up to 256 bits in decimal digits.
    #[schemars(length(max = 78), regex(pattern = r"^(0|[1-9][0-9]{0,77})$"))]
    pub token_id: String,
    /// The token's decimals. Of more than 18 the power is rounded down to 18.
    #[schemars(range(min = 0, max = Decimals::MAX))]
    pub decimals: i64,
}

/// A chain's own currency.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NativeSpec {
    /// The chain's id in decimal digits, "1" for Ethereum.
    #[schemars(length(max = 20), regex(pattern = r"^[1-9][0-9]{0,19}$"))]
    pub network: String,
}

/// A function of a contract that takes one address, the voter's, and returns one unsigned integer.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ContractCallSpec {
    /// The chain's id in decimal digits, "1" for Ethereum.
    #[schemars(length(max = 20), regex(pattern = r"^[1-9][0-9]{0,19}$"))]
    pub network: String,
    /// The contract, with its EIP-55 checksum or all in lower case.
    #[schemars(length(max = 42), regex(pattern = r"^0x[0-9a-fA-F]{40}$"))]
    pub address: String,
    /// The function's name, such as "stakedOf" for stakedOf(address).
    #[schemars(length(min = 1, max = MethodName::BYTES_MAX), regex(pattern = r"^[a-zA-Z_$][a-zA-Z0-9_$]*$"))]
    pub method: String,
    /// Decimals of what it returns. Of more than 18 the power is rounded down to 18.
    #[schemars(range(min = 0, max = Decimals::MAX))]
    pub decimals: i64,
}

/// Reads of several chains.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MultichainSpec {
    /// The strategy's power is the sum over these.
    #[schemars(length(min = 1, max = MULTICHAIN_STRATEGIES_MAX))]
    pub strategies: Vec<ChainStrategySpec>,
}
