//! Accounts whose signatures contracts check: our own wallets, and accounts that delegate.

use alloy_primitives::Address;

use super::{Argument, Evm};
use crate::TestbedError;

/// What the code of an account that delegates begins with (EIP-7702).
const DESIGNATOR: [u8; 3] = [0xef, 0x01, 0x00];

/// How contract `OddWallet` answers whether a signature is its own, whatever the signature: its constructor takes this
/// and an address that matters to some kinds alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OddWallet {
    /// With yes.
    Not,
    /// With a revert and a reason.
    Reverts,
    /// With a revert that carries yes.
    RevertsWithMagic,
    /// With a revert that carries a megabyte.
    RevertsWithMegabyte,
    /// With no bytes.
    ReturnsNothing,
    /// With yes, but no zeros behind it.
    Returns4Bytes,
    /// With yes and one word more.
    Returns64Bytes,
    /// With yes and a one behind it instead of zeros.
    ReturnsMoreThanMagic,
    /// With the yes of ERC-1271's draft to ERC-1271's question.
    ReturnsOldMagic,
    /// With a megabyte that begins with yes.
    ReturnsMegabyte,
    /// By looping until all gas is gone.
    BurnsAllGas,
    /// With the invalid instruction, which takes all gas at once.
    HitsInvalid,
    /// With yes in even blocks and no in odd ones.
    AcceptsInEvenBlocks,
    /// With yes, after it has used five million gas.
    TakesGas,
    /// With yes if it has less than a million gas, else with no.
    AcceptsWithLittleGas,
    /// With yes if it has more than a million gas, else with a revert.
    AcceptsWithMuchGas,
    /// With yes if the address was looked at in the same transaction before, else with no.
    AcceptsIfNeighbourIsWarm,
    /// With yes if the address asks, else with no.
    AcceptsIfNeighbourAsks,
    /// With yes if the block has no miner, which nodes make up for a call.
    AcceptsWithoutMiner,
    /// With yes if the code of who asks has as many bytes as the address is a number.
    AcceptsIfCallersCodeIsAsLong,
    /// The same after half a million gas, so that it is asked alone.
    AcceptsSlowlyIfCallersCodeIsAsLong,
}

impl Evm {
    /// Lets an account delegate to a contract, in a block of its own, as its key could by EIP-7702.
    ///
    /// # Errors
    /// The node cannot be reached or answers with an error.
    pub fn delegate(&self, account: Address, contract: Address) -> Result<(), TestbedError> {
        self.place_code(account, &[DESIGNATOR.as_slice(), contract.as_slice()].concat())
    }
}

impl From<OddWallet> for Argument {
    fn from(odd: OddWallet) -> Self {
        let number: u64 = match odd {
            OddWallet::Not => 0,
            OddWallet::Reverts => 1,
            OddWallet::RevertsWithMagic => 2,
            OddWallet::RevertsWithMegabyte => 3,
            OddWallet::ReturnsNothing => 4,
            OddWallet::Returns4Bytes => 5,
            OddWallet::Returns64Bytes => 6,
            OddWallet::ReturnsMoreThanMagic => 7,
            OddWallet::ReturnsOldMagic => 8,
            OddWallet::ReturnsMegabyte => 9,
            OddWallet::BurnsAllGas => 10,
            OddWallet::HitsInvalid => 11,
            OddWallet::AcceptsInEvenBlocks => 12,
            OddWallet::TakesGas => 13,
            OddWallet::AcceptsWithLittleGas => 14,
            OddWallet::AcceptsWithMuchGas => 15,
            OddWallet::AcceptsIfNeighbourIsWarm => 16,
            OddWallet::AcceptsIfNeighbourAsks => 17,
            OddWallet::AcceptsWithoutMiner => 18,
            OddWallet::AcceptsIfCallersCodeIsAsLong => 19,
            OddWallet::AcceptsSlowlyIfCallersCodeIsAsLong => 20,
        };
        number.into()
    }
}
