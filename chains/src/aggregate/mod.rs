//! Many look-ups, or many checks of signatures, in one `eth_call`, by init code of ours.

mod assembler;
mod checks;
mod frame;
mod program;
mod size;
#[cfg(test)]
mod tests;

use alloy_primitives::U256;
use pnyx_core::{chain::Pin, id::Voter, proposal::ChainRead};

pub(crate) use self::{
    checks::{CHECKS_MAX, Call, Checked, fitting},
    program::LOOK_UPS_MAX,
    size::BatchSize,
};
use self::{
    frame::{CallGas, Company},
    program::{Header, SHORT},
};
use crate::{failure::Failure, rpc::Request};

/// Gas of a batch. Below 2^24, the most that a transaction may have since EIP-7825 and that some nodes hold calls to as
/// well.
const BATCH_GAS: u64 = 16_500_000;

/// Gas with which a contract is called first: twenty times what a token's balance costs behind two proxies, and what a
/// Safe with two owners needs. A call that uses half of it is not believed, but repeated with the full gas: wherever a
/// call runs out of gas, even deep inside where the failure is caught, nearly all of what it was given is gone (EIP-150
/// keeps back a 64th a level), so one that used less than half of it lacked nothing. Both numbers are part of the rules.
const FIRST_CALL_GAS: u64 = 600_000;
const FIRST_CALL_USED_MAX: u64 = FIRST_CALL_GAS / 2;

/// The full gas of a call. It is part of the rules: a call that needs more has no answer, for everybody and for ever.
pub const CALL_GAS: u64 = 10_000_000;

/// The gas of the call that an ERC-6492 wrapper names, before the check: a part of the rules. Enough to make any wallet
/// of the kinds there are; with the check behind it the whole stays below [`BATCH_GAS`].
pub const PREPARATION_GAS: u64 = 5_000_000;

/// What must be left for a call with [`CALL_GAS`], so that it gets all of it: a call passes on at most 63/64 of what is
/// left (EIP-150).
const FULL_CALL_GAS_GRANTED: u64 = CALL_GAS + CALL_GAS / 63 + 10_000;

/// What must be left at the end of a batch, so that each of its calls can have had its gas: each is made two calls deep,
/// and each level keeps a 64th.
const BATCH_GAS_LEFT: u64 = in_frame(FIRST_CALL_GAS + FIRST_CALL_GAS / 63 + 10_000);

/// What a program that asks one contract alone must find itself with: enough for both of its calls.
const ALONE_GAS_GRANTED: u64 = in_frame(FIRST_CALL_GAS + FIRST_CALL_GAS / 63 + FULL_CALL_GAS_GRANTED);

/// What a program that prepares before it checks must find itself with.
const PREPARED_GAS_GRANTED: u64 = in_frame(PREPARATION_GAS + PREPARATION_GAS / 63 + FULL_CALL_GAS_GRANTED);

/// What a call costs beside the program's own work: the transaction, and up to 10,000 bytes of calldata, which is a
/// signature with all that belongs to it.
const LONG_CALL_GAS: u64 = 400_000;

/// What a program must have so that a frame gets this much: a 64th is kept back, and the frame itself has to be made.
const fn in_frame(gas: u64) -> u64 {
    gas + gas / 63 + 200_000
}

/// The same read for several voters.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// What is read.
    pub read: &'a ChainRead,
    /// For whom.
    pub voters: &'a [Voter],
}

/// What is looked up about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookUp<'a> {
    /// What a strategy reads.
    Read(&'a ChainRead),
    /// The length of its code: 0 for an account that only its key controls.
    CodeSize,
}

/// The same look-up for several accounts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) what: LookUp<'a>,
    pub(crate) voters: &'a [Voter],
}

/// What one look-up gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The 32 bytes that were returned.
    Integer(U256),
    /// It failed: reverted, ran out of gas, did what no contract may.
    Failed,
    /// It returned something else than 32 bytes.
    OtherShape,
}

impl Row<'_> {
    /// Whether a contract has to be called.
    pub(crate) fn calls(&self) -> bool {
        match self.what {
            LookUp::Read(read) => read.contract().is_some(),
            LookUp::CodeSize => false,
        }
    }
}

impl<'a> From<Run<'a>> for Row<'a> {
    fn from(run: Run<'a>) -> Self {
        Self { what: LookUp::Read(run.read), voters: run.voters }
    }
}

/// The call that answers `rows` at the pin.
pub(crate) fn batch(rows: &[Row<'_>], pin: &Pin) -> Request {
    Request::call(&program::assemble(rows, CallGas::RULES, Company::Others), BATCH_GAS, pin, true)
}

/// Reads the answer to [`batch`] with `count` look-ups; `None` for one that must be repeated alone.
pub(crate) fn read_batch(answer: &[u8], count: usize, pin: &Pin) -> Result<Vec<Option<Entry>>, Failure> {
    let (header, entries) = program::read(answer, count, pin)?;
    if header.gas_at_end < BATCH_GAS_LEFT { Err(Failure::Starved) } else { Ok(entries) }
}

/// The call that looks up one account alone: first with the gas that it has in a batch, then with the full gas.
pub(crate) fn alone(what: LookUp<'_>, voter: Voter, pin: &Pin) -> Request {
    let row = Row { what, voters: &[voter] };
    Request::call(
        &program::assemble(&[row], CallGas::RULES, Company::Nobody),
        ALONE_GAS_GRANTED + LONG_CALL_GAS,
        pin,
        false,
    )
}

/// Reads the answer to [`alone`]. What it says is a fact only because the call demonstrably had its gas, at the pin.
pub(crate) fn read_alone(answer: &[u8], pin: &Pin) -> Result<Entry, Failure> {
    only(program::read(answer, 1, pin)?, ALONE_GAS_GRANTED)
}

/// The call that makes `calls`, each for itself.
pub(crate) fn check_batch(calls: &[Call], pin: &Pin) -> Request {
    Request::call(&checks::assemble(calls, Company::Others), BATCH_GAS, pin, true)
}

/// Reads the answer to [`check_batch`] with `count` calls; `None` for one that must be repeated alone.
pub(crate) fn read_check_batch(answer: &[u8], count: usize, pin: &Pin) -> Result<Vec<Option<Checked>>, Failure> {
    let (header, checked) = checks::read(answer, count, pin)?;
    if header.gas_at_end < BATCH_GAS_LEFT { Err(Failure::Starved) } else { Ok(checked) }
}

/// The call that makes one call of a check alone: first with the gas that it has in a batch, then with the full gas.
pub(crate) fn check_alone(call: &Call, pin: &Pin) -> Request {
    let program = checks::assemble(std::slice::from_ref(call), Company::Nobody);
    Request::call(&program, ALONE_GAS_GRANTED + LONG_CALL_GAS, pin, false)
}

/// Reads the answer to [`check_alone`].
pub(crate) fn read_check_alone(answer: &[u8], pin: &Pin) -> Result<Checked, Failure> {
    only(checks::read(answer, 1, pin)?, ALONE_GAS_GRANTED)
}

/// The call that makes a preparing call, which may change the state, and then one call of a check.
pub(crate) fn check_prepared(preparation: &Call, call: &Call, pin: &Pin) -> Request {
    Request::call(&checks::assemble_prepared(preparation, call), PREPARED_GAS_GRANTED + LONG_CALL_GAS, pin, false)
}

/// Reads the answer to [`check_prepared`].
pub(crate) fn read_check_prepared(answer: &[u8], pin: &Pin) -> Result<Checked, Failure> {
    only(checks::read(answer, 1, pin)?, PREPARED_GAS_GRANTED)
}

/// The one entry of an answer, if the program had this much gas.
fn only<T: Copy>((header, entries): (Header, Vec<Option<T>>), gas_granted: u64) -> Result<T, Failure> {
    let clamped = Failure::GasClamped { granted: header.gas_at_start };
    match entries.as_slice() {
        _ if header.gas_at_start < gas_granted => Err(clamped),
        [Some(entry)] => Ok(*entry),
        [None] => Err(Failure::Malformed("a call with all its gas that is left open")),
        _ => Err(SHORT),
    }
}
