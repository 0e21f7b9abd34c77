//! Powers equal what the contracts' own events say.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use pnyx_chains::Raw;
use pnyx_core::{
    chain::Pin,
    power::{Power, VoterPower},
    proposal::{ChainRead, ChainStrategy, MethodName, Strategy, TokenId},
};
use pnyx_testbed::evm::{EvmOptions, Ledger};

use crate::rig::{Rig, account, chains, contract, decimals, erc20, on_chain, power, units, voter};

const ACCOUNTS: u64 = 12;

fn accounts() -> Vec<Address> {
    (0..ACCOUNTS).map(account).collect()
}

fn ten(exponent: u64) -> U256 {
    U256::from(10).pow(U256::from(exponent))
}

/// Every kind of contract with some holders, and what each read and its ledger are called.
fn populated(rig: &Rig) -> Vec<(ChainRead, Option<Ledger>)> {
    let token = rig.token(6);
    let votes = rig.evm.deploy(rig.contracts.get("VotesToken"), &[18_u64.into()]).unwrap();
    let nft = rig.evm.deploy(rig.contracts.get("Badges"), &[]).unwrap();
    let multi = rig.evm.deploy(rig.contracts.get("Items"), &[]).unwrap();
    let stakes = rig.evm.deploy(rig.contracts.get("Stakes"), &[]).unwrap();
    for (number, who) in (1_u64..).zip(accounts()).step_by(2) {
        rig.mint(token, who, U256::from(number) * ten(6) + U256::ONE);
        rig.send("VotesToken", votes, "mint(address,uint256)", &[who.into(), U256::from(number).into()]);
        let delegate = rig.contracts.get("VotesToken").calldata("delegate(address)", &[account(number % 3).into()]);
        rig.evm.send_from(who, votes, U256::ZERO, &delegate).unwrap();
        rig.send("Badges", nft, "mint(address,uint256)", &[who.into(), number.into()]);
        rig.send("Items", multi, "mint(address,uint256,uint256)", &[who.into(), 7_u64.into(), number.into()]);
        rig.send("Items", multi, "mint(address,uint256,uint256)", &[who.into(), 8_u64.into(), 99_u64.into()]);
        rig.send("Stakes", stakes, "set(address,uint256)", &[who.into(), (number * 1_000).into()]);
        rig.evm.fund(who, U256::from(number) * ten(15)).unwrap();
    }
    let call = MethodName::new("votingPower").unwrap();
    vec![
        (erc20(token, 6), Some(Ledger::Erc20(token))),
        (ChainRead::Erc20Votes { address: contract(votes), decimals: decimals(18) }, Some(Ledger::Erc20Votes(votes))),
        (ChainRead::Erc721 { address: contract(nft) }, Some(Ledger::Erc721(nft))),
        (
            ChainRead::Erc1155BalanceOf {
                address: contract(multi),
                token_id: TokenId(U256::from(7)),
                decimals: decimals(2),
            },
            Some(Ledger::Erc1155 { contract: multi, id: U256::from(7) }),
        ),
        (
            ChainRead::ContractCall { address: contract(stakes), method: call, decimals: decimals(3) },
            Some(Ledger::Stakes(stakes)),
        ),
        (ChainRead::EthBalance, None),
    ]
}

/// What each account has at the pin, by a way of its own: events, or the node's answer for the native balance.
fn expected(rig: &Rig, pin: &Pin, read: &ChainRead, ledger: Option<Ledger>) -> Vec<VoterPower> {
    let block = rig.evm.block(pin.number.0).unwrap().unwrap();
    let raw: BTreeMap<Address, U256> = match ledger {
        Some(ledger) => rig.evm.balances_from_events(ledger, pin.number.0).unwrap(),
        None => accounts().into_iter().map(|who| (who, rig.evm.native_balance(who, block).unwrap())).collect(),
    };
    let scale = ten(18 - u64::from(read.decimals().get()));
    accounts().iter().map(|who| units(raw.get(who).copied().unwrap_or_default() * scale)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_strategy_is_what_the_events_say() {
    let rig = &Rig::start();
    let reads = populated(rig);
    let pin = rig.pin_head();
    // What happens after the pin changes nothing.
    for (read, _) in &reads {
        if let ChainRead::Erc20BalanceOf { address, .. } = read {
            rig.mint(Address::from(*address.as_bytes()), account(0), ten(9));
        }
    }
    rig.evm.fund(account(0), ten(18)).unwrap();
    let chains = rig.chains();
    let voters: Vec<_> = accounts().into_iter().map(voter).collect();
    let mut sums = vec![VoterPower::Known(Power::ZERO); voters.len()];
    for (read, ledger) in &reads {
        let expected = expected(rig, &pin, read, *ledger);
        let found = power(&chains, &[on_chain(rig.id(), read.clone())], &[pin]).powers(&voters).await.unwrap();
        assert_eq!(found, expected, "{}", read.name());
        assert!(found.iter().any(|power| *power != VoterPower::Known(Power::ZERO)), "{}", read.name());
        sums.iter_mut().zip(expected).for_each(|(sum, power)| *sum = sum.checked_add(power));
    }
    let all: Vec<Strategy> = reads.iter().map(|(read, _)| on_chain(rig.id(), read.clone())).collect();
    let all = power(&chains, &all, &[pin]);
    assert_eq!(all.powers(&voters).await.unwrap(), sums);
    let cached = all.clone().cached(&chains, 1_000_000);
    assert_eq!(cached.powers(&voters).await.unwrap(), sums);
    assert_eq!(cached.powers(&voters).await.unwrap(), sums);
    let parts = all.by_part(voters[0]).await.unwrap();
    let sum = parts.iter().fold(VoterPower::Known(Power::ZERO), |sum, part| sum.checked_add(part.power));
    assert_eq!((parts.len(), sum), (reads.len(), sums[0]));
    all.can_answer().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn powers_are_summed_over_two_chains() {
    let rigs = [Rig::with(EvmOptions::new().chain_id(100)), Rig::with(EvmOptions::new().chain_id(200))];
    let tokens = [rigs[0].token(0), rigs[1].token(24)];
    rigs[0].mint(tokens[0], account(1), U256::from(3));
    rigs[1].mint(tokens[1], account(1), U256::from(5) * ten(24) + U256::from(999_999));
    rigs[1].mint(tokens[1], account(2), U256::from(1_999_999));
    let pins = rigs.each_ref().map(Rig::pin_head);
    let chains = chains(rigs.each_ref().map(|rig| (rig.id(), vec![rig.evm.url()], 1)));
    let read = |index: usize, number| ChainStrategy { network: rigs[index].id(), read: erc20(tokens[index], number) };
    let multichain = [Strategy::Multichain(vec![read(0, 0), read(1, 24)])];
    let voters = [1, 2, 3].map(|number| voter(account(number)));
    let found = power(&chains, &multichain, &pins).powers(&voters).await.unwrap();
    assert_eq!(found, [units(U256::from(8) * ten(18)), units(U256::ONE), units(U256::ZERO)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn powers_have_a_bound() {
    let rig = Rig::start();
    let (token, whole) = (rig.token(18), rig.token(0));
    let most = Power::max().units();
    rig.mint(token, account(1), most);
    rig.mint(token, account(2), most + U256::ONE);
    rig.mint(whole, account(3), U256::MAX);
    let pin = rig.pin_head();
    let chains = rig.chains();
    let one = power(&chains, &[on_chain(rig.id(), erc20(token, 18))], &[pin]);
    let voters = [1, 2].map(|number| voter(account(number)));
    assert_eq!(one.powers(&voters).await.unwrap(), [units(most), VoterPower::Unavailable]);
    let twice = vec![on_chain(rig.id(), erc20(token, 18)); 2];
    let twice = power(&chains, &twice, &[pin]);
    assert_eq!(twice.powers(&voters).await.unwrap(), [VoterPower::Unavailable; 2], "the sum has the bound too");
    let whole = power(&chains, &[on_chain(rig.id(), erc20(whole, 0))], &[pin]);
    assert_eq!(whole.powers(&[voter(account(3))]).await.unwrap(), [VoterPower::Unavailable]);
    let parts = whole.by_part(voter(account(3))).await.unwrap();
    assert_eq!((parts[0].raw, parts[0].power), (Raw::Integer(U256::MAX), VoterPower::Unavailable));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_voters_take_few_calls() {
    let rig = Rig::start();
    let token = rig.token(18);
    rig.mint(token, account(1_500), U256::from(7));
    let pin = rig.pin_head();
    let endpoint = pnyx_testbed::evm::FaultyEndpoint::start(&rig.evm).unwrap();
    let chains = chains([(rig.id(), vec![endpoint.url()], 1)]);
    let power =
        power(&chains, &[on_chain(rig.id(), erc20(token, 18)), on_chain(rig.id(), ChainRead::EthBalance)], &[pin]);
    let voters: Vec<_> = (0..2_000).map(account).map(voter).collect();
    // As a task of its own, as its users do.
    let found = tokio::spawn(async move { power.powers(&voters).await }).await.unwrap().unwrap();
    assert_eq!(found.iter().position(|power| *power == units(U256::from(7))), Some(1_500));
    let calls = endpoint.calls("eth_call");
    assert!(4_000 / calls >= 500, "{calls} calls for 4000 look-ups");
}
