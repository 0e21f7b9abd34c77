//! What connects brokers with each other: for each ordered pair a way of its own, so that one broker can be cut off from
//! all others while clients reach every one of them.
//!
//! Each node has a listener on every broker that is only for it, and its own addresses of the other nodes' controllers.
//! Copies of records and heartbeats go these ways; that controllers fetch their own log from a leader they know already
//! may go on. So a broker that is cut off is fenced by the others, unless it leads the controllers: then it stays in
//! charge of its partitions and no other copy can follow it.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{Listener, node::Node};
use crate::{Proxy, TestbedError};

/// The ways from one node to another: to its broker and to its controller.
#[derive(Debug)]
struct Link {
    broker: Proxy,
    controller: Proxy,
}

/// The ways between all nodes, by where they begin and where they lead.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: BTreeMap<(i32, i32), Link>,
}

impl Links {
    pub(super) fn start(nodes: &[Node]) -> Result<Self, TestbedError> {
        let mut links = BTreeMap::new();
        for from in nodes.iter().map(Node::id) {
            for to in nodes.iter().filter(|to| to.id() != from) {
                let broker = Proxy::start(to.address_of(Listener::Node(from)))?;
                let controller = Proxy::start(to.controller_address())?;
                links.insert((from, to.id()), Link { broker, controller });
            }
        }
        Ok(Self { links })
    }

    /// Where a node finds the broker of another.
    pub(super) fn to_broker(&self, from: i32, to: i32) -> Option<SocketAddr> {
        Some(self.links.get(&(from, to))?.broker.address())
    }

    /// Where a node finds the controller of another.
    pub(super) fn to_controller(&self, from: i32, to: i32) -> Option<SocketAddr> {
        Some(self.links.get(&(from, to))?.controller.address())
    }

    /// All ways from and to a node.
    pub(super) fn of(&self, node: i32) -> impl Iterator<Item = &Proxy> {
        let of_node = self.links.iter().filter(move |((from, to), _)| *from == node || *to == node);
        of_node.flat_map(|(_, link)| [&link.broker, &link.controller])
    }
}
