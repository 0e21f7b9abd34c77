//! What a test may ask of its Kafka.

use std::net::Ipv4Addr;

use crate::Issued;

/// Most routes of one cluster. Each costs a listener with its threads on every broker.
pub const ROUTES_MAX: usize = 8;

/// A listener of every broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listener {
    /// Without encryption or passwords; always there.
    Plain,
    /// TLS; see [`KafkaOptions::tls`].
    Tls,
    /// Passwords (SCRAM-SHA-512) without encryption; see [`KafkaOptions::scram_user`].
    Scram,
    /// Passwords over TLS: there if both were asked for.
    ScramTls,
    /// Plain, with a proxy of its own in front of each broker, counted from 0; see [`KafkaOptions::routes`].
    Route(usize),
    /// Plain, for the broker with this `node.id`; see [`KafkaOptions::links`].
    Node(i32),
}

/// How many brokers, which listeners and settings.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    pub(super) node_count: i32,
    pub(super) address: Ipv4Addr,
    pub(super) is_for_load: bool,
    pub(super) properties: Vec<(String, String)>,
    pub(super) route_count: usize,
    pub(super) has_links: bool,
    pub(super) tls: Option<Tls>,
    pub(super) users: Vec<User>,
}

#[derive(Debug, Clone)]
pub(super) struct Tls {
    pub(super) issued: Issued,
    pub(super) is_mutual: bool,
}

#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: String,
    pub(super) has_rights: bool,
}

impl KafkaOptions {
    /// One broker: every topic has one replica.
    #[must_use]
    pub fn one() -> Self {
        Self {
            node_count: 1,
            address: Ipv4Addr::LOCALHOST,
            is_for_load: false,
            properties: Vec::new(),
            route_count: 0,
            has_links: false,
            tls: None,
            users: Vec::new(),
        }
    }

    /// Three brokers: topics have three replicas by default, two of which must have a record before it is acknowledged.
    #[must_use]
    pub fn three() -> Self {
        Self { node_count: 3, ..Self::one() }
    }

    /// All listeners and routes are at this address of the machine, which brokers tell to clients. With
    /// [`crate::kubernetes::Node::outside`] pods and this machine reach brokers at the same addresses.
    #[must_use]
    pub fn listen_on(self, address: Ipv4Addr) -> Self {
        Self { address, ..self }
    }

    /// Gives brokers more memory and Java's optimising compiler, which pays after the first minute. For measurements.
    #[must_use]
    pub fn for_load(self) -> Self {
        Self { is_for_load: true, ..self }
    }

    /// Sets a broker property; it wins over those of the test bed.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds `count` routes: listeners whose advertised addresses are proxies, so that a client which begins at one of
    /// them can be cut off from the brokers while others go on.
    ///
    /// # Panics
    /// If they are more than [`ROUTES_MAX`].
    #[must_use]
    pub fn routes(self, count: usize) -> Self {
        assert!(count <= ROUTES_MAX, "a cluster has at most {ROUTES_MAX} routes");
        Self { route_count: count, ..self }
    }

    /// Puts proxies between brokers, so that one can be cut off from the others; see [`super::KafkaCluster::cut_off`].
    #[must_use]
    pub fn links(self) -> Self {
        Self { has_links: true, ..self }
    }

    /// Adds a TLS listener with this certificate.
    #[must_use]
    pub fn tls(self, issued: &Issued) -> Self {
        Self { tls: Some(Tls { issued: issued.clone(), is_mutual: false }), ..self }
    }

    /// Adds a TLS listener that lets in only clients with a certificate of the same authority.
    #[must_use]
    pub fn mutual_tls(self, issued: &Issued) -> Self {
        Self { tls: Some(Tls { issued: issued.clone(), is_mutual: true }), ..self }
    }

    /// Adds a user with a password who may do everything.
    #[must_use]
    pub fn scram_user(self, name: &str, password: &str) -> Self {
        self.user(name, password, true)
    }

    /// Adds a user with a password who may do nothing, until an access rule says otherwise; clients of the listeners
    /// without passwords may do everything still.
    #[must_use]
    pub fn scram_user_without_rights(self, name: &str, password: &str) -> Self {
        self.user(name, password, false)
    }

    /// Whether any Kafka would do.
    pub(super) fn is_plain(&self) -> bool {
        let Self { node_count, address, is_for_load: _, properties, route_count, has_links, tls, users } = self;
        let has_ways = *route_count > 0 || *has_links;
        let is_here = *node_count == 1 && *address == Ipv4Addr::LOCALHOST;
        is_here && properties.is_empty() && !has_ways && tls.is_none() && users.is_empty()
    }

    /// All listeners, the plain one first.
    pub(super) fn listeners(&self) -> Vec<Listener> {
        let mut listeners = vec![Listener::Plain];
        if self.tls.is_some() {
            listeners.push(Listener::Tls);
        }
        if !self.users.is_empty() {
            listeners.push(Listener::Scram);
            if self.tls.is_some() {
                listeners.push(Listener::ScramTls);
            }
        }
        listeners.extend((0..self.route_count).map(Listener::Route));
        if self.has_links {
            listeners.extend((1..=self.node_count).map(Listener::Node));
        }
        listeners
    }

    fn user(mut self, name: &str, password: &str, has_rights: bool) -> Self {
        self.users.push(User { name: name.to_owned(), password: password.to_owned(), has_rights });
        self
    }
}
