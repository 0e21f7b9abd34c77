//! Strategies that read a chain: which call is made, and what power its answer is. Pure: nothing here asks a chain.

use std::{fmt, str::FromStr};

use alloy_primitives::{U256, keccak256};
use thiserror::Error;

use crate::{
    chain::{ChainId, ContractAddress},
    id::Voter,
    power::{POWER_DECIMALS, Power},
};

/// A read of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainStrategy {
    /// Snapshot's `network`: the chain that is read, at its pin.
    pub network: ChainId,
    /// What is read.
    pub read: ChainRead,
}

/// What is read of a chain for a voter: one unsigned integer of 256 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainRead {
    /// Snapshot's `erc20-balance-of`: `balanceOf(voter)`.
    Erc20BalanceOf {
        /// The token.
        address: ContractAddress,
        /// The token's decimals.
        decimals: Decimals,
    },
    /// Snapshot's `erc20-votes`: `getVotes(voter)`, what was delegated to the voter. `getPastVotes` of the pinned block
    /// itself would revert.
    Erc20Votes {
        /// The token.
        address: ContractAddress,
        /// The token's decimals.
        decimals: Decimals,
    },
    /// Snapshot's `erc721`: `balanceOf(voter)`, 1 for each token.
    Erc721 {
        /// The collection.
        address: ContractAddress,
    },
    /// Snapshot's `erc1155-balance-of`: `balanceOf(voter, tokenId)`.
    Erc1155BalanceOf {
        /// The collection.
        address: ContractAddress,
        /// Which token of it.
        token_id: TokenId,
        /// The token's decimals.
        decimals: Decimals,
    },
    /// Snapshot's `eth-balance`: the native balance, of 18 decimals.
    EthBalance,
    /// Snapshot's `contract-call` with one argument: `method(voter)`.
    ContractCall {
        /// The contract.
        address: ContractAddress,
        /// The function.
        method: MethodName,
        /// Decimals of what it returns.
        decimals: Decimals,
    },
}

/// Which token of an ERC-1155 collection. Its text is decimal, as Snapshot writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId(pub U256);

/// A text that is not a token's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be a number below 2^256 in decimal digits")]
pub struct TokenIdError;

/// How many digits of an integer stand after the point, 0 to [`Decimals::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimals(u8);

/// More decimals than a 256-bit integer has digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be 0 to {}", Decimals::MAX)]
pub struct DecimalsError;

/// A Solidity function's name, of which the call's selector is the hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MethodName(String);

/// A text that no function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "must be a Solidity function's name of at most {} letters, digits, _ and $, not beginning with a digit",
    MethodName::BYTES_MAX
)]
pub struct MethodNameError;

/// First four bytes of keccak256(`balanceOf(address)`), of ERC-20 and ERC-721.
const BALANCE_OF: [u8; 4] = [0x70, 0xa0, 0x82, 0x31];
/// First four bytes of keccak256(`getVotes(address)`) (OpenZeppelin's `IVotes`, ERC-5805).
const GET_VOTES: [u8; 4] = [0x9a, 0xb2, 0x4e, 0xb0];
/// First four bytes of keccak256(`balanceOf(address,uint256)`), of ERC-1155.
const BALANCE_OF_ID: [u8; 4] = [0x00, 0xfd, 0xd5, 0x8e];

impl ChainRead {
    /// Snapshot's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Erc20BalanceOf { .. } => "erc20-balance-of",
            Self::Erc20Votes { .. } => "erc20-votes",
            Self::Erc721 { .. } => "erc721",
            Self::Erc1155BalanceOf { .. } => "erc1155-balance-of",
            Self::EthBalance => "eth-balance",
            Self::ContractCall { .. } => "contract-call",
        }
    }

    /// The contract that is called; `None` for the native balance, which no contract holds.
    pub const fn contract(&self) -> Option<ContractAddress> {
        match self {
            Self::Erc20BalanceOf { address, .. }
            | Self::Erc20Votes { address, .. }
            | Self::Erc721 { address }
            | Self::Erc1155BalanceOf { address, .. }
            | Self::ContractCall { address, .. } => Some(*address),
            Self::EthBalance => None,
        }
    }

    /// How many decimals the integer has that is read.
    pub const fn decimals(&self) -> Decimals {
        match self {
            Self::Erc20BalanceOf { decimals, .. }
            | Self::Erc20Votes { decimals, .. }
            | Self::Erc1155BalanceOf { decimals, .. }
            | Self::ContractCall { decimals, .. } => *decimals,
            Self::Erc721 { .. } => Decimals::NONE,
            Self::EthBalance => Decimals::OF_POWER,
        }
    }

    /// The contract and the call's bytes (Solidity's ABI); `None` for the native balance.
    pub fn calldata(&self, voter: Voter) -> Option<(ContractAddress, Vec<u8>)> {
        let address = self.contract()?;
        let (selector, token_id) = match self {
            Self::Erc20BalanceOf { .. } | Self::Erc721 { .. } => (BALANCE_OF, None),
            Self::Erc20Votes { .. } => (GET_VOTES, None),
            Self::Erc1155BalanceOf { token_id, .. } => (BALANCE_OF_ID, Some(token_id)),
            Self::ContractCall { method, .. } => (method.selector(), None),
            Self::EthBalance => return None,
        };
        let mut bytes = Vec::with_capacity(68);
        bytes.extend_from_slice(&selector);
        bytes.extend_from_slice(&[0; 12]);
        bytes.extend_from_slice(voter.as_bytes());
        bytes.extend(token_id.iter().flat_map(|id| id.0.to_be_bytes::<32>()));
        Some((address, bytes))
    }

    /// The power that the integer read is: exact, but rounded down where it has more than 18 decimals. `None` at 2^192
    /// units or above.
    pub fn power(&self, raw: U256) -> Option<Power> {
        self.decimals().power(raw)
    }
}

impl Decimals {
    /// The most: 10^77 is the highest power of ten below 2^256, and a token with more decimals could not hold one whole.
    pub const MAX: u8 = 77;

    /// A whole number.
    pub const NONE: Self = Self(0);

    /// Those of a power.
    const OF_POWER: Self = Self(18);

    /// This many decimals.
    pub const fn new(decimals: u8) -> Result<Self, DecimalsError> {
        if decimals <= Self::MAX { Ok(Self(decimals)) } else { Err(DecimalsError) }
    }

    /// How many.
    pub const fn get(self) -> u8 {
        self.0
    }

    fn power(self, raw: U256) -> Option<Power> {
        let decimals = usize::from(self.0);
        let power_of_ten = |exponent: usize| {
            U256::from(10).checked_pow(U256::from(exponent)).expect("the exponent is at most 77, and 10^77 < 2^256")
        };
        let units = match POWER_DECIMALS.checked_sub(decimals) {
            Some(missing) => raw.checked_mul(power_of_ten(missing))?,
            None => {
                let surplus = decimals.saturating_sub(POWER_DECIMALS);
                raw.checked_div(power_of_ten(surplus)).expect("a power of ten is not 0")
            }
        };
        Power::from_units(units).ok()
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for TokenId {
    type Err = TokenIdError;

    /// Strict: decimal digits without surplus leading zeros, so that one id has one text.
    fn from_str(text: &str) -> Result<Self, TokenIdError> {
        let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_decimal || (text.len() > 1 && text.starts_with('0')) {
            return Err(TokenIdError);
        }
        U256::from_str_radix(text, 10).map(Self).map_err(|_| TokenIdError)
    }
}

impl MethodName {
    /// Longest name: above every one in use, and a line of the definition.
    pub const BYTES_MAX: usize = 64;

    /// A Solidity identifier.
    pub fn new(name: impl Into<String>) -> Result<Self, MethodNameError> {
        let name = name.into();
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$';
        let begins_well = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if begins_well && name.len() <= Self::BYTES_MAX && name.bytes().all(is_letter) {
            Ok(Self(name))
        } else {
            Err(MethodNameError)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first four bytes of keccak256(`name(address)`).
    pub fn selector(&self) -> [u8; 4] {
        let hash = keccak256(format!("{}(address)", self.0));
        *hash.first_chunk().expect("a hash has 32 bytes")
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Uint, hex};
    use proptest::prelude::*;

    use super::*;

    const TOKEN: ContractAddress = ContractAddress::new([0xc0; 20]);
    const VOTER: Voter = Voter::new([0xaa; 20]);

    fn decimals(number: u8) -> Decimals {
        Decimals::new(number).unwrap()
    }

    fn call(method: &str) -> ChainRead {
        ChainRead::ContractCall { address: TOKEN, method: MethodName::new(method).unwrap(), decimals: decimals(0) }
    }

    #[test]
    fn selectors_are_the_heads_of_the_signatures_hashes() {
        for (signature, selector) in [
            ("balanceOf(address)", BALANCE_OF),
            ("getVotes(address)", GET_VOTES),
            ("balanceOf(address,uint256)", BALANCE_OF_ID),
        ] {
            assert_eq!(keccak256(signature)[..4], selector, "{signature}");
        }
        assert_eq!(MethodName::new("getVotes").unwrap().selector(), GET_VOTES);
    }

    #[test]
    fn calls_are_those_of_soliditys_abi() {
        let erc20 = ChainRead::Erc20BalanceOf { address: TOKEN, decimals: decimals(6) };
        let erc1155 = ChainRead::Erc1155BalanceOf {
            address: TOKEN,
            token_id: TokenId(U256::from(0x0102)),
            decimals: decimals(0),
        };
        let voter = format!("{}{}", "00".repeat(12), "aa".repeat(20));
        for (read, expected) in [
            (erc20, format!("70a08231{voter}")),
            (ChainRead::Erc20Votes { address: TOKEN, decimals: decimals(18) }, format!("9ab24eb0{voter}")),
            (ChainRead::Erc721 { address: TOKEN }, format!("70a08231{voter}")),
            (erc1155, format!("00fdd58e{voter}{}0102", "00".repeat(30))),
            (call("balanceOf"), format!("70a08231{voter}")),
        ] {
            let (contract, bytes) = read.calldata(VOTER).unwrap();
            assert_eq!((contract, hex::encode(bytes)), (TOKEN, expected), "{}", read.name());
        }
        assert_eq!(ChainRead::EthBalance.calldata(VOTER), None);
    }

    #[test]
    fn power_is_exact_up_to_18_decimals_and_rounded_down_beyond() {
        let power = |number, raw: u64| decimals(number).power(U256::from(raw)).map(|power| power.to_string());
        let check = |number, raw, expected: &str| assert_eq!(power(number, raw).as_deref(), Some(expected));
        check(0, 12, "12");
        check(6, 1_500_001, "1.500001");
        check(18, 1, "0.000000000000000001");
        check(24, 1_999_999, "0.000000000000000001");
        check(24, 999_999, "0");
        check(77, u64::MAX, "0");
        assert_eq!(ChainRead::EthBalance.power(U256::from(10_u64.pow(18))), Some(Power::ONE));
        assert_eq!(ChainRead::Erc721 { address: TOKEN }.power(U256::ONE), Some(Power::ONE));
    }

    #[test]
    fn power_has_its_bound() {
        let bound = Power::max().units();
        assert_eq!(decimals(18).power(bound), Some(Power::max()));
        assert_eq!(decimals(18).power(bound.checked_add(U256::ONE).unwrap()), None);
        assert_eq!(decimals(0).power(U256::MAX), None, "-1 of a signed integer is no power");
        assert!(decimals(77).power(U256::MAX).is_some());
    }

    #[test]
    fn decimals_and_names_have_bounds() {
        assert_eq!(Decimals::new(78), Err(DecimalsError));
        assert_eq!(DecimalsError.to_string(), "must be 0 to 77");
        for name in ["f", "_", "$x9", &"m".repeat(64)] {
            assert_eq!(MethodName::new(name).unwrap().to_string(), name);
        }
        for name in ["", "9f", "f()", "f(address)", "f g", "é", &"m".repeat(65)] {
            assert_eq!(MethodName::new(name), Err(MethodNameError), "{name}");
        }
    }

    #[test]
    fn a_token_has_one_text() {
        for text in ["0", "7", &U256::MAX.to_string()] {
            assert_eq!(text.parse::<TokenId>().unwrap().to_string(), text);
        }
        for text in ["", "07", "0x7", "+7", "-7", "7.0", " 7", "1_000", "٧", &format!("{}0", U256::MAX)] {
            assert_eq!(text.parse::<TokenId>(), Err(TokenIdError), "{text}");
        }
    }

    proptest! {
        /// Against the same in 1024 bits, where nothing overflows.
        #[test]
        fn power_is_the_integer_moved_by_its_decimals(bytes: [u8; 32], shift in 0_usize..256, number in 0_u8..=77) {
            type Wide = Uint<1024, 16>;
            let raw = U256::from_be_bytes(bytes).wrapping_shr(shift);
            let ten = |exponent: u8| Wide::from(10).pow(Wide::from(exponent));
            let scaled = Wide::from(raw).checked_mul(ten(18)).expect("332 bits");
            let units = scaled.checked_div(ten(number)).expect("a power of ten");
            let expected = (units.bit_len() <= 192).then(|| Power::from_units(units.to::<U256>()).unwrap());
            prop_assert_eq!(decimals(number).power(raw), expected);
        }
    }
}
