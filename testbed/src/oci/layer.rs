//! One layer of an image: files by their paths.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::tar::Tar;
use crate::{TestbedError, cache::file_error};

/// Rights of folders that nobody describes: everybody reads, root alone writes.
const FOLDER_MODE: u32 = 0o755;

/// Files of an image. What is put where something is already replaces it.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    /// By path, without the slash that it begins with. A folder stands before what is in it.
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
enum Entry {
    Folder { mode: u32 },
    File { mode: u32, content: Vec<u8> },
    Link { target: String },
}

impl Layer {
    /// A layer without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a folder at an absolute path. Those above a file are made by themselves.
    #[must_use]
    pub fn folder(self, path: &str, mode: u32) -> Self {
        self.with(path, Entry::Folder { mode })
    }

    /// Puts a file at an absolute path.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        self.with(path, Entry::File { mode, content: content.into() })
    }

    /// Puts a symbolic link at an absolute path.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.with(path, Entry::Link { target: target.to_owned() })
    }

    /// Puts a file of this machine, or a folder with all that it holds and is to go along, at an absolute path. What links
    /// lead to goes in their place.
    pub(super) fn tree(self, place: &str, from: &Path, goes: fn(&Path) -> bool) -> Result<Self, TestbedError> {
        let read_error = |source| file_error("read", from, source);
        let about = fs::metadata(from).map_err(read_error)?;
        if about.is_file() {
            // Rights of the machine, but nobody writes.
            return Ok(self.file(place, about.permissions().mode() & 0o755, fs::read(from).map_err(read_error)?));
        }
        let mut layer = self.folder(place, FOLDER_MODE);
        for entry in fs::read_dir(from).map_err(read_error)? {
            let path = entry.map_err(read_error)?.path();
            if goes(&path) {
                let name = path.file_name().expect("an entry of a folder has a name").to_string_lossy();
                layer = layer.tree(&format!("{place}/{name}"), &path, goes)?;
            }
        }
        Ok(layer)
    }

    /// Puts everything of another layer.
    pub(super) fn with_all(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self
    }

    /// The layer as an archive.
    pub(super) fn tar(&self) -> Result<Vec<u8>, TestbedError> {
        let mut tar = Tar::default();
        for (path, entry) in &self.entries {
            match entry {
                Entry::Folder { mode } => tar.folder(path, *mode)?,
                Entry::File { mode, content } => tar.file(path, *mode, content)?,
                Entry::Link { target } => tar.link(path, target)?,
            }
        }
        Ok(tar.finish())
    }

    fn with(mut self, path: &str, entry: Entry) -> Self {
        let path = path.trim_start_matches('/');
        for (end, _) in path.match_indices('/') {
            self.entries.entry(path[..end].to_owned()).or_insert(Entry::Folder { mode: FOLDER_MODE });
        }
        self.entries.insert(path.to_owned(), entry);
        self
    }
}
