//! The programs of Kubernetes: one binary from Go modules, which is each of them by the name that it is called by.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::{
    TestbedError,
    cache::{self, file_error},
    go, npm,
};

/// What the programs say they are; `testbed/kube/go.mod` decides what they are made of.
pub(super) const KUBERNETES_VERSION: &str = "1.36.3";

/// The sources that decide what is built.
const SOURCES: [&str; 3] = ["go.mod", "go.sum", "main.go"];

/// Counted up when the command line that builds changes, since what is kept has the sources alone in its name.
const BUILD: u32 = 1;

/// Under these names the binary knows what to be.
const NAMES: [&str; 10] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "kwok",
    "kwok-stages",
    "coredns",
];

/// The packages that tell clients a version, and what they are told.
const VERSION_PACKAGES: [&str; 2] = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];

/// The folder with all programs. The first time they are built, which takes minutes.
pub(super) fn prepared() -> Result<PathBuf, TestbedError> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("kube");
    let key = npm::key(&SOURCES.map(|name| source.join(name)))?;
    let name = format!("kubernetes-{KUBERNETES_VERSION}-{key}-{BUILD}");
    // Beside what is being made, so that a build that was interrupted goes on where it was.
    let work = cache::root()?.join(format!("{name}-build"));
    let about = format!("Kubernetes {KUBERNETES_VERSION} (built from Go modules: about 8 minutes on 2 cores, once)");
    let folder = cache::prepared(&name, &about, |folder| {
        go::check()?;
        build(&source, &work, folder)
    })?;
    // 4 GB that nothing needs any more. Another test may be removing them, too.
    let _ = fs::remove_dir_all(work);
    Ok(folder)
}

fn build(source: &Path, work: &Path, folder: &Path) -> Result<(), TestbedError> {
    let mut command = go::command(work);
    command.args(["build", "-mod=readonly", "-trimpath", "-ldflags", &linker_flags(), "-o"]);
    cache::run(command.arg(folder.join("kube")).arg(".").current_dir(source))?;
    for name in NAMES {
        let link = folder.join(name);
        symlink("kube", &link).map_err(|source| file_error("link", &link, source))?;
    }
    Ok(())
}

fn linker_flags() -> String {
    let (major, minor) = KUBERNETES_VERSION.split_once('.').expect("a version has dots");
    let minor = minor.split('.').next().unwrap_or(minor);
    let settings = [
        ("gitVersion", format!("v{KUBERNETES_VERSION}")),
        ("gitMajor", major.to_owned()),
        ("gitMinor", minor.to_owned()),
        ("gitTreeState", "clean".to_owned()),
        ("gitCommit", "0".repeat(40)),
        ("buildDate", "2026-01-01T00:00:00Z".to_owned()),
    ];
    let all = VERSION_PACKAGES
        .iter()
        .flat_map(|package| settings.iter().map(move |(name, value)| format!("-X {package}.{name}={value}")));
    ["-s -w".to_owned()].into_iter().chain(all).collect::<Vec<_>>().join(" ")
}
