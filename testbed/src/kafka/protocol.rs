//! Requests of Kafka's protocol, as far as the test bed speaks it.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long a broker may take for an answer; one that is starting accepts connections before it answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Longest answer that is read: far more than three brokers need.
const ANSWER_LEN_MAX: usize = 64 * 1024;

/// Sends a request, without its length, and gives the answer, without its own.
pub(super) fn ask(address: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    let request_len = u32::try_from(request.len()).expect("requests are short");
    stream.write_all(&[&request_len.to_be_bytes(), request].concat())?;
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
    if len > ANSWER_LEN_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; len];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

pub(super) fn take_i16(rest: &mut &[u8]) -> Option<i16> {
    let (value, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(i16::from_be_bytes(*value))
}

pub(super) fn take_i32(rest: &mut &[u8]) -> Option<i32> {
    let (value, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(i32::from_be_bytes(*value))
}

/// A negative length stands for no string.
pub(super) fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_i16(rest)?).unwrap_or(0);
    let (text, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(text)
}

/// A string with its length before it.
pub(super) fn put_string(text: &str, into: &mut Vec<u8>) {
    into.extend(i16::try_from(text.len()).expect("names are short").to_be_bytes());
    into.extend(text.as_bytes());
}
