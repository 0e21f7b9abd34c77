//! Platforms that are refused, and what may be changed of one that is there.

pub(crate) const GOOD: &str = r#"
apiVersion: pnyx.dev/v1alpha1
kind: GovernancePlatform
metadata: {name: main, namespace: default}
spec:
  domain: votes.example
  kafka:
    bootstrapServers: ["kafka-0.kafka:9093", "kafka-1.kafka:9093"]
    tls: {caSecretRef: {name: kafka, key: ca.crt}}
    sasl: {usernameSecretRef: {name: kafka, key: username}, passwordSecretRef: {name: kafka, key: password}}
    config: {client.rack: eu-1a}
  redis:
    single: {address: "redis:6379"}
    tls: {caSecretRef: {name: redis, key: ca.crt}}
    passwordSecretRef: {name: redis, key: password}
  signingKeySecretRef: {name: signing, key: key}
  chains:
    - chainId: "1"
      agreement: 2
      endpoints:
        - {name: own, urlSecretRef: {name: chains, key: own}}
        - {name: provider, urlSecretRef: {name: chains, key: provider}, requestTimeout: 10s}
  ingest: {replicas: {min: 2, max: 6}, resources: {requests: {cpu: 500m, memory: 256Mi}}}
  tally: {replicas: {min: 2, max: 4}}
  archive: {persistentVolumeClaim: {claimName: archive}}
"#;

pub(crate) const CREATED: &[&str] = &[
    "{spec: {kafka: {replication: 1}}}",
    "{spec: {kafka: {minInSync: 1}}}",
    "{spec: {kafka: {minInSync: 4}}}",
    "{spec: {kafka: {tls: null, sasl: {mechanism: PLAIN}}}}",
    "{spec: {kafka: {tls: {certSecretRef: {name: kafka, key: tls.crt}}}}}",
    "{spec: {kafka: {config: {acks: '1'}}}}",
    "{spec: {kafka: {config: {sasl.password: secret}}}}",
    "{spec: {kafka: {config: {rebalance_cb: x}}}}",
    "{spec: {kafka: {config: {Acks: '1'}}}}",
    "{spec: {redis: {single: null}}}",
    "{spec: {redis: {cluster: {addresses: ['redis:6379']}}}}",
    "{spec: {redis: {passwordSecretRef: null, usernameSecretRef: {name: redis, key: user}}}}",
    "{spec: {redis: {tls: {keySecretRef: {name: redis, key: tls.key}}}}}",
    "{spec: {chains: [{chainId: '1', agreement: 2, endpoints: [{name: own, urlSecretRef: {name: chains, key: own}}]}]}}",
    "{spec: {chains: [{chainId: '1', endpoints: [{name: own, urlSecretRef: {name: chains, key: own}, requestTimeout: 6m}]}]}}",
    "{spec: {archive: {persistentVolumeClaim: null}}}",
    "{spec: {archive: {log: {}}}}",
    "{spec: {ingest: {replicas: {min: 7}}}}",
    "{spec: {tally: {replicas: {min: 5}}}}",
    "{spec: {verifier: {replicas: {min: 5, max: 4}}}}",
    "{spec: {recount: {replicas: {min: 5, max: 4}}}}",
    "{spec: {grace: 4s}}",
    "{spec: {grace: 61m}}",
];

pub(crate) const ACCEPTED: &[&str] = &[
    "{spec: {domain: other.example}}",
    "{spec: {kafka: {topicPrefix: other}}}",
    "{spec: {redis: {keyPrefix: other}}}",
];

pub(crate) const ALLOWED: &[&str] = &[
    "{spec: {kafka: {replication: 1, minInSync: 1, allowUnsafeDurability: true}}}",
    "{spec: {redis: {single: null, sentinel: {master: main, addresses: ['a:26379', 'b:26379']}}}}",
    "{spec: {chains: null, archive: {persistentVolumeClaim: null, log: {}}, paused: true}}",
    "{spec: {ingest: {affinity: {podAntiAffinity: {}}, tolerations: [{key: a, operator: Exists}]}}}",
];
