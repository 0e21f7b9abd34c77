//! Programs of others that must agree with ours: scripts in `testbed/`, packages from npm kept outside the checkout.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use pnyx_testbed::npm;

use crate::process::run_in;

/// Runs `testbed/snapshot-js/*.test.mjs` with Node's own test runner.
pub(crate) fn run() -> anyhow::Result<()> {
    let source = source();
    let packages = install(&source)?;
    // Node looks for packages beside the script, and packages do not belong into the checkout.
    let scripts = crate::root().join("target/peers/snapshot-js");
    if scripts.exists() {
        fs::remove_dir_all(&scripts)?;
    }
    fs::create_dir_all(&scripts)?;
    std::os::unix::fs::symlink(packages.join("node_modules"), scripts.join("node_modules"))?;
    for entry in fs::read_dir(&source)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "mjs") {
            fs::copy(&file, scripts.join(file.file_name().expect("an entry of a folder has a name")))?;
        }
    }
    run_in(&scripts, &["node", "--test", "--test-reporter=spec"])
}

/// The variable by which tests find the packages of the Snapshot client.
pub(crate) const MODULES_VARIABLE: &str = "PNYX_PEER_MODULES";

/// The folder whose `node_modules` hold the Snapshot client.
pub(crate) fn modules() -> anyhow::Result<PathBuf> {
    install(&source())
}

fn source() -> PathBuf {
    crate::root().join("testbed/snapshot-js")
}

fn install(source: &Path) -> anyhow::Result<PathBuf> {
    npm::installed(source).context("the peer tests need packages from npm")
}
