//! Apache Kafka, one broker or three, started without shell scripts.

mod acl;
mod links;
mod metadata;
mod node;
mod options;
mod prepare;
mod properties;
mod protocol;
mod route;

use std::{collections::BTreeSet, env, path::PathBuf, time::Duration};

pub use acl::{KafkaOperation, KafkaResource};
pub use options::{KafkaOptions, Listener, ROUTES_MAX};
pub(crate) use prepare::java_and_jars;
pub use route::Route;

use crate::{Proxy, TestbedError, directory::Directory};
use links::Links;
use node::Node;

/// Names a Kafka that exists already, as `host:port`.
pub const EXTERNAL_VARIABLE: &str = "PNYX_TEST_KAFKA";

/// How long brokers may take until they answer: 4 to 8 s on a loaded machine, more while everything compiles beside.
const READY_LIMIT: Duration = Duration::from_secs(180);

/// How long a broker may take to end by itself: it hands over its partitions and closes its files.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running Kafka. Dropping it ends its brokers and removes their data.
#[derive(Debug)]
pub struct KafkaCluster {
    nodes: Vec<Node>,
    routes: Vec<Route>,
    links: Links,
    external: Option<String>,
    _directory: Option<Directory>,
}

impl KafkaCluster {
    /// Starts brokers and waits until every one knows all of them.
    ///
    /// If `PNYX_TEST_KAFKA` is set and the options ask for one plain broker, that server is used instead.
    ///
    /// # Errors
    /// Something is missing on this machine, a broker ends or does not answer in time, or the options ask for
    /// what a server that is not ours cannot give.
    pub fn start(options: KafkaOptions) -> Result<Self, TestbedError> {
        if let Some(bootstrap) = external()? {
            if !options.is_plain() {
                return Err(not_ours("start a Kafka with brokers, listeners or settings of its own"));
            }
            let (nodes, routes, links) = (Vec::new(), Vec::new(), Links::default());
            return Ok(Self { nodes, routes, links, external: Some(bootstrap), _directory: None });
        }
        let prepared = prepare::prepared()?;
        let directory = Directory::new()?;
        let (nodes, routes, links) = node::lay_out(&prepared, &options, directory.path())?;
        let cluster = Self { nodes, routes, links, external: None, _directory: Some(directory) };
        cluster.nodes.iter().try_for_each(Node::spawn)?;
        let all: BTreeSet<i32> = cluster.nodes.iter().map(Node::id).collect();
        cluster.nodes.iter().try_for_each(|node| node.wait_until_it_knows(&all))?;
        Ok(cluster)
    }

    /// Where clients of the plain listener begin: `host:port`, one per broker, with commas between.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.bootstrap_of(Listener::Plain)
    }

    /// Where clients of a listener begin.
    ///
    /// # Panics
    /// If the options did not ask for this listener.
    #[must_use]
    pub fn bootstrap_of(&self, listener: Listener) -> String {
        if let Some(external) = &self.external {
            assert!(listener == Listener::Plain, "a server that is not ours has one listener");
            return external.clone();
        }
        if let Listener::Route(index) = listener {
            return self.route(index).bootstrap();
        }
        let addresses = self.nodes.iter().map(|node| node.address_of(listener).to_string());
        addresses.collect::<Vec<_>>().join(",")
    }

    /// A way to all brokers that can be cut, stalled and slowed down for whoever uses it.
    ///
    /// # Panics
    /// If the options asked for fewer routes.
    #[must_use]
    pub fn route(&self, index: usize) -> &Route {
        self.routes.get(index).expect("the options say how many routes there are")
    }

    /// How many brokers were started: none if the server is not ours.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Kills a broker with SIGKILL. Nodes are counted from 1, as their `node.id`.
    ///
    /// # Errors
    /// The server is not ours.
    pub fn kill(&self, node: usize) -> Result<(), TestbedError> {
        self.node(node, "kill a broker")?.kill()
    }

    /// Asks a broker to end, which hands over its partitions first, and waits until it has.
    ///
    /// # Errors
    /// The server is not ours, the broker does not run, or it does not end in time.
    pub fn stop(&self, node: usize) -> Result<(), TestbedError> {
        self.node(node, "stop a broker")?.stop()
    }

    /// Starts a broker again on its data and ports, killing it first if it runs. Waits until it serves, unless most
    /// brokers are down, since then none can; see [`KafkaCluster::wait_until_ready`].
    ///
    /// # Errors
    /// The server is not ours, or the broker does not answer in time.
    pub fn restart(&self, node: usize) -> Result<(), TestbedError> {
        let restarted = self.node(node, "restart a broker")?;
        restarted.kill()?;
        restarted.spawn()?;
        let running = self.nodes.iter().filter(|node| node.is_running()).count();
        if running * 2 > self.nodes.len() {
            restarted.wait_until_it_knows(&BTreeSet::from([restarted.id()]))?;
        }
        Ok(())
    }

    /// Stops a broker where it stands (SIGSTOP); its connections stay open and nothing answers.
    ///
    /// # Errors
    /// The server is not ours or the broker does not run.
    pub fn pause(&self, node: usize) -> Result<(), TestbedError> {
        self.node(node, "pause a broker")?.pause()
    }

    /// Lets a paused broker go on.
    ///
    /// # Errors
    /// The server is not ours or the broker does not run.
    pub fn resume(&self, node: usize) -> Result<(), TestbedError> {
        self.node(node, "resume a broker")?.resume()
    }

    /// Cuts a broker off from all others: their connections end and new ones are refused. Clients still reach it. The
    /// options must have asked for links.
    ///
    /// # Errors
    /// The server is not ours.
    pub fn cut_off(&self, node: usize) -> Result<(), TestbedError> {
        let id = self.node(node, "cut off a broker")?.id();
        self.links.of(id).for_each(Proxy::cut);
        Ok(())
    }

    /// As [`KafkaCluster::cut_off`], but connections stay and nothing is forwarded, as if all packets vanished.
    ///
    /// # Errors
    /// The server is not ours, or a port cannot be opened again.
    pub fn silence(&self, node: usize) -> Result<(), TestbedError> {
        let id = self.node(node, "silence a broker")?.id();
        self.links.of(id).try_for_each(Proxy::stall)
    }

    /// Connects a broker with all others again.
    ///
    /// # Errors
    /// The server is not ours, or a port cannot be opened again.
    pub fn rejoin(&self, node: usize) -> Result<(), TestbedError> {
        let id = self.node(node, "connect a broker again")?.id();
        self.links.of(id).try_for_each(Proxy::restore)
    }

    /// Lets a user do something; see [`KafkaOptions::scram_user_without_rights`].
    ///
    /// # Errors
    /// The server is not ours, or does not take the rule.
    pub fn allow(
        &self,
        user: &str,
        resource: KafkaResource<'_>,
        operations: &[KafkaOperation],
    ) -> Result<(), TestbedError> {
        let address = self.node(1, "make access rules")?.address_of(Listener::Plain);
        acl::allow(address, user, resource, operations).map_err(|source| TestbedError::Network {
            action: "make access rules at",
            address: address.to_string(),
            source,
        })
    }

    /// Waits until every running broker serves.
    ///
    /// # Errors
    /// The server is not ours, or a broker does not answer in time.
    pub fn wait_until_ready(&self) -> Result<(), TestbedError> {
        if self.external.is_some() {
            return Err(not_ours("wait for a broker"));
        }
        let mut running = self.nodes.iter().filter(|node| node.is_running());
        running.try_for_each(|node| node.wait_until_it_knows(&BTreeSet::from([node.id()])))
    }

    /// Process ids of the running brokers, for measuring what they use.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(Node::process_id).collect()
    }

    /// The log file of a broker.
    ///
    /// # Errors
    /// The server is not ours.
    pub fn log(&self, node: usize) -> Result<PathBuf, TestbedError> {
        Ok(self.node(node, "read the log of a broker")?.log().to_owned())
    }

    fn node(&self, node: usize, action: &'static str) -> Result<&Node, TestbedError> {
        if self.external.is_some() {
            return Err(not_ours(action));
        }
        let index = node.checked_sub(1).expect("nodes are counted from 1");
        Ok(self.nodes.get(index).expect("the options say how many brokers there are"))
    }
}

fn not_ours(action: &'static str) -> TestbedError {
    TestbedError::NotOurs { action, variable: EXTERNAL_VARIABLE }
}

/// The server that the variable names, if it is set.
fn external() -> Result<Option<String>, TestbedError> {
    let Some(value) = env::var_os(EXTERNAL_VARIABLE).filter(|value| !value.is_empty()) else { return Ok(None) };
    let bad = || TestbedError::BadVariable { variable: EXTERNAL_VARIABLE, form: "host:port, or several with commas" };
    let value = value.into_string().map_err(|_| bad())?;
    let is_address = |part: &str| {
        let address = part.rsplit_once(':');
        address.is_some_and(|(host, port)| !host.is_empty() && !host.contains("//") && port.parse::<u16>().is_ok())
    };
    if value.split(',').all(is_address) { Ok(Some(value)) } else { Err(bad()) }
}
