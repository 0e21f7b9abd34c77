//! Stands between our client and the node and keeps what was asked.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// Bodies of requests, in the order of their answers.
type Bodies = Arc<Mutex<Vec<Vec<u8>>>>;

pub(crate) struct Recorder {
    address: SocketAddr,
    bodies: Bodies,
}

impl Recorder {
    /// Listens until the process ends.
    pub(crate) fn start(node: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let (address, bodies) = (listener.local_addr()?, Bodies::default());
        let kept = Arc::clone(&bodies);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                // A connection that breaks off is the client's to notice.
                thread::spawn(move || pass_on(client, node, &kept));
            }
        });
        Ok(Self { address, bodies })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked of contracts until now.
    pub(crate) fn bodies(&self) -> Vec<Vec<u8>> {
        let bodies = self.bodies.lock().expect("no holder panics");
        let is_call = |body: &&Vec<u8>| body.windows(8).any(|bytes| bytes == b"eth_call");
        bodies.iter().filter(is_call).cloned().collect()
    }
}

fn pass_on(client: TcpStream, node: SocketAddr, bodies: &Bodies) -> io::Result<()> {
    let (mut to_client, mut to_node) = (client.try_clone()?, TcpStream::connect(node)?);
    let (mut from_client, mut from_node) = (BufReader::new(client), BufReader::new(to_node.try_clone()?));
    loop {
        let (head, body) = message(&mut from_client)?;
        to_node.write_all(&[head, body.clone()].concat())?;
        let (head, answer) = message(&mut from_node)?;
        bodies.lock().expect("no holder panics").push(body);
        to_client.write_all(&[head, answer].concat())?;
    }
}

/// Head and body of a request or an answer with a stated length.
fn message(from: &mut BufReader<TcpStream>) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        if from.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
        if let Some(stated) = text.strip_prefix("content-length:") {
            length = stated.trim().parse().map_err(io::Error::other)?;
        }
        head.extend(&line);
        if line == b"\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok((head, body))
}
