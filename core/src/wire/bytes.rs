//! What the binary formats share: fields of a fixed length, one after the other.

use super::WireError;

/// The bytes of a record that are not read yet.
pub(super) struct Reader<'a> {
    /// Which format, for its errors.
    pub(super) format: &'static str,
    /// What is left.
    pub(super) rest: &'a [u8],
}

impl Reader<'_> {
    /// The next `N` bytes, which are those of `field`.
    pub(super) fn take<const N: usize>(&mut self, field: &str) -> Result<[u8; N], WireError> {
        let (head, rest) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| WireError::Malformed { format: self.format, problem: format!("it ends within {field}") })?;
        self.rest = rest;
        Ok(*head)
    }
}
