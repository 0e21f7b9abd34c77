//! Who may speak with whom. Policies add up: whoever needs more than these allow adds a policy that selects the same pods.
//!
//! Addresses are not known here, and brokers and nodes of a cluster name others that nobody told us; but ports are known.
//! So each part may reach the ports that the platform names, wherever they are, and nothing else. Brokers that are
//! advertised with other ports belong into `bootstrapServers` as well. Endpoints of chains are secrets, ports and all, so
//! who asks chains may reach everything by TCP but what is this node's own: cloud providers hand out credentials there.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use pnyx_backbone::store::HostPort;

use super::{component::Component, part::Part};
use crate::validate::{ArchiveStorage, RedisPlace};

/// Ports of name servers: the usual one, and the one that OpenShift's pods have behind their Service.
const DNS_PORTS: [u16; 2] = [53, 5353];

/// Where a Redis listens that sentinels name, as far as one can know.
const REDIS_PORT: u16 = 6379;

/// All addresses of a family, and those of the node and of its provider's metadata.
const EVERYWHERE: [(&str, &[&str]); 2] =
    [("0.0.0.0/0", &["169.254.0.0/16"]), ("::/0", &["fe80::/10", "fd00:ec2::254/128"])];

/// The policy of a part.
pub(super) fn policy(part: &Part<'_>) -> NetworkPolicy {
    let mut egress = vec![to_ports("UDP", DNS_PORTS), to_ports("TCP", DNS_PORTS)];
    // A rule without ports would allow all of them.
    egress.extend(Some(named_ports(part)).filter(|ports| !ports.is_empty()).map(|ports| to_ports("TCP", ports)));
    if part.component.reads_chains() && !part.platform.chains.is_empty() {
        egress.push(to_chains());
    }
    let spec = NetworkPolicySpec {
        pod_selector: Some(part.selector()),
        policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
        ingress: Some(ingress(part)),
        egress: Some(egress),
    };
    NetworkPolicy { metadata: part.metadata(), spec: Some(spec) }
}

/// Voters and readers come from anywhere; what only says how it is doing is asked by pods of this cluster.
fn ingress(part: &Part<'_>) -> Vec<NetworkPolicyIngressRule> {
    let from = match part.component {
        Component::Ingest | Component::Tally => None,
        Component::Verifier | Component::Recount | Component::Pin | Component::Trial => Some(vec![any_pod()]),
    };
    let ports = |port| {
        Some(vec![NetworkPolicyPort {
            protocol: Some("TCP".to_owned()),
            port: Some(IntOrString::Int(port)),
            ..NetworkPolicyPort::default()
        }])
    };
    part.component.port().map(|port| NetworkPolicyIngressRule { from, ports: ports(port) }).into_iter().collect()
}

/// Ports of the log, of the store, of the bucket with archives and of the collector of traces, as far as the part reaches them.
fn named_ports(part: &Part<'_>) -> BTreeSet<u16> {
    let (platform, component) = (part.platform, part.component);
    let mut ports = BTreeSet::new();
    if component.reads_log() {
        ports.extend(platform.kafka.bootstrap_servers.iter().map(HostPort::port));
    }
    if component.reads_redis() {
        match &platform.redis.place {
            RedisPlace::Single(address) => ports.extend([address.port()]),
            RedisPlace::Cluster(nodes) => ports.extend(nodes.iter().map(HostPort::port)),
            // The servers' own port is what sentinels say; unless it is the usual one it needs a policy of its own.
            RedisPlace::Sentinel { addresses, .. } => {
                ports.extend(addresses.iter().map(HostPort::port).chain([REDIS_PORT]));
            }
        }
    }
    if let ArchiveStorage::Bucket(bucket) = &platform.archive
        && component.reads_archives()
    {
        ports.insert(bucket.port);
    }
    ports.extend(platform.traces.as_ref().filter(|_| component.tells_traces()).map(|traces| traces.port));
    ports
}

fn to_ports(protocol: &str, ports: impl IntoIterator<Item = u16>) -> NetworkPolicyEgressRule {
    let port = |port: u16| NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(port.into())),
        ..NetworkPolicyPort::default()
    };
    NetworkPolicyEgressRule { ports: Some(ports.into_iter().map(port).collect()), to: None }
}

fn to_chains() -> NetworkPolicyEgressRule {
    let block = |(cidr, except): (&str, &[&str])| NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: cidr.to_owned(),
            except: Some(except.iter().map(|&range| range.to_owned()).collect()),
        }),
        ..NetworkPolicyPeer::default()
    };
    // Pods by themselves as well: some networks do not count them among addresses.
    let to = [any_pod()].into_iter().chain(EVERYWHERE.into_iter().map(block)).collect();
    let tcp = NetworkPolicyPort { protocol: Some("TCP".to_owned()), ..NetworkPolicyPort::default() };
    NetworkPolicyEgressRule { ports: Some(vec![tcp]), to: Some(to) }
}

fn any_pod() -> NetworkPolicyPeer {
    NetworkPolicyPeer { namespace_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() }
}
