//! Debian's packages, for programs that come no other way.

use std::{path::PathBuf, process::Command};

use crate::{TestbedError, cache};

/// Packages are installed by one process at a time.
const LOCK: &str = "apt.lock";

/// Installs the packages unless `has_all` says that what they bring is there. `missing` is the error where that cannot be
/// done: another system, or no root.
pub(crate) fn installed(
    packages: &[&str],
    missing: impl Fn() -> TestbedError,
    has_all: impl Fn() -> bool,
) -> Result<(), TestbedError> {
    if has_all() {
        return Ok(());
    }
    let _lock = cache::lock(&cache::root()?.join(LOCK))?;
    if has_all() {
        return Ok(());
    }
    if !cache::has_program("apt-get", "--version") || !rustix::process::geteuid().is_root() {
        return Err(missing());
    }
    cache::say(&format!("installing {} with apt-get", packages.join(", ")));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        cache::run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let line = [["install", "-y", "--no-install-recommends"].as_slice(), packages].concat();
    // The lists of packages may be missing or name versions that are gone.
    if apt(&line).is_err() {
        apt(&["update"])?;
        apt(&line)?;
    }
    if has_all() { Ok(()) } else { Err(missing()) }
}

/// The files of a package, unpacked into a folder of the cache; nothing is installed.
pub(crate) fn unpacked(package: &str, missing: impl Fn() -> TestbedError) -> Result<PathBuf, TestbedError> {
    cache::prepared(&format!("debian-{package}"), &format!("Debian's package {package}"), |folder| {
        if !cache::has_program("apt-get", "--version") || !cache::has_program("dpkg", "--version") {
            return Err(missing());
        }
        let download = || cache::run(Command::new("apt-get").args(["download", package]).current_dir(folder));
        if download().is_err() {
            cache::run(Command::new("apt-get").arg("update"))?;
            download()?;
        }
        // The name has the version in it.
        let unpack = "dpkg --extract ./*.deb . && rm ./*.deb";
        cache::run(Command::new("sh").args(["-c", unpack]).current_dir(folder)).map(|_| ())
    })
}
