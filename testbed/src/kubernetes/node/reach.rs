//! Who reaches whom: connections from where a pod is, and from outside of the cluster.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Node, leftovers};
use crate::TestbedError;

/// How long an answer may take: milliseconds, and a second more for each packet that a busy machine has lost.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);

impl Node {
    /// Whether TCP from within a pod reaches an address: somebody there answers, if only that nothing listens. Otherwise
    /// it waited in vain.
    ///
    /// # Errors
    /// There is no pod of that address, or it has no way there at all.
    pub fn reaches_from(&self, pod: Ipv4Addr, target: SocketAddr) -> Result<bool, TestbedError> {
        let failed = |action| move |source| TestbedError::Network { action, address: pod.to_string(), source };
        let network =
            network_of(pod).ok_or_else(|| failed("find the pod at")(io::ErrorKind::AddrNotAvailable.into()))?;
        within(&network, || connect(target)).flatten().map_err(failed("connect from the pod at"))
    }

    /// The same from [`Node::outside`].
    ///
    /// # Errors
    /// There is no way there at all.
    pub fn reaches_from_outside(&self, target: SocketAddr) -> Result<bool, TestbedError> {
        let failed = |source| TestbedError::Network { action: "connect to", address: target.to_string(), source };
        connect(target).map_err(failed)
    }
}

fn connect(target: SocketAddr) -> io::Result<bool> {
    match TcpStream::connect_timeout(&target, ANSWER_LIMIT) {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Ok(true),
            io::ErrorKind::TimedOut => Ok(false),
            _ => Err(error),
        },
    }
}

/// The network of the pod that has an address.
fn network_of(pod: Ipv4Addr) -> Option<PathBuf> {
    // Whoever has an address can bind it.
    let has_it = |network: &PathBuf| within(network, || UdpSocket::bind((pod, 0)).is_ok()).unwrap_or(false);
    leftovers::pod_networks().into_iter().map(|name| Path::new(leftovers::NETWORKS).join(name)).find(has_it)
}

/// Does something in another network, on a thread that is moved there and ends with it.
fn within<T: Send>(network: &Path, act: impl FnOnce() -> T + Send) -> io::Result<T> {
    let network = File::open(network)?;
    let moved = || -> io::Result<T> {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(act())
    };
    thread::scope(|scope| scope.spawn(moved).join().expect("nothing panics there"))
}
