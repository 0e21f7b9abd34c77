//! Tokens that answer oddly for some holders: what they answer alone, with the full gas, is a fact, and nobody else's
//! power suffers.

use alloy_primitives::{Address, U256, hex};
use pnyx_chains::{CALL_GAS, Raw};
use pnyx_core::power::VoterPower;
use pnyx_testbed::evm::Odd;

use crate::rig::{Rig, account, erc20, on_chain, only, power, units, voter};

const BALANCE: u64 = 5;

fn odd_token(rig: &Rig) -> Address {
    rig.evm.deploy(rig.contracts.get("OddToken"), &[]).unwrap()
}

fn holder(rig: &Rig, token: Address, number: u64, odd: Odd) -> Address {
    let who = account(number);
    rig.send("OddToken", token, "mint(address,uint256)", &[who.into(), BALANCE.into()]);
    rig.send("OddToken", token, "setOdd(address,uint8)", &[who.into(), odd.into()]);
    who
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_answers_are_facts() {
    let rig = &Rig::start();
    let token = odd_token(rig);
    let kinds = [
        (Odd::Not, Raw::Integer(U256::from(BALANCE))),
        (Odd::Reverts, Raw::Reverts),
        (Odd::RevertsWithMegabyte, Raw::Reverts),
        (Odd::ReturnsNothing, Raw::OtherShape),
        (Odd::Returns31Bytes, Raw::OtherShape),
        (Odd::Returns64Bytes, Raw::OtherShape),
        (Odd::ReturnsMegabyte, Raw::OtherShape),
        (Odd::BurnsAllGas, Raw::Reverts),
        (Odd::HitsInvalid, Raw::Reverts),
        (Odd::Not, Raw::Integer(U256::from(BALANCE))),
    ];
    let holders: Vec<_> = (0..).zip(kinds).map(|(number, (odd, _))| voter(holder(rig, token, number, odd))).collect();
    let gas = |number, taken: u64| {
        let who = holder(rig, token, number, Odd::Not);
        rig.send("OddToken", token, "takeGas(address,uint256)", &[who.into(), taken.into()]);
        voter(who)
    };
    // More than a call in a batch gets, but less than it gets alone; and more than that.
    let (patient, greedy) = (gas(100, CALL_GAS / 2), gas(101, CALL_GAS + CALL_GAS / 10));
    let pin = rig.pin_head();
    let chains = rig.chains();
    let read = erc20(token, 18);
    let power = power(&chains, &[on_chain(rig.id(), read.clone())], &[pin]);
    // Twice in a row the same, with many others between.
    let mut voters = holders.clone();
    voters.extend([patient, greedy]);
    voters.extend((1_000..1_300).map(account).map(voter));
    for _ in 0..2 {
        let found = power.powers(&voters).await.unwrap();
        for (power, (odd, raw)) in found.iter().zip(kinds) {
            assert_eq!(*power, raw.power(&read), "{odd:?}");
        }
        assert_eq!(found[10..12], [units(U256::from(BALANCE)), VoterPower::Unavailable]);
        assert!(found[12..].iter().all(|power| *power == units(U256::ZERO)));
    }
    for (who, (odd, raw)) in holders.iter().zip(kinds) {
        assert_eq!(only(&chains).read_alone(&pin, &read, *who).await.unwrap(), raw, "{odd:?}");
    }
}

/// SLOAD of slot 0, then GAS as the answer: what the first costs tells who was asked about before.
const LOOKS_AT_GAS: [u8; 13] = hex!("600054505a60005260206000f3");

/// The same, but reverting with little gas.
const LOOKS_AT_FULL_GAS: [u8; 28] = hex!("620f42405a11600e5760006000fd5b600054505a60005260206000f3");

#[tokio::test(flavor = "multi_thread")]
async fn contracts_cannot_tell_who_else_is_asked_about() {
    let rig = Rig::start();
    for (number, code) in [(7_000, LOOKS_AT_GAS.as_slice()), (7_001, &LOOKS_AT_FULL_GAS)] {
        let token = account(number);
        rig.evm.place_code(token, code).unwrap();
        let pin = rig.pin_head();
        let chains = rig.chains();
        let read = erc20(token, 0);
        let alone = only(&chains).read_alone(&pin, &read, voter(account(1))).await.unwrap();
        assert!(matches!(alone, Raw::Integer(_)), "{alone:?}");
        let power = power(&chains, &[on_chain(rig.id(), read.clone())], &[pin]);
        for count in [1, 2, 100, 700] {
            let voters: Vec<_> = (0..count).map(account).map(voter).collect();
            let found = power.powers(&voters).await.unwrap();
            assert!(found.iter().all(|found| *found == alone.power(&read)), "{count}: {found:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_see_the_pinned_block() {
    let rig = Rig::start();
    let token = odd_token(&rig);
    let who = voter(holder(&rig, token, 1, Odd::CountsBlocks));
    let pin = rig.pin_head();
    let chains = rig.chains();
    let power = power(&chains, &[on_chain(rig.id(), erc20(token, 18))], &[pin]);
    assert_eq!(power.powers(&[who]).await.unwrap(), [units(U256::from(pin.number.0))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_reverting_holders_is_looked_up_all_the_same() {
    let rig = Rig::start();
    let token = odd_token(&rig);
    let who: Vec<Address> = (0..80).map(|number| holder(&rig, token, number, Odd::Reverts)).collect();
    let pin = rig.pin_head();
    let chains = rig.chains();
    let power = power(&chains, &[on_chain(rig.id(), erc20(token, 18))], &[pin]);
    let voters: Vec<_> = (0..400).map(account).map(voter).collect();
    let found = power.powers(&voters).await.unwrap();
    assert!(found[..who.len()].iter().all(|power| *power == VoterPower::Unavailable));
    assert!(found[who.len()..].iter().all(|power| *power == units(U256::ZERO)));
}
