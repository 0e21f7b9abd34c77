//! The network of the node: a namespace that nothing outside this machine reaches or is reached from.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{TestbedError, cache};

/// Where the node and the API server are.
pub(super) const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 250, 0, 1);

/// Where tests are, seen from pods.
pub(super) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 250, 0, 2);

/// An address of the node itself, which pods have no business with.
pub(super) const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Addresses of pods, as the plugins' configuration has them.
const PODS: &str = "10.64.1.0/24";

/// The name of the namespace.
const NAME: &str = "pnyx-node";

/// The names of the line between both sides; the one that stays here, and the one that goes in.
const LINE: [&str; 2] = ["pnyx-node-host", "node0"];

/// The file of the namespace.
pub(super) fn file() -> PathBuf {
    Path::new("/run/netns").join(NAME)
}

/// Makes the namespace.
pub(super) fn set_up() -> Result<(), TestbedError> {
    let (inside, outside) = (format!("{INSIDE}/24"), format!("{OUTSIDE}/24"));
    ip(&["netns", "add", NAME])?;
    ip(&["link", "add", LINE[1], "netns", NAME, "type", "veth", "peer", "name", LINE[0]])?;
    ip(&["addr", "add", &outside, "dev", LINE[0]])?;
    ip(&["link", "set", LINE[0], "up"])?;
    let within = |arguments: &[&str]| ip(&[["-netns", NAME].as_slice(), arguments].concat());
    within(&["link", "set", "lo", "up"])?;
    within(&["addr", "add", &inside, "dev", LINE[1]])?;
    within(&["link", "set", LINE[1], "up"])?;
    // As in a cluster whose pods have addresses that the outside knows.
    ip(&["route", "add", PODS, "via", &INSIDE.to_string(), "dev", LINE[0]])?;
    // Where clouds tell a machine its credentials: here nobody tells, but packets arrive.
    within(&["addr", "add", &format!("{METADATA}/32"), "dev", "lo"])?;
    // Before the kubelet looks for its own address.
    within(&["route", "add", "unreachable", "default"])?;
    within(&["route", "add", super::super::flags::SERVICE_RANGE, "dev", LINE[1]])?;
    let mut forward = Command::new("nsenter");
    forward.arg(format!("--net={}", file().display())).args(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
    cache::run(&mut forward).map(|_| ())
}

/// Takes the namespace away, if there is one; what is in it goes with it.
pub(super) fn tear_down() {
    // Whoever is killed between the steps leaves a part of this.
    let _ = ip(&["link", "delete", LINE[0]]);
    let _ = ip(&["netns", "delete", NAME]);
}

fn ip(arguments: &[&str]) -> Result<(), TestbedError> {
    cache::run(Command::new("ip").args(arguments)).map(|_| ())
}
