//! What a person reads who made a mistake in a file: each case changes one thing in a good resource.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops there")]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use expect_test::{ExpectFile, expect_file};
use pnyx_crds::{FILE_BYTES_MAX, read_resources};

const GOOD: &str = r#"apiVersion: pnyx.dev/v1alpha1
kind: GovernanceProposal
metadata:
  name: good
spec:
  space: demo.eth
  title: Good
  body: Text
  choices: ["For", "Against", "Abstain"]
  voting:
    system: Basic
    quorum:
      kind: Participation
      power: "10.5"
    approvalThreshold: "0.666667"
  window:
    opensAt: "2026-12-01T12:00:00Z"
    closesAt: "2026-12-08T12:00:00Z"
  power:
    strategies:
      - ticket:
          value: "1"
      - whitelist:
          addresses: ["0x732a943D04fb15c316D624749287ED15A760015D"]
      - whitelistWeighted:
          addresses:
            "0x732a943D04fb15c316D624749287ED15A760015D": "12.5"
"#;

/// A text of the good resource, and what stands there instead.
const CASES: &[(&str, &str)] = &[
    ("pnyx.dev/v1alpha1", "pnyx.dev/v2"),
    ("apiVersion: pnyx.dev/v1alpha1\n", ""),
    ("kind: GovernanceProposal", "kind: Deployment"),
    ("name: good", "name: Not_Good"),
    ("name: good", "labels: {a: b}"),
    ("name: good", "nam: good"),
    ("  title: Good\n", ""),
    ("title: Good", "titel: Good"),
    ("title: Good", "title: 7"),
    ("title: Good", "title: Good\n  title: Better"),
    ("title: Good", "title: [Good"),
    ("title: Good", "title: \"\""),
    ("title: Good", "deadline: tomorrow\n  title: Good"),
    (r#"["For", "Against", "Abstain"]"#, "[Yes, No]"),
    (r#"["For", "Against", "Abstain"]"#, r#"["For", "Against", "For"]"#),
    (r#"["For", "Against", "Abstain"]"#, "For"),
    ("system: Basic", "system: Ranked"),
    ("system: Basic", "system: Approval\n    abstentions: Neither"),
    ("kind: Participation", "kind: Turnout"),
    ("power: \"10.5\"", "power: 10.5"),
    ("power: \"10.5\"", "power: \"ten\""),
    ("power: \"10.5\"", "power: \"0.1234567890123456789\""),
    ("0.666667", "0.6666667"),
    ("0.666667", "0"),
    ("0.666667", "1.5"),
    ("2026-12-08T12:00:00Z", "2026-12-01T12:00:00Z"),
    ("2026-12-08T12:00:00Z", "8 December"),
    ("2026-12-08T12:00:00Z", "2026-12-08T12:00:00.0005Z"),
    ("closesAt:", "clockSkewSeconds: -1\n    closesAt:"),
    ("closesAt:", "clockSkewSeconds: 99999999\n    closesAt:"),
    ("closesAt:", "closeAt:"),
    ("value: \"1\"", "value: \"-1\""),
    ("value: \"1\"", "amount: \"1\""),
    ("- ticket:\n          value: \"1\"", "- {}"),
    ("- whitelist:", "  whitelist:"),
    ("- ticket:", "- delegation:"),
    ("[\"0x732a943D04fb", "[\"0x732A943D04fb"),
    ("[\"0x732a943D04fb", "[\"0x732a"),
    (
        "[\"0x732a943D04fb15c316D624749287ED15A760015D\"]",
        "[\"0x732a943D04fb15c316D624749287ED15A760015D\", \"0x732a943d04fb15c316d624749287ed15a760015d\"]",
    ),
    ("\": \"12.5\"", "\": 12.5"),
    ("\": \"12.5\"", "\": \"12.5\"\n            \"0x732a943d04fb15c316d624749287ed15a760015d\": \"1\""),
    ("\": \"12.5\"", "\": \"1e3\""),
    (GOOD, "just a text"),
    (GOOD, "# nothing here\n"),
];

/// The good resource with the power of [`GOOD_POWER`].
fn good_on_chains() -> String {
    let (head, _) = GOOD.split_once("  power:\n    strategies:\n").unwrap();
    format!("{head}{GOOD_POWER}")
}

const GOOD_POWER: &str = r#"  power:
    strategies:
      - erc20BalanceOf:
          network: "1"
          address: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
          decimals: 6
      - multichain:
          strategies:
            - erc1155BalanceOf:
                network: "10"
                address: "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
                tokenId: "7"
                decimals: 0
            - contractCall:
                network: "8453"
                address: "0xd1220a0cf47c7b9be7a2e6ba89f429762e7b9adb"
                method: stakedOf
                decimals: 24
    snapshot:
      - network: "10"
        block: 150000000
      - network: "8453"
        atOrBefore: "2026-11-30T12:00:00Z"
  signers:
    chain: "137"
"#;

/// A text of the resource on chains, and what stands there instead.
const CHAIN_CASES: &[(&str, &str)] = &[
    ("network: \"1\"", "network: mainnet"),
    ("network: \"1\"", "network: \"0\""),
    ("network: \"1\"", "network: 1"),
    ("network: \"1\"\n", "net: \"1\"\n"),
    ("0x5aAeb6053F", "0x5AAeb6053F"),
    ("0x5aAeb6053F", "0x5aAe"),
    ("          address: \"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\"\n", ""),
    ("decimals: 6", "decimals: 78"),
    ("decimals: 6", "decimals: -1"),
    ("decimals: 6", "decimals: \"6\""),
    ("decimals: 6", "decimals: 6\n          symbol: TOK"),
    ("decimals: 6", "decimals: 6\n        ticket:\n          value: \"1\""),
    ("- erc20BalanceOf:", "- erc20Balance:"),
    ("tokenId: \"7\"", "tokenId: \"0x7\""),
    ("method: stakedOf", "method: stakedOf(address)"),
    ("- contractCall:", "  contractCall:"),
    ("            - contractCall:", "            - {}\n            - contractCall:"),
    ("- contractCall:", "- whitelist:\n                addresses: []\n            - contractCall:"),
    ("block: 150000000", "block: -1"),
    ("block: 150000000", "block: \"150000000\""),
    ("block: 150000000", "atBlock: 150000000"),
    ("        block: 150000000\n", ""),
    ("block: 150000000", "block: 150000000\n        atOrBefore: \"2026-11-30T12:00:00Z\""),
    ("2026-11-30T12:00:00Z", "yesterday"),
    ("2026-11-30T12:00:00Z", "2026-12-08T12:00:00.001Z"),
    ("- network: \"10\"", "- network: \"8453\""),
    ("- network: \"10\"", "- network: \"42161\""),
    ("- network: \"10\"", "- network: optimism"),
    ("chain: \"137\"", "chain: polygon"),
    ("chain: \"137\"", "chain: \"0\""),
    ("chain: \"137\"", "chain: 137"),
    ("chain: \"137\"", "network: \"137\""),
    ("signers:", "signer:"),
    ("  signers:\n    chain: \"137\"\n", "  signers: {}\n"),
];

/// What operators are told stands in the same resource and is read as strictly.
const OPERATOR_CASES: &[(&str, &str)] = &[
    ("  window:", "  scaling: {minshards: 2}\n  window:"),
    ("  window:", "  scaling: {maxShards: many}\n  window:"),
    ("  window:", "  scaling: {partitions: {most: 2}}\n  window:"),
    ("  window:", "  scaling: {lead: 90}\n  window:"),
    ("  window:", "  platformRef: main\n  window:"),
    ("  window:", "  platformRef: {nam: main}\n  window:"),
    ("  window:", "  deletionPolicy: Forget\n  window:"),
    ("  window:", "  paused: \"yes\"\n  window:"),
];

/// A platform with a mistake each.
const PLATFORM_CASES: &[(&str, &str)] = &[
    ("domain: votes.example", "domian: votes.example"),
    ("  signingKeySecretRef: {name: signing, key: key}\n", ""),
    ("{name: signing, key: key}", "signing"),
    ("{name: signing, key: key}", "{name: signing}"),
    ("bootstrapServers: [\"kafka:9092\"]", "bootstrapServers: \"kafka:9092\""),
    ("bootstrapServers: [\"kafka:9092\"]", "bootstrapServers: [\"kafka:9092\"]\n    brokers: 3"),
    ("single: {address: \"redis:6379\"}", "single: {adress: \"redis:6379\"}"),
    ("ingest: {}", "ingest: {replicas: {least: 2}}"),
    ("ingest: {}", "ingest: {resources: {request: {cpu: 1}}}"),
    ("ingest: {}", "ingest: {tolerations: [{keys: a}]}"),
    ("ingest: {}", "ingress: {}"),
];

const GOOD_PLATFORM: &str = r#"apiVersion: pnyx.dev/v1alpha1
kind: GovernancePlatform
metadata:
  name: good
spec:
  domain: votes.example
  kafka:
    bootstrapServers: ["kafka:9092"]
  redis:
    single: {address: "redis:6379"}
  signingKeySecretRef: {name: signing, key: key}
  ingest: {}
"#;

#[test]
fn each_mistake_about_running_is_explained_at_its_path() {
    check(GOOD, OPERATOR_CASES, &expect_file!["problems_operator.txt"]);
}

#[test]
fn each_mistake_in_a_platform_is_explained_at_its_path() {
    check(&format!("{GOOD}---\n{GOOD_PLATFORM}"), PLATFORM_CASES, &expect_file!["problems_platform.txt"]);
}

#[test]
fn what_an_operator_is_told_is_no_part_of_the_id() {
    let folder = folder_of(&expect_file!["id"]);
    let id = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        read_resources(&file).unwrap()[0].resolve("dev", None).unwrap().id()
    };
    let told = "  platformRef: {name: other}\n  scaling: {maxShards: 3, hold: true}\n  retention: 48h\n  deletionPolicy: \
                Delete\n  paused: true\n";
    assert_eq!(id("plain.yaml", GOOD), id("told.yaml", &format!("{GOOD}{told}")));
}

/// The good resource with a scaling that says everything.
fn good_scaled() -> String {
    format!("{GOOD}{GOOD_SCALING}")
}

const GOOD_SCALING: &str = r#"  scaling:
    minShards: 1
    maxShards: 12
    warmShards: 2
    lead: 1h30m
    catchUpTarget: 90s
    utilization: 75
    expectedPeak: 50000
    ratePerShard: 20001
    hold: true
    partitions:
      initial: 6
      max: 48
"#;

/// A text of the scaled resource, and what stands there instead.
const SCALING_CASES: &[(&str, &str)] = &[
    ("minShards: 1", "minShards: -1"),
    ("minShards: 1", "minShards: 13"),
    ("minShards: 1", "minShards: one"),
    ("minShards: 1", "minShard: 1"),
    ("maxShards: 12", "maxShards: 0"),
    ("maxShards: 12", "maxShards: 2000"),
    ("maxShards: 12", "maxShards: 49"),
    ("maxShards: 12", "maxShards: 99999999999"),
    ("warmShards: 2", "warmShards: 0"),
    ("warmShards: 2", "warmShards: 13"),
    ("lead: 1h30m", "lead: 90"),
    ("lead: 1h30m", "lead: soon"),
    ("lead: 1h30m", "lead: 25h"),
    ("lead: 1h30m", "leadSeconds: 90"),
    ("catchUpTarget: 90s", "catchUpTarget: 5s"),
    ("catchUpTarget: 90s", "catchUpTarget: 0.5m"),
    ("utilization: 75", "utilization: 0.75"),
    ("utilization: 75", "utilization: 5"),
    ("utilization: 75", "utilization: 101"),
    ("expectedPeak: 50000", "expectedPeak: 0"),
    ("expectedPeak: 50000", "expectedPeak: -1"),
    ("ratePerShard: 20001", "ratePerShard: 0"),
    ("hold: true", "hold: maybe"),
    ("initial: 6", "initial: 49"),
    ("initial: 6", "initial: 0"),
    ("max: 48", "max: 11"),
    ("max: 48", "most: 48"),
    ("partitions:\n      initial: 6\n      max: 48", "partitions: 48"),
];

#[test]
fn each_mistake_is_explained_at_its_path() {
    check(GOOD, CASES, &expect_file!["problems.txt"]);
}

#[test]
fn each_mistake_about_scaling_is_explained_at_its_path() {
    check(&good_scaled(), SCALING_CASES, &expect_file!["problems_scaling.txt"]);
}

#[test]
fn each_mistake_about_chains_is_explained_at_its_path() {
    check(&good_on_chains(), CHAIN_CASES, &expect_file!["problems_chains.txt"]);
}

fn check(resource: &str, cases: &[(&str, &str)], expected: &ExpectFile) {
    let file = folder_of(expected).join("x.yaml");
    let mut table = String::new();
    for (good, bad) in cases {
        assert_eq!(resource.matches(good).count(), 1, "{good} is not unique");
        let explained = explain(&file, &resource.replace(good, bad));
        writeln!(table, "{}\n{explained}\n", bad.replace('\n', "⏎")).unwrap();
    }
    expected.assert_eq(&table);
}

/// Tests run at the same time: each table has a folder of its own.
fn folder_of(expected: &ExpectFile) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(expected.path.file_stem().unwrap());
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn the_good_resources_are_good() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("good.yaml");
    for good in [GOOD, &good_on_chains(), &good_scaled(), &format!("{GOOD}---\n{GOOD_PLATFORM}")] {
        assert_eq!(explain(&file, good), "  no problem");
    }
}

#[test]
fn several_files_are_reported_together_and_names_must_differ() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("several");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("a.yaml"), GOOD).unwrap();
    fs::write(folder.join("b.yml"), format!("{GOOD}---\n{}", GOOD.replace("Good", "0"))).unwrap();
    fs::write(folder.join("notes.md"), "not read").unwrap();
    let error = read_resources(&folder).unwrap_err().to_string().replace(&*folder.to_string_lossy(), "several");
    assert_eq!(
        error,
        "several/b.yml: spec.title: invalid type: integer `0`, expected a string; write it in quotes\n\
         several/b.yml: metadata.name: \"good\" in namespace \"default\" is already in several/a.yaml"
    );
}

#[test]
fn a_file_has_a_largest_size() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("large.yaml");
    let fill = |length: u64| format!("{GOOD}{}", "#".repeat(usize::try_from(length).unwrap() - GOOD.len()));
    assert_eq!(explain(&file, &fill(FILE_BYTES_MAX)), "  no problem");
    assert_eq!(
        explain(&file, &fill(FILE_BYTES_MAX + 1)),
        format!("  large.yaml: is larger than {FILE_BYTES_MAX} bytes")
    );
}

fn explain(file: &Path, text: &str) -> String {
    fs::write(file, text).expect("the tests may write to their folder");
    let explained = read_resources(file)
        .and_then(|resources| {
            resources.iter().map(|resource| resource.resolve("dev", None)).collect::<Result<Vec<_>, _>>()
        })
        .map_or_else(|error| error.to_string(), |_| "no problem".to_owned());
    let folder = format!("{}/", file.parent().expect("the file lies in a folder").display());
    explained.replace(&folder, "").lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
