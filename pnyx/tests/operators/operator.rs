//! `pnyx operator` as a process: started, stopped where it stands, and what it says.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use pnyx_testbed::{Port, Process};
use serde_json::Value;

/// How long it may take until it is ready, on a machine that compiles beside.
const READY_LIMIT: Duration = Duration::from_secs(150);

/// A write that an operator said it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begun {
    /// As who.
    pub(crate) holder: String,
    /// In words.
    pub(crate) write: String,
}

impl Begun {
    /// Whether it goes to Kafka; all others go to the Kubernetes API.
    pub(crate) fn is_to_kafka(&self) -> bool {
        ["make the topic", "record the definition", "grow the ballots"].iter().any(|word| self.write.starts_with(word))
    }
}

/// An operator that runs.
pub(crate) struct Operator {
    pub(crate) process: Process,
    address: SocketAddr,
    _port: Port,
}

impl Operator {
    /// One that is ready. Its log is in `folder`.
    pub(crate) fn start(name: &str, kubeconfig: &Path, folder: &Path) -> Self {
        let port = Port::reserve().expect("a port is free");
        let address = port.address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pnyx"));
        command.args(["operator", "--identity", name, "--lease-namespace=default"]);
        command.args(["--listen", &address.to_string()]).env("KUBECONFIG", kubeconfig);
        // As the chart has it.
        command.env("PNYX_LOG", "info").env("PNYX_LOG_FORMAT", "json");
        let log = folder.join(format!("{name}.log"));
        let mut process = Process::spawn(name, &command, &log).expect("it starts");
        process.wait_until(READY_LIMIT, || is_ready(address)).expect("it is ready");
        Self { process, address, _port: port }
    }

    /// What it said that it begins to write, so far.
    pub(crate) fn begun(&self) -> Vec<Begun> {
        let text = fs::read_to_string(self.process.log()).expect("it has a log");
        // Of a line that is being written there is nothing to read yet.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let begins = lines.filter(|line| line["fields"]["message"] == "begins a write");
        let word = |line: &Value, field: &str| line["fields"][field].as_str().unwrap_or_default().to_owned();
        begins.map(|line| Begun { holder: word(&line, "holder"), write: word(&line, "write") }).collect()
    }

    /// Whether a line of its log has this.
    pub(crate) fn says(&self, text: &str) -> bool {
        fs::read_to_string(self.process.log()).expect("it has a log").contains(text)
    }

    /// What a metric's line says, such as `pnyx_operator_leads`.
    pub(crate) fn metric(&self, line: &str) -> Option<f64> {
        let text = get(self.address, "/metrics").ok()?;
        text.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(' ')?.trim().parse().ok())
    }
}

fn is_ready(address: SocketAddr) -> bool {
    get(address, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
