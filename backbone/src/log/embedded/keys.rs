//! How the embedded log lies in its two keyspaces. All numbers are big-endian, so that keys sort as numbers.
//!
//! `records`: topic number (4) ‖ partition (4) ‖ offset of the first record (8) → records written together
//! ([`super::entry`]).
//! `meta`: `f` → format (4); `i` → identity (16); `t` ‖ topic name → topic number (4) ‖ partitions (4);
//! `c` ‖ topic number (4) ‖ partition (4) ‖ group → next offset (8).

/// The format this build reads and writes.
pub(super) const FORMAT: u32 = 1;

/// Key of the format.
pub(super) const FORMAT_KEY: &[u8] = b"f";
/// Key of the identity.
pub(super) const IDENTITY_KEY: &[u8] = b"i";
/// What the keys of topics begin with.
pub(super) const TOPIC_PREFIX: &[u8] = b"t";
/// What the keys of committed offsets begin with.
pub(super) const COMMIT_PREFIX: &[u8] = b"c";

/// A committed offset's key, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CommitKey {
    /// Number of the topic.
    pub(super) topic: u32,
    /// The partition.
    pub(super) partition: u32,
    /// The group's name.
    pub(super) group: String,
}

/// Key of the entry whose first record has this offset.
pub(super) fn entry_key(topic: u32, partition: u32, offset: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&topic.to_be_bytes());
    key[4..8].copy_from_slice(&partition.to_be_bytes());
    key[8..].copy_from_slice(&offset.to_be_bytes());
    key
}

/// What the keys of a partition's entries begin with.
pub(super) fn partition_prefix(topic: u32, partition: u32) -> [u8; 8] {
    let mut prefix = [0; 8];
    prefix[..4].copy_from_slice(&topic.to_be_bytes());
    prefix[4..].copy_from_slice(&partition.to_be_bytes());
    prefix
}

/// The offset in an entry's key.
pub(super) fn offset_of(entry_key: &[u8]) -> Option<u64> {
    entry_key.get(8..).and_then(number)
}

pub(super) fn topic_key(name: &str) -> Vec<u8> {
    [TOPIC_PREFIX, name.as_bytes()].concat()
}

pub(super) fn topic_value(number: u32, partitions: u32) -> [u8; 8] {
    partition_prefix(number, partitions)
}

/// A topic's number and how many partitions it has.
pub(super) fn split_topic_value(value: &[u8]) -> Option<(u32, u32)> {
    let (number, partitions) = value.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), u32::from_be_bytes(partitions.try_into().ok()?)))
}

impl CommitKey {
    pub(super) fn encode(&self) -> Vec<u8> {
        [COMMIT_PREFIX, &partition_prefix(self.topic, self.partition), self.group.as_bytes()].concat()
    }

    pub(super) fn decode(key: &[u8]) -> Option<Self> {
        let rest = key.strip_prefix(COMMIT_PREFIX)?;
        let (topic, rest) = rest.split_first_chunk::<4>()?;
        let (partition, group) = rest.split_first_chunk::<4>()?;
        let group = String::from_utf8(group.to_vec()).ok()?;
        Some(Self { topic: u32::from_be_bytes(*topic), partition: u32::from_be_bytes(*partition), group })
    }
}

/// Eight bytes as a number.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}
