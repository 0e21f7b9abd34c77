//! How to reach a Kafka cluster, and what is asked of it.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

/// Default of [`KafkaConfig::linger`]: between 0 and 1 ms lies the flattest p99 from 2,000 records a second on, at
/// half the CPU of 0; below 1,000 a second it costs 1 ms of a median that is far under the budget anyway.
pub const LINGER_DEFAULT: Duration = Duration::from_micros(500);

/// Default of [`KafkaConfig::linger`] for a process that appends batches, which nobody waits for: what several of them
/// hand over at the same time shares requests, also where a machine is so busy that handing over takes milliseconds.
pub const LINGER_BATCHES_DEFAULT: Duration = Duration::from_millis(3);

/// Default of [`KafkaConfig::replication_factor`]: one copy may be lost while another is being replaced.
pub const REPLICATION_FACTOR_DEFAULT: u16 = 3;

/// Default of [`KafkaConfig::min_insync_replicas`]: an acknowledged record exists twice.
pub const MIN_INSYNC_REPLICAS_DEFAULT: u16 = 2;

/// Default of [`KafkaConfig::topic_prefix`].
pub const TOPIC_PREFIX_DEFAULT: &str = "pnyx";

/// Default of [`KafkaConfig::client_id`].
pub const CLIENT_ID_DEFAULT: &str = "pnyx";

/// How to reach a Kafka cluster. Made by [`Self::new`] with defaults; checked by [`super::KafkaLog::open`].
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// What the names of topics and of consumer groups begin with; two platforms on one cluster need two.
    pub topic_prefix: String,
    /// What brokers' logs and quotas call this process.
    pub client_id: String,
    /// Copies of each partition of the topics that are made.
    pub replication_factor: u16,
    /// Copies that must have a record before it is acknowledged.
    pub min_insync_replicas: u16,
    /// How members of a consumer group agree.
    pub group_protocol: GroupProtocol,
    /// How long a record waits for others to share its request with; whole microseconds.
    pub linger: Duration,
    /// TLS towards the brokers; `None` is plaintext.
    pub tls: Option<KafkaTls>,
    /// How this process says who it is; `None` where brokers do not ask, or take the TLS certificate for it.
    pub sasl: Option<KafkaSasl>,
    /// Further settings of the client library by its own names. What would break an invariant is refused.
    pub client_settings: BTreeMap<String, String>,
    /// Goes on although the cluster may lose acknowledged records: for tests and trials.
    pub allow_unsafe_durability: bool,
}

impl KafkaConfig {
    /// Defaults, plaintext.
    pub fn new(bootstrap_servers: impl Into<String>) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            topic_prefix: TOPIC_PREFIX_DEFAULT.to_owned(),
            client_id: CLIENT_ID_DEFAULT.to_owned(),
            replication_factor: REPLICATION_FACTOR_DEFAULT,
            min_insync_replicas: MIN_INSYNC_REPLICAS_DEFAULT,
            group_protocol: GroupProtocol::default(),
            linger: LINGER_DEFAULT,
            tls: None,
            sasl: None,
            client_settings: BTreeMap::new(),
            allow_unsafe_durability: false,
        }
    }
}

/// How members of a consumer group agree on who reads what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupProtocol {
    /// KIP-848: the broker assigns. Needs Kafka 4.0 or later.
    #[default]
    Consumer,
    /// The older protocol, for older brokers.
    Classic,
}

/// TLS by PEM files. They are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaTls {
    /// Authorities that may sign a broker's certificate; `None` is those of the system.
    pub ca_file: Option<PathBuf>,
    /// This process's own certificate, where brokers ask for one.
    pub client: Option<KafkaTlsClient>,
}

/// A client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaTlsClient {
    /// The certificate and those between it and the authority.
    pub certificate_file: PathBuf,
    /// Its private key, without a password.
    pub key_file: PathBuf,
}

/// A user and a password. Files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSasl {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// Who this is.
    pub username: KafkaUsername,
    /// A file with the password; one newline at its end does not count.
    pub password_file: PathBuf,
}

/// Where the user's name stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaUsername {
    /// Here.
    Value(String),
    /// In a file; one newline at its end does not count.
    File(PathBuf),
}

/// How a password is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
    /// `PLAIN`: the broker sees the password, so only over TLS.
    Plain,
}

impl SaslMechanism {
    /// The name that Kafka knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::Plain => "PLAIN",
        }
    }
}

/// Values of further settings stay out: one of them may be a secret.
impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            bootstrap_servers,
            topic_prefix,
            client_id,
            replication_factor,
            min_insync_replicas,
            group_protocol,
            linger,
            tls,
            sasl,
            client_settings,
            allow_unsafe_durability,
        } = self;
        f.debug_struct("KafkaConfig")
            .field("bootstrap_servers", bootstrap_servers)
            .field("topic_prefix", topic_prefix)
            .field("client_id", client_id)
            .field("replication_factor", replication_factor)
            .field("min_insync_replicas", min_insync_replicas)
            .field("group_protocol", group_protocol)
            .field("linger", linger)
            .field("tls", tls)
            .field("sasl", sasl)
            .field("client_settings", &client_settings.keys())
            .field("allow_unsafe_durability", allow_unsafe_durability)
            .finish()
    }
}
