//! What a test may ask of its Redis.

use std::net::Ipv4Addr;

use crate::Issued;

/// What is kept on disk, who may come in, and further settings.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    pub(super) address: Ipv4Addr,
    pub(super) is_append_only: bool,
    pub(super) password: Option<String>,
    pub(super) users: Vec<String>,
    pub(super) tls: Option<(Issued, bool)>,
    pub(super) settings: Vec<(String, String)>,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl RedisOptions {
    /// Nothing is kept on disk; everybody on this machine may come in.
    #[must_use]
    pub fn new() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST,
            is_append_only: false,
            password: None,
            users: Vec::new(),
            tls: None,
            settings: Vec::new(),
        }
    }

    /// Listens on this address of the machine; with [`crate::kubernetes::Node::outside`], pods reach the server there.
    #[must_use]
    pub fn listen_on(self, address: Ipv4Addr) -> Self {
        Self { address, ..self }
    }

    /// Keeps an append-only file, written to disk each second, so that a restart keeps the data.
    #[must_use]
    pub fn append_only(self) -> Self {
        Self { is_append_only: true, ..self }
    }

    /// Asks everybody for this password (`requirepass`).
    #[must_use]
    pub fn password(self, password: &str) -> Self {
        Self { password: Some(password.to_owned()), ..self }
    }

    /// Adds a user with a password and rules in the words of Redis, such as `~pnyx:* &pnyx:* +@all -@dangerous`.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str, rules: &str) -> Self {
        self.users.push(format!("{name} on >{password} {rules}"));
        self
    }

    /// Opens a second port for TLS with this certificate.
    #[must_use]
    pub fn tls(self, issued: &Issued) -> Self {
        Self { tls: Some((issued.clone(), false)), ..self }
    }

    /// Opens a second port for TLS that lets in only clients with a certificate of the same authority.
    #[must_use]
    pub fn mutual_tls(self, issued: &Issued) -> Self {
        Self { tls: Some((issued.clone(), true)), ..self }
    }

    /// Adds a line to the server's configuration.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Whether any Redis would do.
    pub(super) fn is_plain(&self) -> bool {
        let Self { address, is_append_only, password, users, tls, settings } = self;
        let is_here = *address == Ipv4Addr::LOCALHOST;
        is_here && !is_append_only && password.is_none() && users.is_empty() && tls.is_none() && settings.is_empty()
    }
}
