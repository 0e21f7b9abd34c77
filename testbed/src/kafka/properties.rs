//! The properties file of a broker.

use std::{net::SocketAddr, path::Path};

use super::options::{KafkaOptions, Listener};

/// Settings of every broker: one small machine carries it, groups and brokers fail over quickly, and what Kafka does
/// every five minutes happens within seconds.
const COMMON: &str = "\
process.roles=broker,controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
auto.create.topics.enable=false
num.partitions=1
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
num.network.threads=1
num.io.threads=2
num.recovery.threads.per.data.dir=1
background.threads=1
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=2097152
socket.send.buffer.bytes=65536
socket.receive.buffer.bytes=65536
log.segment.bytes=16777216
log.index.size.max.bytes=65536
controlled.shutdown.enable=true
broker.heartbeat.interval.ms=200
group.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=200
group.consumer.heartbeat.interval.ms=300
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=2000
group.consumer.assignment.interval.ms=0
log.cleaner.backoff.ms=500
log.retention.check.interval.ms=500
log.initial.task.delay.ms=500
log.segment.delete.delay.ms=0
";

/// One broker: one replica of everything. The short session lets it come back 2 s after a kill.
const ONE: &str = "\
default.replication.factor=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
broker.session.timeout.ms=1000
";

/// Three brokers: three replicas, two of which must be in step; elections within a second or two.
const THREE: &str = "\
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
broker.session.timeout.ms=2000
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1000
replica.lag.time.max.ms=3000
";

/// One node as its properties see it.
pub(super) struct NodeView<'a> {
    pub(super) id: i32,
    /// Ids of all nodes with the addresses of their controllers, as this node finds them.
    pub(super) voters: &'a [(i32, SocketAddr)],
    /// Where each listener listens, and which address it tells to clients.
    pub(super) listeners: &'a [(Listener, SocketAddr, SocketAddr)],
    pub(super) data: &'a Path,
    /// The key with its certificate, and the authority's certificate.
    pub(super) pem: Option<(&'a Path, &'a Path)>,
}

/// The whole file. Settings of the options come last, because the last one counts.
pub(super) fn render(node: &NodeView<'_>, options: &KafkaOptions) -> String {
    let own = node.voters.iter().find(|(id, _)| *id == node.id).expect("every node is a voter");
    let voters = node.voters.iter().map(|(id, address)| format!("{id}@{address}"));
    let bound = node.listeners.iter().map(|(listener, bound, _)| format!("{}://{bound}", name(*listener)));
    let told = node.listeners.iter().map(|(listener, _, told)| format!("{}://{told}", name(*listener)));
    let protocols = node.listeners.iter().map(|(listener, ..)| format!("{}:{}", name(*listener), protocol(*listener)));
    let mut lines = vec![
        format!("node.id={}", node.id),
        format!("controller.quorum.voters={}", joined(voters)),
        format!("listeners={},CONTROLLER://{}", joined(bound), own.1),
        format!("advertised.listeners={}", joined(told)),
        format!("listener.security.protocol.map={},CONTROLLER:PLAINTEXT", joined(protocols)),
        format!("log.dirs={}", node.data.display()),
    ];
    lines.push(COMMON.to_owned());
    lines.push(if options.node_count == 1 { ONE } else { THREE }.to_owned());
    if options.has_links {
        lines.push(format!("inter.broker.listener.name={}", name(Listener::Node(node.id))));
    }
    if let Some((keystore, truststore)) = node.pem {
        lines.extend(tls(keystore, truststore, options.tls.as_ref().is_some_and(|tls| tls.is_mutual)));
    }
    if !options.users.is_empty() {
        lines.extend(scram(options));
    }
    lines.extend(options.properties.iter().map(|(name, value)| format!("{name}={value}")));
    lines.push(String::new());
    lines.join("\n")
}

/// Enough for formatting a data folder of node 1; ports play no part in it.
pub(super) fn for_formatting(data: &Path) -> String {
    let [address, controller] = [9092, 9093].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let node = NodeView {
        id: 1,
        voters: &[(1, controller)],
        listeners: &[(Listener::Plain, address, address)],
        data,
        pem: None,
    };
    render(&node, &KafkaOptions::one())
}

fn name(listener: Listener) -> String {
    match listener {
        Listener::Plain => "PLAIN".to_owned(),
        Listener::Tls => "TLS".to_owned(),
        Listener::Scram => "SCRAM".to_owned(),
        Listener::ScramTls => "SCRAMTLS".to_owned(),
        Listener::Route(index) => format!("ROUTE{index}"),
        Listener::Node(id) => format!("NODE{id}"),
    }
}

fn protocol(listener: Listener) -> &'static str {
    match listener {
        Listener::Plain | Listener::Route(_) | Listener::Node(_) => "PLAINTEXT",
        Listener::Tls => "SSL",
        Listener::Scram => "SASL_PLAINTEXT",
        Listener::ScramTls => "SASL_SSL",
    }
}

fn tls(keystore: &Path, truststore: &Path, is_mutual: bool) -> Vec<String> {
    let client = if is_mutual { "required" } else { "none" };
    vec![
        "ssl.keystore.type=PEM".to_owned(),
        format!("ssl.keystore.location={}", keystore.display()),
        "ssl.truststore.type=PEM".to_owned(),
        format!("ssl.truststore.location={}", truststore.display()),
        format!("listener.name.tls.ssl.client.auth={client}"),
    ]
}

fn scram(options: &KafkaOptions) -> Vec<String> {
    let login = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let mut lines = vec!["sasl.enabled.mechanisms=SCRAM-SHA-512".to_owned()];
    for listener in ["scram", "scramtls"] {
        lines.push(format!("listener.name.{listener}.scram-sha-512.sasl.jaas.config={login}"));
    }
    if options.users.iter().any(|user| !user.has_rights) {
        let trusted = options.users.iter().filter(|user| user.has_rights).map(|user| format!(";User:{}", user.name));
        lines.push("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned());
        lines.push(format!("super.users=User:ANONYMOUS{}", trusted.collect::<String>()));
    }
    lines
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}
