//! The Redis binary: the system's, or Debian's.

use std::{
    env,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    TestbedError, apt,
    cache::{self, file_error},
};

/// The oldest version with Functions.
const VERSION_MIN: u32 = 7;

/// Under which names the server's binary is found. Debian's `redis-tools` has it under the second, and what it does
/// depends on the name it is called by; the package `redis-server` adds a link to it and a system service, which nobody
/// asked for.
const NAMES: [&str; 2] = ["redis-server", "redis-check-rdb"];

/// Puts a link called `redis-server` into the folder. Redis is installed the first time if the system has none.
pub(crate) fn link_server(folder: &Path) -> Result<PathBuf, TestbedError> {
    apt::installed(&["redis-tools"], missing, || find().is_some())?;
    let binary = find().ok_or_else(missing)?;
    let link = folder.join("redis-server");
    symlink(&binary, &link).map_err(|source| file_error("link", &link, source))?;
    check_version(&link)?;
    Ok(link)
}

fn missing() -> TestbedError {
    TestbedError::Missing {
        what: "Redis 7 or newer",
        advice: "install it (Debian: apt-get install redis-tools) or let PNYX_TEST_REDIS=redis://host:port name one",
    }
}

/// `Redis server v=7.0.15 sha=…`.
fn check_version(server: &Path) -> Result<(), TestbedError> {
    let text = cache::run(Command::new(server).arg("--version"))?;
    let version = text.split_once("v=").and_then(|(_, rest)| rest.split('.').next()?.parse().ok());
    if version.is_some_and(|version: u32| version >= VERSION_MIN) { Ok(()) } else { Err(missing()) }
}

fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let files = |name: &'static str| env::split_paths(&path).map(move |folder| folder.join(name)).find(|f| f.is_file());
    NAMES.into_iter().find_map(files)
}
