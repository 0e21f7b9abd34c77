//! Whose contracts sign: the chain that the resource states, or the first that its strategies read.

use pnyx_core::{chain::ChainId, proposal::Strategy};

use super::{Problems, chains::network};
use crate::SignersSpec;

/// The chain that the resource states, if it states one.
pub(super) struct StatedSigners(Option<ChainId>);

/// The stated chain, or nothing after noting that it is none.
pub(super) fn read(spec: Option<&SignersSpec>, problems: &mut Problems) -> Option<StatedSigners> {
    let Some(SignersSpec { chain }) = spec else { return Some(StatedSigners(None)) };
    problems.keep("spec.signers.chain", network(chain)).map(|chain| StatedSigners(Some(chain)))
}

impl StatedSigners {
    /// The stated chain, otherwise that of the first strategy that reads one; `None` where only keys sign.
    pub(super) fn or_default(self, strategies: &[Strategy]) -> Option<ChainId> {
        let first_read = || strategies.iter().flat_map(Strategy::chain_strategies).map(|read| read.network).next();
        self.0.or_else(first_read)
    }
}
