//! Calls of contracts that check signatures: each with an account and bytes of its own, since every signature is
//! another one. The answer is that of look-ups, but for the entries' flags.
//!
//! ```text
//! entry  := flag:1 word:32
//!           flag 0, 1 nothing is known yet: with little gas the call failed, or returned another length than 32 bytes,
//!                     or used so much gas that with more it might have answered otherwise
//!                2    with little gas it returned the word and did not use much
//!                3    with the full gas it failed, 4 returned another length, 5 returned the word
//! ```

use std::ops::Range;

use alloy_primitives::U256;
use pnyx_core::{chain::Pin, id::Voter};

use super::{
    assembler::{Assembler, Label, Op},
    frame::{self, CallGas, Company},
    program::{ENTRY_LEN, HEADER_LEN, Header, WORD_LEN, emit_begin, emit_end, emit_frame, read_entries},
};
use crate::failure::Failure;

/// Most calls of a batch: of a Safe with two owners, at 30,000 gas each, all can be repeated with the full gas. More
/// would save little: what a node takes for a request is small beside this many checks.
pub(crate) const CHECKS_MAX: usize = 64;

/// Most bytes of a program: init code may have 49,152 (EIP-3860).
const PROGRAM_BYTES_MAX: usize = 49_152;

/// Bytes of a program beside its records, at most.
const PROGRAM_BYTES: usize = 512;

/// Bytes of a call's record beside the call's own: the length, the company and the account.
const RECORD_BYTES: usize = 23;

/// Bytes of the length before a record.
const LEN_LEN: u64 = 2;

/// The word whose last two bytes are a record's length.
const LEN_WORD: u64 = 0;

/// Where a record is in memory; before the first one, the code that makes the frame.
const RECORD: u64 = 32;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// The account whose contract is called.
    pub(crate) to: Voter,
    /// The call's bytes: a signature of at most [`pnyx_core::ballot::SIGNATURE_BYTES_MAX`] bytes and what belongs to it.
    pub(crate) input: Vec<u8>,
}

/// What a contract says: a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// These 32 bytes.
    Word(U256),
    /// Something else than 32 bytes, or nothing because it failed.
    Nothing,
}

/// How many of the first calls of a part have room in one program: at least one.
pub(crate) fn fitting(calls: &[Call], part: Range<usize>) -> usize {
    let mut bytes = PROGRAM_BYTES;
    let fits = calls[part].iter().take_while(|call| {
        bytes += RECORD_BYTES + call.input.len();
        bytes <= PROGRAM_BYTES_MAX
    });
    fits.count().max(1)
}

/// The program that makes `calls`.
pub(crate) fn assemble(calls: &[Call], company: Company) -> Vec<u8> {
    let record = |call: &Call| [&[company.byte()], call.to.as_bytes().as_slice(), &call.input].concat();
    assemble_for(&frame::call(CallGas::RULES), &calls.iter().map(record).collect::<Vec<_>>())
}

/// The program that makes `preparation` and then `call`.
pub(crate) fn assemble_prepared(preparation: &Call, call: &Call) -> Vec<u8> {
    let record = [preparation.input.as_slice(), &call.input].concat();
    assemble_for(&frame::prepared_check(preparation, call), &[record])
}

/// The program that gives each record to the frame with this runtime code.
fn assemble_for(runtime: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
    let creation = frame::creation(runtime);
    let longest = records.iter().map(Vec::len).max().unwrap_or(0).max(creation.len());
    let output = RECORD + (longest as u64).next_multiple_of(WORD_LEN);
    let bytes: usize = records.iter().map(Vec::len).sum();
    let mut program = Assembler::with_capacity(bytes + 2 * records.len() + PROGRAM_BYTES);
    let (frame, first, ends) = (program.label(), program.label(), program.label());
    emit_begin(&mut program, output);
    emit_frame(&mut program, frame, creation.len(), RECORD);
    // The stack from here on, the top last: [the frame, where the next entry goes, where the next record is].
    program.push(output + HEADER_LEN as u64).push_label(first);
    if !records.is_empty() {
        emit_loop(&mut program, ends);
    }
    // → [end of entries]
    program.ops(&[Op::Pop, Op::Swap1, Op::Pop]);
    emit_end(&mut program, output);
    program.place(frame).data(&creation);
    program.place(first);
    for record in records {
        let len = u16::try_from(record.len()).expect("a signature and what belongs to it is below 64 KiB");
        program.data(&len.to_be_bytes()).data(record);
    }
    program.place(ends);
    program.finish()
}

/// Reads an answer of `count` entries that must come from the pin; `None` for a call of which nothing is known.
pub(crate) fn read(answer: &[u8], count: usize, pin: &Pin) -> Result<(Header, Vec<Option<Checked>>), Failure> {
    read_entries(answer, count, pin, |flag, word| match flag {
        0 | 1 => Some(None),
        2 | 5 => Some(Some(Checked::Word(word))),
        3 | 4 => Some(Some(Checked::Nothing)),
        _ => None,
    })
}

/// One call of the frame for each record up to `ends`.
fn emit_loop(program: &mut Assembler, ends: Label) {
    let each = program.label();
    program.jump_place(each);
    program.push(LEN_LEN).ops(&[Op::Dup2]).push(LEN_WORD + WORD_LEN - LEN_LEN).ops(&[Op::CodeCopy]);
    emit_len(program);
    program.ops(&[Op::Dup2]).push(LEN_LEN).ops(&[Op::Add]).push(RECORD).ops(&[Op::CodeCopy]);
    // CALL(gas, frame, no value, RECORD, its length, entry, an entry's length): it always reverts, so what it returns
    // is the whole answer. If it lacked the gas even for that, the entry stays zero: nothing is known.
    program.push(ENTRY_LEN as u64).ops(&[Op::Dup3]);
    emit_len(program);
    program.push(RECORD).push(0).ops(&[Op::Dup8, Op::Gas, Op::Call, Op::Pop]);
    // record += its length; entry += an entry's length; back unless that was the last record
    emit_len(program);
    program.ops(&[Op::Add]).push(LEN_LEN).ops(&[Op::Add]);
    program.ops(&[Op::Swap1]).push(ENTRY_LEN as u64).ops(&[Op::Add, Op::Swap1]);
    program.push_label(ends).ops(&[Op::Dup2, Op::Lt]).push_label(each).ops(&[Op::JumpI]);
}

/// → [the record's length]
fn emit_len(program: &mut Assembler) {
    program.push(LEN_WORD).ops(&[Op::MLoad]);
}
