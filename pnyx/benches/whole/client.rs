//! A cheap HTTP/1.1 client, so that the platform gets as much of the machine as can be: connections that stay open, a
//! thread each, one request at a time, one write and usually one read a request.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::signed::SignedBallot;

/// Connections unless told otherwise, which is also how many ballots can share a sync of the disk.
pub(crate) const CONNECTIONS: usize = 64;

/// How often a ballot is sent again that the platform did not take for a reason of its own (503): a proposal that was
/// defined a moment ago may still be without its topic.
const TRIES_MAX: u32 = 200;

/// How long to wait before it is sent again; the whole is 2 s.
const TRY_PAUSE: Duration = Duration::from_millis(10);

/// What one read takes: answers with their receipts are smaller.
const READ_BYTES: usize = 16 * 1024;

/// A connection that stays open.
pub(crate) struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

/// What became of a request; the bytes are the connection's.
struct Answer {
    status: u16,
    /// Where its body begins.
    body: usize,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, request: Vec::new(), answer: Vec::new() })
    }

    /// The JSON of a GET.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        self.request.clear();
        write!(self.request, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        let Answer { status, body } = self.exchange()?;
        ensure!(status == 200, "GET {path}: {}", String::from_utf8_lossy(&self.answer));
        serde_json::from_slice(&self.answer[body..]).with_context(|| format!("the answer to GET {path}"))
    }

    /// Posts a ballot; anything but an acknowledgement is an error.
    pub(crate) fn post(&mut self, body: &[u8]) -> anyhow::Result<()> {
        self.request.clear();
        write!(
            self.request,
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )?;
        self.request.extend_from_slice(body);
        for _ in 0..TRIES_MAX {
            match self.exchange()?.status {
                200 => return Ok(()),
                503 => thread::sleep(TRY_PAUSE),
                _ => break,
            }
        }
        bail!("refused: {}", String::from_utf8_lossy(&self.answer))
    }

    /// Sends the request and reads the answer whole.
    fn exchange(&mut self) -> anyhow::Result<Answer> {
        self.stream.write_all(&self.request)?;
        self.answer.clear();
        let body = loop {
            self.read_more()?;
            if let Some(end) = self.answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = str::from_utf8(&self.answer[..body])?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
        });
        let length = length.context("an answer without content-length")??;
        let status = head.split(' ').nth(1).context("an answer without status")?.parse()?;
        while self.answer.len() < body + length {
            self.read_more()?;
        }
        Ok(Answer { status, body })
    }

    fn read_more(&mut self) -> io::Result<()> {
        let before = self.answer.len();
        self.answer.resize(before + READ_BYTES, 0);
        let read = self.stream.read(&mut self.answer[before..])?;
        self.answer.truncate(before + read);
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// Posts all ballots, at a rate a second or else as fast as answers come, and returns once all are acknowledged.
pub(crate) fn send(
    address: SocketAddr,
    ballots: &[SignedBallot],
    rate: Option<u32>,
    connections: usize,
) -> anyhow::Result<()> {
    let interval = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate);
    let (next, started) = (AtomicUsize::new(0), Instant::now());
    let work = || -> anyhow::Result<()> {
        let mut connection = Connection::open(address)?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(ballot) = ballots.get(number) else { return Ok(()) };
            let intended = started + interval * u32::try_from(number)?;
            thread::sleep(intended.saturating_duration_since(Instant::now()));
            connection.post(&ballot.body)?;
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a thread that sends does not panic"))
    })
}
