//! Access rules: what a user may do with what.

use std::{io, net::SocketAddr};

use super::protocol::{ask, put_string, take_i16, take_i32, take_string};

/// CreateAcls, version 1, correlation id 1, no client id: API key 30, version, correlation id, null string.
const HEADER: [u8; 10] = [0, 30, 0, 1, 0, 0, 0, 1, 0xff, 0xff];

/// The kind of rule that allows.
const ALLOW: u8 = 3;

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaResource<'a> {
    /// All topics whose names begin with this text.
    Topics(&'a str),
    /// All consumer groups whose names begin with this text.
    Groups(&'a str),
    /// The cluster itself.
    Cluster,
}

/// What a rule allows, in Kafka's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaOperation {
    /// Fetch from topics, join groups, commit offsets.
    Read,
    /// Produce.
    Write,
    /// Make topics.
    Create,
    /// Add partitions.
    Alter,
    /// Know that it is there, and how far it is.
    Describe,
    /// Read its settings.
    DescribeConfigs,
}

impl KafkaResource<'_> {
    /// Its type, its name, and whether that is only how names begin.
    fn encode(self, into: &mut Vec<u8>) {
        let (literal, prefixed) = (3, 4);
        let (kind, name, pattern) = match self {
            Self::Topics(prefix) => (2, prefix, prefixed),
            Self::Groups(prefix) => (3, prefix, prefixed),
            Self::Cluster => (4, "kafka-cluster", literal),
        };
        into.push(kind);
        put_string(name, into);
        into.push(pattern);
    }
}

impl KafkaOperation {
    const fn code(self) -> u8 {
        match self {
            Self::Read => 3,
            Self::Write => 4,
            Self::Create => 5,
            Self::Alter => 7,
            Self::Describe => 8,
            Self::DescribeConfigs => 10,
        }
    }
}

/// Lets a user do this. Brokers learn it within moments.
pub(super) fn allow(
    address: SocketAddr,
    user: &str,
    resource: KafkaResource<'_>,
    operations: &[KafkaOperation],
) -> io::Result<()> {
    let mut request = HEADER.to_vec();
    request.extend(i32::try_from(operations.len()).expect("there are few operations").to_be_bytes());
    for operation in operations {
        resource.encode(&mut request);
        put_string(&format!("User:{user}"), &mut request);
        put_string("*", &mut request);
        request.extend([operation.code(), ALLOW]);
    }
    refusal(&ask(address, &request)?).unwrap_or_else(|| Err(io::ErrorKind::InvalidData.into()))
}

/// Correlation id, throttle time, then for each rule an error code and words. Nothing if the answer cannot be read.
fn refusal(answer: &[u8]) -> Option<io::Result<()>> {
    let mut rest = answer.get(8..)?;
    for _ in 0..take_i32(&mut rest)? {
        let code = take_i16(&mut rest)?;
        let words = String::from_utf8_lossy(take_string(&mut rest)?).into_owned();
        if code != 0 {
            return Some(Err(io::Error::other(format!("error {code}: {words}"))));
        }
    }
    Some(Ok(()))
}
