//! Documents of proposals that read chains: read back, one form each, refused where they say nearly the right thing.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use expect_test::{Expect, expect};
use pnyx_core::{
    chain::{BlockNumber, ChainId, ContractAddress, SnapshotRule},
    decisions::Decision,
    proposal::{
        ChainRead, ChainStrategy, Decimals, Definition, MethodName, Proposal, ProposalParts, Strategy as PowerStrategy,
        TokenId,
    },
    time::TimestampMs,
    wire::{archive, decision},
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::chain_samples;

fn read() -> impl Strategy<Value = ChainRead> {
    let token = || (any::<[u8; 20]>().prop_map(ContractAddress::new), (0..=Decimals::MAX).prop_map(decimals));
    let method = "[a-zA-Z_$][a-zA-Z0-9_$]{0,63}".prop_map(|name| MethodName::new(name).unwrap());
    prop_oneof![
        token().prop_map(|(address, decimals)| ChainRead::Erc20BalanceOf { address, decimals }),
        token().prop_map(|(address, decimals)| ChainRead::Erc20Votes { address, decimals }),
        token().prop_map(|(address, _)| ChainRead::Erc721 { address }),
        (token(), any::<[u8; 32]>()).prop_map(|((address, decimals), id)| ChainRead::Erc1155BalanceOf {
            address,
            token_id: TokenId(U256::from_be_bytes(id)),
            decimals
        }),
        Just(ChainRead::EthBalance),
        (token(), method).prop_map(|((address, decimals), method)| ChainRead::ContractCall {
            address,
            method,
            decimals
        }),
    ]
}

fn decimals(number: u8) -> Decimals {
    Decimals::new(number).unwrap()
}

/// Parts that read one to five chains, alone or within multichain.
fn parts() -> impl Strategy<Value = ProposalParts> {
    let on_chain = || {
        (select(vec![1, 10, 8_453, 42_161, u64::MAX]), read())
            .prop_map(|(network, read)| ChainStrategy { network: ChainId::new(network).unwrap(), read })
    };
    let rule = prop_oneof![
        any::<u64>().prop_map(|number| SnapshotRule::Block(BlockNumber(number))),
        (0..1_796_126_400_000_u64).prop_map(|time_ms| SnapshotRule::AtOrBefore(TimestampMs(time_ms))),
    ];
    (vec(on_chain(), 1..4), vec(on_chain(), 1..8), vec(rule, 5)).prop_map(|(alone, members, rules)| {
        let networks = alone.iter().chain(&members).map(|strategy| strategy.network);
        let snapshots: BTreeMap<_, _> = networks.zip(rules.into_iter().cycle()).collect();
        let mut strategies: Vec<_> = alone.into_iter().map(PowerStrategy::OnChain).collect();
        strategies.push(PowerStrategy::Multichain(members));
        ProposalParts { strategies, snapshots, ..chain_samples::definition().proposal().parts().clone() }
    })
}

proptest! {
    #[test]
    fn definitions_are_read_back(parts in parts()) {
        let definition = Definition::new(Proposal::new(parts).unwrap(), 4, 2).unwrap();
        let decision = Decision::Definition(Box::new(definition));
        prop_assert_eq!(decision::decode(&decision::encode(&decision)), Ok(decision));
    }

    #[test]
    fn different_reads_have_different_ids(one in parts(), other in parts()) {
        let equal = one == other;
        prop_assert_eq!(Proposal::new(one).unwrap().id() == Proposal::new(other).unwrap().id(), equal);
    }
}

fn check(which: usize, from: &str, to: &str, expected: &Expect) {
    let json = String::from_utf8(decision::encode(&chain_samples::decisions()[which])).unwrap();
    assert!(json.contains(from), "{from} stands in {json}");
    expected.assert_eq(&decision::decode(json.replacen(from, to, 1).as_bytes()).unwrap_err().to_string());
}

#[test]
fn strategies_have_one_form() {
    let check = |from, to, expected: Expect| check(0, from, to, &expected);
    check(
        r#""network":"1""#,
        r#""network":"mainnet""#,
        expect![[
            r#"decision record is malformed: strategies.params.network: must be a chain id in decimal digits such as "1""#
        ]],
    );
    check(
        r#""network":"1""#,
        r#""network":"01""#,
        expect![[
            r#"decision record is malformed: strategies.params.network: must be a chain id in decimal digits such as "1""#
        ]],
    );
    check(
        r#""network":"1""#,
        r#""network":1"#,
        expect!["decision record is malformed: invalid type: integer `1`, expected a string at line 1 column 639"],
    );
    check(
        r#""address":"0xC0"#,
        r#""address":"0xc0"#,
        expect!["decision record is malformed: strategies.params.address: address is not EIP-55 checksummed"],
    );
    check(
        r#""decimals":6"#,
        r#""decimals":78"#,
        expect!["decision record is malformed: strategies.params.decimals: must be 0 to 77"],
    );
    check(
        r#""decimals":6"#,
        r#""decimals":6,"symbol":"T""#,
        expect![
            "decision record is malformed: unknown field `symbol`, expected one of `network`, `address`, `decimals` at line 1 column 718"
        ],
    );
    check(
        r#""tokenId":"7""#,
        r#""tokenId":"07""#,
        expect![
            "decision record is malformed: strategies.params.tokenId: must be a number below 2^256 in decimal digits"
        ],
    );
    check(
        r#""tokenId":"7""#,
        r#""tokenId":"0x7""#,
        expect![
            "decision record is malformed: strategies.params.tokenId: must be a number below 2^256 in decimal digits"
        ],
    );
    check(
        r#""method":"stakedOf""#,
        r#""method":"stakedOf(address)""#,
        expect![
            "decision record is malformed: strategies.params.method: must be a Solidity function's name of at most 64 letters, digits, _ and $, not beginning with a digit"
        ],
    );
    check(
        r#""name":"erc20-votes""#,
        r#""name":"multichain""#,
        expect!["decision record is malformed: unknown field `network`, expected `strategies` at line 1 column 797"],
    );
    check(
        r#"{"name":"eth-balance","params":{"network":"1"}}"#,
        r#"{"name":"ticket","params":{"value":"1"}}"#,
        expect!["decision record is malformed: strategies.params.strategies: every one must read one chain"],
    );
}

#[test]
fn snapshots_have_one_form() {
    let check = |from, to, expected: Expect| check(0, from, to, &expected);
    check(
        r#""rule":{"block":150000000}"#,
        r#""rule":{"block":150000000,"atOrBeforeMs":1}"#,
        expect!["decision record is malformed: expected value at line 1 column 1411"],
    );
    check(
        r#""rule":{"block":150000000}"#,
        r#""rule":{"latest":1}"#,
        expect![
            "decision record is malformed: unknown variant `latest`, expected `block` or `atOrBeforeMs` at line 1 column 1402"
        ],
    );
    check(
        r#"{"network":"10","rule":{"block":150000000}}"#,
        r#"{"network":"1","rule":{"block":1}}"#,
        expect!["decision record is malformed: spec.power.snapshot: must say at which block chain 10 is read"],
    );
    check(
        r#""snapshots":["#,
        r#""snapshots":[{"network":"10","rule":{"block":1}},"#,
        expect!["decision record is malformed: its bytes are not the canonical ones"],
    );
}

#[test]
fn pins_have_one_form() {
    let check = |from, to, expected: Expect| check(1, from, to, &expected);
    check(
        r#""chains":[{"network":"1""#,
        r#""chains":[{"network":"0""#,
        expect![[
            r#"decision record is malformed: pins.chains.network: must be a chain id in decimal digits such as "1""#
        ]],
    );
    check(
        r#""chains":[{"network":"1""#,
        r#""chains":[{"network":"11""#,
        expect!["decision record is malformed: its bytes are not the canonical ones"],
    );
    check(
        r#""chains":[{"network":"1""#,
        r#""chains":[{"network":"10""#,
        expect!["decision record is malformed: pins.chains: chain 10 is pinned twice"],
    );
    check(
        r#""hash":"0xe1"#,
        r#""hash":"0xE1"#,
        expect![
            "decision record is malformed: pins.chains.hash: expected 0x followed by 64 lower-case hexadecimal digits"
        ],
    );
    check(
        r#""block":27123456"#,
        r#""block":"27123456""#,
        expect![[
            r#"decision record is malformed: invalid type: string "27123456", expected u64 at line 1 column 152"#
        ]],
    );
    let empty =
        format!(r#"{{"v":1,"kind":"pins","pins":{{"proposal":"{}","chains":[]}}}}"#, chain_samples::proposal_id());
    expect!["decision record is malformed: pins.chains: there must be at least one pin"]
        .assert_eq(&decision::decode(empty.as_bytes()).unwrap_err().to_string());
}

#[test]
fn evidence_has_one_form() {
    let id = chain_samples::proposal_id().to_string();
    let (pins, of_another) =
        [id, format!("0x{}", "11".repeat(32))].map(|id| format!(r#""pins":{{"proposal":"{id}""#)).into();
    let check = |from, to, expected: Expect| check(2, from, to, &expected);
    check(&pins, &of_another, expect!["result is malformed: core and pins are of different proposals"]);
    check(
        r#""powersRoot":"0x"#,
        r#""powersRoot":"0x0"#,
        expect![
            "result is malformed: provenance.chains.powersRoot: expected 0x followed by 64 lower-case hexadecimal digits"
        ],
    );
    check(
        r#""chains":{"pins""#,
        r#""chains":{"pin""#,
        expect!["result is malformed: unknown field `pin`, expected `pins` or `powersRoot` at line 1 column 787"],
    );
    let plain = String::from_utf8(decision::encode(&Decision::Result(Box::new(crate::samples::result())))).unwrap();
    let with_null = plain.replacen(
        r#""rejected":{"malformedEnvelope":1}"#,
        r#""rejected":{"malformedEnvelope":1},"chains":null"#,
        1,
    );
    expect!["result is malformed: its bytes are not the canonical ones"]
        .assert_eq(&decision::decode(with_null.as_bytes()).unwrap_err().to_string());
}

#[test]
fn power_lines_have_one_form() {
    let line =
        |power: &str| format!(r#"{{"v":1,"kind":"power","voter":"{}","power":{power}}}"#, crate::samples::voter(0xaa));
    for power in ["\"0\"", "\"12.5\"", "null"] {
        assert_eq!(archive::encode(&archive::decode(&line(power)).unwrap()), line(power));
    }
    for power in ["\"\"", "\"12.50\"", "0", "12.5", "\"-1\"", "false"] {
        assert!(archive::decode(&line(power)).is_err(), "{power}");
    }
    let absent = line("0").replace(",\"power\":0", "");
    expect!["archive line is malformed: its bytes are not the canonical ones"]
        .assert_eq(&archive::decode(&absent).unwrap_err().to_string());
}
