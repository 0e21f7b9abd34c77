//! Redis's protocol, as far as a test bed needs it.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use crate::TestbedError;

/// How long an answer may take: writing a snapshot of a million voters takes seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Longest value that is read.
const VALUE_LEN_MAX: usize = 64 * 1024 * 1024;

/// Sends one command over a connection of its own and returns the answer as text: values of an array stand on lines.
pub(super) fn command(
    address: &str,
    credentials: Option<&(String, String)>,
    words: &[&str],
) -> Result<String, TestbedError> {
    let connect = || {
        let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        Ok(BufReader::new(stream))
    };
    let network = |action| {
        move |source: io::Error| TestbedError::Network { action, address: format!("redis at {address}"), source }
    };
    let mut stream = connect().map_err(network("connect to"))?;
    let mut ask = |words: &[&str]| {
        let answer = exchange(&mut stream, words).map_err(network("talk to"))?;
        answer.map_err(|answer| TestbedError::Redis { command: (*words.first().unwrap_or(&"")).to_owned(), answer })
    };
    if let Some((user, password)) = credentials {
        ask(&["AUTH", user, password])?;
    }
    ask(words)
}

fn exchange(stream: &mut BufReader<TcpStream>, words: &[&str]) -> io::Result<Result<String, String>> {
    let words = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    let request = format!("*{}\r\n{}", words.len(), words.collect::<String>());
    stream.get_mut().write_all(request.as_bytes())?;
    answer(stream)
}

/// One answer; an error of Redis is an `Err` inside.
fn answer(stream: &mut BufReader<TcpStream>) -> io::Result<Result<String, String>> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let line = line.strip_suffix("\r\n").ok_or_else(bad)?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(bad)?;
    match kind {
        "+" | ":" => Ok(Ok(rest.to_owned())),
        "-" => Ok(Err(rest.to_owned())),
        "$" => {
            let Ok(len) = rest.parse::<usize>() else { return Ok(Ok(String::new())) };
            if len > VALUE_LEN_MAX {
                return Err(bad());
            }
            let mut value = vec![0; len + 2];
            stream.read_exact(&mut value)?;
            value.truncate(len);
            Ok(Ok(String::from_utf8_lossy(&value).into_owned()))
        }
        "*" => {
            let mut values = Vec::new();
            for _ in 0..rest.parse::<i64>().map_err(|_| bad())? {
                match answer(stream)? {
                    Ok(value) => values.push(value),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(values.join("\n")))
        }
        _ => Err(bad()),
    }
}
