//! Programs that check signatures.

use std::cell::Cell;

use super::{super::checks, *};

/// What accounts do, told by their first byte; all other calls succeed without an answer.
const ACCEPTS: u8 = 1;
const REVERTS: u8 = 2;
const BURNS: u8 = 3;
const SAYS_MUCH: u8 = 4;
/// Answers how much gas it has.
const LOOKS_AT_GAS: u8 = 5;
/// Needs more gas than a call in a batch has.
const NEEDS_GAS: u8 = 6;
/// Answers whether a factory was called.
const IS_MADE: u8 = 7;
const FACTORY: u8 = 9;
/// Reverts unless it has the full gas.
const REFUSES_LITTLE_GAS: u8 = 8;

/// Gas that a check takes that is neither costly nor free.
const CHEAP: u64 = 50_000;
const COSTLY: u64 = 5_000_000;

#[derive(Default)]
struct Wallets {
    is_made: Cell<bool>,
    /// Of all calls.
    calls: Cell<usize>,
}

impl Contracts for Wallets {
    fn call(&self, contract: [u8; 20], input: &[u8], gas: u64, is_static: bool) -> (Outcome, u64) {
        self.calls.set(self.calls.get() + 1);
        let word = |number: u64| Outcome::Returned(U256::from(number).to_be_bytes_vec());
        let sum: u64 = input.iter().zip(1..).map(|(byte, place)| u64::from(*byte) * place).sum();
        match contract[0] {
            ACCEPTS => (word(sum), CHEAP),
            REVERTS => (Outcome::Failed, CHEAP),
            BURNS => (Outcome::Failed, gas),
            SAYS_MUCH => (Outcome::Returned(vec![1; 1_000]), CHEAP),
            LOOKS_AT_GAS => (word(gas), CHEAP),
            NEEDS_GAS if gas < COSTLY => (Outcome::Failed, gas),
            NEEDS_GAS => (word(sum), COSTLY),
            IS_MADE => (word(self.is_made.get().into()), CHEAP),
            REFUSES_LITTLE_GAS if gas < CALL_GAS => (Outcome::Failed, CHEAP),
            REFUSES_LITTLE_GAS => (word(sum), CHEAP),
            FACTORY => {
                assert!(!is_static);
                self.is_made.set(true);
                if input == b"make" { (word(1), CHEAP) } else { (Outcome::Failed, CHEAP) }
            }
            _ => (Outcome::Returned(Vec::new()), 0),
        }
    }

    fn balance(&self, _: [u8; 20]) -> U256 {
        unreachable!("nobody asks")
    }

    fn code_len(&self, _: [u8; 20]) -> usize {
        unreachable!("nobody asks")
    }

    fn take_back(&self) {
        self.is_made.set(false);
    }
}

fn call(kind: u8, input: &[u8]) -> Call {
    let mut account = [0x77; 20];
    account[0] = kind;
    Call { to: Voter::new(account), input: input.to_vec() }
}

/// What an account says, by the two steps of the rule.
fn said(call: &Call) -> Checked {
    let sum: u64 = call.input.iter().zip(1..).map(|(byte, place)| u64::from(*byte) * place).sum();
    match call.to.as_bytes()[0] {
        ACCEPTS | NEEDS_GAS | REFUSES_LITTLE_GAS => Checked::Word(U256::from(sum)),
        LOOKS_AT_GAS => Checked::Word(U256::from(FIRST_CALL_GAS)),
        IS_MADE => Checked::Word(U256::ZERO),
        _ => Checked::Nothing,
    }
}

fn run(program: &[u8]) -> Vec<u8> {
    execute(program, &Wallets::default(), TIMESTAMP_S, CHAIN)
}

fn alone(call: &Call) -> Result<Checked, Failure> {
    read_check_alone(&run(&checks::assemble(std::slice::from_ref(call), Company::Nobody)), &pin())
}

proptest! {
    #[test]
    fn a_batch_says_what_each_says_alone(
        calls in prop::collection::vec((0_u8..FACTORY, prop::collection::vec(any::<u8>(), 0..200)), 0..12),
    ) {
        let calls: Vec<Call> = calls.iter().map(|(kind, input)| call(*kind, input)).collect();
        let answer = run(&checks::assemble(&calls, Company::Others));
        let (_, found) = checks::read(&answer, calls.len(), &pin()).unwrap();
        for (call, found) in calls.iter().zip(found) {
            prop_assert_eq!(alone(call), Ok(said(call)));
            match call.to.as_bytes()[0] {
                BURNS | NEEDS_GAS => prop_assert_eq!(found, None, "only alone"),
                // The machine has gas enough for these, unless others burnt it.
                _ if calls.iter().all(|call| call.to.as_bytes()[0] != BURNS && call.to.as_bytes()[0] != NEEDS_GAS) => {
                    prop_assert_eq!(found, Some(said(call)));
                }
                _ => prop_assert!(found.is_none_or(|found| found == said(call))),
            }
        }
    }
}

#[test]
fn a_full_program_is_within_the_limits_of_a_deployment() {
    let largest = pnyx_core::ballot::SIGNATURE_BYTES_MAX + 200;
    for (len, most) in [(0, CHECKS_MAX), (260, CHECKS_MAX), (1_000, 47), (largest, 5)] {
        let calls = vec![call(ACCEPTS, &vec![0xab; len]); CHECKS_MAX + 1];
        let count = fitting(&calls, 0..calls.len()).min(CHECKS_MAX);
        assert_eq!(count, most, "{len}");
        let program = checks::assemble(&calls[..count], Company::Others);
        assert!(program.len() <= 49_152, "EIP-3860: {}", program.len());
        let answer = run(&program);
        assert!(answer.len() <= 24_576, "EIP-170: {}", answer.len());
        let (_, found) = checks::read(&answer, count, &pin()).unwrap();
        assert!(found.iter().all(|found| *found == Some(said(&calls[0]))));
    }
    assert_eq!(fitting(&[call(ACCEPTS, &[0; 60_000])], 0..1), 1, "at least one");
}

#[test]
fn whoever_refuses_by_reverting_is_asked_again_on_the_spot() {
    let calls = vec![call(REVERTS, b"?"); 20];
    let wallets = Wallets::default();
    let answer = execute(&checks::assemble(&calls, Company::Others), &wallets, TIMESTAMP_S, CHAIN);
    assert_eq!(read_check_batch(&answer, 20, &pin()), Ok(vec![Some(Checked::Nothing); 20]));
    assert_eq!(wallets.calls.get(), 40);
}

#[test]
fn a_preparation_counts_for_its_check_alone() {
    let prepared = |input: &[u8]| {
        let program = checks::assemble_prepared(&call(FACTORY, input), &call(IS_MADE, &[0xcd; 300]));
        let wallets = Wallets::default();
        let answer = execute(&program, &wallets, TIMESTAMP_S, CHAIN);
        assert!(!wallets.is_made.get(), "taken back");
        read_check_prepared(&answer, &pin())
    };
    assert_eq!(prepared(b"make"), Ok(Checked::Word(U256::ONE)));
    assert_eq!(prepared(&[b'm'; 500]), Ok(Checked::Nothing), "the preparation failed");
}

#[test]
fn a_check_is_believed_only_with_its_gas() {
    let checked = |granted: u64, gas: u64, answer: &[u8], read: fn(&[u8], &Pin) -> Result<Checked, Failure>| {
        let mut answer = answer.to_vec();
        answer[65..97].copy_from_slice(&U256::from(gas).to_be_bytes::<32>());
        match read(&answer, &pin()) {
            Ok(_) => assert!(gas >= granted),
            Err(error) => assert_eq!((error, gas < granted), (Failure::GasClamped { granted: gas }, true)),
        }
    };
    let one = call(ACCEPTS, b"one");
    let alone = run(&checks::assemble(std::slice::from_ref(&one), Company::Nobody));
    let prepared = run(&checks::assemble_prepared(&call(FACTORY, b"make"), &one));
    for gas in [0, 1_000_000, 11_000_000, 12_000_000, 16_000_000] {
        checked(ALONE_GAS_GRANTED, gas, &alone, read_check_alone);
        checked(PREPARED_GAS_GRANTED, gas, &prepared, read_check_prepared);
    }
    let mut batch = run(&checks::assemble(&[one], Company::Others));
    for (gas, is_enough) in [(BATCH_GAS_LEFT, true), (BATCH_GAS_LEFT - 1, false)] {
        batch[97..129].copy_from_slice(&U256::from(gas).to_be_bytes::<32>());
        assert_eq!(read_check_batch(&batch, 1, &pin()).is_ok(), is_enough);
    }
}

#[test]
fn every_program_stays_below_the_gas_that_nodes_grant() {
    for granted in [ALONE_GAS_GRANTED, PREPARED_GAS_GRANTED] {
        assert!(granted + LONG_CALL_GAS <= BATCH_GAS, "{granted}");
    }
}

#[test]
fn an_answer_that_is_none_is_refused() {
    let answer = run(&checks::assemble(&[call(ACCEPTS, b"x")], Company::Others));
    for len in 0..answer.len() {
        assert!(read_check_batch(&answer[..len], 1, &pin()).is_err(), "{len}");
    }
    let mut other = answer;
    other[129] = 6;
    assert_eq!(read_check_batch(&other, 1, &pin()), Err(Failure::Malformed("an entry of no kind")));
}
