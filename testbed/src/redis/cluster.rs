//! A Redis Cluster of three primaries.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{RedisOptions, RedisServer, external};
use crate::{Port, TestbedError, process::POLL_INTERVAL};

/// The smallest cluster that can agree on anything.
const NODE_COUNT: usize = 3;

/// First and last slot of each node: 16,384 in all.
const SLOTS: [(&str, &str); NODE_COUNT] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

/// How long it may take until all nodes know each other and every slot has its node.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Three primaries without replicas.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    _bus_ports: Vec<Port>,
}

impl RedisCluster {
    /// Starts the nodes, gives each a third of the slots and waits until all of them agree.
    ///
    /// # Errors
    /// As of [`RedisServer::start`]; also if `PNYX_TEST_REDIS` is set, which names no cluster.
    pub fn start() -> Result<Self, TestbedError> {
        if external::external()?.is_some() {
            return Err(external::not_ours("start a Redis cluster"));
        }
        let (mut nodes, mut bus_ports) = (Vec::new(), Vec::new());
        for _ in 0..NODE_COUNT {
            let bus_port = Port::reserve()?;
            let options = RedisOptions::new()
                .setting("cluster-enabled", "yes")
                .setting("cluster-node-timeout", "1000")
                .setting("cluster-port", &bus_port.number().to_string());
            nodes.push(RedisServer::start_own(options, &[])?);
            bus_ports.push(bus_port);
        }
        for (index, (node, (first, last))) in nodes.iter().zip(SLOTS).enumerate() {
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
            node.command(&["CLUSTER", "ADDSLOTSRANGE", first, last])?;
        }
        for (node, bus_port) in nodes.iter().zip(&bus_ports).skip(1) {
            let address = node.address();
            let (host, port) = address.rsplit_once(':').expect("an address has a port");
            nodes[0].command(&["CLUSTER", "MEET", host, port, &bus_port.number().to_string()])?;
        }
        let cluster = Self { nodes, _bus_ports: bus_ports };
        cluster.wait_until_ready(READY_LIMIT)?;
        Ok(cluster)
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// Where clients connect: `redis://…` of every node.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// Waits until every node says that the cluster works.
    ///
    /// # Errors
    /// It does not within `limit`.
    pub fn wait_until_ready(&self, limit: Duration) -> Result<(), TestbedError> {
        let is_ready = |node: &RedisServer| {
            let info = node.command(&["CLUSTER", "INFO"]).unwrap_or_default();
            info.contains("cluster_state:ok") && info.contains(&format!("cluster_known_nodes:{NODE_COUNT}"))
        };
        let start = Instant::now();
        while !self.nodes.iter().all(is_ready) {
            if start.elapsed() >= limit {
                let (what, log) = ("the redis cluster was not ready".to_owned(), String::new());
                return Err(TestbedError::TimedOut { what, limit_ms: limit.as_millis(), log });
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }
}
