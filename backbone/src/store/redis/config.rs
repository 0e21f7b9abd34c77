//! How to reach Redis. Holds no secret: passwords and keys are read from their files at each connection, so a changed file
//! is used from the next one on.

use std::{fmt, path::PathBuf, str::FromStr};

use thiserror::Error;

/// The port where an address names none.
const PORT_DEFAULT: u16 = 6_379;

/// How to reach Redis and where in it the state lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Which servers.
    pub address: RedisAddress,
    /// TLS to all of them; `None` for plain TCP.
    pub tls: Option<RedisTls>,
    /// The ACL user; `None` for Redis's default user.
    pub username: Option<String>,
    /// File whose content, less a final line break, is the password.
    pub password_file: Option<PathBuf>,
    /// What every key begins with.
    pub key_prefix: KeyPrefix,
}

/// Which servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisAddress {
    /// One server, which must be a master.
    Single(HostPort),
    /// Whichever server the sentinels call the master, asked again at each connection.
    Sentinel {
        /// The master's name.
        master: String,
        /// The sentinels, asked in this order; one that answers is enough.
        sentinels: Vec<HostPort>,
        /// File whose content is the sentinels' own password, if they have one.
        password_file: Option<PathBuf>,
    },
    /// A cluster, found through any of these.
    Cluster {
        /// Some of its nodes.
        nodes: Vec<HostPort>,
    },
}

/// A server's host, by name or number, and its port: `redis.example:6379`, `[::1]:6379`, or a host alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// TLS, PEM files all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedisTls {
    /// Certificates of the authorities to trust; `None` for the system's.
    pub ca_file: Option<PathBuf>,
    /// This client's certificate chain, where the server asks for one.
    pub certificate_file: Option<PathBuf>,
    /// The key of that certificate.
    pub key_file: Option<PathBuf>,
}

/// What every key begins with, so that several platforms can share a Redis: letters, digits, `-`, `_`, `.` and `:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrefix(String);

/// Why a text is not part of a Redis configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RedisConfigError {
    /// Not `host`, `host:port` or `[IPv6]:port`.
    #[error("{text:?} is not an address like redis.example:6379 or [::1]:6379")]
    Address {
        /// The text.
        text: String,
    },
    /// Not a key prefix.
    #[error("{text:?} is not a key prefix: 1 to 64 letters, digits, '-', '_', '.' and ':'")]
    KeyPrefix {
        /// The text.
        text: String,
    },
}

impl RedisConfig {
    /// No TLS, no password, the default prefix.
    pub fn new(address: RedisAddress) -> Self {
        Self { address, tls: None, username: None, password_file: None, key_prefix: KeyPrefix::default() }
    }
}

impl HostPort {
    /// The host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A host that is known to be one, as a sentinel says it.
    pub(super) const fn new(host: String, port: u16) -> Self {
        Self { host, port }
    }
}

impl FromStr for HostPort {
    type Err = RedisConfigError;

    fn from_str(text: &str) -> Result<Self, RedisConfigError> {
        let error = || RedisConfigError::Address { text: text.to_owned() };
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or_else(error)?)),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(PORT_DEFAULT), str::parse).map_err(|_| error())?;
        let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:%".contains(c));
        if is_host && port > 0 { Ok(Self { host: host.to_owned(), port }) } else { Err(error()) }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl KeyPrefix {
    /// Longest, in bytes: it is part of every key.
    const BYTES_MAX: usize = 64;
}

impl Default for KeyPrefix {
    fn default() -> Self {
        Self("pnyx".to_owned())
    }
}

impl FromStr for KeyPrefix {
    type Err = RedisConfigError;

    fn from_str(text: &str) -> Result<Self, RedisConfigError> {
        // Braces would move the hash tag, so that a proposal's keys lay on different nodes of a cluster.
        let is_prefix = (1..=Self::BYTES_MAX).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
        if is_prefix { Ok(Self(text.to_owned())) } else { Err(RedisConfigError::KeyPrefix { text: text.to_owned() }) }
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_and_ports() {
        for (text, host, port, written) in [
            ("redis.example:7000", "redis.example", 7000, "redis.example:7000"),
            ("127.0.0.1", "127.0.0.1", 6379, "127.0.0.1:6379"),
            ("[::1]:7000", "::1", 7000, "[::1]:7000"),
            ("[::1]", "::1", 6379, "[::1]:6379"),
        ] {
            let address: HostPort = text.parse().unwrap();
            assert_eq!((address.host(), address.port(), address.to_string()), (host, port, written.to_owned()));
        }
        for text in ["", ":6379", "host:", "host:0", "host:65536", "host:1:2", "[::1", "[::1]x", "redis://host", "a b"]
        {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }

    #[test]
    fn prefixes_leave_the_hash_tag_alone() {
        assert_eq!("team-a:pnyx".parse::<KeyPrefix>().unwrap().to_string(), "team-a:pnyx");
        for text in ["", "a{b}", "a b", "ä", &"a".repeat(65)] {
            assert!(text.parse::<KeyPrefix>().is_err(), "{text}");
        }
    }
}
