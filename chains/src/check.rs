//! Whether a proposal's strategies can answer at all, before anybody votes on it.

use pnyx_core::id::Voter;
use thiserror::Error;

use crate::{
    chain::ChainError,
    powers::{ChainPower, Part},
    reads::Raw,
};

/// An account that holds nothing, for trying a strategy: not zero, which tokens refuse to be asked about.
const NOBODY: Voter = Voter::new([
    0x70, 0x6e, 0x79, 0x78, 0x20, 0x61, 0x73, 0x6b, 0x73, 0x20, 0x66, 0x6f, 0x72, 0x20, 0x6e, 0x6f, 0x62, 0x6f, 0x64,
    0x79,
]);

/// Why a strategy can never give anybody power, at the proposal's pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NeverAnswers {
    /// There is no contract.
    #[error("there is no contract at its address")]
    NoContract,
    /// The function fails for an account that holds nothing.
    #[error(
        "its function fails for an account without holdings, so it does not exist or is not what the strategy needs"
    )]
    Reverts,
    /// The function gives something else.
    #[error("its function does not return one integer of 32 bytes")]
    OtherShape,
}

/// What is known of a proposal's strategies.
#[derive(Debug, Error)]
pub enum CheckError {
    /// A strategy can never answer.
    #[error("{}, block {block} of chain {chain}: {never}", path(.strategy, .position))]
    Never {
        /// The strategy's place in the proposal, from 0.
        strategy: usize,
        /// The read's place in it, for a multichain one.
        position: Option<usize>,
        /// The block's number.
        block: u64,
        /// The chain.
        chain: u64,
        /// Why.
        never: NeverAnswers,
    },
    /// It could not be found out now.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl ChainPower {
    /// Whether each strategy can answer. Tries one account that holds nothing: at the pins the answer is the same for
    /// ever.
    pub async fn can_answer(&self) -> Result<(), CheckError> {
        for part in self.parts() {
            if let Some(never) = never_answers(part).await? {
                let siblings = self.parts().iter().filter(|other| other.strategy == part.strategy).count();
                return Err(CheckError::Never {
                    strategy: part.strategy,
                    position: (siblings > 1).then_some(part.position),
                    block: part.pin.number.0,
                    chain: part.pin.chain.get(),
                    never,
                });
            }
        }
        Ok(())
    }
}

/// Where a strategy stands in the resource.
fn path(strategy: &usize, position: &Option<usize>) -> String {
    let inner = position.map(|position| format!(".multichain.strategies[{position}]")).unwrap_or_default();
    format!("strategies[{strategy}]{inner}")
}

async fn never_answers(part: &Part) -> Result<Option<NeverAnswers>, ChainError> {
    let Part { read, chain, pin, .. } = part;
    if let Some(contract) = read.contract()
        && chain.code(contract, pin).await?.is_empty()
    {
        return Ok(Some(NeverAnswers::NoContract));
    }
    Ok(match chain.read_alone(pin, read, NOBODY).await? {
        Raw::Integer(_) => None,
        Raw::Reverts => Some(NeverAnswers::Reverts),
        Raw::OtherShape => Some(NeverAnswers::OtherShape),
    })
}
