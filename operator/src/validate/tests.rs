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
        Err(refusal) => format!("{}: {}", refusal.reason, refusal.message.replace(". spec.", "\n  spec.")),
    };
    expected.assert_eq(&said);
}

#[test]
fn the_least_can_be_run() {
    check(|_| {}, expect!["can be run"]);
    check(|spec| spec["archive"] = json!({"log": {}}), expect!["can be run"]);
    check(|spec| spec["archive"] = json!({"persistentVolumeClaim": {"claimName": "c"}}), expect!["can be run"]);
    let key = json!({"name": "s", "key": "k"});
    let bucket = |endpoint: &str| json!({"s3": {"endpoint": endpoint, "bucket": "votes", "accessKeyIdSecretRef": key, "secretAccessKeySecretRef": key}});
    check(|spec| spec["archive"] = bucket("https://s3.example"), expect!["can be run"]);
    check(
        |spec| spec["archive"] = bucket("https://s3.example:0"),
        expect![[
            r#"Invalid: spec.archive.s3.endpoint: "https://s3.example:0" is not a URL; write one such as https://server.example:4318"#
        ]],
    );
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
        expect![[r#"
            Invalid: spec.kafka.bootstrapServers[0]: "kafka" is not an address; write one such as kafka.example:9092
              spec.kafka.bootstrapServers[1]: "kafka:99999" is not an address; write one such as kafka.example:9092
              spec.kafka.replication: -1 is out of bounds; see `kubectl explain` for them
              spec.kafka.topicPrefix: must be 1 to 100 letters, digits, '-', '.' and '_'; choose another
              spec.kafka.config.acks: has a field of its own or would break a promise of the log; remove it
              spec.kafka.sasl.mechanism: PLAIN sends the password as it is; set spec.kafka.tls"#]],
    );
    check(
        |spec| {
            let secret = json!({"name": "s", "key": "k"});
            spec["kafka"]["tls"] = json!({"certSecretRef": secret});
            spec["redis"] = json!({
                "cluster": {"addresses": ["a:1", "b:0"]}, "keyPrefix": "{a}", "usernameSecretRef": secret,
            });
        },
        expect![[r#"
            Invalid: spec.kafka.tls: certSecretRef and keySecretRef go together; set both or remove both
              spec.redis.cluster.addresses[1]: "b:0" is not an address like redis.example:6379 or [::1]:6379
              spec.redis.keyPrefix: "{a}" is not a key prefix: 1 to 64 letters, digits, '-', '_', '.' and ':'
              spec.redis.usernameSecretRef: is of no use without passwordSecretRef; set that as well"#]],
    );
    check(
        |spec| {
            spec["redis"] = json!({});
            spec["grace"] = "1s".into();
            spec["archive"] = json!({"log": {}, "persistentVolumeClaim": {"claimName": "c"}});
            spec["ingest"]["replicas"] = json!({"min": 3, "max": 2});
            spec["tally"]["affinity"] = json!({"nodeAffinty": {}});
            spec["verifier"]["topologySpreadConstraints"] = json!([{"maxSkew": "1"}]);
            spec["edge"] = json!({"trustedProxies": ["proxy.example"], "inFlightMax": 0});
            spec["traces"] = json!({"endpoint": "http://user@collector", "sample": "2"});
        },
        expect![[r#"
            Invalid: spec.redis: exactly one of single, sentinel and cluster must be set
              spec.archive: exactly one of log, persistentVolumeClaim and s3 must be set
              spec.tally.affinity.nodeAffinty: is not a known field
              spec.verifier.topologySpreadConstraints[0]: invalid type: string "1", expected i32
              spec.ingest.replicas: min must be 1 to max
              spec.edge.inFlightMax: must be at least 1
              spec.edge.trustedProxies[0]: "proxy.example" is not a network; write one such as 10.0.0.0/8 or fd00::/8
              spec.edge.trustedProxies: says nothing without requestsPerSecondPerAddress; set that or remove this
              spec.grace: 1s is not 5s to 3600s
              spec.traces.endpoint: the URL of a trace collector has no user, query or fragment; what it must be shown goes into the headers file
              spec.traces.sample: "2" is not a ratio from 0 to 1 with at most six decimals, such as 0.01"#]],
    );
}

#[test]
fn chains_are_named_once_and_their_endpoints_too() {
    let endpoint = |name: &str| json!({"name": name, "urlSecretRef": {"name": "s", "key": "k"}});
    let chain = |id: &str, agreement: i64, endpoints: &[Value]| json!({"chainId": id, "agreement": agreement, "endpoints": endpoints});
    check(
        |spec| spec["chains"] = json!([chain("1", 1, &[endpoint("a")]), chain("1", 1, &[endpoint("b")])]),
        expect!["Invalid: spec.chains: chain 1 is there twice; give it one entry with all endpoints"],
    );
    check(
        |spec| spec["chains"] = json!([chain("1", 2, &[endpoint("a"), endpoint("a")])]),
        expect!["Invalid: spec.chains[0].endpoints: two have one name; give each its own"],
    );
    check(
        |spec| {
            let mut slow = endpoint("../etc");
            slow["requestTimeout"] = "6m".into();
            slow["concurrency"] = 0.into();
            spec["chains"] = json!([chain("0", 2, &[slow])]);
        },
        expect![[r#"
            Invalid: spec.chains[0].chainId: must be a chain id in decimal digits such as "1"
              spec.chains[0].agreement: must be 1 to the number of endpoints, 1
              spec.chains[0].endpoints[0].name: "../etc" is not a name; write small letters, digits and '-'
              spec.chains[0].endpoints[0].concurrency: must be at least 1
              spec.chains[0].endpoints[0].requestTimeout: 6m is not 1s to 300s"#]],
    );
}
