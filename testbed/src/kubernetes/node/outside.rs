//! Servers of this machine under names of the cluster.

use std::{
    net::UdpSocket,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{Node, POLL_INTERVAL, READY_LIMIT, network};
use crate::{TestbedError, cache};

/// What everything in the cluster ends with.
const DOMAIN: &str = "svc.cluster.local";

/// How long one question to the name server may take; it answers within milliseconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Bytes of an answer that are looked at: one name, one address.
const ANSWER_LEN_MAX: usize = 512;

impl Node {
    /// Gives a server that listens on a port of [`Node::outside`] a name in the cluster, and waits until pods reach it
    /// by that name: a Service without pods, and where it leads. The namespace must be there. Returns `host:port`.
    ///
    /// Whoever follows addresses that a server tells, as clients of Kafka do, goes to those afterwards and not by the name.
    ///
    /// # Errors
    /// The API server refuses it, or nothing leads there in time.
    pub fn expose(&self, name: &str, namespace: &str, port: u16) -> Result<String, TestbedError> {
        let ports = json!([{"name": "tcp", "protocol": "TCP", "port": port}]);
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"ports": ports},
        });
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            // The label alone connects both; controllers leave slices that are not theirs as they are.
            "metadata": {
                "name": format!("{name}-outside"),
                "namespace": namespace,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": [{"addresses": [network::OUTSIDE], "conditions": {"ready": true}}],
        });
        self.control_plane().apply(&format!("{service}\n---\n{slice}\n"))?;
        let host = format!("{name}.{namespace}.{DOMAIN}");
        self.wait_until_reached(&host, &format!("{namespace}/{name}:tcp"), port)?;
        Ok(format!("{host}:{port}"))
    }

    /// Waits until the host has an address, and packets to the service that kube-proxy calls so are sent on to the port.
    fn wait_until_reached(&self, host: &str, service: &str, port: u16) -> Result<(), TestbedError> {
        let target = format!("--to-destination {}:{port}", network::OUTSIDE);
        let mut rules = Command::new("nsenter");
        rules.arg(format!("--net={}", network::file().display())).args(["iptables-save", "--table", "nat"]);
        let start = Instant::now();
        loop {
            let rules = cache::run(&mut rules)?;
            let leads_on = rules.lines().any(|rule| rule.contains(service) && rule.contains(&target));
            if leads_on && has_address(host).unwrap_or(false) {
                return Ok(());
            }
            if start.elapsed() > READY_LIMIT {
                let what = format!("{host}:{port} did not lead to this machine");
                let log = self.part(super::NodePart::Proxy).log();
                return Err(TestbedError::TimedOut {
                    what,
                    limit_ms: READY_LIMIT.as_millis(),
                    log: cache::tail_of(log),
                });
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

/// Asks the name server of the cluster for an address, as a resolver does.
fn has_address(host: &str) -> std::io::Result<bool> {
    let socket = UdpSocket::bind((network::OUTSIDE, 0))?;
    socket.connect((network::INSIDE, 53))?;
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    // An id, "recursion desired", one question.
    let mut question = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in host.split('.') {
        question.push(u8::try_from(label.len()).map_err(std::io::Error::other)?);
        question.extend_from_slice(label.as_bytes());
    }
    // The end of the name, an address of version 4, of the internet.
    question.extend([0, 0, 1, 0, 1]);
    socket.send(&question)?;
    let mut answer = [0; ANSWER_LEN_MAX];
    let len = socket.recv(&mut answer)?;
    // No error, and at least one answer.
    Ok(matches!(answer[..len], [_, _, _, flags, _, _, high, low, ..] if flags & 0x0f == 0 && (high, low) != (0, 0)))
}
