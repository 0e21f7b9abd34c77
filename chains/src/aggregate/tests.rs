//! The programs against a small machine that executes it.

mod checks;
mod machine;

use alloy_primitives::U256;
use pnyx_core::{
    chain::{BlockHash, BlockNumber, ChainId, ContractAddress, Pin},
    id::Voter,
    proposal::{ChainRead, Decimals, MethodName, TokenId},
};
use proptest::prelude::*;

use self::machine::{Contracts, Outcome, execute};
use super::{program, *};

const TIMESTAMP_S: u64 = 1_796_000_000;
const CHAIN: u64 = 31_337;

fn pin() -> Pin {
    Pin {
        chain: ChainId::new(CHAIN).unwrap(),
        number: BlockNumber(7),
        hash: BlockHash::new([1; 32]),
        timestamp_s: TIMESTAMP_S,
    }
}

fn voter(number: u64) -> Voter {
    let mut bytes = [0x5a; 20];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Voter::new(bytes)
}

fn reads() -> [ChainRead; 6] {
    let address = |byte| ContractAddress::new([byte; 20]);
    let decimals = Decimals::new(6).unwrap();
    [
        ChainRead::Erc20BalanceOf { address: address(1), decimals },
        ChainRead::Erc20Votes { address: address(2), decimals },
        ChainRead::Erc721 { address: address(3) },
        ChainRead::Erc1155BalanceOf { address: address(4), token_id: TokenId(U256::MAX), decimals },
        ChainRead::EthBalance,
        ChainRead::ContractCall { address: address(5), method: MethodName::new("weightOf").unwrap(), decimals },
    ]
}

/// What the contracts of the model answer: by the call's bytes, so that a wrong byte is a wrong answer.
struct Model;

impl Model {
    fn outcome(contract: [u8; 20], input: &[u8]) -> Outcome {
        let sum: u64 = contract.iter().chain(input).zip(1..).map(|(byte, place)| u64::from(*byte) * place).sum();
        match sum % 11 {
            0 => Outcome::Failed,
            1 => Outcome::Returned(vec![]),
            2 => Outcome::Returned(vec![7; 64]),
            _ => Outcome::Returned(U256::from(sum).to_be_bytes_vec()),
        }
    }
}

impl Contracts for Model {
    fn call(&self, contract: [u8; 20], input: &[u8], _: u64, is_static: bool) -> (Outcome, u64) {
        assert!(is_static, "a read changes nothing");
        (Self::outcome(contract, input), 0)
    }

    fn balance(&self, account: [u8; 20]) -> U256 {
        U256::from_be_slice(&account)
    }

    fn code_len(&self, account: [u8; 20]) -> usize {
        usize::from(account[7]) % 3 * 23
    }
}

fn expected(what: LookUp<'_>, voter: Voter) -> Entry {
    let LookUp::Read(read) = what else {
        return Entry::Integer(U256::from(Model.code_len(*voter.as_bytes())));
    };
    let Some((contract, input)) = read.calldata(voter) else {
        return Entry::Integer(Model.balance(*voter.as_bytes()));
    };
    match Model::outcome(*contract.as_bytes(), &input) {
        Outcome::Failed => Entry::Failed,
        Outcome::Returned(data) if data.len() == 32 => Entry::Integer(U256::from_be_slice(&data)),
        Outcome::Returned(_) => Entry::OtherShape,
    }
}

fn entries_of(rows: &[Row<'_>]) -> Vec<Option<Entry>> {
    rows.iter().flat_map(|row| row.voters.iter().map(|voter| Some(expected(row.what, *voter)))).collect()
}

fn row<'a>(read: &'a ChainRead, voters: &'a [Voter]) -> Row<'a> {
    Row { what: LookUp::Read(read), voters }
}

#[test]
fn a_full_program_is_within_the_limits_of_a_deployment() {
    let read = &reads()[3];
    let voters: Vec<Voter> = (0..program::LOOK_UPS_MAX as u64).map(voter).collect();
    let rows = [row(read, &voters)];
    let code = program::assemble(&rows, CallGas::RULES, Company::Others);
    assert!(code.len() <= 49_152, "EIP-3860: {}", code.len());
    let answer = execute(&code, &Model, TIMESTAMP_S, CHAIN);
    assert!((24_544..=24_576).contains(&answer.len()), "EIP-170: {}", answer.len());
    assert_ne!(answer[0], 0xef, "EIP-3541");
    let (_, entries) = program::read(&answer, voters.len(), &pin()).unwrap();
    assert_eq!(entries, entries_of(&rows));
}

#[test]
fn an_answer_from_elsewhere_is_refused() {
    let read = &reads()[0];
    let code = program::assemble(&[row(read, &[voter(1)])], CallGas::RULES, Company::Others);
    let read = |timestamp_s, chain| program::read(&execute(&code, &Model, timestamp_s, chain), 1, &pin());
    assert!(read(TIMESTAMP_S, CHAIN).is_ok());
    assert_eq!(read(TIMESTAMP_S - 12, CHAIN), Err(Failure::WrongBlock));
    assert_eq!(read(TIMESTAMP_S, 1), Err(Failure::WrongChain { found: 1 }));
    let answer = execute(&code, &Model, TIMESTAMP_S, CHAIN);
    for len in 0..answer.len() {
        assert!(program::read(&answer[..len], 1, &pin()).is_err(), "{len}");
    }
    assert!(program::read(&answer, 2, &pin()).is_err());
}

#[test]
fn a_look_up_alone_is_believed_only_with_its_gas() {
    let code = program::assemble(&[row(&reads()[0], &[voter(1)])], CallGas::RULES, Company::Nobody);
    let mut answer = execute(&code, &Model, TIMESTAMP_S, CHAIN);
    let mut with_gas = |gas: u64| {
        answer[65..97].copy_from_slice(&U256::from(gas).to_be_bytes::<32>());
        read_alone(&answer, &pin())
    };
    assert_eq!(with_gas(ALONE_GAS_GRANTED), Ok(expected(LookUp::Read(&reads()[0]), voter(1))));
    assert_eq!(with_gas(ALONE_GAS_GRANTED - 1), Err(Failure::GasClamped { granted: ALONE_GAS_GRANTED - 1 }));
}

#[test]
fn a_batch_that_ran_short_of_gas_is_not_believed() {
    let code = program::assemble(&[row(&reads()[0], &[voter(1)])], CallGas::RULES, Company::Others);
    let mut answer = execute(&code, &Model, TIMESTAMP_S, CHAIN);
    let mut with_gas = |gas: u64| {
        answer[97..129].copy_from_slice(&U256::from(gas).to_be_bytes::<32>());
        read_batch(&answer, 1, &pin())
    };
    assert_eq!(with_gas(BATCH_GAS_LEFT), Ok(vec![Some(expected(LookUp::Read(&reads()[0]), voter(1)))]));
    assert_eq!(with_gas(BATCH_GAS_LEFT - 1), Err(Failure::Starved));
}

#[test]
fn a_call_that_used_much_gas_is_not_believed_in_a_batch() {
    // The machine takes 700 gas for each call.
    let read = &reads()[0];
    let voters: Vec<Voter> = (0..20).map(voter).collect();
    let rows = [row(read, &voters)];
    let entries = |used_max| {
        let code = program::assemble(&rows, CallGas { used_max, ..CallGas::RULES }, Company::Others);
        program::read(&execute(&code, &Model, TIMESTAMP_S, CHAIN), 20, &pin()).unwrap().1
    };
    assert_eq!(entries(10_000), entries_of(&rows));
    assert_eq!(entries(600), [None; 20]);
}

/// An auditor needs the bytes of the contract that calls others, to repeat a call with its gas.
#[test]
fn the_frame_is_published() {
    let code = alloy_primitives::hex::encode_prefixed(frame::call(CallGas::RULES));
    let formats = include_str!("../../../docs/formats.md");
    assert!(formats.contains(&code), "{code}");
}

proptest! {
    #[test]
    fn the_program_gives_what_the_calls_give(
        picks in prop::collection::vec((0_usize..7, prop::collection::vec(any::<u64>(), 0..9)), 0..7),
        is_alone: bool,
    ) {
        let reads = reads();
        let voters: Vec<Vec<Voter>> =
            picks.iter().map(|(_, numbers)| numbers.iter().copied().map(voter).collect()).collect();
        let rows: Vec<Row<'_>> = picks
            .iter()
            .zip(&voters)
            .map(|((pick, _), voters)| Row { what: reads.get(*pick).map_or(LookUp::CodeSize, LookUp::Read), voters })
            .collect();
        let expected = entries_of(&rows);
        let code = program::assemble(&rows, CallGas::RULES, if is_alone { Company::Nobody } else { Company::Others });
        let answer = execute(&code, &Model, TIMESTAMP_S, CHAIN);
        prop_assert_eq!(program::read(&answer, expected.len(), &pin()).unwrap().1, expected);
    }

    #[test]
    fn any_bytes_are_an_answer_or_a_failure(bytes: Vec<u8>, count in 0_usize..4) {
        prop_assert!(program::read(&bytes, count, &pin()).is_err());
    }

    #[test]
    fn an_answer_that_names_another_place_is_refused(at in 0_usize..65, byte: u8) {
        let code = program::assemble(&[row(&reads()[0], &[voter(1)])], CallGas::RULES, Company::Others);
        let mut answer = execute(&code, &Model, TIMESTAMP_S, CHAIN);
        let is_same = std::mem::replace(&mut answer[at], byte) == byte;
        prop_assert_eq!(program::read(&answer, 1, &pin()).is_ok(), is_same);
    }
}
