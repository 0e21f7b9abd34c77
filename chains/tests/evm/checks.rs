//! Strategies that can never answer are found before anybody votes.

use alloy_primitives::Address;
use pnyx_chains::{CheckError, NeverAnswers};
use pnyx_core::proposal::{ChainRead, ChainStrategy, MethodName, Strategy};

use crate::rig::{Rig, account, contract, decimals, erc20, on_chain, power};

fn call(address: Address, method: &str) -> ChainRead {
    ChainRead::ContractCall {
        address: contract(address),
        method: MethodName::new(method).unwrap(),
        decimals: decimals(0),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strategies_that_never_answer_are_named() {
    let rig = Rig::start();
    let later = rig.evm.head().unwrap();
    let token = rig.token(18);
    let nft = rig.evm.deploy(rig.contracts.get("Badges"), &[]).unwrap();
    let pin = rig.pin_head();
    let chains = rig.chains();
    let votes = ChainRead::Erc20Votes { address: contract(token), decimals: decimals(18) };
    for (read, expected) in [
        (erc20(token, 18), None),
        (ChainRead::EthBalance, None),
        (call(token, "balanceOf"), None),
        (erc20(account(1), 18), Some(NeverAnswers::NoContract)),
        (votes, Some(NeverAnswers::Reverts)),
        (call(token, "balanceOff"), Some(NeverAnswers::Reverts)),
        (ChainRead::Erc721 { address: contract(nft) }, None),
    ] {
        let checked = power(&chains, &[on_chain(rig.id(), read.clone())], &[pin]).can_answer().await;
        match (checked, expected) {
            (Ok(()), None) => {}
            (Err(CheckError::Never { never, strategy: 0, position: None, .. }), Some(expected)) => {
                assert_eq!(never, expected, "{read:?}");
            }
            (checked, expected) => panic!("{read:?}: {checked:?}, not {expected:?}"),
        }
    }
    // A contract that was deployed after the pin is none.
    let early = rig.pin(later);
    let pair = Strategy::Multichain(vec![
        ChainStrategy { network: rig.id(), read: ChainRead::EthBalance },
        ChainStrategy { network: rig.id(), read: erc20(token, 18) },
    ]);
    let error = power(&chains, &[pair], &[early]).can_answer().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "strategies[0].multichain.strategies[1], block {} of chain {}: there is no contract at its address",
            early.number, early.chain
        )
    );
}
