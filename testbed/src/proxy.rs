//! The network between two programs: a TCP proxy that can be cut, stalled and slowed down.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{Port, TestbedError};

/// Bytes that one direction of a connection moves at a time: a full window on the loopback interface.
const CHUNK_LEN: usize = 64 * 1024;

/// How long the target may take to accept; on the loopback interface only a stopped server needs any time.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A proxy in front of one address. It keeps its own address when it is cut and restored.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    delay: Duration,
    next_id: u64,
    connections: BTreeMap<u64, [TcpStream; 2]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Stalled,
    Cut,
}

impl Proxy {
    /// Starts forwarding to `target`, which need not listen yet.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(target: SocketAddr) -> Result<Self, TestbedError> {
        Self::start_at(Ipv4Addr::LOCALHOST, target)
    }

    /// As [`Proxy::start`], on another address of this machine.
    ///
    /// # Errors
    /// This machine has no such address, or no port is free.
    pub fn start_at(address: Ipv4Addr, target: SocketAddr) -> Result<Self, TestbedError> {
        let state = State { mode: Mode::Cut, delay: Duration::ZERO, next_id: 0, connections: BTreeMap::new() };
        let shared = Arc::new(Shared { target, state: Mutex::new(state), changed: Condvar::new() });
        let proxy = Self { port: Port::reserve_at(address)?, shared, accepting: Mutex::new(None) };
        proxy.restore()?;
        Ok(proxy)
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Ends all connections and refuses new ones, as a host that went away does.
    pub fn cut(&self) {
        {
            let mut state = self.shared.lock();
            state.mode = Mode::Cut;
            for stream in state.connections.values().flatten() {
                // One that has ended by itself is as good.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
        let accepting = self.accepting.lock().expect("no holder panics").take();
        if let Some(accepting) = accepting {
            // The thread waits for a connection; this one lets it look at the state and end.
            let _ = TcpStream::connect(self.address());
            let _ = accepting.join();
        }
    }

    /// Keeps and accepts connections but forwards nothing, as a network does that drops all packets. What was sent
    /// meanwhile arrives when the proxy is restored.
    ///
    /// # Errors
    /// It was cut and its port cannot be opened again.
    pub fn stall(&self) -> Result<(), TestbedError> {
        self.enter(Mode::Stalled, None)
    }

    /// Delays every chunk of each direction by `delay`.
    ///
    /// # Errors
    /// It was cut and its port cannot be opened again.
    pub fn delay(&self, delay: Duration) -> Result<(), TestbedError> {
        self.enter(Mode::Open, Some(delay))
    }

    /// Forwards at once again.
    ///
    /// # Errors
    /// It was cut and its port cannot be opened again.
    pub fn restore(&self) -> Result<(), TestbedError> {
        self.enter(Mode::Open, Some(Duration::ZERO))
    }

    fn enter(&self, mode: Mode, delay: Option<Duration>) -> Result<(), TestbedError> {
        let mut accepting = self.accepting.lock().expect("no holder panics");
        {
            let mut state = self.shared.lock();
            state.mode = mode;
            if let Some(delay) = delay {
                state.delay = delay;
            }
        }
        self.shared.changed.notify_all();
        if accepting.is_none() {
            let listener = TcpListener::bind(self.address()).map_err(|source| TestbedError::Network {
                action: "listen on",
                address: self.address().to_string(),
                source,
            })?;
            let shared = Arc::clone(&self.shared);
            *accepting = Some(thread::spawn(move || accept(&shared, &listener)));
        }
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Waits while the proxy is stalled; says how long to delay, or nothing if it is cut.
    fn pass(&self) -> Option<Duration> {
        let state = self.lock();
        let state = self.changed.wait_while(state, |state| state.mode == Mode::Stalled).expect("no holder panics");
        (state.mode == Mode::Open).then_some(state.delay)
    }
}

/// Accepts connections until the proxy is cut.
fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for client in listener.incoming() {
        if shared.lock().mode == Mode::Cut {
            return;
        }
        let Ok(client) = client else { continue };
        let shared = Arc::clone(shared);
        thread::spawn(move || serve(&shared, client));
    }
}

/// Moves the bytes of one connection until one side ends it or the proxy is cut.
fn serve(shared: &Shared, client: TcpStream) {
    let Ok(server) = TcpStream::connect_timeout(&shared.target, CONNECT_LIMIT) else { return };
    // Small requests must not wait for each other's acknowledgements.
    let _ = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    let (Ok(client_again), Ok(server_again)) = (client.try_clone(), server.try_clone()) else { return };
    let (Ok(client_kept), Ok(server_kept)) = (client.try_clone(), server.try_clone()) else { return };
    let id = {
        let mut state = shared.lock();
        if state.mode == Mode::Cut {
            return;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.connections.insert(id, [client_kept, server_kept]);
        id
    };
    thread::scope(|scope| {
        scope.spawn(|| pump(shared, client_again, server_again));
        pump(shared, server, client);
    });
    shared.lock().connections.remove(&id);
}

/// Moves bytes one way. An end of the stream is passed on as such; an error ends both ways.
fn pump(shared: &Shared, mut from: TcpStream, mut to: TcpStream) {
    let mut chunk = vec![0; CHUNK_LEN];
    loop {
        let read = from.read(&mut chunk);
        let delay = shared.pass();
        match (read, delay) {
            (Ok(0), Some(_)) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            (Ok(len), Some(delay)) => {
                thread::sleep(delay);
                if to.write_all(&chunk[..len]).is_ok() {
                    continue;
                }
            }
            (Err(_), _) | (_, None) => {}
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
        return;
    }
}
