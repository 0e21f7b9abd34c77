//! Who owns what, computed from what the contracts wrote down: the second opinion on every power.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, keccak256};

use super::{Evm, Log, rpc::bad};
use crate::TestbedError;

/// Bytes of a word.
const WORD_LEN: usize = 32;

/// Which numbers of which contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ledger {
    /// Balances of an ERC-20.
    Erc20(Address),
    /// Votes of an ERC-20: balances of those who delegated, given to whom they delegated.
    Erc20Votes(Address),
    /// Numbers of tokens of an ERC-721.
    Erc721(Address),
    /// Balances of one token of an ERC-1155.
    Erc1155 {
        /// The contract.
        contract: Address,
        /// The token.
        id: U256,
    },
    /// Powers that `Stakes` was told.
    Stakes(Address),
}

impl Evm {
    /// All numbers that are not zero, after a block.
    ///
    /// # Errors
    /// The node cannot be reached, or the events do not fit to each other: somebody would own less than nothing.
    pub fn balances_from_events(&self, ledger: Ledger, to_block: u64) -> Result<BTreeMap<Address, U256>, TestbedError> {
        let contract = match ledger {
            Ledger::Erc20(contract) | Ledger::Erc20Votes(contract) | Ledger::Erc721(contract) => contract,
            Ledger::Erc1155 { contract, id: _ } | Ledger::Stakes(contract) => contract,
        };
        let mut book = Book::default();
        for log in self.logs(contract, to_block)? {
            book.read(ledger, &log).ok_or_else(|| bad("eth_getLogs", &format!("events that do not fit: {log:?}")))?;
        }
        let mut balances = if let Ledger::Erc20Votes(_) = ledger { book.votes() } else { book.balances };
        balances.retain(|_, balance| !balance.is_zero());
        Ok(balances)
    }
}

#[derive(Debug, Default)]
struct Book {
    balances: BTreeMap<Address, U256>,
    delegates: BTreeMap<Address, Address>,
}

impl Book {
    fn read(&mut self, ledger: Ledger, log: &Log) -> Option<()> {
        let signature = *log.topics.first()?;
        let is = |text: &str| signature == keccak256(text);
        let party = |index: usize| log.topics.get(index).map(|topic| Address::from_word(*topic));
        match ledger {
            Ledger::Erc20(_) | Ledger::Erc20Votes(_) if is("Transfer(address,address,uint256)") => {
                self.transfer(party(1)?, party(2)?, word(&log.data, 0)?)
            }
            Ledger::Erc20Votes(_) if is("DelegateChanged(address,address,address)") => {
                self.delegates.insert(party(1)?, party(3)?);
                Some(())
            }
            Ledger::Erc721(_) if is("Transfer(address,address,uint256)") => {
                self.transfer(party(1)?, party(2)?, U256::ONE)
            }
            Ledger::Erc1155 { id, .. } if is("TransferSingle(address,address,address,uint256,uint256)") => {
                if word(&log.data, 0)? == id {
                    self.transfer(party(2)?, party(3)?, word(&log.data, 1)?)?;
                }
                Some(())
            }
            Ledger::Erc1155 { id, .. } if is("TransferBatch(address,address,address,uint256[],uint256[])") => {
                let (ids, values) = (array(&log.data, 0)?, array(&log.data, 1)?);
                for (_, value) in ids.into_iter().zip(values).filter(|(found, _)| *found == id) {
                    self.transfer(party(2)?, party(3)?, value)?;
                }
                Some(())
            }
            Ledger::Stakes(_) if is("PowerSet(address,uint256)") => {
                self.balances.insert(party(1)?, word(&log.data, 0)?);
                Some(())
            }
            // Approvals and the like move nothing.
            _ => Some(()),
        }
    }

    /// Moves a value; the zero address is where tokens come from and go to.
    fn transfer(&mut self, from: Address, to: Address, value: U256) -> Option<()> {
        if !from.is_zero() {
            let balance = self.balances.entry(from).or_default();
            *balance = balance.checked_sub(value)?;
        }
        if !to.is_zero() {
            let balance = self.balances.entry(to).or_default();
            *balance = balance.checked_add(value)?;
        }
        Some(())
    }

    fn votes(&self) -> BTreeMap<Address, U256> {
        let mut votes = BTreeMap::<Address, U256>::new();
        for (delegator, delegate) in self.delegates.iter().filter(|(_, delegate)| !delegate.is_zero()) {
            let balance = self.balances.get(delegator).copied().unwrap_or_default();
            let sum = votes.entry(*delegate).or_default();
            *sum = sum.saturating_add(balance);
        }
        votes
    }
}

/// The word of an index.
fn word(data: &[u8], index: usize) -> Option<U256> {
    let start = index.checked_mul(WORD_LEN)?;
    let bytes = data.get(start..start.checked_add(WORD_LEN)?)?;
    Some(B256::from_slice(bytes).into())
}

/// The array whose offset is the word of an index.
fn array(data: &[u8], index: usize) -> Option<Vec<U256>> {
    let start = usize::try_from(word(data, index)?).ok()? / WORD_LEN;
    let len = usize::try_from(word(data, start)?).ok()?;
    (1..=len).map(|offset| word(data, start + offset)).collect()
}
