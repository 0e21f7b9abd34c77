//! Many look-ups in one `eth_call`, by init code of ours.

mod assembler;
mod program;
mod size;
#[cfg(test)]
mod tests;

use alloy_primitives::U256;
use pnyx_core::{chain::Pin, id::Voter, proposal::ChainRead};

use self::program::CallGas;
pub(crate) use self::{program::LOOK_UPS_MAX, size::BatchSize};
use crate::{failure::Failure, rpc::Request};

/// Gas of a batch. Below 2^24, the most that a transaction may have since EIP-7825 and that some nodes hold calls to as
/// well.
const BATCH_GAS: u64 = 16_500_000;

/// Gas of a call within a batch: twenty times what a token's balance costs behind two proxies. A call that uses half of
/// it is not believed, but repeated alone: wherever a call runs out of gas, even deep inside where the failure is
/// caught, nearly all of what it was given is gone (EIP-150 keeps back a 64th a level), so one that used less than half
/// of it lacked nothing and would answer the same with more.
const BATCH_CALL_GAS: u64 = 600_000;
const BATCH_CALL_USED_MAX: u64 = BATCH_CALL_GAS / 2;

/// What must be left at the end of a batch, so that each of its calls can have had its gas.
const BATCH_GAS_LEFT: u64 = BATCH_CALL_GAS + BATCH_CALL_GAS / 63 + 10_000;

/// The full gas of a strategy's call. It is part of the rules: a call that needs more has no answer, for everybody and
/// for ever.
pub const STRATEGY_GAS: u64 = 10_000_000;

/// Gas of a look-up alone, so that its call can be given [`STRATEGY_GAS`] whole: a call passes on at most 63/64 of what
/// is left (EIP-150), beside the program's own cost and the transaction's.
const ALONE_GAS: u64 = ALONE_GAS_GRANTED + 150_000;

/// What such a program must find itself with.
const ALONE_GAS_GRANTED: u64 = STRATEGY_GAS + STRATEGY_GAS / 63 + 50_000;

/// The same read for several voters.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// What is read.
    pub read: &'a ChainRead,
    /// For whom.
    pub voters: &'a [Voter],
}

/// What one call of a batch gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The 32 bytes that were returned.
    Integer(U256),
    /// It failed: reverted, ran out of gas, did what no contract may. In a batch also: it used too much gas to be
    /// believed.
    Failed,
    /// It returned something else than 32 bytes.
    OtherShape,
}

/// The call that answers `runs` at the pin.
pub(crate) fn batch(runs: &[Run<'_>], pin: &Pin) -> Request {
    let call_gas = CallGas { gas: BATCH_CALL_GAS, used_max: Some(BATCH_CALL_USED_MAX) };
    Request::call(&program::assemble(runs, call_gas), BATCH_GAS, pin, true)
}

/// Reads the answer to [`batch`] with `count` look-ups.
pub(crate) fn read_batch(answer: &[u8], count: usize, pin: &Pin) -> Result<Vec<Entry>, Failure> {
    let (header, entries) = program::read(answer, count, pin)?;
    if header.gas_at_end < BATCH_GAS_LEFT { Err(Failure::Starved) } else { Ok(entries) }
}

/// The call that looks up one voter alone, with the full gas.
pub(crate) fn alone(read: &ChainRead, voter: Voter, pin: &Pin) -> Request {
    let run = Run { read, voters: &[voter] };
    let call_gas = CallGas { gas: STRATEGY_GAS, used_max: None };
    Request::call(&program::assemble(&[run], call_gas), ALONE_GAS, pin, false)
}

/// Reads the answer to [`alone`]. What it says is a fact only because the call demonstrably had its gas, at the pin.
pub(crate) fn read_alone(answer: &[u8], pin: &Pin) -> Result<Entry, Failure> {
    let (header, entries) = program::read(answer, 1, pin)?;
    match entries.as_slice() {
        _ if header.gas_at_start < ALONE_GAS_GRANTED => Err(Failure::GasClamped { granted: header.gas_at_start }),
        [entry] => Ok(*entry),
        _ => Err(Failure::Malformed("an aggregated answer of another length")),
    }
}
