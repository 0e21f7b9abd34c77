//! What a node leaves on the machine, taken away when it ends, and by the next start if it was killed.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{FOLDER, network};
use crate::{TestbedError, cache, process::POLL_INTERVAL};

/// Groups that kubelet and containerd make for their processes.
const CONTROL_GROUPS: [&str; 2] = ["kubepods", "k8s.io"];

/// Programs of a node by their first letters, as the kernel keeps their names.
const PROGRAMS: [&str; 5] = ["containerd", "kubelet", "kube-proxy", "coredns", "runc"];

/// Settings of the kernel that every kubelet changes.
const SETTINGS: [&str; 3] = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"];

/// Where containerd puts networks of pods, and where the plugins remember what they gave them.
pub(super) const NETWORKS: &str = "/run/netns";
const RESULTS: &str = "/var/lib/cni/results";

/// What every kubelet leaves in its usual folder, wherever else its files are; at last the folder itself, if it is empty.
const KUBELET_TRACES: [&str; 4] =
    ["device-plugins/kubelet.sock", "device-plugins/kubelet_internal_checkpoint", "device-plugins", ""];

/// Where the processes beside containers keep states and sockets, wherever else containerd's files are.
const SHIMS: &str = "/run/containerd";

/// How long processes that were killed may take to be gone.
const GONE_LIMIT: Duration = Duration::from_secs(20);

/// Settings of the kernel as they were.
#[derive(Debug)]
pub(super) struct Settings(Vec<(PathBuf, String)>);

impl Settings {
    pub(super) fn read() -> Self {
        let path = |name: &&str| Path::new("/proc/sys").join(name);
        let read = |path: PathBuf| Some((path.clone(), fs::read_to_string(path).ok()?));
        Self(SETTINGS.iter().map(path).filter_map(read).collect())
    }

    /// Puts them back: this machine is more than a node.
    pub(super) fn restore(&self) -> Result<(), TestbedError> {
        self.0.iter().try_for_each(|(path, text)| cache::write(path, text))
    }
}

/// Ends all processes of a node, and takes away mounts, networks, groups and files.
pub(super) fn remove() -> Result<(), TestbedError> {
    let start = Instant::now();
    while kill_all() > 0 {
        if start.elapsed() > GONE_LIMIT {
            return Err(TestbedError::TimedOut {
                what: "processes of a node did not end".to_owned(),
                limit_ms: GONE_LIMIT.as_millis(),
                log: String::new(),
            });
        }
        thread::sleep(POLL_INTERVAL);
    }
    unmount();
    network::tear_down();
    remove_groups();
    for trace in KUBELET_TRACES {
        let path = Path::new("/var/lib/kubelet").join(trace);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
    remove_shims();
    let log_links = fs::read_dir("/var/log/containers").into_iter().flatten().flatten().map(|entry| entry.path());
    for link in log_links.filter(|link| fs::read_link(link).is_ok_and(|target| target.starts_with(FOLDER))) {
        let _ = fs::remove_file(link);
    }
    let _ = fs::remove_dir("/var/log/containers");
    match fs::remove_dir_all(FOLDER) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(cache::file_error("remove", Path::new(FOLDER), source))
        }
        _ => Ok(()),
    }
}

/// Kills what is left and says how many there were.
fn kill_all() -> usize {
    let ids: BTreeSet<i32> = in_groups().into_iter().chain(programs()).collect();
    for pid in ids.iter().filter_map(|&id| Pid::from_raw(id)) {
        // It may have ended since.
        let _ = kill_process(pid, Signal::KILL);
    }
    ids.len()
}

/// Programs of the node that name its folder.
fn programs() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| {
        let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        PROGRAMS.iter().any(|program| name.starts_with(program)) && String::from_utf8_lossy(&line).contains(FOLDER)
    })
    .collect()
}

/// Whether this machine is a node of another cluster, whose pods are not ours to end.
pub(super) fn is_node_of_another() -> bool {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut kubelets =
        entries.filter(|path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim_end() == "kubelet"));
    kubelets.any(|path| {
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        !String::from_utf8_lossy(&line).contains(FOLDER)
    })
}

/// Processes of pods.
fn in_groups() -> Vec<i32> {
    let procs = groups().into_iter().map(|group| fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default());
    procs.flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<_>>()).collect()
}

/// All control groups of pods, in all hierarchies, the innermost first.
fn groups() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found = Vec::new();
    for hierarchy in hierarchies.chain([root.to_owned()]) {
        for name in CONTROL_GROUPS {
            collect(&hierarchy.join(name), &mut found);
        }
    }
    found
}

fn collect(group: &Path, found: &mut Vec<PathBuf>) {
    if !group.is_dir() {
        return;
    }
    let entries = fs::read_dir(group).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).for_each(|path| collect(&path, found));
    found.push(group.to_owned());
}

/// What is left of processes beside containers: their states, and sockets that nobody listens at.
fn remove_shims() {
    let _ = fs::remove_dir_all(Path::new(SHIMS).join("runc/k8s.io"));
    let sockets = fs::read_dir(Path::new(SHIMS).join("s")).into_iter().flatten().flatten().map(|entry| entry.path());
    for socket in sockets.filter(|socket| UnixStream::connect(socket).is_err()) {
        let _ = fs::remove_file(socket);
    }
    for folder in ["runc", "s", ""] {
        let _ = fs::remove_dir(Path::new(SHIMS).join(folder));
    }
}

fn remove_groups() {
    // A group whose last process has just ended may take a moment.
    let start = Instant::now();
    while start.elapsed() < GONE_LIMIT {
        let left = groups().into_iter().filter(|group| fs::remove_dir(group).is_err()).count();
        if left == 0 {
            return;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Takes away all mounts below the folder, the innermost first, and the networks of pods.
fn unmount() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let ours: Vec<&str> = points.filter(|point| point.starts_with(&format!("{FOLDER}/"))).collect();
    if !ours.is_empty() {
        let _ = cache::run(Command::new("umount").arg("--lazy").args(ours.iter().rev()));
    }
    for name in pod_networks() {
        let path = Path::new(NETWORKS).join(&name);
        let _ = cache::run(Command::new("umount").arg("--lazy").arg(&path));
        let _ = fs::remove_file(path);
        // Last, since they are how the network is found again: containerd's own, and then ours.
        let about = |result: &PathBuf| fs::read_to_string(result).is_ok_and(|text| text.contains(&name));
        let (ours, others): (Vec<_>, Vec<_>) = results().into_iter().filter(about).partition(|path| is_ours(path));
        others.iter().chain(&ours).for_each(|result| drop(fs::remove_file(result)));
    }
}

/// The networks of pods of this node: those that its plugins remember.
pub(super) fn pod_networks() -> BTreeSet<String> {
    let texts = results().into_iter().filter(|path| is_ours(path)).filter_map(|path| fs::read_to_string(path).ok());
    let names = |text: String| {
        let words = text.split(['"', '/']).filter(|word| word.starts_with("cni-")).map(str::to_owned);
        words.collect::<Vec<_>>()
    };
    texts.flat_map(names).collect()
}

/// What plugins remember.
fn results() -> Vec<PathBuf> {
    fs::read_dir(RESULTS).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Whether plugins remember this of our node: the name begins with that of its network.
fn is_ours(result: &Path) -> bool {
    result.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pnyx-node-"))
}
