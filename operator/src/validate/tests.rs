//! Platforms that cannot be run, each with what its owner is told.

use expect_test::{Expect, expect};
use pnyx_crds::GovernancePlatform;
use serde_json::{Value, json};

use super::{OwnImage, platform};

/// A platform that can be run, with `change` made to its spec.
fn check(change: impl FnOnce(&mut Value), expected: Expect) {
    let mut resource = json!({
        "apiVersion": "pnyx.dev/v1alpha1", "kind": "GovernancePlatform",
        "metadata": {"name": "default", "namespace": "governance"},
        "spec": {
            "domain": "example",
            "kafka": {"bootstrapServers": ["kafka:9092"]},
            "redis": {"single": {"address": "redis"}},
            "signingKeySecretRef": {"name": "s", "key": "k"},
        },
    });
    change(&mut resource["spec"]);
    let resource: GovernancePlatform = serde_json::from_value(resource).expect("it has the form");
    let said = match platform(resource, &OwnImage::default(), None) {
        Ok(_) => "can be run".to_owned(),
        Err(refusal) => format!("{}: {}", refusal.reason, refusal.message.replace("; ", "\n  ")),
    };
    expected.assert_eq(&said);
}

#[test]
fn the_least_can_be_run() {
    check(|_| {}, expect!["can be run"]);
    check(|spec| spec["archive"] = json!({"log": {}}), expect!["can be run"]);
}

#[test]
fn secrets_that_are_missing_are_named() {
    let resource = json!({
        "metadata": {"name": "n", "namespace": "n"},
        "spec": {
            "domain": "d", "kafka": {"bootstrapServers": ["k:1"]}, "redis": {"single": {"address": "r"}},
            "signingKeySecretRef": {"name": "s", "key": "k"},
        },
    });
    let resource: GovernancePlatform = serde_json::from_value(resource).expect("it has the form");
    let missing = vec!["Secret s does not exist".to_owned()];
    let refusal = platform(resource, &OwnImage::default(), Some(&missing)).expect_err("the key is missing");
    assert_eq!((refusal.reason, &*refusal.message), ("SecretNotFound", "Secret s does not exist"));
}

#[test]
fn whatever_slips_past_the_schema_is_named_with_its_field_and_what_to_do() {
    check(
        |spec| {
            spec["kafka"] = json!({
                "bootstrapServers": ["kafka", "kafka:99999", "kafka:9092"],
                "topicPrefix": "p".repeat(101),
                "replication": -1,
                "sasl": {
                    "mechanism": "PLAIN",
                    "usernameSecretRef": {"name": "s", "key": "u"},
                    "passwordSecretRef": {"name": "s", "key": "p"},
                },
                "config": {"acks": "0"},
            });
        },
        expect![[""]],
    );
    check(
        |spec| {
            let secret = json!({"name": "s", "key": "k"});
            spec["kafka"]["tls"] = json!({"certSecretRef": secret});
            spec["redis"] = json!({
                "cluster": {"addresses": ["a:1", "b:0"]}, "keyPrefix": "{a}", "usernameSecretRef": secret,
            });
        },
        expect![[""]],
    );
    check(
        |spec| {
            spec["redis"] = json!({});
            spec["grace"] = "1s".into();
            spec["archive"] = json!({"persistentVolumeClaim": {"claimName": "c"}});
            spec["ingest"]["replicas"] = json!({"min": 3, "max": 2});
            spec["tally"]["affinity"] = json!({"nodeAffinty": {}});
            spec["verifier"]["topologySpreadConstraints"] = json!([{"maxSkew": "1"}]);
            spec["edge"] = json!({"trustedProxies": ["proxy.example"], "inFlightMax": 0});
            spec["traces"] = json!({"endpoint": "http://user@collector", "sample": "2"});
        },
        expect![[""]],
    );
}

#[test]
fn chains_are_named_once_and_their_endpoints_too() {
    let endpoint = |name: &str| json!({"name": name, "urlSecretRef": {"name": "s", "key": "k"}});
    let chain = |id: &str, agreement: i64, endpoints: &[Value]| json!({"chainId": id, "agreement": agreement, "endpoints": endpoints});
    check(
        |spec| spec["chains"] = json!([chain("1", 1, &[endpoint("a")]), chain("1", 1, &[endpoint("b")])]),
        expect![[""]],
    );
    check(|spec| spec["chains"] = json!([chain("1", 2, &[endpoint("a"), endpoint("a")])]), expect![[""]]);
    check(
        |spec| {
            let mut slow = endpoint("../etc");
            slow["requestTimeout"] = "6m".into();
            slow["concurrency"] = 0.into();
            spec["chains"] = json!([chain("0", 2, &[slow])]);
        },
        expect![[""]],
    );
}
