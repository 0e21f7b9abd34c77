//! How a platform reaches its log.

use std::collections::BTreeMap;

use pnyx_backbone::{
    log::kafka::{GroupProtocol, SaslMechanism},
    store::HostPort,
};
use pnyx_crds::{KafkaSpec, SecretKeyRef, denied_setting};

use super::{
    problems::{Problems, number},
    secret::{Tls, tls},
};

/// Longest prefix of topics, in bytes, as the log takes it.
const TOPIC_PREFIX_BYTES_MAX: usize = 100;

/// The log.
#[derive(Debug, Clone, PartialEq)]
pub struct Kafka {
    /// Brokers to begin with; never empty.
    pub bootstrap_servers: Vec<HostPort>,
    /// TLS; `None` is plaintext.
    pub tls: Option<Tls>,
    /// Who we are to the brokers; `None` where they do not ask.
    pub sasl: Option<KafkaSasl>,
    /// Copies of each partition.
    pub replication_factor: u16,
    /// Copies that must have a record before it is acknowledged.
    pub min_insync_replicas: u16,
    /// Goes on although the cluster may lose acknowledged records.
    pub allow_unsafe_durability: bool,
    /// What topics' names begin with.
    pub topic_prefix: String,
    /// How members of a group agree.
    pub group_protocol: GroupProtocol,
    /// Further settings of the client library; none that breaks a promise of the log.
    pub client_settings: BTreeMap<String, String>,
}

/// A user and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSasl {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// The user.
    pub username: SecretKeyRef,
    /// The password.
    pub password: SecretKeyRef,
}

/// Reads `spec.kafka`.
pub(super) fn kafka(spec: &KafkaSpec, problems: &mut Problems) -> Option<Kafka> {
    let servers: Option<Vec<_>> = spec
        .bootstrap_servers
        .iter()
        .enumerate()
        .map(|(index, text)| problems.keep(format_args!("spec.kafka.bootstrapServers[{index}]"), server(text)))
        .collect::<Vec<_>>()
        .into_iter()
        .collect();
    if spec.bootstrap_servers.is_empty() {
        problems.add("spec.kafka.bootstrapServers", "names no broker; name at least one as host:port");
    }
    let tls = tls("spec.kafka.tls", spec.tls.as_ref(), problems);
    let replication_factor = problems.keep("spec.kafka.replication", number(spec.replication));
    let min_insync_replicas = problems.keep("spec.kafka.minInSync", number(spec.min_in_sync));
    let topic_prefix = problems.keep("spec.kafka.topicPrefix", prefix(&spec.topic_prefix));
    for key in spec.config.keys().filter(|key| denied_setting(key)) {
        let problem = "has a field of its own or would break a promise of the log; remove it";
        problems.add(format_args!("spec.kafka.config.{key}"), problem);
    }
    let sasl = spec.sasl.as_ref().map(|sasl| KafkaSasl {
        mechanism: mechanism(sasl.mechanism),
        username: sasl.username_secret_ref.clone(),
        password: sasl.password_secret_ref.clone(),
    });
    if sasl.as_ref().is_some_and(|sasl| sasl.mechanism == SaslMechanism::Plain) && spec.tls.is_none() {
        problems.add("spec.kafka.sasl.mechanism", "PLAIN sends the password as it is; set spec.kafka.tls");
    }
    Some(Kafka {
        bootstrap_servers: servers?,
        tls: tls?,
        sasl,
        replication_factor: replication_factor?,
        min_insync_replicas: min_insync_replicas?,
        allow_unsafe_durability: spec.allow_unsafe_durability,
        topic_prefix: topic_prefix?,
        group_protocol: match spec.group_protocol {
            pnyx_crds::GroupProtocol::Consumer => GroupProtocol::Consumer,
            pnyx_crds::GroupProtocol::Classic => GroupProtocol::Classic,
        },
        client_settings: spec.config.clone(),
    })
}

/// An address with its port: brokers have no port that is meant where none is named.
fn server(text: &str) -> Result<HostPort, String> {
    let problem = || format!("{text:?} is not an address; write one such as kafka.example:9092");
    let has_port = text.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    if has_port { text.parse().map_err(|_| problem()) } else { Err(problem()) }
}

fn prefix(text: &str) -> Result<String, String> {
    let is_prefix = (1..=TOPIC_PREFIX_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let problem = || format!("must be 1 to {TOPIC_PREFIX_BYTES_MAX} letters, digits, '-', '.' and '_'; choose another");
    is_prefix.then(|| text.to_owned()).ok_or_else(problem)
}

fn mechanism(mechanism: pnyx_crds::SaslMechanism) -> SaslMechanism {
    match mechanism {
        pnyx_crds::SaslMechanism::ScramSha512 => SaslMechanism::ScramSha512,
        pnyx_crds::SaslMechanism::ScramSha256 => SaslMechanism::ScramSha256,
        pnyx_crds::SaslMechanism::Plain => SaslMechanism::Plain,
    }
}
