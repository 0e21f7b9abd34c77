//! Packages from npm, installed once for each content of the files that name them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};

use crate::{
    TestbedError,
    cache::{self, file_error},
};

/// The files that decide which packages are installed.
const PACKAGE_FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// Bytes of a hash that a folder's name shows: enough to tell versions of one folder apart.
const KEY_LEN: usize = 8;

/// Installs the packages that `package-lock.json` in `source` names, and returns the folder that holds `node_modules`.
/// No package's install script is run.
///
/// # Errors
/// Node.js with npm is missing, a package cannot be had, or the cache cannot be used.
///
/// # Panics
/// If `source` is the root of the file system.
pub fn installed(source: &Path) -> Result<PathBuf, TestbedError> {
    let files = PACKAGE_FILES.map(|name| source.join(name));
    let name = source.file_name().expect("a folder of packages has a name").to_string_lossy();
    cache::prepared(&format!("npm-{name}-{}", key(&files)?), "npm packages", |folder| {
        if !cache::has_program("npm", "--version") {
            return Err(missing());
        }
        for (file, name) in files.iter().zip(PACKAGE_FILES) {
            fs::copy(file, folder.join(name)).map_err(|source| file_error("copy", file, source))?;
        }
        let mut command = Command::new("npm");
        command.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(folder);
        cache::run(&mut command).map(|_| ())
    })
}

/// Tells contents of files apart.
pub(crate) fn key(files: &[PathBuf]) -> Result<String, TestbedError> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(file).map_err(|source| file_error("read", file, source))?);
        hash.update([0]);
    }
    Ok(hash.finalize().iter().take(KEY_LEN).map(|byte| format!("{byte:02x}")).collect())
}

pub(crate) fn missing() -> TestbedError {
    TestbedError::Missing {
        what: "Node.js 20 or newer with npm",
        advice: "install it (Debian 13 or newer: apt-get install nodejs npm; else from nodejs.org)",
    }
}
