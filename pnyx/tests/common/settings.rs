//! The command lines of the platform's processes, in one place.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::{pipeline::Role, pnyx};

/// Ways to Kafka that can be cut: one for each of the first processes.
pub(crate) const ROUTES: usize = 6;

/// The platform's domain in all tests, as that of `pnyx dev`.
pub(crate) const DOMAIN: &str = "dev";

/// Where a process finds what it needs.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    /// `host:port,…`.
    pub(crate) kafka: String,
    /// `host:port`.
    pub(crate) redis: String,
    /// Holds the platform's key.
    pub(crate) folder: PathBuf,
    /// How many brokers there are.
    pub(crate) brokers: usize,
}

/// Writes what processes read from files.
pub(crate) fn write_secrets(folder: &Path) {
    let file = key_file(folder);
    fs::write(&file, format!("0x{}\n", "5a".repeat(32))).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn key_file(folder: &Path) -> PathBuf {
    folder.join("platform.key")
}

/// The command of a process that listens at `url`.
pub(crate) fn command(role: Role, surroundings: &Surroundings, url: &str, more: &[String]) -> Command {
    let mut command = pnyx();
    command.arg(role.name()).args(["--listen", url.trim_start_matches("http://")]);
    log_arguments(&mut command, surroundings);
    if role.uses_redis() {
        command.args(["--redis", &surroundings.redis]);
    }
    if matches!(role, Role::Ingest | Role::Recount) {
        command.arg("--signing-key-file").arg(key_file(&surroundings.folder));
    }
    command.args(more);
    command
}

/// `pnyx propose`.
pub(crate) fn propose(surroundings: &Surroundings, files: &[PathBuf], more: &[&str]) -> Command {
    let mut command = pnyx();
    command.arg("propose").args(files);
    log_arguments(&mut command, surroundings);
    command.args(["--domain", DOMAIN]).args(more);
    command
}

/// How to reach the log.
pub(crate) fn log_arguments(command: &mut Command, surroundings: &Surroundings) {
    command.args(["--kafka", &surroundings.kafka]);
    if surroundings.brokers < 3 {
        command.args(["--kafka-replication-factor", "1", "--kafka-min-insync-replicas", "1"]);
        command.arg("--allow-unsafe-durability=true");
    }
}
