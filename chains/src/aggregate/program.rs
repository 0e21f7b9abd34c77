//! Our own aggregation of look-ups, for any chain and without a deployment: init code that is executed by a call without `to` and
//! whose "deployed code" is the answers.
//!
//! ```text
//! answer := 0x01 timestamp:32 chain id:32 gas at the start:32 gas at the end:32 entry…
//!           (its first byte must not be 0xEF, which EIP-3541 forbids)
//! entry  := flag:1 word:32
//!           flag 0, 1 nothing is known yet: with little gas the call failed, or returned another length than 32 bytes,
//!                     or used so much gas that with more it might have answered otherwise
//!                2    with little gas it returned the word and did not use much, or no contract had to be called
//!                3    with the full gas it failed, 4 returned another length, 5 returned the word
//! ```
//! Timestamp and chain id prove that the endpoint executed the call where it was told to; the gas says what it granted.
//! Contracts are called from a frame ([`super::frame`]), so that what they answer is what they would answer alone.

use alloy_primitives::U256;
use pnyx_core::{chain::Pin, id::Voter};

use super::{
    Entry, LookUp, Row,
    assembler::{Assembler, Label, Op},
    frame::{self, COMPANY_LEN, CallGas, Company},
};
use crate::failure::Failure;

/// Most look-ups of a program: its answer is "deployed code", which may have 24,576 bytes (EIP-170).
pub(crate) const LOOK_UPS_MAX: usize = (24_576 - HEADER_LEN) / ENTRY_LEN;

/// The first byte of an answer.
const MARKER: u8 = 1;

/// Marker, timestamp, chain id, gas at the start, gas at the end.
pub(super) const HEADER_LEN: usize = 1 + 4 * 32;

/// Flag and word.
pub(super) const ENTRY_LEN: usize = 1 + 32;

/// Where the frame's input is made in memory: company, contract, selector, voter, at most one more word.
const INPUT: u64 = 0;

/// Where a voter's 20 bytes stand in it: after the company, the contract, the selector and 12 zeros.
const VOTER: u64 = COMPANY_LEN + 36;

/// The word whose last 20 bytes are the voter.
const VOTER_WORD: u64 = VOTER + VOTER_LEN - WORD_LEN;

/// Where the code that makes the frame is in memory, behind the longest input.
const FRAME: u64 = 0x60;

/// Where the answer is made in memory, behind that.
const OUTPUT: u64 = 0x120;

pub(super) const VOTER_LEN: u64 = 20;
pub(super) const WORD_LEN: u64 = 32;

/// What an answer says besides the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Gas that was left when the program began.
    pub(crate) gas_at_start: u64,
    /// Gas that was left when it had made all calls: each of them found at least as much.
    pub(crate) gas_at_end: u64,
}

/// The program that answers `rows`.
pub(crate) fn assemble(rows: &[Row<'_>], gas: CallGas, company: Company) -> Vec<u8> {
    let voters = rows.iter().map(|row| row.voters.len()).sum::<usize>();
    let mut program = Assembler::with_capacity(voters * 20 + rows.len() * 256 + 64);
    let (first_voter, frame) = (program.label(), program.label());
    let creation = if rows.iter().any(Row::calls) { frame::creation(&frame::call(gas)) } else { Vec::new() };
    assert!(creation.len() as u64 <= OUTPUT - FRAME, "a frame has room before the answer");
    emit_begin(&mut program, OUTPUT);
    if creation.is_empty() {
        program.push(0);
    } else {
        emit_frame(&mut program, frame, creation.len(), FRAME);
    }
    // The stack from here on, the top last: [the frame, where the next entry goes, where the next voter is].
    program.push(OUTPUT + HEADER_LEN as u64).push_label(first_voter);
    let mut data = Vec::with_capacity(rows.len());
    for row in rows.iter().filter(|row| !row.voters.is_empty()) {
        let ends = program.label();
        let calldata = match row.what {
            LookUp::Read(read) => read.calldata(Voter::new([0; 20])).ok_or(Op::Balance),
            LookUp::CodeSize => Err(Op::ExtCodeSize),
        };
        let input = match calldata {
            Ok((contract, input)) => {
                let template = program.label();
                let input = [&[company.byte()], contract.as_bytes().as_slice(), &input].concat();
                program.push(input.len() as u64).push_label(template).push(INPUT).ops(&[Op::CodeCopy]);
                emit_calls(&mut program, input.len() as u64, ends);
                Some((template, input))
            }
            Err(op) => {
                // Memory from `VOTER_WORD` on is zero but for the voter: nothing else was written there, or the same
                // zeros.
                emit_of_account(&mut program, op, ends);
                None
            }
        };
        data.push((row, ends, input));
    }
    // → [end of entries]
    program.ops(&[Op::Pop, Op::Swap1, Op::Pop]);
    emit_end(&mut program, OUTPUT);
    program.place(frame).data(&creation);
    program.place(first_voter);
    for (row, ends, _) in &data {
        for voter in row.voters {
            program.data(voter.as_bytes());
        }
        program.place(*ends);
    }
    for (label, input) in data.into_iter().filter_map(|(_, _, template)| template) {
        program.place(label).data(&input);
    }
    program.finish()
}

/// The answer's head at `output`, but for the gas at the end.
pub(super) fn emit_begin(program: &mut Assembler, output: u64) {
    program.push(MARKER.into()).push(output).ops(&[Op::MStore8]);
    for (offset, op) in [(1, Op::Timestamp), (33, Op::ChainId), (65, Op::Gas)] {
        program.ops(&[op]).push(output + offset).ops(&[Op::MStore]);
    }
}

/// → [the frame], made by the code at a label, for which there is room in memory.
pub(super) fn emit_frame(program: &mut Assembler, code: Label, len: usize, room: u64) {
    program.push(len as u64).push_label(code).push(room).ops(&[Op::CodeCopy]);
    program.push(len as u64).push(room).push(0).ops(&[Op::Create]);
}

/// [end of entries] → RETURN(output, end of entries − output), with the gas at the end in the head.
pub(super) fn emit_end(program: &mut Assembler, output: u64) {
    program.ops(&[Op::Gas]).push(output + 97).ops(&[Op::MStore]);
    program.push(output).ops(&[Op::Swap1, Op::Sub]).push(output).ops(&[Op::Return]);
}

/// [ok] → [ok + (ok and 32 bytes were returned)]
pub(super) fn emit_shape(program: &mut Assembler) {
    program.push(WORD_LEN).ops(&[Op::ReturnDataSize, Op::Eq, Op::Dup2, Op::And, Op::Add]);
}

/// One call of the frame for each voter up to `ends`.
fn emit_calls(program: &mut Assembler, input_len: u64, ends: Label) {
    let each = emit_voter(program);
    // CALL(gas, frame, no value, INPUT, its length, entry, an entry's length): it always reverts, so what it returns
    // is the whole answer. If it lacked the gas even for that, the entry stays zero: nothing is known.
    program.push(ENTRY_LEN as u64).ops(&[Op::Dup3]).push(input_len).push(INPUT).push(0);
    program.ops(&[Op::Dup8, Op::Gas, Op::Call, Op::Pop]);
    emit_next(program, each, ends);
}

/// What one operation says of each voter's account up to `ends`: its native balance, the length of its code.
fn emit_of_account(program: &mut Assembler, op: Op, ends: Label) {
    let each = emit_voter(program);
    program.push(VOTER_WORD).ops(&[Op::MLoad, op, Op::Dup3]).push(1).ops(&[Op::Add, Op::MStore]);
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

/// Reads an answer of `count` entries that must come from the pin; `None` for one of which nothing is known.
pub(crate) fn read(answer: &[u8], count: usize, pin: &Pin) -> Result<(Header, Vec<Option<Entry>>), Failure> {
    read_entries(answer, count, pin, |flag, word| match flag {
        0 | 1 => Some(None),
        2 | 5 => Some(Some(Entry::Integer(word))),
        3 => Some(Some(Entry::Failed)),
        4 => Some(Some(Entry::OtherShape)),
        _ => None,
    })
}

/// As [`read`], for any kind of entries: `entry` gives what flag and word mean, `None` if nothing.
pub(super) fn read_entries<T>(
    answer: &[u8],
    count: usize,
    pin: &Pin,
    entry: impl Fn(u8, U256) -> Option<T>,
) -> Result<(Header, Vec<T>), Failure> {
    let (head, entries) = answer.split_at_checked(HEADER_LEN).ok_or(SHORT)?;
    let word = |at: usize| U256::from_be_slice(&head[at..at + 32]);
    if head[0] != MARKER || entries.len() != count * ENTRY_LEN {
        return Err(SHORT);
    }
    check_place(word(1), word(33), pin)?;
    let gas = |at| u64::try_from(word(at)).unwrap_or(u64::MAX);
    let header = Header { gas_at_start: gas(65), gas_at_end: gas(97) };
    let entries = entries.chunks_exact(ENTRY_LEN).map(|bytes| {
        entry(bytes[0], U256::from_be_slice(&bytes[1..])).ok_or(Failure::Malformed("an entry of no kind"))
    });
    Ok((header, entries.collect::<Result<_, _>>()?))
}

/// Whether a call was executed at the pin, as far as the block's own words can tell.
fn check_place(timestamp_s: U256, chain: U256, pin: &Pin) -> Result<(), Failure> {
    if chain != U256::from(pin.chain.get()) {
        return Err(Failure::WrongChain { found: u64::try_from(chain).unwrap_or(u64::MAX) });
    }
    if timestamp_s == U256::from(pin.timestamp_s) { Ok(()) } else { Err(Failure::WrongBlock) }
}

pub(super) const SHORT: Failure = Failure::Malformed("an aggregated answer of another length");
