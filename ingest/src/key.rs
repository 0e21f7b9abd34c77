//! The platform's signing key: a file that its owner and at most its group may read, and only its owner may write.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use alloy_primitives::hex;
use pnyx_core::{
    id::Voter,
    signing::{SigningKey, SigningKeyError},
};
use rand::{TryRngCore as _, rngs::OsRng};
use thiserror::Error;

/// The key's file in the data directory: `0x`, 64 hexadecimal digits and a line feed.
const KEY_FILE: &str = "platform.key";

/// Most bytes that are read of it: the key, and room for another line's end.
const KEY_FILE_BYTES_MAX: u64 = 80;

/// The mode it is made with: nobody but its owner.
const KEY_FILE_MODE: u32 = 0o600;

/// Bits of a mode that let in whom the owner did not choose. A group may read: that is how a cluster hands a secret to a
/// process that does not own it.
const OTHERS_MODE: u32 = 0o037;

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file could not be read.
    #[error("platform key {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// Everybody may read it or its group may write it, so it may be known to somebody else already.
    #[error(
        "platform key {} is open to others (mode {mode:04o}); if nobody else has read it: chmod 600 {}, or 640 where the \
         process reads it as one of the file's group",
        path.display(),
        path.display()
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not `0x` and 64 digits: perhaps cut off while it was made.
    #[error("platform key {} is not 0x and 64 hexadecimal digits; if it is empty it was never used and may be deleted", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// 32 bytes that are no key.
    #[error("platform key {} is no key", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: SigningKeyError,
    },
    /// The file could not be made.
    #[error("platform key {} cannot be made", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// The operating system has no random bytes.
    #[error("no random bytes for a platform key")]
    Random(#[source] rand::rand_core::OsError),
}

/// The key that signs receipts and results.
#[derive(Debug, Clone)]
pub struct PlatformKey(SigningKey);

impl PlatformKey {
    /// The key of a data directory; makes a new one if there is none.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, KeyError> {
        let path = data_dir.join(KEY_FILE);
        match File::open(&path) {
            Ok(file) => load(file, path),
            Err(error) if error.kind() == ErrorKind::NotFound => create(path),
            Err(source) => Err(KeyError::Read { path, source }),
        }
    }

    /// The key of a file that was made before, in the form of [`Self::load_or_create`]: all processes of a platform that
    /// sign have the same one.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        match File::open(path) {
            Ok(file) => load(file, path.to_owned()),
            Err(source) => Err(KeyError::Read { path: path.to_owned(), source }),
        }
    }

    /// The key's id.
    pub const fn address(&self) -> Voter {
        self.0.address()
    }

    /// The key itself.
    pub const fn signing_key(&self) -> &SigningKey {
        &self.0
    }
}

fn load(file: File, path: PathBuf) -> Result<PlatformKey, KeyError> {
    let read = || -> io::Result<(u32, Vec<u8>)> {
        let mode = file.metadata()?.permissions().mode();
        let mut text = Vec::new();
        file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut text)?;
        Ok((mode & 0o777, text))
    };
    let (mode, text) = match read() {
        Ok(read) => read,
        Err(source) => return Err(KeyError::Read { path, source }),
    };
    if mode & OTHERS_MODE != 0 {
        return Err(KeyError::OpenToOthers { path, mode });
    }
    let mut bytes = [0; 32];
    let digits = text.trim_ascii_end().strip_prefix(b"0x");
    match digits.map(|digits| hex::decode_to_slice(digits, &mut bytes)) {
        Some(Ok(())) => {}
        Some(Err(_)) | None => return Err(KeyError::Malformed { path }),
    }
    SigningKey::from_bytes(bytes).map(PlatformKey).map_err(|source| KeyError::Invalid { path, source })
}

fn create(path: PathBuf) -> Result<PlatformKey, KeyError> {
    let (bytes, key) = random_key()?;
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(KEY_FILE_MODE).open(&path)?;
        writeln!(file, "{}", hex::encode_prefixed(bytes))?;
        file.sync_all()?;
        // A receipt must not outlive the key's name, so the directory is synced too.
        match path.parent() {
            Some(dir) => File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    };
    match write() {
        Ok(()) => Ok(PlatformKey(key)),
        Err(source) => {
            if source.kind() != ErrorKind::AlreadyExists {
                // What could not be made whole is taken away, as far as that is possible; it was never used.
                let _ = fs::remove_file(&path);
            }
            Err(KeyError::Create { path, source })
        }
    }
}

/// Bytes at or above the group's order are drawn again, which happens once in 2^128 draws.
fn random_key() -> Result<([u8; 32], SigningKey), KeyError> {
    loop {
        let mut bytes = [0; 32];
        OsRng.try_fill_bytes(&mut bytes).map_err(KeyError::Random)?;
        if let Ok(key) = SigningKey::from_bytes(bytes) {
            return Ok((bytes, key));
        }
    }
}
