//! What the end-to-end tests share: the real `pnyx` binary in a process of its own, killed with the test.
#![expect(
    clippy::unwrap_used,
    dead_code,
    reason = "a test's failure is its message, and not every test uses every helper"
)]

pub(crate) mod audit;
pub(crate) mod ballots;
pub(crate) mod front;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod pipeline;
pub(crate) mod proposals;
pub(crate) mod raw;
pub(crate) mod reads;
pub(crate) mod settings;

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// The binary under test.
pub(crate) fn pnyx() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pnyx"))
}

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// How long `pnyx dev` may take to say that it is ready: far above what it takes on a busy machine.
const READY_WAIT_MAX: Duration = Duration::from_secs(150);

/// A running `pnyx dev`, killed when dropped.
pub(crate) struct Dev {
    child: Child,
    /// Where it listens.
    pub(crate) url: String,
    lines: mpsc::Receiver<String>,
}

impl Dev {
    /// Starts `pnyx dev` on a free port, or on the one of `listen`, and waits until it is ready.
    pub(crate) fn start(data: &Path, listen: Option<&str>, arguments: &[&str]) -> Self {
        let mut command = pnyx();
        command.arg("dev").args(arguments).arg("--data").arg(data);
        command.args(["--listen", listen.unwrap_or("127.0.0.1:0")]);
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut dev = Self { child, url: String::new(), lines };
        let ready = dev.wait_for_line("ready · POST ballots to ", READY_WAIT_MAX);
        let url = ready.split("POST ballots to ").nth(1).unwrap().split(' ').next().unwrap();
        dev.url = url.trim_end_matches('/').to_owned();
        dev
    }

    /// The `127.0.0.1:port` it listens on.
    pub(crate) fn address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// Waits for a line of its output that contains `text`.
    pub(crate) fn wait_for_line(&mut self, text: &str, limit: Duration) -> String {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(error) => panic!("no line with {text:?} within {limit:?}: {error}"),
            }
        }
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ctrl-C, then waits for the end and says whether it was a clean one.
    pub(crate) fn interrupt(mut self) -> bool {
        let signalled = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(signalled.success());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end and fails with its output unless it succeeds.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?} failed:\n{}", everything(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Both outputs of a command, for messages.
pub(crate) fn everything(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// `curl`-like: the body of a GET, through the binary's own HTTP library.
pub(crate) fn get(url: &str) -> String {
    let url = url.to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let _ = rustls::crypto::ring::default_provider().install_default();
            reqwest::get(&url).await.unwrap().text().await.unwrap()
        })
    })
    .join()
    .unwrap()
}

/// The JSON of a GET.
pub(crate) fn get_json(url: &str) -> serde_json::Value {
    let text = get(url);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url}: {error}: {text}"))
}
