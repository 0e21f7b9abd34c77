//! Programs that are built from Go modules, since no registry has them ready.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    TestbedError,
    cache::{self, file_error},
};

/// The oldest Go that compiles what tests need.
const VERSION_MIN: (u32, u32) = (1, 26);

/// A Go command that keeps what it downloads and compiles in a folder of its own. The machine's settings of where
/// modules come from count.
pub(crate) fn command(work: &Path) -> Command {
    let mut command = Command::new("go");
    // Modules are written so that they can be removed again, and no other Go is fetched.
    command.env("GOFLAGS", "-buildvcs=false -modcacherw").env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
    command.env("GOMODCACHE", work.join("modules")).env("GOCACHE", work.join("compiled"));
    command
}

/// A program of one Go module: the file in the cache, built the first time. `about` says how long that takes.
pub(crate) fn installed(name: &str, module: &str, program: &str, about: &str) -> Result<PathBuf, TestbedError> {
    let about = format!("{program} (built from Go modules, {about})");
    let folder = cache::prepared(name, &about, |folder| {
        check()?;
        let work = folder.join("build");
        // Without what only debuggers read, which is a third of a program.
        cache::run(command(&work).env("GOBIN", folder).args(["install", "-trimpath", "-ldflags", "-s -w", module]))?;
        fs::remove_dir_all(&work).map_err(|source| file_error("remove", &work, source))
    })?;
    Ok(folder.join(program))
}

/// `go version` says `go version go1.26.3 linux/amd64`.
pub(crate) fn check() -> Result<(), TestbedError> {
    let text = cache::run(Command::new("go").arg("version")).unwrap_or_default();
    let version = text.split_whitespace().nth(2).and_then(|word| word.strip_prefix("go")).and_then(|version| {
        let (major, rest) = version.split_once('.')?;
        let minor = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    if version.is_some_and(|version: (u32, u32)| version >= VERSION_MIN) {
        return Ok(());
    }
    Err(TestbedError::Missing {
        what: "Go 1.26 or newer",
        advice: "install it from go.dev; tests on Kubernetes and on an object store need it",
    })
}
