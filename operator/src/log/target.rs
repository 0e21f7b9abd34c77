//! How a platform's log is reached. Credentials become files, because that is how the client notices that they changed.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use pnyx_backbone::log::kafka::{KafkaConfig, KafkaSasl, KafkaTls, KafkaTlsClient, KafkaUsername};
use pnyx_crds::SecretKeyRef;

use crate::{
    kinds::ObjectKey,
    validate::{Kafka, Tls},
};

/// What brokers' logs and quotas call the operator.
const CLIENT_ID: &str = "pnyx-operator";

/// Names of the files.
const AUTHORITIES: &str = "ca.pem";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";
const USERNAME: &str = "username";
const PASSWORD: &str = "password";

/// Values of Secrets, by name and key.
pub type SecretValues = BTreeMap<(String, String), Vec<u8>>;

/// How a platform's log is reached.
#[derive(Clone, PartialEq)]
pub struct LogTarget {
    kafka: Kafka,
    files: BTreeMap<&'static str, Vec<u8>>,
}

impl LogTarget {
    /// Which Secrets are needed.
    pub fn secrets(kafka: &Kafka) -> Vec<&SecretKeyRef> {
        named(kafka).into_iter().map(|(_, secret)| secret).collect()
    }

    /// Where `kafka` says, with credentials of these values; nothing if one is missing.
    pub fn new(kafka: &Kafka, values: &SecretValues) -> Option<Self> {
        let value = |secret: &SecretKeyRef| values.get(&(secret.name.clone(), secret.key.clone())).cloned();
        let files = named(kafka).into_iter().map(|(file, secret)| Some((file, value(secret)?)));
        Some(Self { kafka: kafka.clone(), files: files.collect::<Option<_>>()? })
    }

    /// Whether both name the same log, whatever their credentials.
    pub(super) fn is_same_log(&self, other: &Self) -> bool {
        self.kafka == other.kafka
    }

    /// Settings of a client that finds its credentials in `folder`.
    pub(super) fn config(&self, folder: &Path) -> KafkaConfig {
        let Kafka {
            bootstrap_servers,
            tls,
            sasl,
            replication_factor,
            min_insync_replicas,
            allow_unsafe_durability,
            topic_prefix,
            group_protocol,
            client_settings,
        } = &self.kafka;
        let servers: Vec<_> = bootstrap_servers.iter().map(ToString::to_string).collect();
        KafkaConfig {
            topic_prefix: topic_prefix.clone(),
            client_id: CLIENT_ID.to_owned(),
            replication_factor: *replication_factor,
            min_insync_replicas: *min_insync_replicas,
            group_protocol: *group_protocol,
            tls: tls.as_ref().map(|Tls { authorities, client }| KafkaTls {
                ca_file: authorities.as_ref().map(|_| folder.join(AUTHORITIES)),
                client: client
                    .as_ref()
                    .map(|_| KafkaTlsClient { certificate_file: folder.join(CERTIFICATE), key_file: folder.join(KEY) }),
            }),
            sasl: sasl.as_ref().map(|sasl| KafkaSasl {
                mechanism: sasl.mechanism,
                username: KafkaUsername::File(folder.join(USERNAME)),
                password_file: folder.join(PASSWORD),
            }),
            client_settings: client_settings.clone(),
            allow_unsafe_durability: *allow_unsafe_durability,
            ..KafkaConfig::new(servers.join(","))
        }
    }

    /// Writes those that changed, each whole or not at all.
    pub(super) fn write_credentials(&self, folder: &Path) -> io::Result<()> {
        if self.files.is_empty() {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        for (name, value) in &self.files {
            let path = folder.join(name);
            if fs::read(&path).is_ok_and(|there| there == *value) {
                continue;
            }
            let new = folder.join(format!("{name}.new"));
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(value)?;
            fs::rename(new, path)?;
        }
        Ok(())
    }
}

/// Where the credentials of a platform's log lie. Names of Kubernetes hold no dash-less separator that could meet: a
/// namespace has no dot.
pub(super) fn folder_of(folder: &Path, platform: &ObjectKey) -> PathBuf {
    folder.join(format!("{}.{}", platform.namespace, platform.name))
}

/// Nobody needs them any more. What cannot be removed goes with the pod.
pub(super) fn remove_credentials(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), %error, "credentials cannot be removed");
    }
}

/// Which file each Secret becomes.
fn named(kafka: &Kafka) -> Vec<(&'static str, &SecretKeyRef)> {
    let mut files = Vec::new();
    if let Some(Tls { authorities, client }) = &kafka.tls {
        files.extend(authorities.as_ref().map(|secret| (AUTHORITIES, secret)));
        if let Some(client) = client {
            files.extend([(CERTIFICATE, &client.certificate), (KEY, &client.key)]);
        }
    }
    if let Some(sasl) = &kafka.sasl {
        files.extend([(USERNAME, &sasl.username), (PASSWORD, &sasl.password)]);
    }
    files
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use pnyx_backbone::log::kafka::{GroupProtocol, SaslMechanism};

    use super::*;
    use crate::validate::KafkaSasl as SaslSecrets;

    fn secret(key: &str) -> SecretKeyRef {
        SecretKeyRef { name: "kafka".to_owned(), key: key.to_owned() }
    }

    fn kafka() -> Kafka {
        Kafka {
            bootstrap_servers: vec!["kafka.example:9093".parse().expect("an address")],
            tls: Some(Tls { authorities: Some(secret("ca")), client: None }),
            sasl: Some(SaslSecrets {
                mechanism: SaslMechanism::ScramSha512,
                username: secret("user"),
                password: secret("password"),
            }),
            replication_factor: 3,
            min_insync_replicas: 2,
            allow_unsafe_durability: false,
            topic_prefix: "acme".to_owned(),
            group_protocol: GroupProtocol::Consumer,
            client_settings: BTreeMap::new(),
        }
    }

    fn values(password: &str) -> SecretValues {
        let value = |key: &str, value: &str| (("kafka".to_owned(), key.to_owned()), value.as_bytes().to_vec());
        BTreeMap::from([value("ca", "PEM"), value("user", "operator"), value("password", password)])
    }

    #[test]
    fn credentials_are_files_that_only_we_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder_of(folder.path(), &ObjectKey::new("n", "default"));
        let target = LogTarget::new(&kafka(), &values("first")).expect("all is there");
        target.write_credentials(&folder).expect("it can be written");
        let config = target.config(&folder);
        let sasl = config.sasl.expect("there is a user");
        assert_eq!(fs::read_to_string(&sasl.password_file).expect("a file"), "first");
        assert_eq!(fs::metadata(&sasl.password_file).expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&folder).expect("a folder").permissions().mode() & 0o777, 0o700);
        assert_eq!(
            fs::read_to_string(config.tls.and_then(|tls| tls.ca_file).expect("authorities")).expect("a file"),
            "PEM"
        );
        // Another password is the same log; its file changes, and nothing else.
        let next = LogTarget::new(&kafka(), &values("second")).expect("all is there");
        assert!(next.is_same_log(&target) && next != target);
        next.write_credentials(&folder).expect("it can be written");
        assert_eq!(fs::read_to_string(&sasl.password_file).expect("a file"), "second");
        assert!(
            !LogTarget::new(&Kafka { topic_prefix: "other".to_owned(), ..kafka() }, &values("x"))
                .expect("all")
                .is_same_log(&target)
        );
        remove_credentials(&folder);
        assert!(!folder.exists());
    }

    #[test]
    fn nothing_is_opened_without_its_credentials() {
        let mut values = values("x");
        values.remove(&("kafka".to_owned(), "ca".to_owned()));
        assert!(LogTarget::new(&kafka(), &values).is_none());
        assert!(LogTarget::new(&Kafka { tls: None, sasl: None, ..kafka() }, &BTreeMap::new()).is_some());
    }
}
