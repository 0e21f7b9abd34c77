//! A proxy is cut, stalled, slowed down and restored.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use pnyx_testbed::Proxy;

/// How long an answer may take through a proxy that forwards.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long silence is listened to.
const SILENCE: Duration = Duration::from_millis(200);

/// A server that sends back every byte.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).expect("the proxy listens");
    stream.set_read_timeout(Some(ANSWER_LIMIT)).expect("a time above zero");
    stream
}

fn ask(stream: &mut TcpStream, byte: u8) -> io::Result<u8> {
    stream.write_all(&[byte])?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    Ok(answer[0])
}

#[test]
fn a_cut_ends_connections_and_refuses_new_ones() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    assert_eq!(ask(&mut stream, 7).unwrap(), 7);
    proxy.cut();
    assert!(ask(&mut stream, 8).is_err(), "the connection is gone");
    assert_eq!(TcpStream::connect(proxy.address()).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    let address = proxy.address();
    proxy.restore().unwrap();
    assert_eq!(proxy.address(), address);
    assert_eq!(ask(&mut connect(&proxy), 9).unwrap(), 9);
}

#[test]
fn a_stall_keeps_what_is_sent_until_it_ends() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut old = connect(&proxy);
    assert_eq!(ask(&mut old, 1).unwrap(), 1);
    proxy.stall().unwrap();
    let mut new = connect(&proxy);
    for stream in [&mut old, &mut new] {
        stream.set_read_timeout(Some(SILENCE)).unwrap();
        assert!(ask(stream, 2).is_err(), "nothing is forwarded");
        stream.set_read_timeout(Some(ANSWER_LIMIT)).unwrap();
    }
    proxy.restore().unwrap();
    for stream in [&mut old, &mut new] {
        let mut late = [0];
        stream.read_exact(&mut late).unwrap();
        assert_eq!(late, [2]);
        assert_eq!(ask(stream, 3).unwrap(), 3);
    }
}

#[test]
fn a_delay_counts_each_way() {
    let proxy = Proxy::start(echo()).unwrap();
    proxy.delay(SILENCE).unwrap();
    let start = Instant::now();
    assert_eq!(ask(&mut connect(&proxy), 1).unwrap(), 1);
    assert!(start.elapsed() >= SILENCE * 2, "once each way");
}

#[test]
fn the_end_of_a_stream_is_passed_on() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    stream.write_all(b"all").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "all");
}
