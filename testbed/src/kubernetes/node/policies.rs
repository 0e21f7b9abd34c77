//! NetworkPolicies, enforced by the kernel.
//!
//! No enforcer that people run can be had here: none is in a registry that tests reach, and the smallest one hands packets to
//! itself by a target of nftables (`queue`) that kernels need not have. So the policies and the pods of a moment become one
//! table of nftables, as their definition says: a pod that a policy selects for a direction takes part in no connection of
//! that direction but those that one of its policies allows; answers belong to their connection. What is not allowed is
//! dropped, so that whoever asks waits in vain. The node itself reaches every pod, as Kubernetes has it.

use std::{fmt::Write as _, path::Path};

use serde_json::Value;

use super::{Node, folder};
use crate::{TestbedError, cache};

/// The table.
const TABLE: &str = "pnyx_policies";

/// Where pods' packets come by: on their way to others, and to the node.
const HOOKS: [&str; 2] = ["forward", "input"];

/// A direction, as policies name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    /// In `policyTypes`.
    const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }

    /// The field with its rules, and that with a rule's peers.
    const fn fields(self) -> (&'static str, &'static str) {
        match self {
            Self::Ingress => ("ingress", "from"),
            Self::Egress => ("egress", "to"),
        }
    }

    /// Which of a packet's addresses is the pod's, and which is the peer's.
    const fn sides(self) -> (&'static str, &'static str) {
        match self {
            Self::Ingress => ("daddr", "saddr"),
            Self::Egress => ("saddr", "daddr"),
        }
    }
}

impl Node {
    /// Enforces all NetworkPolicies of the cluster for all pods that it has now; a later call does so anew, in one step. A
    /// pod that came in between is held by none until then.
    ///
    /// # Errors
    /// A policy has what is not understood here, or the kernel refuses.
    pub fn enforce_policies(&self) -> Result<(), TestbedError> {
        let line = ["get", "pods,namespaces,networkpolicies", "--all-namespaces", "--output=json"];
        let found: Value = serde_json::from_str(&self.control_plane().kubectl(&line)?).unwrap_or_default();
        let objects = list(&found["items"]);
        objects.iter().filter(|object| is_policy(object)).try_for_each(check)?;
        let file = folder().join("policies.nft");
        cache::write(&file, &table(objects))?;
        cache::run(self.control_plane().place().command(Path::new("nft")).arg("--file").arg(file)).map(|_| ())
    }
}

/// What is not enforced is refused: a test that believes in it would be wrong.
fn check(policy: &Value) -> Result<(), TestbedError> {
    let spec = &policy["spec"];
    let rules = ["ingress", "egress"].into_iter().flat_map(|field| list(&spec[field]));
    let has_named_port = rules.flat_map(|rule| list(&rule["ports"])).any(|port| port["port"].is_string());
    let problem = if has_named_port {
        "a port by its name"
    } else if policy.to_string().contains("\"matchExpressions\"") {
        "a selector with expressions"
    } else {
        return Ok(());
    };
    Err(TestbedError::Policy { name: format!("{}/{}", namespace(policy), text(&policy["metadata"]["name"])), problem })
}

/// The table that takes the place of the one before.
fn table(objects: &[Value]) -> String {
    let (mut chains, mut leads) = (String::new(), String::new());
    for (index, (pod, address)) in pods(objects).enumerate() {
        for direction in [Direction::Ingress, Direction::Egress] {
            let policies: Vec<&Value> = objects.iter().filter(|policy| selects(policy, pod, direction)).collect();
            if policies.is_empty() {
                continue;
            }
            let (chain, own) = (format!("{}_{index}", direction.name()), direction.sides().0);
            let _ = writeln!(chains, "chain {chain} {{ # {}/{}", namespace(pod), text(&pod["metadata"]["name"]));
            for rule in policies.iter().flat_map(|policy| list(&policy["spec"][direction.fields().0])) {
                chains += &allowed(rule, direction, namespace(pod), objects);
            }
            chains += "drop\n}\n";
            let _ = writeln!(leads, "ip {own} {address} jump {chain}");
        }
    }
    let mut table = format!("table inet {TABLE} {{}}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n{chains}");
    for hook in HOOKS {
        let chain = format!("type filter hook {hook} priority 0;\nct state established,related accept\n{leads}");
        let _ = writeln!(table, "chain {hook} {{ {chain}}}");
    }
    table + "}\n"
}

/// What a rule of a policy in this namespace allows, a line for each peer and port.
fn allowed(rule: &Value, direction: Direction, home: &str, objects: &[Value]) -> String {
    let peers = match list(&rule[direction.fields().1]) {
        [] => vec![String::new()],
        peers => peers.iter().flat_map(|peer| addresses(peer, direction, home, objects)).collect(),
    };
    let ports: Vec<String> = match list(&rule["ports"]) {
        [] => vec![String::new()],
        ports => ports.iter().map(port).collect(),
    };
    let lines = peers.iter().flat_map(|peer| ports.iter().map(move |port| format!("{peer} {port} return\n")));
    lines.collect()
}

/// The addresses of a peer, as conditions. Those of version 6 are nobody's here.
fn addresses(peer: &Value, direction: Direction, home: &str, objects: &[Value]) -> Vec<String> {
    let side = direction.sides().1;
    if let Some(range) = peer["ipBlock"]["cidr"].as_str() {
        if range.contains(':') {
            return Vec::new();
        }
        let except: Vec<&str> = list(&peer["ipBlock"]["except"]).iter().map(text).collect();
        let but = if except.is_empty() { String::new() } else { format!("ip {side} != {{ {} }}", except.join(", ")) };
        return vec![format!("ip {side} {range} {but}")];
    }
    let is_there = |pod: &Value| match &peer["namespaceSelector"] {
        Value::Null => namespace(pod) == home,
        selector => objects.iter().any(|object| {
            object["kind"] == "Namespace"
                && text(&object["metadata"]["name"]) == namespace(pod)
                && matches(selector, &object["metadata"]["labels"])
        }),
    };
    let is_meant = |pod: &Value| is_there(pod) && matches(&peer["podSelector"], &pod["metadata"]["labels"]);
    let found = pods(objects).filter(|(pod, _)| is_meant(pod));
    found.map(|(_, address)| format!("ip {side} {address}")).collect()
}

/// A port, as a condition: a number, a range of them, or all of a protocol.
fn port(port: &Value) -> String {
    let protocol = port["protocol"].as_str().unwrap_or("TCP").to_lowercase();
    match (port["port"].as_u64(), port["endPort"].as_u64()) {
        (None, _) => format!("meta l4proto {protocol}"),
        (Some(first), None) => format!("{protocol} dport {first}"),
        (Some(first), Some(last)) => format!("{protocol} dport {first}-{last}"),
    }
}

/// Whether a policy is about a pod in a direction.
fn selects(policy: &Value, pod: &Value, direction: Direction) -> bool {
    is_policy(policy)
        && namespace(policy) == namespace(pod)
        && list(&policy["spec"]["policyTypes"]).iter().any(|kind| kind == direction.name())
        && matches(&policy["spec"]["podSelector"], &pod["metadata"]["labels"])
}

/// Whether labels are those that a selector wants; an empty one wants none.
fn matches(selector: &Value, labels: &Value) -> bool {
    let mut wanted = selector["matchLabels"].as_object().into_iter().flatten();
    wanted.all(|(name, value)| labels[name] == *value)
}

/// Pods that have an address of their own, with it.
fn pods(objects: &[Value]) -> impl Iterator<Item = (&Value, &str)> {
    let lives = |pod: &&Value| {
        pod["kind"] == "Pod"
            && pod["spec"]["hostNetwork"] != true
            && !["Succeeded", "Failed"].contains(&text(&pod["status"]["phase"]))
    };
    objects.iter().filter(lives).filter_map(|pod| Some((pod, pod["status"]["podIP"].as_str()?)))
}

fn is_policy(object: &Value) -> bool {
    object["kind"] == "NetworkPolicy"
}

fn namespace(object: &Value) -> &str {
    text(&object["metadata"]["namespace"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    fn pod(name: &str, address: &str, phase: &str) -> Value {
        let labels = json!({"app": name});
        let metadata = json!({"namespace": "votes", "name": name, "labels": labels});
        json!({"kind": "Pod", "metadata": metadata, "spec": {}, "status": {"phase": phase, "podIP": address}})
    }

    fn policy(spec: &Value) -> Value {
        json!({"kind": "NetworkPolicy", "metadata": {"namespace": "votes", "name": "edge"}, "spec": spec})
    }

    #[test]
    fn policies_become_what_their_definition_says() {
        let spec = json!({
            "podSelector": {"matchLabels": {"app": "edge"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [{"namespaceSelector": {}}], "ports": [{"port": 8080}]},
                {"from": [{"namespaceSelector": {"matchLabels": {"team": "other"}}}]},
                {"from": [{"podSelector": {"matchLabels": {"app": "reader"}}}], "ports": [{"protocol": "UDP"}]},
            ],
            "egress": [
                {"ports": [{"protocol": "UDP", "port": 53}, {"port": 9000, "endPort": 9009}]},
                {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}, {"ipBlock": {"cidr": "::/0"}}]},
            ],
        });
        let namespace = json!({"kind": "Namespace", "metadata": {"name": "votes", "labels": {"team": "ours"}}});
        let pods = [
            pod("edge", "10.0.0.2", "Running"),
            pod("reader", "10.0.0.3", "Running"),
            pod("gone", "10.0.0.4", "Succeeded"),
        ];
        let objects = [&pods[..], &[namespace, policy(&spec)]].concat();
        expect![[r#"
            table inet pnyx_policies {}
            delete table inet pnyx_policies
            table inet pnyx_policies {
            chain Ingress_0 { # votes/edge
            ip saddr 10.0.0.2 tcp dport 8080 return
            ip saddr 10.0.0.3 tcp dport 8080 return
            ip saddr 10.0.0.3 meta l4proto udp return
            drop
            }
            chain Egress_0 { # votes/edge
             udp dport 53 return
             tcp dport 9000-9009 return
            ip daddr 0.0.0.0/0 ip daddr != { 169.254.0.0/16 }  return
            drop
            }
            chain forward { type filter hook forward priority 0;
            ct state established,related accept
            ip daddr 10.0.0.2 jump Ingress_0
            ip saddr 10.0.0.2 jump Egress_0
            }
            chain input { type filter hook input priority 0;
            ct state established,related accept
            ip daddr 10.0.0.2 jump Ingress_0
            ip saddr 10.0.0.2 jump Egress_0
            }
            }
        "#]]
        .assert_eq(&table(&objects));
    }

    #[test]
    fn what_is_not_enforced_is_refused() {
        let named = json!({"podSelector": {}, "ingress": [{"ports": [{"port": "http"}]}]});
        let expression = json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}});
        for (spec, problem) in [(named, "a port by its name"), (expression, "a selector with expressions")] {
            let error = check(&policy(&spec)).unwrap_err().to_string();
            assert_eq!(error, format!("the network policy votes/edge has {problem}, which the node does not enforce"));
        }
        assert!(check(&policy(&json!({"podSelector": {}}))).is_ok());
    }
}
