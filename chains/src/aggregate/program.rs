//! Our own aggregation, for any chain and without a deployment: init code that is executed by a call without `to` and
//! whose "deployed code" is the answers.
//!
//! ```text
//! answer := 0x01 timestamp:32 chain id:32 gas at the start:32 gas at the end:32 entry…
//!           (its first byte must not be 0xEF, which EIP-3541 forbids)
//! entry  := flag:1 word:32
//!           flag 0 the call failed, or used so much of its gas that with more it might have answered otherwise,
//!                1 it returned another length than 32 bytes, 2 the word is the integer
//! ```
//! Timestamp and chain id prove that the endpoint executed the call where it was told to; the gas says what it granted.
//! Each inner call gets exactly the gas that the program names for it, so that one that burns gas cannot spoil the
//! others, and what it gives is what it would give alone.

use alloy_primitives::U256;
use pnyx_core::{chain::Pin, id::Voter};

use super::{
    Entry, Run,
    assembler::{Assembler, Label, Op},
};
use crate::failure::Failure;

/// Most look-ups of a program: its answer is "deployed code", which may have 24,576 bytes (EIP-170).
pub(crate) const LOOK_UPS_MAX: usize = (24_576 - HEADER_LEN) / ENTRY_LEN;

/// The first byte of an answer.
const MARKER: u8 = 1;

/// Marker, timestamp, chain id, gas at the start, gas at the end.
const HEADER_LEN: usize = 1 + 4 * 32;

/// Flag and word.
const ENTRY_LEN: usize = 1 + 32;

/// Where the call's bytes are made in memory: selector, voter, at most one more word.
const INPUT: u64 = 0;

/// Where a voter's 20 bytes stand in them: after the selector and 12 zeros.
const VOTER: u64 = 16;

/// The word whose last 20 bytes are the voter.
const VOTER_WORD: u64 = 4;

/// Where the answer is made in memory, behind the longest input.
const OUTPUT: u64 = 0x80;

const VOTER_LEN: u64 = 20;
const WORD_LEN: u64 = 32;

/// What an answer says besides the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Gas that was left when the program began.
    pub(crate) gas_at_start: u64,
    /// Gas that was left when it had made all calls: each of them found at least as much.
    pub(crate) gas_at_end: u64,
}

/// What a program gives each of its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallGas {
    /// Its gas.
    pub(crate) gas: u64,
    /// A call that used as much is not believed; `None` to believe whatever it did.
    pub(crate) used_max: Option<u64>,
}

/// The program that answers `runs`.
pub(crate) fn assemble(runs: &[Run<'_>], call_gas: CallGas) -> Vec<u8> {
    let voters = runs.iter().map(|run| run.voters.len()).sum::<usize>();
    let mut program = Assembler::with_capacity(voters * 20 + runs.len() * 256 + 64);
    let first_voter = program.label();
    program.push(MARKER.into()).push(OUTPUT).ops(&[Op::MStore8]);
    for (offset, op) in [(1, Op::Timestamp), (33, Op::ChainId), (65, Op::Gas)] {
        program.ops(&[op]).push(OUTPUT + offset).ops(&[Op::MStore]);
    }
    // The stack from here on, the top last: [where the next entry goes, where the next voter is].
    program.push(OUTPUT + HEADER_LEN as u64).push_label(first_voter);
    let mut data = Vec::with_capacity(runs.len());
    for run in runs.iter().filter(|run| !run.voters.is_empty()) {
        let ends = program.label();
        let input = match run.read.calldata(Voter::new([0; 20])) {
            Some((contract, input)) => {
                let template = program.label();
                let input_len = input.len() as u64;
                program.push(input_len).push_label(template).push(INPUT).ops(&[Op::CodeCopy]);
                emit_calls(&mut program, contract.as_bytes(), input_len, call_gas, ends);
                Some((template, input))
            }
            None => {
                // Memory from `VOTER_WORD` on is zero but for the voter: nothing else was written there, or the same
                // zeros.
                emit_balances(&mut program, ends);
                None
            }
        };
        data.push((run, ends, input));
    }
    program.ops(&[Op::Gas]).push(OUTPUT + 97).ops(&[Op::MStore]);
    // [end of entries, end of voters] → RETURN(OUTPUT, end of entries − OUTPUT)
    program.ops(&[Op::Pop]).push(OUTPUT).ops(&[Op::Swap1, Op::Sub]).push(OUTPUT).ops(&[Op::Return]);
    program.place(first_voter);
    for (run, ends, _) in &data {
        for voter in run.voters {
            program.data(voter.as_bytes());
        }
        program.place(*ends);
    }
    for (label, input) in data.into_iter().filter_map(|(_, _, template)| template) {
        program.place(label).data(&input);
    }
    program.finish()
}

/// One call for each voter up to `ends`.
fn emit_calls(program: &mut Assembler, contract: &[u8; 20], input_len: u64, call_gas: CallGas, ends: Label) {
    let each = emit_voter(program);
    // [entry, voter] → [entry, voter, gas before]
    program.ops(&[Op::Gas]);
    // STATICCALL(gas, contract, INPUT, input_len, entry + 1, 32): an answer's first word goes where it belongs at once.
    program.push(WORD_LEN).ops(&[Op::Dup4]).push(1).ops(&[Op::Add]);
    program.push(input_len).push(INPUT).push_bytes(contract).push(call_gas.gas).ops(&[Op::StaticCall]);
    // flag = succeeded + (succeeded and returned 32 bytes)
    program.push(WORD_LEN).ops(&[Op::ReturnDataSize, Op::Eq, Op::Dup2, Op::And, Op::Add]);
    // flag × (used_max > gas before − gas now)
    program.ops(&[Op::Swap1, Op::Gas, Op::Swap1, Op::Sub]).push(call_gas.used_max.unwrap_or(u64::MAX));
    program.ops(&[Op::Gt, Op::Mul, Op::Dup3, Op::MStore8]);
    emit_next(program, each, ends);
}

/// One native balance for each voter up to `ends`.
fn emit_balances(program: &mut Assembler, ends: Label) {
    let each = emit_voter(program);
    program.push(VOTER_WORD).ops(&[Op::MLoad, Op::Balance, Op::Dup3]).push(1).ops(&[Op::Add, Op::MStore]);
    program.push(2).ops(&[Op::Dup3, Op::MStore8]);
    emit_next(program, each, ends);
}

/// The head of the loop: puts the next voter into the input.
fn emit_voter(program: &mut Assembler) -> Label {
    let each = program.label();
    program.jump_place(each).push(VOTER_LEN).ops(&[Op::Dup2]).push(VOTER).ops(&[Op::CodeCopy]);
    each
}

/// The foot of the loop: moves both pointers on and goes back unless that was the last voter.
fn emit_next(program: &mut Assembler, each: Label, ends: Label) {
    program.ops(&[Op::Swap1]).push(ENTRY_LEN as u64).ops(&[Op::Add, Op::Swap1]).push(VOTER_LEN).ops(&[Op::Add]);
    program.push_label(ends).ops(&[Op::Dup2, Op::Lt]).push_label(each).ops(&[Op::JumpI]);
}

/// Reads an answer of `count` entries that must come from the pin.
pub(crate) fn read(answer: &[u8], count: usize, pin: &Pin) -> Result<(Header, Vec<Entry>), Failure> {
    let (head, entries) = answer.split_at_checked(HEADER_LEN).ok_or(SHORT)?;
    let word = |at: usize| U256::from_be_slice(&head[at..at + 32]);
    if head[0] != MARKER || entries.len() != count * ENTRY_LEN {
        return Err(SHORT);
    }
    check_place(word(1), word(33), pin)?;
    let gas = |at| u64::try_from(word(at)).unwrap_or(u64::MAX);
    let header = Header { gas_at_start: gas(65), gas_at_end: gas(97) };
    let entry = |bytes: &[u8]| match bytes[0] {
        0 => Ok(Entry::Failed),
        1 => Ok(Entry::OtherShape),
        2 => Ok(Entry::Integer(U256::from_be_slice(&bytes[1..]))),
        _ => Err(Failure::Malformed("an entry of no kind")),
    };
    let entries = entries.chunks_exact(ENTRY_LEN).map(entry).collect::<Result<_, _>>()?;
    Ok((header, entries))
}

/// Whether a call was executed at the pin, as far as the block's own words can tell.
fn check_place(timestamp_s: U256, chain: U256, pin: &Pin) -> Result<(), Failure> {
    if chain != U256::from(pin.chain.get()) {
        return Err(Failure::WrongChain { found: u64::try_from(chain).unwrap_or(u64::MAX) });
    }
    if timestamp_s == U256::from(pin.timestamp_s) { Ok(()) } else { Err(Failure::WrongBlock) }
}

const SHORT: Failure = Failure::Malformed("an aggregated answer of another length");
