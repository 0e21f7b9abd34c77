//! What a chain says of many accounts at a pin: integers that strategies read, lengths of code.

use std::ops::Range;

use alloy_primitives::U256;
use pnyx_core::{chain::Pin, id::Voter, power::VoterPower, proposal::ChainRead};

use crate::{
    aggregate::{self, BatchSize, Entry, LOOK_UPS_MAX, LookUp, Row, Run},
    batches::Batched,
    chain::{Chain, ChainError},
    failure::Failure,
    metrics::BatchMetrics,
    rpc::Request,
};

/// What a chain says of one voter at the pin: a fact, the same for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw {
    /// The integer.
    Integer(U256),
    /// Alone and with the full gas ([`crate::CALL_GAS`]) the call fails.
    Reverts,
    /// The call returns something else than one integer.
    OtherShape,
}

impl Raw {
    /// The power that this is.
    pub fn power(self, read: &ChainRead) -> VoterPower {
        match self {
            Self::Integer(raw) => read.power(raw).map_or(VoterPower::Unavailable, VoterPower::Known),
            Self::Reverts | Self::OtherShape => VoterPower::Unavailable,
        }
    }
}

impl From<Entry> for Raw {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Integer(raw) => Self::Integer(raw),
            Entry::Failed => Self::Reverts,
            Entry::OtherShape => Self::OtherShape,
        }
    }
}

impl Chain {
    /// What the chain says at the pin for every run and voter, in their order. Facts only: whatever an endpoint fails
    /// at is an error.
    pub async fn read(&self, pin: &Pin, runs: &[Run<'_>]) -> Result<Vec<Vec<Raw>>, ChainError> {
        let rows: Vec<Row<'_>> = runs.iter().copied().map(Row::from).collect();
        let mut raws = self.facts(&LookUps::new(&rows, pin)).await?.into_iter();
        Ok(runs.iter().map(|run| raws.by_ref().take(run.voters.len()).collect()).collect())
    }

    /// What the chain says of one voter, asked alone with the full gas.
    pub async fn read_alone(&self, pin: &Pin, read: &ChainRead, voter: Voter) -> Result<Raw, ChainError> {
        let rows = [Row { what: LookUp::Read(read), voters: &[voter] }];
        self.fact(&LookUps::new(&rows, pin), 0).await
    }

    /// Whether each account has code at the pin: a contract's, or the designator of the one that it named (EIP-7702).
    pub(crate) async fn have_code(&self, pin: &Pin, accounts: &[Voter]) -> Result<Vec<bool>, ChainError> {
        let rows = [Row { what: LookUp::CodeSize, voters: accounts }];
        let sizes = self.facts(&LookUps::new(&rows, pin)).await?;
        Ok(sizes.into_iter().map(|size| size != Raw::Integer(U256::ZERO)).collect())
    }
}

/// The look-ups of all rows, numbered through.
#[derive(Clone, Copy)]
struct LookUps<'a> {
    rows: &'a [Row<'a>],
    count: usize,
    pin: &'a Pin,
}

impl<'a> LookUps<'a> {
    fn new(rows: &'a [Row<'a>], pin: &'a Pin) -> Self {
        Self { rows, count: rows.iter().map(|row| row.voters.len()).sum(), pin }
    }

    /// The part of the rows that these look-ups are.
    fn rows_of(&self, part: &Range<usize>) -> Vec<Row<'a>> {
        let mut rows = Vec::new();
        let mut first = 0;
        for row in self.rows {
            let end = first + row.voters.len();
            let (from, to) = (part.start.max(first), part.end.min(end));
            if from < to {
                rows.push(Row { what: row.what, voters: &row.voters[from - first..to - first] });
            }
            first = end;
        }
        rows
    }

    fn at(&self, index: usize) -> (LookUp<'a>, Voter) {
        let rows = self.rows_of(&(index..index + 1));
        let row = rows.first().expect("the number of a look-up is below their count");
        (row.what, row.voters[0])
    }
}

impl Batched for LookUps<'_> {
    type Fact = Raw;

    const IS_OF_VOTERS: bool = false;

    fn count(&self) -> usize {
        self.count
    }

    fn size<'a>(&self, chain: &'a Chain) -> &'a BatchSize {
        &chain.inner.look_ups_size
    }

    fn metrics<'a>(&self, chain: &'a Chain) -> &'a BatchMetrics {
        &chain.inner.metrics.look_ups
    }

    fn fitting(&self, part: Range<usize>) -> usize {
        // What no contract is called for looks at accounts without taking the traces back (EIP-2929): it has calls of its own,
        // or a contract could tell by its gas whether its voter was looked at before.
        let rows = self.rows_of(&(part.start..part.end.min(part.start.saturating_add(LOOK_UPS_MAX))));
        let calls = rows.first().is_some_and(Row::calls);
        rows.iter().take_while(|row| row.calls() == calls).map(|row| row.voters.len()).sum()
    }

    fn batch(&self, part: Range<usize>) -> Request {
        aggregate::batch(&self.rows_of(&part), self.pin)
    }

    fn read_batch(&self, answer: &[u8], count: usize) -> Result<Vec<Option<Raw>>, Failure> {
        let entries = aggregate::read_batch(answer, count, self.pin)?.into_iter();
        Ok(entries.map(|entry| entry.map(Raw::from)).collect())
    }

    fn alone(&self, index: usize) -> Request {
        let (what, voter) = self.at(index);
        aggregate::alone(what, voter, self.pin)
    }

    fn read_alone(&self, answer: &[u8]) -> Result<Raw, Failure> {
        aggregate::read_alone(answer, self.pin).map(Raw::from)
    }
}

#[cfg(test)]
mod tests {
    use pnyx_core::{
        chain::{BlockHash, BlockNumber, ChainId, ContractAddress},
        proposal::ChainRead,
    };

    use super::*;

    #[test]
    fn parts_are_cut_along_the_rows() {
        let reads = [ChainRead::EthBalance, ChainRead::Erc721 { address: ContractAddress::new([1; 20]) }];
        let voters: Vec<Voter> = (0..5).map(|byte| Voter::new([byte; 20])).collect();
        let rows = [
            Row { what: LookUp::Read(&reads[0]), voters: &voters },
            Row { what: LookUp::Read(&reads[1]), voters: &[] },
            Row { what: LookUp::CodeSize, voters: &voters[..3] },
        ];
        let pin = Pin {
            chain: ChainId::new(1).unwrap(),
            number: BlockNumber(7),
            hash: BlockHash::new([1; 32]),
            timestamp_s: 9,
        };
        let look_ups = LookUps::new(&rows, &pin);
        assert_eq!(look_ups.count, 8);
        for size in 1..=9 {
            let mut seen = Vec::new();
            for start in (0..8).step_by(size) {
                let part = start..(start + size).min(8);
                let cut = look_ups.rows_of(&part);
                assert_eq!(cut.iter().map(|row| row.voters.len()).sum::<usize>(), part.len());
                seen.extend(cut.iter().flat_map(|row| row.voters.iter().map(|voter| (row.what, *voter))));
            }
            let expected: Vec<_> = (0..8).map(|index| look_ups.at(index)).collect();
            assert_eq!(seen, expected, "{size}");
        }
        assert_eq!(look_ups.at(5), (LookUp::CodeSize, voters[0]));
        assert_eq!(look_ups.fitting(0..8), 8, "no contract is called");
        let mixed = [rows[0], Row { what: rows[1].what, voters: &voters[..2] }, rows[2]];
        let look_ups = LookUps::new(&mixed, &pin);
        let fitting = [0..10, 5..10, 6..10, 7..10].map(|part| look_ups.fitting(part));
        assert_eq!(fitting, [5, 2, 1, 3], "contracts that are called are by themselves");
    }
}
