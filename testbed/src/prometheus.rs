//! Prometheus: scrapes what a test names, and answers questions about what it saw.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::{
    Port, Process, TestbedError, apt,
    cache::{self, file_error},
    directory::Directory,
    kubernetes::Place,
};

/// How long it may take until it answers: a second on an idle machine.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// How long one answer may take: a question about some minutes of some hundred series.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How often rules are looked at, in seconds: several times within what any of them waits for.
const EVALUATION_INTERVAL_S: u64 = 5;

/// Time between two values of [`Prometheus::history`], in seconds.
const HISTORY_STEP_S: u64 = 1;

/// Characters of an answer that an error shows.
const ANSWER_LEN_MAX: usize = 500;

/// What is scraped, in the words of Prometheus.
#[derive(Debug, Clone)]
pub struct ScrapeJob {
    /// What targets are named by in [`Prometheus::set_targets`]; letters, digits and hyphens.
    pub name: String,
    /// How often, such as `15s`.
    pub interval: String,
    /// The path at each target.
    pub path: String,
    /// Whether a label that a target gives itself stands against one of the job.
    pub honor_labels: bool,
    /// What becomes of the labels of targets, as in `relabel_configs`.
    pub relabelings: Vec<Value>,
}

/// A running Prometheus. Dropping it ends the server and removes its data.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    started_s: u64,
    // Ends before its folder goes.
    _process: Process,
    _port: Port,
    directory: Directory,
}

impl Prometheus {
    /// Starts a server in the place and waits until it answers. It scrapes nothing before it is told of targets. The rules
    /// are groups as in a file of rules.
    pub(crate) fn start_in(place: &Place, jobs: &[ScrapeJob], rules: &Value) -> Result<Self, TestbedError> {
        let (directory, port) = (Directory::new()?, Port::reserve()?);
        let address = SocketAddr::from((place.address, port.number()));
        let folder = directory.path();
        cache::write(&folder.join("rules.yaml"), &rules.to_string())?;
        let scrapes: Vec<Value> = jobs.iter().map(scrape).collect();
        let interval = format!("{EVALUATION_INTERVAL_S}s");
        let configuration = json!({
            "global": {"evaluation_interval": interval},
            "rule_files": ["rules.yaml"],
            "scrape_configs": scrapes,
        });
        cache::write(&folder.join("prometheus.yaml"), &configuration.to_string())?;
        for job in jobs {
            cache::write(&folder.join(targets_file(&job.name)), "[]")?;
        }
        let mut command = place.command(&program()?);
        command.args(["--config.file=prometheus.yaml", "--storage.tsdb.path=data", "--log.level=warn"]);
        command.arg(format!("--web.listen-address={address}")).current_dir(folder);
        let mut process = Process::spawn("prometheus", &command, &folder.join("prometheus.log"))?;
        process.wait_until(READY_LIMIT, || get(address, "/-/ready").is_ok())?;
        Ok(Self { address, started_s: now_s(), _process: process, _port: port, directory })
    }

    /// Says what a job scrapes from here on: groups as in a file of targets, `{"targets": ["host:port"], "labels": {…}}`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_targets(&self, job: &str, groups: &[Value]) -> Result<(), TestbedError> {
        let file = self.directory.path().join(targets_file(job));
        let aside = file.with_extension("part");
        cache::write(&aside, &Value::from(groups).to_string())?;
        // In one step, since it is read as soon as it changes.
        fs::rename(&aside, &file).map_err(|source| file_error("move a file to", &file, source))
    }

    /// All series that an expression has had since the start, each with its labels (`metric`) and `values`.
    ///
    /// # Errors
    /// The server cannot be asked, or refuses the expression.
    pub fn history(&self, expression: &str) -> Result<Vec<Value>, TestbedError> {
        let (query, start, end) = (encoded(expression), self.started_s, now_s());
        let path = format!("/api/v1/query_range?query={query}&start={start}&end={end}&step={HISTORY_STEP_S}");
        self.ask(&path, "/data/result")
    }

    /// All rules, each with its `name`, `health`, `lastError` and `state`.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub fn rules(&self) -> Result<Vec<Value>, TestbedError> {
        let groups = self.ask("/api/v1/rules", "/data/groups")?;
        Ok(groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect())
    }

    fn ask(&self, path: &str, pointer: &str) -> Result<Vec<Value>, TestbedError> {
        let text = get(self.address, path).map_err(|source| TestbedError::Network {
            action: "ask",
            address: format!("Prometheus at {}", self.address),
            source,
        })?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        match answer.pointer(pointer).and_then(Value::as_array) {
            Some(found) => Ok(found.clone()),
            None => Err(TestbedError::Prometheus {
                question: path.to_owned(),
                answer: text.chars().take(ANSWER_LEN_MAX).collect(),
            }),
        }
    }
}

fn scrape(job: &ScrapeJob) -> Value {
    let ScrapeJob { name, interval, path, honor_labels, relabelings } = job;
    json!({
        "job_name": name,
        "scrape_interval": interval,
        "scrape_timeout": interval,
        "metrics_path": path,
        "honor_labels": honor_labels,
        "file_sd_configs": [{"files": [targets_file(name)]}],
        "relabel_configs": relabelings,
    })
}

fn targets_file(job: &str) -> String {
    format!("targets-{job}.json")
}

/// Debian's, in whose package promtool comes as well.
fn program() -> Result<PathBuf, TestbedError> {
    Ok(package()?.join("usr/bin/prometheus"))
}

/// The files of Debian's package.
pub(crate) fn package() -> Result<PathBuf, TestbedError> {
    apt::unpacked("prometheus", || TestbedError::Missing {
        what: "apt-get with dpkg",
        advice: "Prometheus and promtool, which test alerts and dashboards, come in Debian's package prometheus; run such \
                 tests on Debian",
    })
}

/// What the server answers with, also if it is no answer to the question: then it says why.
fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    // Of this version, so that the answer comes in one piece and ends with the connection.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let is_busy = head.split(' ').nth(1) == Some("503");
    if is_busy { Err(io::Error::other(body)) } else { Ok(body.to_owned()) }
}

/// A text as a part of a query.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs()
}
