//! Arguments of contracts' functions in Solidity's encoding.

use alloy_primitives::{Address, B256, U256};

/// Bytes of a word.
const WORD_LEN: usize = 32;

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// `uint8` to `uint256`, `address`, `bool`, `bytes32`.
    Word(B256),
    /// `address[]`, `uint256[]`.
    Words(Vec<B256>),
    /// `bytes`, `string`.
    Bytes(Vec<u8>),
}

impl From<Address> for Argument {
    fn from(address: Address) -> Self {
        Self::Word(address.into_word())
    }
}

impl From<U256> for Argument {
    fn from(number: U256) -> Self {
        Self::Word(number.into())
    }
}

impl From<u64> for Argument {
    fn from(number: u64) -> Self {
        U256::from(number).into()
    }
}

impl From<&[Address]> for Argument {
    fn from(addresses: &[Address]) -> Self {
        Self::Words(addresses.iter().map(|address| address.into_word()).collect())
    }
}

impl From<&[U256]> for Argument {
    fn from(numbers: &[U256]) -> Self {
        Self::Words(numbers.iter().map(|number| B256::from(*number)).collect())
    }
}

/// The arguments of one call: words in their places, the rest behind, found by offsets.
pub(super) fn encode(arguments: &[Argument]) -> Vec<u8> {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    let head_len = arguments.len() * WORD_LEN;
    for argument in arguments {
        if !matches!(argument, Argument::Word(_)) {
            head.extend(word(head_len + tail.len()));
        }
        match argument {
            Argument::Word(value) => head.extend(value),
            Argument::Words(values) => {
                tail.extend(word(values.len()));
                tail.extend(values.iter().flatten());
            }
            Argument::Bytes(bytes) => {
                tail.extend(word(bytes.len()));
                tail.extend(bytes);
                tail.resize(tail.len().next_multiple_of(WORD_LEN), 0);
            }
        }
    }
    [head, tail].concat()
}

fn word(len: usize) -> B256 {
    U256::from(len).into()
}
