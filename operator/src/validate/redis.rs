//! How a platform reaches its store.

use pnyx_backbone::store::{HostPort, KeyPrefix};
use pnyx_crds::{RedisSpec, SecretKeyRef};

use super::{
    problems::Problems,
    secret::{Credentials, Tls, tls},
};

/// The store.
#[derive(Debug, Clone, PartialEq)]
pub struct Redis {
    /// Where it is.
    pub place: RedisPlace,
    /// TLS; `None` is plaintext.
    pub tls: Option<Tls>,
    /// Who we are to the servers; `None` where they do not ask.
    pub credentials: Option<Credentials>,
    /// What every key begins with.
    pub key_prefix: KeyPrefix,
}

/// Where a Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisPlace {
    /// One server.
    Single(HostPort),
    /// Whichever server the sentinels name.
    Sentinel {
        /// What they call it.
        master: String,
        /// The sentinels; never empty.
        addresses: Vec<HostPort>,
        /// Their own password.
        password: Option<SecretKeyRef>,
    },
    /// Some nodes of a cluster; never empty.
    Cluster(Vec<HostPort>),
}

/// Reads `spec.redis`.
pub(super) fn redis(spec: &RedisSpec, problems: &mut Problems) -> Option<Redis> {
    let place = match (&spec.single, &spec.sentinel, &spec.cluster) {
        (Some(single), None, None) => {
            problems.keep("spec.redis.single.address", single.address.parse()).map(RedisPlace::Single)
        }
        (None, Some(sentinel), None) => {
            addresses("spec.redis.sentinel.addresses", &sentinel.addresses, problems).map(|addresses| {
                let (master, password) = (sentinel.master.clone(), sentinel.password_secret_ref.clone());
                RedisPlace::Sentinel { master, addresses, password }
            })
        }
        (None, None, Some(cluster)) => {
            addresses("spec.redis.cluster.addresses", &cluster.addresses, problems).map(RedisPlace::Cluster)
        }
        (_, _, _) => {
            problems.add("spec.redis", "exactly one of single, sentinel and cluster must be set");
            None
        }
    };
    let tls = tls("spec.redis.tls", spec.tls.as_ref(), problems);
    let key_prefix = problems.keep("spec.redis.keyPrefix", spec.key_prefix.parse());
    let credentials = match (&spec.username_secret_ref, &spec.password_secret_ref) {
        (username, Some(password)) => Some(Credentials { username: username.clone(), password: password.clone() }),
        (None, None) => None,
        (Some(_), None) => {
            problems.add("spec.redis.usernameSecretRef", "is of no use without passwordSecretRef; set that as well");
            None
        }
    };
    Some(Redis { place: place?, tls: tls?, credentials, key_prefix: key_prefix? })
}

fn addresses(path: &str, texts: &[String], problems: &mut Problems) -> Option<Vec<HostPort>> {
    if texts.is_empty() {
        problems.add(path, "names no server; name at least one");
        return None;
    }
    let read = |(index, text): (usize, &String)| problems.keep(format_args!("{path}[{index}]"), text.parse());
    let read: Vec<_> = texts.iter().enumerate().map(read).collect();
    read.into_iter().collect()
}
