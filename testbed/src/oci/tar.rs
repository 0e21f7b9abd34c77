//! Tar archives (ustar) of a few files, as container images need them.

use crate::TestbedError;

/// Archives are written in blocks of this many bytes.
const BLOCK_LEN: usize = 512;

/// Most bytes of a name that one field of a header holds, with the zero that ends it.
const NAME_LEN_MAX: usize = 99;

/// An archive that is being written.
#[derive(Debug, Default)]
pub(super) struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    /// Adds a folder.
    pub(super) fn folder(&mut self, name: &str, mode: u32) -> Result<(), TestbedError> {
        self.header(&format!("{name}/"), mode, 0, b'5', "")
    }

    /// Adds a file.
    pub(super) fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<(), TestbedError> {
        self.header(name, mode, content.len(), b'0', "")?;
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK_LEN), 0);
        Ok(())
    }

    /// Adds a symbolic link.
    pub(super) fn link(&mut self, name: &str, target: &str) -> Result<(), TestbedError> {
        self.header(name, 0o777, 0, b'2', target)
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK_LEN, 0);
        self.bytes
    }

    /// All belongs to root and is as old as 1970, so that equal contents make equal archives.
    fn header(&mut self, name: &str, mode: u32, len: usize, kind: u8, target: &str) -> Result<(), TestbedError> {
        if let Some(long) = [name, target].into_iter().find(|name| name.len() > NAME_LEN_MAX) {
            return Err(TestbedError::LongName { name: long.to_owned(), len_max: NAME_LEN_MAX });
        }
        let mut block = [0; BLOCK_LEN];
        let mut put = |offset: usize, text: &str| block[offset..offset + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{len:011o}"));
        put(136, "00000000000");
        // The sum is taken with blanks in its place.
        put(148, "        ");
        put(157, target);
        put(257, "ustar\u{0}00");
        block[156] = kind;
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\u{0}").as_bytes());
        self.bytes.extend_from_slice(&block);
        Ok(())
    }
}
