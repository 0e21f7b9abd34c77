//! The one question of Kafka's protocol that the test bed asks: which brokers a broker knows.

use std::{
    collections::BTreeSet,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long a broker may take for this answer; one that is starting accepts connections before it answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Longest answer that is read: far more than three brokers need.
const ANSWER_LEN_MAX: usize = 64 * 1024;

/// Metadata request, version 4, correlation id 1, no client id, no topics, none created:
/// length, API key 3, version, correlation id, null string, empty array, false.
const REQUEST: [u8; 19] = [0, 0, 0, 15, 0, 3, 0, 4, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0];

/// The ids of the brokers that the broker at `address` knows.
pub(super) fn known_brokers(address: SocketAddr) -> io::Result<BTreeSet<i32>> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(&REQUEST)?;
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
    if len > ANSWER_LEN_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; len];
    stream.read_exact(&mut answer)?;
    brokers(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Correlation id, throttle time, then brokers: node id, host, port, rack.
fn brokers(answer: &[u8]) -> Option<BTreeSet<i32>> {
    let mut rest = answer.get(8..)?;
    let count = take_i32(&mut rest)?;
    let mut ids = BTreeSet::new();
    for _ in 0..count {
        ids.insert(take_i32(&mut rest)?);
        skip_string(&mut rest)?;
        take_i32(&mut rest)?;
        skip_string(&mut rest)?;
    }
    Some(ids)
}

fn take_i32(rest: &mut &[u8]) -> Option<i32> {
    let (value, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(i32::from_be_bytes(*value))
}

/// A negative length stands for no string.
fn skip_string(rest: &mut &[u8]) -> Option<()> {
    let (len, after) = rest.split_first_chunk()?;
    let len = usize::try_from(i16::from_be_bytes(*len)).unwrap_or(0);
    *rest = after.get(len..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_read_with_and_without_a_rack() {
        let mut answer = vec![0; 8];
        answer.extend(2_i32.to_be_bytes());
        for (id, rack) in [(1_i32, None), (3, Some(b"r1"))] {
            answer.extend(id.to_be_bytes());
            answer.extend([0, 1, b'h', 0, 0, 0x4e, 0x20]);
            match rack {
                None => answer.extend([0xff, 0xff]),
                Some(rack) => answer.extend([&[0, 2], rack.as_slice()].concat()),
            }
        }
        assert_eq!(brokers(&answer), Some(BTreeSet::from([1, 3])));
        assert_eq!(brokers(&answer[..answer.len() - 1]), None, "a cut answer is none");
    }
}
