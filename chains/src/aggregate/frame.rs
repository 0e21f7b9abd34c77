//! The contract from which others are called. A program makes it, calls it for every look-up or check, and it ends each
//! time by reverting with the entry as its answer.
//!
//! Contracts are chosen by those who make proposals and by voters, of whom some mean harm, and what one says must depend
//! on nothing but the call and the block: the recount, whose batches are others, must hear the same. Within one
//! transaction calls leave traces: an account or a slot that was read before costs less to read again (EIP-2929), so that
//! a contract could tell by its gas who else is in the batch. What reverts leaves no trace, this one included. The caller
//! is part of the rules, too, and the same in every batch and alone: the first contract that the program's account makes.
//!
//! What a contract says is defined by two steps: what it returns with little gas, if that is one word and half of the gas
//! was left; else what it does with the full gas. Both are the rule, in a batch as alone, so that a contract that looks at
//! its gas has one answer. In a batch a call is repeated with the full gas on the spot while there is enough of it: a
//! contract that refuses by reverting then costs no request of its own.

use super::{
    CALL_GAS, FIRST_CALL_GAS, FIRST_CALL_USED_MAX, FULL_CALL_GAS_GRANTED, PREPARATION_GAS,
    assembler::{Assembler, Op},
    checks::Call,
    program::{ENTRY_LEN, VOTER_LEN, WORD_LEN, emit_shape},
};

/// Where a call's bytes are in memory, behind the entry.
const INPUT: u64 = 64;

/// Where the entry is: its flag, then its word.
const FLAG: u64 = 0;
const WORD: u64 = 1;

/// What the full gas adds to a flag.
const FULL_GAS: u64 = 3;

/// Bits of a word behind the account that it begins with.
const BEHIND_ACCOUNT: u64 = (WORD_LEN - VOTER_LEN) * 8;

/// Bits of a word behind the byte of [`Company`].
const BEHIND_COMPANY: u64 = (WORD_LEN - COMPANY_LEN) * 8;

/// Length of the byte of [`Company`].
pub(super) const COMPANY_LEN: u64 = 1;

/// What stands before a call's bytes in the frame's input: company and account.
const CALL_HEAD_LEN: u64 = COMPANY_LEN + VOTER_LEN;

/// What gas a contract gets, and which calls are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallGas {
    /// The gas of the first call.
    pub(crate) first: u64,
    /// A first call that used as much is not believed.
    pub(crate) used_max: u64,
    /// The gas of the repeated call.
    pub(crate) full: u64,
    /// What must be left for a call to be repeated.
    pub(crate) granted: u64,
}

/// With whom a call is put. It is the first byte of what the frame is given and nothing in its code, which the contract
/// that is called can look at: it must not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    /// Others, so a call that used much gas is left open: to repeat it here would take the full gas from them.
    Others,
    /// None.
    Nobody,
}

impl CallGas {
    pub(crate) const RULES: Self =
        Self { first: FIRST_CALL_GAS, used_max: FIRST_CALL_USED_MAX, full: CALL_GAS, granted: FULL_CALL_GAS_GRANTED };
}

impl Company {
    /// Its byte in the frame's input.
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::Others => 0,
            Self::Nobody => 1,
        }
    }
}

/// The code that makes the contract with this runtime code.
pub(super) fn creation(runtime: &[u8]) -> Vec<u8> {
    let mut program = Assembler::with_capacity(runtime.len() + 32);
    let (code, len) = (program.label(), runtime.len() as u64);
    program.push(len).push_label(code).push(0).ops(&[Op::CodeCopy]).push(len).push(0).ops(&[Op::Return]);
    program.place(code).data(runtime);
    program.finish()
}

/// The runtime code that makes one call, at most twice. It is given `company:1 account:20 input…`.
pub(super) fn call(gas: CallGas) -> Vec<u8> {
    let mut program = Assembler::default();
    let ends = program.label();
    emit_input_len(&mut program);
    program.push(CALL_HEAD_LEN).push(INPUT).ops(&[Op::CallDataCopy]);
    // → [gas before, ok]
    program.ops(&[Op::Gas]);
    emit_call(&mut program, gas.first);
    emit_shape(&mut program);
    // → [shape, cheap], where cheap := used_max > gas before − gas now
    program.ops(&[Op::Swap1, Op::Gas, Op::Swap1, Op::Sub]).push(gas.used_max).ops(&[Op::Gt]);
    // flag := shape × cheap
    program.ops(&[Op::Dup2, Op::Dup2, Op::Mul]).push(FLAG).ops(&[Op::MStore8]);
    // → [cheap or without company, flag]
    program.ops(&[Op::Dup1]).push(0).ops(&[Op::CallDataLoad]).push(BEHIND_COMPANY).ops(&[Op::Shr, Op::Or]);
    program.ops(&[Op::Swap2, Op::Mul]);
    // → [repeat], where repeat := 2 > flag, and cheap or without company
    program.push(2).ops(&[Op::Gt, Op::And]);
    // → [], at the end unless it is repeated and the gas suffices
    program.push(gas.granted).ops(&[Op::Gas, Op::Gt, Op::And, Op::IsZero]).push_label(ends).ops(&[Op::JumpI]);
    emit_call(&mut program, gas.full);
    emit_shape(&mut program);
    program.push(FULL_GAS).ops(&[Op::Add]).push(FLAG).ops(&[Op::MStore8]);
    program.jump_place(ends);
    emit_revert(&mut program);
    program.finish()
}

/// The runtime code that makes `preparation`, which may change the state but has no value, and then `call`, for
/// ERC-6492. If the first fails, the second does not count. It is given the bytes of both calls, one behind the other.
pub(super) fn prepared_check(preparation: &Call, call: &Call) -> Vec<u8> {
    let mut program = Assembler::default();
    let [first_len, second_len] = [preparation, call].map(|call| call.input.len() as u64);
    program.push(first_len).push(0).push(INPUT).ops(&[Op::CallDataCopy]);
    // CALL(gas, account, no value, INPUT, its length, no output) → [prepared]
    program.push(0).push(0).push(first_len).push(INPUT).push(0).push_bytes(preparation.to.as_bytes());
    program.push(PREPARATION_GAS).ops(&[Op::Call]);
    program.push(second_len).push(first_len).push(INPUT).ops(&[Op::CallDataCopy]);
    // STATICCALL(gas, account, INPUT, its length, WORD, 32) → [prepared, ok]
    program.push(WORD_LEN).push(WORD).push(second_len).push(INPUT).push_bytes(call.to.as_bytes());
    program.push(CALL_GAS).ops(&[Op::StaticCall]);
    emit_shape(&mut program);
    // flag := prepared × shape, with the full gas
    program.ops(&[Op::Mul]).push(FULL_GAS).ops(&[Op::Add]).push(FLAG).ops(&[Op::MStore8]);
    emit_revert(&mut program);
    program.finish()
}

/// → [ok]: a static call of the account, whose answer's first word goes into the entry.
fn emit_call(program: &mut Assembler, gas: u64) {
    program.push(WORD_LEN).push(WORD);
    emit_input_len(program);
    program.push(INPUT).push(COMPANY_LEN).ops(&[Op::CallDataLoad]).push(BEHIND_ACCOUNT).ops(&[Op::Shr]);
    program.push(gas).ops(&[Op::StaticCall]);
}

/// → [length of the call's bytes]
fn emit_input_len(program: &mut Assembler) {
    program.push(CALL_HEAD_LEN).ops(&[Op::CallDataSize, Op::Sub]);
}

fn emit_revert(program: &mut Assembler) {
    program.push(ENTRY_LEN as u64).push(FLAG).ops(&[Op::Revert]);
}
