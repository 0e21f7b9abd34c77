//! HTTP/1.1 as far as JSON-RPC needs it: messages with a stated length, over connections that stay open.

use std::{
    io::{self, BufRead, BufReader, Read as _, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long an answer may take: reading the logs of 100,000 transfers takes seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Longest head of a message; far more than any client sends.
const HEAD_LEN_MAX: u64 = 64 * 1024;

/// Longest body: the logs of 100,000 transfers are 60 MB.
const BODY_LEN_MAX: usize = 256 * 1024 * 1024;

/// A request or an answer.
#[derive(Debug)]
pub(super) struct Message {
    /// `POST /path HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub(super) first_line: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// An answer to write. Its stated length may be longer than its body, for a body that ends too early.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    pub(super) stated_len: usize,
}

/// A connection to one address that is opened when it is needed.
#[derive(Debug)]
pub(super) struct Connection {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Message {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the other side ends the connection after this message.
    pub(super) fn is_last(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl Answer {
    pub(super) fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: vec![("content-type", "application/json".to_owned())], stated_len: body.len(), body }
    }
}

impl Connection {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Sends one body and reads the body of the answer.
    pub(super) fn post(&mut self, body: &[u8]) -> io::Result<Vec<u8>> {
        // The node may have closed a connection that was idle, or been restarted: then a new one is tried.
        let is_reused = self.stream.is_some();
        match self.exchange(body) {
            Err(_) if is_reused => self.exchange(body),
            result => result,
        }
    }

    fn exchange(&mut self, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let head = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        // One write, so that the body does not wait for the head's acknowledgement.
        stream.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        let answer = read(&mut stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if !answer.is_last() {
            self.stream = Some(stream);
        }
        if answer.first_line.split(' ').nth(1) != Some("200") {
            return Err(io::Error::other(answer.first_line));
        }
        Ok(answer.body)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, ANSWER_LIMIT)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }
}

/// Reads one message; nothing if the other side has ended the connection.
pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Option<Message>> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut head = reader.by_ref().take(HEAD_LEN_MAX);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return if lines.is_empty() { Ok(None) } else { Err(bad()) };
        }
        let line = line.strip_suffix("\r\n").ok_or_else(bad)?;
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let mut lines = lines.into_iter();
    let first_line = lines.next().ok_or_else(bad)?;
    let header = |line: String| {
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        Ok((name.to_owned(), value.trim().to_owned()))
    };
    let headers = lines.map(header).collect::<io::Result<Vec<_>>>()?;
    let mut message = Message { first_line, headers, body: Vec::new() };
    let len = message.header("content-length").unwrap_or("0").parse::<usize>().map_err(|_| bad())?;
    if len > BODY_LEN_MAX || message.header("transfer-encoding").is_some() {
        return Err(bad());
    }
    message.body = vec![0; len];
    reader.read_exact(&mut message.body)?;
    Ok(Some(message))
}

/// Writes one answer.
pub(super) fn write(stream: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let headers: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    // No client of ours shows the phrase after the status.
    let head = format!("HTTP/1.1 {} -\r\n{headers}content-length: {}\r\n\r\n", answer.status, answer.stated_len);
    stream.write_all(&[head.as_bytes(), &answer.body].concat())
}
