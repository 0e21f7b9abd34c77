//! A way to all brokers of a cluster that can be cut for one client while others go on.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::{Proxy, TestbedError};

/// One proxy in front of each broker, whose addresses the brokers tell to clients that came this way.
#[derive(Debug)]
pub struct Route {
    proxies: Vec<Proxy>,
}

impl Route {
    pub(super) fn start(address: Ipv4Addr, targets: impl Iterator<Item = SocketAddr>) -> Result<Self, TestbedError> {
        Ok(Self { proxies: targets.map(|target| Proxy::start_at(address, target)).collect::<Result<_, _>>()? })
    }

    /// Where clients of this route begin.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.proxies.iter().map(|proxy| proxy.address().to_string()).collect::<Vec<_>>().join(",")
    }

    /// The proxy in front of one broker, counted from 1.
    ///
    /// # Panics
    /// If there is no such broker.
    #[must_use]
    pub fn proxy(&self, node: usize) -> &Proxy {
        let index = node.checked_sub(1).expect("nodes are counted from 1");
        self.proxies.get(index).expect("a route leads to every broker")
    }

    /// Ends all connections and refuses new ones.
    pub fn cut(&self) {
        self.proxies.iter().for_each(Proxy::cut);
    }

    /// Keeps connections but forwards nothing.
    ///
    /// # Errors
    /// It was cut and a port cannot be opened again.
    pub fn stall(&self) -> Result<(), TestbedError> {
        self.proxies.iter().try_for_each(Proxy::stall)
    }

    /// Delays every chunk of each direction.
    ///
    /// # Errors
    /// It was cut and a port cannot be opened again.
    pub fn delay(&self, delay: Duration) -> Result<(), TestbedError> {
        self.proxies.iter().try_for_each(|proxy| proxy.delay(delay))
    }

    /// Forwards at once again.
    ///
    /// # Errors
    /// It was cut and a port cannot be opened again.
    pub fn restore(&self) -> Result<(), TestbedError> {
        self.proxies.iter().try_for_each(Proxy::restore)
    }
}
