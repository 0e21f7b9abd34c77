//! Proposals that are refused, and what may be changed of one that is accepted.

pub(crate) const GOOD: &str = r#"
apiVersion: pnyx.dev/v1alpha1
kind: GovernanceProposal
metadata: {name: good, namespace: default}
spec:
  space: demo.eth
  title: Good
  body: Text
  choices: ["For", "Against", "Abstain"]
  voting: {system: Basic, quorum: {kind: Participation, power: "10.5"}, approvalThreshold: "0.666667"}
  window: {opensAt: "2026-12-01T12:00:00Z", closesAt: "2026-12-08T12:00:00Z"}
  power:
    strategies:
      - ticket: {value: "1"}
      - whitelistWeighted: {addresses: {"0x732a943D04fb15c316D624749287ED15A760015D": "12.5"}}
      - erc20BalanceOf: {network: "1", address: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", decimals: 6}
      - multichain: {strategies: [{ethBalance: {network: "10"}}]}
    snapshot:
      - {network: "10", block: 150000000}
      - {network: "1", atOrBefore: "2026-11-30T12:00:00Z"}
  platformRef: {name: main}
  scaling: {minShards: 1, maxShards: 8, warmShards: 2, partitions: {initial: 8, max: 16}}
  retention: 720h
"#;

pub(crate) const CREATED: &[&str] = &[
    r#"{spec: {window: {closesAt: "2026-12-01T12:00:00Z"}}}"#,
    r#"{spec: {window: {opensAt: "2026-12-09T12:00:00+01:00"}}}"#,
    r#"{spec: {choices: ["For", "Against", "For"]}}"#,
    r#"{spec: {choices: ["For"], voting: {abstentions: Quorum}}}"#,
    r#"{spec: {choices: ["a", "b", "c", "d"]}}"#,
    r#"{spec: {choices: ["a"], voting: {system: RankedChoice}}}"#,
    r#"{spec: {voting: {system: Copeland}, choices: [a, b, c, d, e, f, g, h, i, j, k, l, m, o, p, q, r, s, t, u, v]}}"#,
    r#"{spec: {voting: {system: Approval, abstentions: Neither}}}"#,
    r#"{spec: {choices: ["For", "Against"], voting: {abstentions: QuorumAndThreshold}}}"#,
    r#"{spec: {voting: {system: Weighted, quorum: {kind: Rejection}}}}"#,
    r#"{spec: {voting: {quorum: {power: "0.00"}}}}"#,
    r#"{spec: {voting: {approvalThreshold: "0.000"}}}"#,
    r#"{spec: {power: {strategies: [{}]}}}"#,
    r#"{spec: {power: {strategies: [{ticket: {value: "1"}, ethBalance: {network: "1"}}]}}}"#,
    r#"{spec: {power: {strategies: [{multichain: {strategies: [{}]}}]}}}"#,
    r#"{spec: {power: {snapshot: [{network: "1"}]}}}"#,
    r#"{spec: {power: {snapshot: [{network: "1", block: 7, atOrBefore: "2026-11-30T12:00:00Z"}]}}}"#,
    r#"{spec: {power: {snapshot: [{network: "1", atOrBefore: "2026-12-08T12:00:00.001Z"}]}}}"#,
    "{spec: {scaling: {minShards: 9, warmShards: 9}}}",
    "{spec: {scaling: {minShards: 3}}}",
    "{spec: {scaling: {warmShards: 9}}}",
    "{spec: {scaling: {shards: 9}}}",
    "{spec: {scaling: {partitions: {initial: 17}}}}",
    "{spec: {scaling: {partitions: {initial: 4, max: 4}}}}",
    "{spec: {scaling: {lead: 25h}}}",
    "{spec: {scaling: {catchUpTarget: 9s}}}",
    "{spec: {scaling: {catchUpTarget: 24h1s}}}",
    "{spec: {retention: 23h59m}}",
];

pub(crate) const ACCEPTED: &[&str] = &[
    "{spec: {space: other.eth}}",
    "{spec: {title: Better}}",
    "{spec: {body: Other text}}",
    "{spec: {discussion: 'https://forum.example'}}",
    "{spec: {author: Somebody}}",
    r#"{spec: {choices: ["For", "Against", "No opinion"]}}"#,
    "{spec: {voting: {abstentions: Neither}}}",
    "{spec: {voting: {quorum: null}}}",
    r#"{spec: {window: {closesAt: "2026-12-09T12:00:00Z"}}}"#,
    r#"{spec: {window: {clockSkewSeconds: 60}}}"#,
    r#"{spec: {power: {snapshot: [{network: "10", block: 150000001}, {network: "1", block: 7}]}}}"#,
    r#"{spec: {signers: {chain: "10"}}}"#,
    "{spec: {platformRef: {name: other}}}",
];

pub(crate) const ALLOWED: &[&str] = &[
    "{metadata: {labels: {team: votes}}}",
    "{spec: {scaling: {minShards: 0, maxShards: 12, warmShards: 3, hold: true, expectedPeak: 5000}}}",
    "{spec: {scaling: null}}",
    "{spec: {retention: null, deletionPolicy: Delete, paused: true}}",
];
