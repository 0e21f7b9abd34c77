//! An endpoint in front of a node, as a provider sells them: with a secret in its URL, and with faults.

use std::{
    collections::BTreeMap,
    io::{self, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    Evm,
    fault::{self, Fault},
    http::{self, Answer, Connection, Message},
};
use crate::{Port, Proxy, TestbedError};

/// Tells the secrets of one endpoint from those of another.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// An HTTP proxy in front of a node whose faults are switched while it runs. Its URL holds secrets that must appear
/// nowhere: it answers 401 without them, so that they are needed, and all contain the word `canary`.
#[derive(Debug)]
pub struct FaultyEndpoint {
    /// Cuts and stalls connections; what speaks HTTP is behind it.
    front: Proxy,
    shared: Arc<Shared>,
    port: Port,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    node: SocketAddr,
    secrets: Secrets,
    faults: Mutex<Vec<Fault>>,
    counts: Mutex<Counts>,
    is_closed: AtomicBool,
}

#[derive(Debug)]
struct Secrets {
    user: String,
    password: String,
    path: String,
    query: String,
}

#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    unauthorized: u64,
    in_flight: u64,
    in_flight_max: u64,
    calls: BTreeMap<String, u64>,
}

impl FaultyEndpoint {
    /// Starts an endpoint without faults, at the address of its node.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(evm: &Evm) -> Result<Self, TestbedError> {
        let port = Port::reserve()?;
        let listener = TcpListener::bind(port.address()).map_err(|source| TestbedError::Network {
            action: "listen on",
            address: port.address().to_string(),
            source,
        })?;
        let shared = Arc::new(Shared {
            node: evm.address(),
            secrets: Secrets::new(NEXT.fetch_add(1, Ordering::Relaxed)),
            faults: Mutex::new(Vec::new()),
            counts: Mutex::new(Counts::default()),
            is_closed: AtomicBool::new(false),
        });
        let front = Proxy::start_at(evm.options.address, port.address())?;
        let accepting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || accept(&shared, &listener))
        };
        Ok(Self { front, shared, port, accepting: Some(accepting) })
    }

    /// Where clients connect: `http://USER:PASSWORD@127.0.0.1:PORT/v2/SECRET?key=SECRET`.
    #[must_use]
    pub fn url(&self) -> String {
        let Secrets { user, password, path, query } = &self.shared.secrets;
        format!("http://{user}:{password}@{}/v2/{path}?key={query}", self.front.address())
    }

    /// All secrets of the URL, also as the header that they become.
    #[must_use]
    pub fn canaries(&self) -> Vec<String> {
        let Secrets { user, password, path, query } = &self.shared.secrets;
        vec![user.clone(), password.clone(), path.clone(), query.clone(), self.shared.secrets.credentials()]
    }

    /// Has these faults and no others from now on.
    ///
    /// # Errors
    /// It was dead and its port cannot be opened again.
    pub fn set(&self, faults: &[Fault]) -> Result<(), TestbedError> {
        *self.shared.faults() = faults.to_vec();
        if faults.contains(&Fault::Dead) {
            self.front.cut();
            return Ok(());
        }
        if faults.contains(&Fault::Silent) { self.front.stall() } else { self.front.restore() }
    }

    /// Has no faults from now on.
    ///
    /// # Errors
    /// It was dead and its port cannot be opened again.
    pub fn heal(&self) -> Result<(), TestbedError> {
        self.set(&[])
    }

    /// HTTP requests that arrived, refused ones included; a dead or silent endpoint gets none.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.counts().requests
    }

    /// JSON-RPC calls of a method that arrived, those in batches one by one.
    #[must_use]
    pub fn calls(&self, method: &str) -> u64 {
        self.shared.counts().calls.get(method).copied().unwrap_or_default()
    }

    /// Requests without the secrets.
    #[must_use]
    pub fn unauthorized(&self) -> u64 {
        self.shared.counts().unauthorized
    }

    /// The most requests that were being answered at one time.
    #[must_use]
    pub fn in_flight_max(&self) -> u64 {
        self.shared.counts().in_flight_max
    }

    /// Counts from zero again, except requests that are being answered.
    pub fn reset_counts(&self) {
        let mut counts = self.shared.counts();
        let in_flight = counts.in_flight;
        *counts = Counts { in_flight, in_flight_max: in_flight, ..Counts::default() };
    }
}

impl Drop for FaultyEndpoint {
    fn drop(&mut self) {
        self.front.cut();
        self.shared.is_closed.store(true, Ordering::Relaxed);
        // The thread waits for a connection; this one lets it look at the flag and end.
        let _ = TcpStream::connect(self.port.address());
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Secrets {
    fn new(number: u64) -> Self {
        let secret = |part: &str| format!("canary-{part}-{number}-5f0c");
        Self { user: secret("user"), password: secret("password"), path: secret("path"), query: secret("query") }
    }

    fn credentials(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.user, self.password))
    }

    fn are_in(&self, request: &Message) -> bool {
        let target = request.first_line.split(' ').nth(1).unwrap_or_default();
        let credentials = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
        target == format!("/v2/{}?key={}", self.path, self.query) && credentials == Some(&self.credentials())
    }
}

impl Shared {
    fn faults(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.faults.lock().expect("no holder panics")
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("no holder panics")
    }

    /// Answers one request with the faults that hold when it arrives.
    fn answer(&self, request: &Message, node: &mut Connection) -> Answer {
        let number = {
            let mut counts = self.counts();
            counts.requests += 1;
            counts.in_flight += 1;
            counts.in_flight_max = counts.in_flight_max.max(counts.in_flight);
            counts.requests
        };
        let answer = self.answer_counted(request, number, node);
        self.counts().in_flight -= 1;
        answer
    }

    fn answer_counted(&self, request: &Message, number: u64, node: &mut Connection) -> Answer {
        if !self.secrets.are_in(request) {
            self.counts().unauthorized += 1;
            return Answer::new(401, Vec::new());
        }
        let faults = self.faults().clone();
        let Ok(mut body) = serde_json::from_slice::<Value>(&request.body) else {
            return Answer::new(400, Vec::new());
        };
        self.count(&body);
        thread::sleep(fault::delay(&faults, &request.body));
        let mut answer = match fault::refusal(&faults, request.body.len(), body.is_array()) {
            Some(refusal) => refusal,
            None => match pass_on(&faults, &mut body, &request.body, number, node) {
                Ok(body) => Answer::new(200, body),
                // As a load balancer whose node went away.
                Err(_) => Answer::new(502, Vec::new()),
            },
        };
        fault::spoil(&faults, &mut answer);
        answer
    }

    fn count(&self, body: &Value) {
        let mut counts = self.counts();
        let one = std::slice::from_ref(body);
        for call in body.as_array().map_or(one, Vec::as_slice) {
            let method = call["method"].as_str().unwrap_or_default();
            *counts.calls.entry(method.to_owned()).or_default() += 1;
        }
    }
}

/// Asks the node; without faults with the bytes of the client.
fn pass_on(
    faults: &[Fault],
    body: &mut Value,
    bytes: &[u8],
    number: u64,
    node: &mut Connection,
) -> io::Result<Vec<u8>> {
    if faults.is_empty() {
        return node.post(bytes);
    }
    let answer = match body {
        Value::Array(calls) => {
            let answers = calls.iter_mut().map(|call| pass_on_call(faults, call, number, node));
            Value::Array(answers.collect::<io::Result<_>>()?)
        }
        call => pass_on_call(faults, call, number, node)?,
    };
    Ok(answer.to_string().into())
}

fn pass_on_call(faults: &[Fault], call: &mut Value, number: u64, node: &mut Connection) -> io::Result<Value> {
    let mut ask = |method: &str, params: Value| {
        let call = json!({ "jsonrpc": "2.0", "id": 0, "method": method, "params": params });
        Ok(post(node, &call)?["result"].take())
    };
    if let Some(answer) = fault::before(faults, call, number, &mut ask)? {
        return Ok(answer);
    }
    let mut answer = post(node, call)?;
    fault::after(faults, call["method"].as_str().unwrap_or_default(), &mut answer);
    Ok(answer)
}

fn post(node: &mut Connection, call: &Value) -> io::Result<Value> {
    Ok(serde_json::from_slice(&node.post(call.to_string().as_bytes())?)?)
}

/// Accepts connections until the endpoint is closed.
fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for client in listener.incoming() {
        if shared.is_closed.load(Ordering::Relaxed) {
            return;
        }
        let Ok(client) = client else { continue };
        let shared = Arc::clone(shared);
        thread::spawn(move || serve(&shared, client));
    }
}

/// Answers the requests of one connection until one side ends it.
fn serve(shared: &Shared, client: TcpStream) {
    let _ = client.set_nodelay(true);
    let mut client = BufReader::new(client);
    let mut node = Connection::new(shared.node);
    while let Ok(Some(request)) = http::read(&mut client) {
        if fault::hangs_up(&shared.faults(), request.body.len()) {
            return;
        }
        let answer = shared.answer(&request, &mut node);
        let is_whole = answer.stated_len == answer.body.len();
        if http::write(client.get_mut(), &answer).is_err() || !is_whole || request.is_last() {
            return;
        }
    }
}
