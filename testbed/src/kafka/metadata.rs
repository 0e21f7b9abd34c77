//! The one question of Kafka's protocol that the test bed asks: which brokers a broker knows.

use std::{collections::BTreeSet, io, net::SocketAddr};

use super::protocol::{ask, take_i32, take_string};

/// Metadata request, version 4, correlation id 1, no client id, no topics, none created:
/// API key 3, version, correlation id, null string, empty array, false.
const REQUEST: [u8; 15] = [0, 3, 0, 4, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0];

/// The ids of the brokers that the broker at `address` knows.
pub(super) fn known_brokers(address: SocketAddr) -> io::Result<BTreeSet<i32>> {
    let answer = ask(address, &REQUEST)?;
    brokers(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Correlation id, throttle time, then brokers: node id, host, port, rack.
fn brokers(answer: &[u8]) -> Option<BTreeSet<i32>> {
    let mut rest = answer.get(8..)?;
    let count = take_i32(&mut rest)?;
    let mut ids = BTreeSet::new();
    for _ in 0..count {
        ids.insert(take_i32(&mut rest)?);
        take_string(&mut rest)?;
        take_i32(&mut rest)?;
        take_string(&mut rest)?;
    }
    Some(ids)
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
