//! What can go wrong with Kafka's settings and at the start, and what the client library's errors mean.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};
use thiserror::Error;

use crate::log::{BackendError, LogError, Topic};

/// Why a [`super::KafkaConfig`] cannot be used.
#[derive(Debug, Error)]
pub enum KafkaConfigError {
    /// Nothing to connect to.
    #[error("no bootstrap servers are given: at least one host:port is needed")]
    NoBootstrapServers,
    /// Not the beginning of a topic's name.
    #[error("topic prefix {prefix:?} must be 1 to {chars_max} letters, digits, dots, underscores or hyphens")]
    TopicPrefix {
        /// The prefix as given.
        prefix: String,
        /// How long it may be.
        chars_max: usize,
    },
    /// Longer than a record may wait.
    #[error("linger of {linger:?} is more than {linger_max:?}")]
    Linger {
        /// The time as given.
        linger: Duration,
        /// The longest.
        linger_max: Duration,
    },
    /// Copies that cannot be.
    #[error("{min_insync_replicas} copies in sync of {replication_factor} cannot be: 1 to the number of copies can")]
    Replicas {
        /// Copies of a partition.
        replication_factor: u16,
        /// Copies that must be in sync.
        min_insync_replicas: u16,
    },
    /// Acknowledged records would exist once only.
    #[error(
        "with {min_insync_replicas} copies in sync of {replication_factor}, the loss of one broker can lose acknowledged \
         records: at least 2 in sync are needed, or --allow-unsafe-durability for a trial"
    )]
    UnsafeReplicas {
        /// Copies of a partition.
        replication_factor: u16,
        /// Copies that must be in sync.
        min_insync_replicas: u16,
    },
    /// A further setting that would break an invariant.
    #[error("the client setting {key} cannot be changed: {reason}")]
    DeniedSetting {
        /// The setting.
        key: String,
        /// Why not.
        reason: &'static str,
    },
    /// A further setting that the client library does not know or take.
    #[error("the client setting {key} cannot be used: {problem}")]
    Setting {
        /// The setting.
        key: String,
        /// What the library says.
        problem: String,
    },
    /// A file of the TLS or SASL settings cannot be read.
    #[error("{what} {} cannot be read", path.display())]
    File {
        /// What is in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// A file that should hold a user's name or password is empty.
    #[error("{what} {} is empty", path.display())]
    EmptyFile {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The password would cross the network in the clear.
    #[error("SASL PLAIN shows the password to whoever listens: use it over TLS, or SCRAM")]
    PlainWithoutTls,
}

/// Why the log on Kafka could not be opened.
#[derive(Debug, Error)]
pub enum KafkaOpenError {
    /// The settings.
    #[error("the settings for Kafka cannot be used")]
    Config(#[from] KafkaConfigError),
    /// The client library refuses what it is given, such as a certificate.
    #[error("no Kafka client can be made: {problem}")]
    Client {
        /// What the library says.
        problem: String,
    },
    /// No broker answers.
    #[error("no broker of {bootstrap_servers} answers: {cause}")]
    Unreachable {
        /// Where it was tried.
        bootstrap_servers: String,
        /// What the client said last.
        cause: String,
    },
    /// The broker's certificate is not believed, or ours is not.
    #[error("TLS with a broker of {bootstrap_servers} fails: {cause}")]
    Tls {
        /// Where it was tried.
        bootstrap_servers: String,
        /// What the client said last.
        cause: String,
    },
    /// The brokers do not take the user or the password.
    #[error("a broker of {bootstrap_servers} does not accept the credentials: {cause}")]
    Credentials {
        /// Where it was tried.
        bootstrap_servers: String,
        /// What the client said last.
        cause: String,
    },
    /// Acknowledged records may be lost as the cluster is set up.
    #[error("the cluster may lose acknowledged records: {problem}; mend it, or --allow-unsafe-durability for a trial")]
    Durability {
        /// What is not as it must be.
        problem: String,
    },
    /// The topic of decisions cannot be used.
    #[error("the topic of decisions cannot be used")]
    Proposals {
        /// Why not.
        #[source]
        source: LogError,
    },
    /// Its first record does not say which log this is.
    #[error("{name} is not the topic of a Pnyx log: its first record does not name one; choose another topic prefix")]
    NotALog {
        /// The topic's name.
        name: String,
    },
    /// The first record of a new log was not acknowledged.
    #[error("a new log cannot be begun")]
    Begin {
        /// Why not.
        #[source]
        source: crate::log::AppendError,
    },
    /// The producer got no number from the brokers.
    #[error("the producer was not ready after {waited:?}: {cause}")]
    Producer {
        /// How long was waited.
        waited: Duration,
        /// What the client said last.
        cause: String,
    },
    /// A thread could not be started.
    #[error("a thread cannot be started")]
    Thread {
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
}

/// A client library's error with what the client said about it.
#[derive(Debug, Error)]
#[error("{problem}")]
pub(super) struct Problem {
    pub(super) problem: String,
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Ask again: brokers come and go.
    Transient,
    /// There is no such topic or partition.
    Unknown,
    /// The cluster does not allow it.
    NotAllowed,
    /// Too large for the broker.
    TooLarge,
    /// The client's own queue is full.
    QueueFull,
    /// The client is of no more use.
    Fatal,
}

/// What to do about an error code.
pub(super) fn kind_of(code: RDKafkaErrorCode) -> Kind {
    use RDKafkaErrorCode as Code;
    // The library's list is open and most of it is about brokers that come and go.
    match code {
        Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition => Kind::Unknown,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::Authentication
        | Code::SaslAuthenticationFailed => Kind::NotAllowed,
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => Kind::TooLarge,
        Code::QueueFull => Kind::QueueFull,
        Code::Fatal | Code::Fenced | Code::UnsupportedFeature | Code::UnsupportedVersion => Kind::Fatal,
        _ => Kind::Transient,
    }
}

/// What to do about an error.
pub(super) fn kind(error: &KafkaError) -> Kind {
    if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
        return Kind::Fatal;
    }
    error.rdkafka_error_code().map_or(Kind::Transient, kind_of)
}

/// The library's words, without the values of settings: one of them may be a secret.
pub(super) fn words(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, description, key, _) => format!("{key}: {description}"),
        other => other.to_string(),
    }
}

pub(super) fn backend(error: &KafkaError) -> BackendError {
    problem(words(error))
}

pub(super) fn problem(problem: impl Into<String>) -> BackendError {
    Arc::new(Problem { problem: problem.into() })
}

/// An error that came while reading a topic or asking about it.
pub(super) fn reading(topic: &Topic, error: &KafkaError) -> LogError {
    let topic = topic.clone();
    match kind(error) {
        Kind::Unknown => LogError::UnknownTopic { topic },
        Kind::NotAllowed | Kind::Fatal | Kind::TooLarge => LogError::Read { topic, source: backend(error) },
        Kind::Transient | Kind::QueueFull => LogError::Unavailable { topic, source: backend(error) },
    }
}

/// An error that came while making or changing a topic.
pub(super) fn administering(topic: &Topic, error: &KafkaError) -> LogError {
    match kind(error) {
        Kind::Transient if error.rdkafka_error_code().is_some_and(is_about_the_network) => {
            LogError::Unavailable { topic: topic.clone(), source: backend(error) }
        }
        Kind::Transient | Kind::QueueFull | Kind::NotAllowed | Kind::Fatal | Kind::TooLarge | Kind::Unknown => {
            LogError::Topics { topic: topic.clone(), source: backend(error) }
        }
    }
}

fn is_about_the_network(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::TimedOutQueue
            | Code::NotController
            | Code::BrokerNotAvailable
    )
}
