//! Ports that stay ours while a server is down.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

use crate::{TestbedError, cache};

/// First port that is tried. The range lies below the ports that systems give to outgoing connections and below those of
/// Kubernetes services, so that nobody takes a port by chance while its server is being restarted.
const FIRST: u16 = 20_000;

/// How many ports follow it.
const COUNT: u16 = 10_000;

/// Where this process goes on looking.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that no other test bed on this machine takes as long as this value lives.
#[derive(Debug)]
pub struct Port {
    address: Ipv4Addr,
    number: u16,
    _lock: File,
}

impl Port {
    /// Reserves a free port of the loopback interface.
    ///
    /// # Errors
    /// No port is free, or the cache cannot be used.
    pub fn reserve() -> Result<Self, TestbedError> {
        Self::reserve_at(Ipv4Addr::LOCALHOST)
    }

    /// Reserves a free port of another address of this machine; see [`crate::kubernetes::Node::outside`].
    ///
    /// # Errors
    /// This machine has no such address, no port is free, or the cache cannot be used.
    pub fn reserve_at(address: Ipv4Addr) -> Result<Self, TestbedError> {
        // Where there is no such address every port would look taken.
        TcpListener::bind((address, 0)).map_err(|source| TestbedError::Network {
            action: "listen on",
            address: address.to_string(),
            source,
        })?;
        let folder = cache::root()?.join("ports");
        cache::make_folder(&folder)?;
        // Processes begin at places of their own, so that they seldom ask for the same lock.
        let start = u16::try_from(process::id() % u32::from(COUNT)).expect("a remainder is smaller than its divisor");
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let offset = (u32::from(start) * 17 + u32::from(step)) % u32::from(COUNT);
            let number = FIRST + u16::try_from(offset).expect("a remainder is smaller than its divisor");
            let Some(lock) = cache::try_lock(&folder.join(number.to_string()))? else { continue };
            if TcpListener::bind((address, number)).is_ok() {
                return Ok(Self { address, number, _lock: lock });
            }
        }
        Err(TestbedError::NoPort { first: FIRST, last: FIRST + COUNT - 1 })
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((self.address, self.number))
    }
}
