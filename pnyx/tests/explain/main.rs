//! `pnyx explain scaling`: what it says of a decision that was saved, of what it cannot explain, and of a cluster.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod cluster;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use expect_test::expect_file;
use pnyx_core::scaling::Limit;
use serde_json::{Value, json};

/// A proposal to which more comes than its shards verify, as `kubectl get gprop -o yaml` prints one.
fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explain/grants-round.yaml")
}

fn value() -> Value {
    serde_saphyr::from_str(&fs::read_to_string(example()).unwrap()).unwrap()
}

fn explain(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pnyx"));
    command.args(["explain", "scaling"]).args(arguments);
    command
}

/// Everything that was said, and how it ended.
fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}exit code {}\n", output.status.code().unwrap())
}

/// What is said of a proposal that is saved in a file.
fn of_file(proposal: &Value, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("saved.json"), proposal.to_string()).unwrap();
    let mut command = explain(arguments);
    said(&command.args(["--file", "saved.json"]).current_dir(folder.path()).output().unwrap())
}

#[test]
fn a_decision_is_explained_in_words() {
    let output = explain(&["--file", example().to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    expect_file!["grants-round.txt"].assert_eq(&String::from_utf8(output.stdout).unwrap());
}

#[test]
fn json_says_the_same_for_programs() {
    let output = explain(&["--json", "--file", example().to_str().unwrap()]).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["decision"], value()["status"]["scaling"], "to the letter");
    assert_eq!(document["meanings"]["shardsLimit"], Limit::FullestPartition.meaning());
    let candidates = document["meanings"]["candidates"].as_array().unwrap();
    let decided: Vec<_> = candidates.iter().filter(|it| it["decided"] == true).map(|it| &it["name"]).collect();
    assert_eq!(decided, ["fullestPartition"]);
    assert_eq!((&document["spec"]["maxShards"], &document["specProblem"]), (&8.into(), &Value::Null));
    assert_eq!(document["conditions"].as_array().unwrap().len(), 5);
}

#[test]
fn a_proposal_comes_from_standard_input_and_out_of_a_list() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [value(), other()]});
    let named = of_file(&list, &["gprop/grants-round"]);
    assert!(named.starts_with("gprop/grants-round in namespace votes, decided at "), "{named}");
    let file = fs::File::open(example()).unwrap();
    let piped = said(&explain(&["--file", "-"]).stdin(file).output().unwrap());
    assert_eq!(piped, named);
}

fn other() -> Value {
    let mut other = value();
    other["metadata"]["name"] = "other".into();
    other
}

/// The example with another value at a place.
fn with(pointer: &str, changed: Value) -> Value {
    let mut proposal = value();
    *proposal.pointer_mut(pointer).unwrap_or_else(|| panic!("the example has no {pointer}")) = changed;
    proposal
}

#[test]
fn what_cannot_be_explained_is_named_with_what_helps() {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-11-22T12:00:00Z",
        })
    };
    let undecided = |conditions: &[Value]| with("/status", json!({"conditions": conditions}));
    let refused = condition("Accepted", "False", "Invalid", "spec.choices: must be at least 1");
    let waits = condition("Accepted", "Unknown", "NotObserved", "its log is not read yet");
    let away = condition("Ready", "False", "KafkaUnreachable", "no broker of kafka:9092 answers");
    let list = json!({"kind": "List", "items": [value(), other()]});
    let cases: [(Value, &[&str], &str); 8] = [
        (list.clone(), &[], "holds several proposals; name one of gprop/grants-round, gprop/other"),
        (list, &["gprop/third"], "does not hold the proposal that is asked for, but gprop/grants-round, gprop/other"),
        (json!({"kind": "Pod"}), &[], "holds no GovernanceProposal; save one with kubectl get gprop NAME -o yaml"),
        (with("/status/scaling/shards/to", json!("many")), &[], "cannot read the proposal: status.scaling.shards.to: "),
        (
            undecided(&[]),
            &[],
            "nothing was decided about the scaling of gprop/grants-round yet: no operator has looked at it",
        ),
        (undecided(&[refused]), &[], "yet: it is not accepted (Invalid: spec.choices: must be at least 1)"),
        (undecided(&[waits, away]), &[], "; KafkaUnreachable: no broker of kafka:9092 answers)"),
        (value(), &["--context", "kind-pnyx"], "cannot be used with"),
    ];
    for (proposal, arguments, problem) in cases {
        let said = of_file(&proposal, arguments);
        assert!(said.contains(problem) && said.ends_with("exit code 2\n"), "{said}\nand not\n{problem}");
    }
    let missing = said(&explain(&["--file", "missing.yaml"]).output().unwrap());
    assert!(missing.contains("missing.yaml: cannot be read"), "{missing}");
    let platform = said(&explain(&["gplat/default"]).output().unwrap());
    assert!(platform.contains("\"gplat\" is no kind that is scaled; give gprop/NAME"), "{platform}");
    let nowhere = said(&explain(&["gprop/vote"]).env("KUBECONFIG", "missing.yaml").output().unwrap());
    assert!(nowhere.contains("no Kubernetes cluster is known: set KUBECONFIG"), "{nowhere}");
}

#[test]
fn each_limit_says_what_to_change_and_an_unknown_word_says_so() {
    for limit in Limit::ALL {
        let text = of_file(&with("/status/scaling/shards/limit", limit.name().into()), &[]);
        assert!(text.contains(limit.meaning()), "{text}");
        assert!(!text.contains("does not know that word"), "{text}");
        let decided = text.matches("  decided: ").count() + text.matches("None of them decided").count();
        assert_eq!(decided, 1, "{text}");
    }
    let text = of_file(&with("/status/scaling/shards/limit", "moonPhase".into()), &[]);
    assert!(
        text.contains("by the limit moonPhase\n            This version of pnyx does not know that word.\n"),
        "{text}"
    );
}

#[test]
fn a_spec_that_is_newer_than_the_decision_is_said() {
    let generation = value()["metadata"]["generation"].as_i64().unwrap();
    let text = of_file(&with("/metadata/generation", (generation + 1).into()), &[]);
    assert!(text.contains("The spec was changed since; the operator has not looked at it yet.\n"), "{text}");
}
