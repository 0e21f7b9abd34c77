//! From a resource that reads chains to its proposal.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops there")]

use std::{fs, path::Path};

use pnyx_core::{
    chain::{BlockNumber, ChainId, ContractAddress, SnapshotRule},
    proposal::{ChainRead, ChainStrategy, Decimals, MethodName, Proposal, Strategy},
    time::{TimestampMs, Window},
};
use pnyx_crds::read_resources;

const RESOURCE: &str = r#"apiVersion: pnyx.dev/v1alpha1
kind: GovernanceProposal
metadata: {name: on-chains}
spec:
  space: demo.eth
  title: On chains
  body: Text
  choices: ["For", "Against"]
  voting: {system: Basic}
  window: {opensAt: "2026-12-01T12:00:00Z", closesAt: "2026-12-08T12:00:00Z"}
  power:
    strategies:
      - erc20BalanceOf: {network: "1", address: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", decimals: 6}
      - erc20Votes: {network: "1", address: "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", decimals: 18}
      - erc721: {network: "10", address: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"}
      - ethBalance: {network: "10"}
      - multichain:
          strategies:
            - erc1155BalanceOf:
                network: "100"
                address: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
                tokenId: "7"
                decimals: 0
            - contractCall:
                network: "1"
                address: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
                method: stakedOf
                decimals: 77
    snapshot:
      - {network: "10", block: 150000000}
      - {network: "100", atOrBefore: "2026-11-30T12:00:00Z"}
"#;

const OPENS_AT: TimestampMs = TimestampMs(1_796_126_400_000);

fn chain(number: u64) -> ChainId {
    ChainId::new(number).unwrap()
}

fn resolve(name: &str, window: Option<Window>) -> Proposal {
    resolve_text(name, RESOURCE, window)
}

fn resolve_text(name: &str, resource: &str, window: Option<Window>) -> Proposal {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, resource).unwrap();
    let resources = read_resources(&file).unwrap_or_else(|error| panic!("{error}"));
    resources[0].resolve("dev", window).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn each_strategy_is_read() {
    let address = ContractAddress::from_checksummed("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed").unwrap();
    let decimals = |number| Decimals::new(number).unwrap();
    let on = |number, read| ChainStrategy { network: chain(number), read };
    let proposal = resolve("each.yaml", None);
    let method = MethodName::new("stakedOf").unwrap();
    let token_id = "7".parse().unwrap();
    assert_eq!(
        proposal.parts().strategies,
        [
            Strategy::OnChain(on(1, ChainRead::Erc20BalanceOf { address, decimals: decimals(6) })),
            Strategy::OnChain(on(1, ChainRead::Erc20Votes { address, decimals: decimals(18) })),
            Strategy::OnChain(on(10, ChainRead::Erc721 { address })),
            Strategy::OnChain(on(10, ChainRead::EthBalance)),
            Strategy::Multichain(vec![
                on(100, ChainRead::Erc1155BalanceOf { address, token_id, decimals: decimals(0) }),
                on(1, ChainRead::ContractCall { address, method, decimals: decimals(77) }),
            ]),
        ]
    );
    assert_eq!(proposal.chains().collect::<Vec<_>>(), [1, 10, 100].map(chain));
}

#[test]
fn a_chain_without_a_rule_is_read_when_the_window_opens() {
    let stated = [
        (chain(10), SnapshotRule::Block(BlockNumber(150_000_000))),
        (chain(100), SnapshotRule::AtOrBefore(TimestampMs(OPENS_AT.0 - 86_400_000))),
    ];
    let with_default = |opens_at| stated.into_iter().chain([(chain(1), SnapshotRule::AtOrBefore(opens_at))]).collect();
    assert_eq!(resolve("default.yaml", None).parts().snapshots, with_default(OPENS_AT));

    let later = TimestampMs(OPENS_AT.0 + 5_000);
    let window = Window::new(later, later.saturating_add_ms(60_000)).unwrap();
    assert_eq!(resolve("moved.yaml", Some(window)).parts().snapshots, with_default(later));
}

#[test]
fn contracts_of_the_first_chain_that_is_read_sign_unless_another_is_named() {
    let signers = |name, from: &str, to: &str| {
        assert!(RESOURCE.contains(from), "{from}");
        let proposal = resolve_text(name, &RESOURCE.replacen(from, to, 1), None);
        (proposal.signers().map(ChainId::get), proposal.chains().map(ChainId::get).collect::<Vec<_>>())
    };
    let ticket = "    strategies:\n      - ticket: {value: \"1\"}\n";
    let (_, strategies) = RESOURCE.split_once("    strategies:\n").unwrap();
    let (strategies, _) = strategies.split_once("      - multichain:").unwrap();
    assert_eq!(signers("first.yaml", "strategies:", "strategies:"), (Some(1), vec![1, 10, 100]));
    assert_eq!(signers("after-ticket.yaml", "    strategies:\n", ticket), (Some(1), vec![1, 10, 100]));
    // Without the strategies before it, multichain is the first that reads a chain, and chain 100 its first.
    let only_multichain = format!("    strategies:\n{strategies}");
    let rule = "      - {network: \"10\", block: 150000000}\n";
    let multichain = RESOURCE.replace(&only_multichain, ticket).replace(rule, "");
    let proposal = resolve_text("multichain.yaml", &multichain, None);
    assert_eq!(proposal.signers(), Some(chain(100)));
    let power = "  power:\n";
    assert_eq!(signers("stated.yaml", power, "  signers: {chain: \"10\"}\n  power:\n"), (Some(10), vec![1, 10, 100]));
    let (signers, chains) = signers("another.yaml", power, "  signers: {chain: \"5\"}\n  power:\n");
    assert_eq!((signers, chains), (Some(5), vec![1, 5, 10, 100]));
}

#[test]
fn the_signers_chain_has_a_snapshot_of_its_own() {
    let (head, _) = RESOURCE.split_once("    strategies:\n").unwrap();
    let listed = format!("{head}    strategies: [{{ticket: {{value: \"1\"}}}}]\n");
    let plain = resolve_text("listed.yaml", &listed, None);
    assert_eq!((plain.signers(), plain.chains().len()), (None, 0));
    let signing = resolve_text("signing.yaml", &format!("{listed}  signers: {{chain: \"5\"}}\n"), None);
    assert_eq!(signing.parts().snapshots, [(chain(5), SnapshotRule::AtOrBefore(OPENS_AT))].into());
    let stated = format!("{listed}    snapshot: [{{network: \"5\", block: 7}}]\n  signers: {{chain: \"5\"}}\n");
    let stated = resolve_text("signing-at.yaml", &stated, None);
    assert_eq!(stated.parts().snapshots, [(chain(5), SnapshotRule::Block(BlockNumber(7)))].into());
}
