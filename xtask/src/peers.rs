//! Programs of others that must agree with ours: scripts in `testbed/`, packages from npm kept outside the checkout.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

use crate::process::{run_in, say};

/// The files that decide which packages are installed.
const PACKAGE_FILES: [&str; 2] = ["package.json", "package-lock.json"];

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

/// Installs the packages that `package-lock.json` in `source` names, once per content of the package files, and returns
/// the folder that holds `node_modules`.
fn install(source: &Path) -> anyhow::Result<PathBuf> {
    let mut hash = Sha256::new();
    for name in PACKAGE_FILES {
        hash.update(fs::read(source.join(name)).with_context(|| format!("no {name} in {}", source.display()))?);
        hash.update([0]);
    }
    let key: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let name = source.file_name().context("a folder of packages has a name")?.to_string_lossy();
    let folder = cache()?.join(format!("npm-{name}-{key}"));
    if folder.exists() {
        return Ok(folder);
    }
    // Installed aside and then renamed, so that an interrupted installation is never taken for a whole one.
    let aside = folder.with_extension(format!("{}.part", process::id()));
    fs::create_dir_all(&aside).with_context(|| format!("failed to make {}", aside.display()))?;
    for name in PACKAGE_FILES {
        fs::copy(source.join(name), aside.join(name))?;
    }
    say(&format!("installing npm packages into {}", folder.display()))?;
    run_in(&aside, &["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .context("the peer tests need Node.js 20 or newer with npm")?;
    fs::rename(&aside, &folder).with_context(|| format!("failed to move the packages to {}", folder.display()))?;
    Ok(folder)
}

fn cache() -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    let cache = cache.context("neither XDG_CACHE_HOME nor HOME says where to keep npm packages")?.join("pnyx");
    ensure!(!cache.starts_with(crate::root()), "{} lies in the checkout; set XDG_CACHE_HOME", cache.display());
    Ok(cache)
}
