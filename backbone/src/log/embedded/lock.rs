//! One process per data directory: an advisory lock that the operating system takes back when its holder dies.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    process,
};

use crate::log::OpenError;

/// The lock file's name in the data directory; its text is the holder's process id, for the message to a second one.
const LOCK_FILE: &str = "pnyx.lock";

/// Longest text of a process id that is read back, in bytes: ten digits and a line's end fit.
const PROCESS_ID_BYTES_MAX: u64 = 16;

/// The directory is this process's as long as this lives.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock or says who has it.
    pub(super) fn acquire(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(LOCK_FILE);
        let failed = |source| OpenError::Lock { path: path.clone(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { dir: dir.to_owned(), holder: holder(&file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        write_process_id(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn write_process_id(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", process::id())
}

/// Who holds the lock, in words; a holder that is only just starting has not written its id yet.
fn holder(file: &File) -> String {
    let mut text = String::new();
    let read = file.take(PROCESS_ID_BYTES_MAX).read_to_string(&mut text);
    match read.ok().and_then(|_| text.trim().parse::<u32>().ok()) {
        Some(process) => format!("process {process}"),
        None => "another process".to_owned(),
    }
}
