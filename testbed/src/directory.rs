//! Directories of servers: in the system's folder for temporary files, removed with the value, swept if that was killed.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    TestbedError,
    cache::{self, file_error},
};

/// If this variable is set, directories with their logs stay after the test, until a test runs without it.
pub const KEEP_VARIABLE: &str = "PNYX_TESTBED_KEEP";

/// How all directories are called, so that those of killed tests are found again.
const PREFIX: &str = "pnyx-testbed-";

/// Held by the owner of a directory as long as it lives.
const LOCK: &str = "owner.lock";

/// A directory that belongs to one value.
#[derive(Debug)]
pub(crate) struct Directory {
    folder: TempDir,
    _lock: File,
}

impl Directory {
    pub(crate) fn new() -> Result<Self, TestbedError> {
        // Without this lock a directory could be swept between being made and being locked.
        let _sweeping = cache::lock(&cache::root()?.join("directories.lock"))?;
        sweep();
        let temporary = env::temp_dir();
        let mut folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(&temporary)
            .map_err(|source| file_error("make a folder in", &temporary, source))?;
        if env::var_os(KEEP_VARIABLE).is_some() {
            folder.disable_cleanup(true);
            cache::say(&format!("{KEEP_VARIABLE} keeps {}", folder.path().display()));
        }
        let lock = cache::lock(&folder.path().join(LOCK))?;
        Ok(Self { folder, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the directories whose owners were killed. What cannot be removed belongs to another user and stays.
fn sweep() {
    if env::var_os(KEEP_VARIABLE).is_some() {
        return;
    }
    let Ok(entries) = fs::read_dir(env::temp_dir()) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_ours(path)) {
        if let Ok(Some(_lock)) = cache::try_lock(&path.join(LOCK)) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(PREFIX)) && path.join(LOCK).exists()
}

/// Copies a folder with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), TestbedError> {
    cache::make_folder(to)?;
    let entries = fs::read_dir(from).map_err(|source| file_error("list", from, source))?;
    for entry in entries {
        let path: PathBuf = entry.map_err(|source| file_error("list", from, source))?.path();
        let target = to.join(path.file_name().expect("an entry of a folder has a name"));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(|source| file_error("copy", &path, source))?;
        }
    }
    Ok(())
}
