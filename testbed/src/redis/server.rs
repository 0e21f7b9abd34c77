//! One Redis server.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use super::{
    RedisOptions,
    external::{self, External, not_ours},
    prepare, resp,
};
use crate::{
    Port, Process, TestbedError,
    cache::{self, file_error},
    directory::Directory,
};

/// How long a server may take until it answers: 64 ms on an idle machine, longer with a snapshot to read.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// How long a server may take to end by itself.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The user that the test bed itself is when passwords are asked for.
const DEFAULT_USER: &str = "default";

/// A running Redis. Dropping it ends the server and removes its data.
#[derive(Debug)]
pub struct RedisServer {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Own(Own),
    External(External),
}

#[derive(Debug)]
struct Own {
    process: Mutex<Option<Process>>,
    server: PathBuf,
    arguments: Vec<String>,
    port: Port,
    tls_port: Option<Port>,
    credentials: Option<(String, String)>,
    is_append_only: bool,
    snapshot_count: AtomicU32,
    directory: Directory,
}

/// What a server held at one time; it lives as long as the server.
#[derive(Debug, Clone)]
pub struct RedisSnapshot {
    file: PathBuf,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// If `PNYX_TEST_REDIS` is set and the options are the default ones, that server is used instead.
    ///
    /// # Errors
    /// Redis is missing and cannot be installed, the server ends or does not answer within 30 s, or the options ask for
    /// what a server that is not ours cannot give.
    pub fn start(options: RedisOptions) -> Result<Self, TestbedError> {
        match external::external()? {
            Some(external) if options.is_plain() => Ok(Self { kind: Kind::External(external) }),
            Some(_) => Err(not_ours("start a Redis with settings of its own")),
            None => Self::start_own(options, &[]),
        }
    }

    /// As [`RedisServer::start`], never another's server, with further arguments.
    pub(super) fn start_own(options: RedisOptions, arguments: &[&str]) -> Result<Self, TestbedError> {
        let directory = Directory::new()?;
        let server = prepare::link_server(directory.path())?;
        let reserve = || Port::reserve_at(options.address);
        let port = reserve()?;
        let tls_port = options.tls.is_some().then(reserve).transpose()?;
        let configuration = directory.path().join("redis.conf");
        let text = configuration_text(&options, directory.path(), &port, tls_port.as_ref())?;
        cache::write(&configuration, &text)?;
        let mut all = vec![configuration.display().to_string()];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let own = Own {
            process: Mutex::new(None),
            server,
            arguments: all,
            port,
            tls_port,
            credentials: options.password.map(|password| (DEFAULT_USER.to_owned(), password)),
            is_append_only: options.is_append_only,
            snapshot_count: AtomicU32::new(0),
            directory,
        };
        own.spawn()?;
        Ok(Self { kind: Kind::Own(own) })
    }

    /// Where clients connect: `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.kind {
            Kind::Own(own) => own.port.address().to_string(),
            Kind::External(external) => external.address.clone(),
        }
    }

    /// Where clients connect, as `redis://…`, with the password of [`RedisOptions::password`] if there is one.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.kind {
            Kind::Own(Own { credentials: None, port, .. }) => format!("redis://{}", port.address()),
            Kind::Own(Own { credentials: Some((_, password)), port, .. }) => {
                format!("redis://:{password}@{}", port.address())
            }
            Kind::External(external) => external.url.clone(),
        }
    }

    /// Where clients connect with TLS.
    ///
    /// # Panics
    /// If the options did not ask for it.
    #[must_use]
    pub fn tls_address(&self) -> SocketAddr {
        let Kind::Own(Own { tls_port: Some(port), .. }) = &self.kind else {
            panic!("the options did not ask for TLS");
        };
        port.address()
    }

    /// Sends a command and returns the answer as text, the values of an array on lines of their own.
    ///
    /// # Errors
    /// The server cannot be reached or answers with an error.
    pub fn command(&self, words: &[&str]) -> Result<String, TestbedError> {
        let credentials = match &self.kind {
            Kind::Own(own) => own.credentials.as_ref(),
            Kind::External(external) => external.credentials.as_ref(),
        };
        resp::command(&self.address(), credentials, words)
    }

    /// Removes everything the server holds (`FLUSHALL`). Functions stay; `FUNCTION FLUSH` removes those.
    ///
    /// # Errors
    /// The server is not ours or cannot be reached.
    pub fn flush_all(&self) -> Result<(), TestbedError> {
        self.own("flush Redis")?;
        self.command(&["FLUSHALL"]).map(|_| ())
    }

    /// Kills the server with SIGKILL.
    ///
    /// # Errors
    /// The server is not ours.
    pub fn kill(&self) -> Result<(), TestbedError> {
        self.own("kill Redis")?.kill()
    }

    /// Asks the server to end and waits until it has.
    ///
    /// # Errors
    /// The server is not ours, does not run, or does not end in time.
    pub fn stop(&self) -> Result<(), TestbedError> {
        let own = self.own("stop Redis")?;
        own.running("stop", |process| {
            process.sigterm()?;
            process.wait(STOP_LIMIT).map(|_| ())
        })?;
        *own.process() = None;
        Ok(())
    }

    /// Starts the server again on its port, killing it first if it runs; without an append-only file it is empty.
    ///
    /// # Errors
    /// The server is not ours or does not answer within 30 s.
    pub fn restart(&self) -> Result<(), TestbedError> {
        let own = self.own("restart Redis")?;
        own.kill()?;
        own.spawn()
    }

    /// Stops the server where it stands (SIGSTOP); its connections stay open and nothing answers.
    ///
    /// # Errors
    /// The server is not ours or does not run.
    pub fn pause(&self) -> Result<(), TestbedError> {
        self.own("pause Redis")?.running("pause", Process::sigstop)
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    /// The server is not ours or does not run.
    pub fn resume(&self) -> Result<(), TestbedError> {
        self.own("resume Redis")?.running("resume", Process::sigcont)
    }

    /// Writes down what the server holds now.
    ///
    /// # Errors
    /// The server is not ours or cannot be reached.
    pub fn snapshot(&self) -> Result<RedisSnapshot, TestbedError> {
        let own = self.own("take a snapshot of Redis")?;
        self.command(&["SAVE"])?;
        let number = own.snapshot_count.fetch_add(1, Ordering::Relaxed);
        let file = own.directory.path().join(format!("snapshot-{number}.rdb"));
        // Moved away, since a server that finds it would read it at its next start.
        fs::rename(own.dump(), &file).map_err(|source| file_error("move a snapshot to", &file, source))?;
        Ok(RedisSnapshot { file })
    }

    /// Starts the server again with what it held at an earlier time, as one that was restored from a backup.
    ///
    /// # Errors
    /// The server is not ours or does not answer within 30 s.
    ///
    /// # Panics
    /// If the server keeps an append-only file, since it then reads no snapshot.
    pub fn restart_from(&self, snapshot: &RedisSnapshot) -> Result<(), TestbedError> {
        let own = self.own("restart Redis")?;
        assert!(!own.is_append_only, "a server with an append-only file reads no snapshot");
        own.kill()?;
        let dump = own.dump();
        fs::copy(&snapshot.file, &dump).map_err(|source| file_error("copy a snapshot to", &dump, source))?;
        own.spawn()?;
        fs::remove_file(&dump).map_err(|source| file_error("remove", &dump, source))
    }

    /// Process id of the server, for measuring what it uses.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        match &self.kind {
            Kind::Own(own) => own.process().as_ref().map(Process::id),
            Kind::External(_) => None,
        }
    }

    /// The log file of the server.
    ///
    /// # Errors
    /// The server is not ours.
    pub fn log(&self) -> Result<PathBuf, TestbedError> {
        Ok(self.own("read the log of Redis")?.log())
    }

    fn own(&self, action: &'static str) -> Result<&Own, TestbedError> {
        match &self.kind {
            Kind::Own(own) => Ok(own),
            Kind::External(_) => Err(not_ours(action)),
        }
    }
}

impl Own {
    fn spawn(&self) -> Result<(), TestbedError> {
        let mut command = Command::new(&self.server);
        command.args(&self.arguments).current_dir(self.directory.path());
        let mut process = Process::spawn("redis", &command, &self.log())?;
        let address = self.port.address().to_string();
        let answers = || resp::command(&address, self.credentials.as_ref(), &["PING"]).is_ok();
        process.wait_until(READY_LIMIT, answers)?;
        *self.process() = Some(process);
        Ok(())
    }

    fn kill(&self) -> Result<(), TestbedError> {
        match self.process().take() {
            Some(mut process) => process.kill9(),
            None => Ok(()),
        }
    }

    fn running<T>(
        &self,
        action: &'static str,
        act: impl FnOnce(&mut Process) -> Result<T, TestbedError>,
    ) -> Result<T, TestbedError> {
        match self.process().as_mut() {
            Some(process) => act(process),
            None => Err(TestbedError::NotRunning { action, what: "redis".to_owned() }),
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().expect("no holder panics")
    }

    fn dump(&self) -> PathBuf {
        self.directory.path().join("dump.rdb")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("redis.log")
    }
}

fn configuration_text(
    options: &RedisOptions,
    folder: &Path,
    port: &Port,
    tls_port: Option<&Port>,
) -> Result<String, TestbedError> {
    let address = options.address;
    let mut text = format!("bind {address}\nport {}\ndir {}\nsave \"\"\n", port.number(), folder.display());
    let mut line = |name: &str, value: &str| writeln!(text, "{name} {value}").expect("text can grow");
    if !address.is_loopback() {
        // Otherwise it would refuse whoever comes from elsewhere without a password.
        line("protected-mode", "no");
    }
    line("appendonly", if options.is_append_only { "yes" } else { "no" });
    if let Some(password) = &options.password {
        line("requirepass", password);
    }
    for user in &options.users {
        line("user", user);
    }
    if let (Some((issued, is_mutual)), Some(port)) = (&options.tls, tls_port) {
        // Copied, so that the server can be restarted after its authority is gone.
        let (both, authority) = (folder.join("server.pem"), folder.join("authority.pem"));
        cache::write(&both, issued.key_and_certificate_pem())?;
        cache::write(&authority, issued.authority_pem())?;
        line("tls-port", &port.number().to_string());
        line("tls-cert-file", &both.display().to_string());
        line("tls-key-file", &both.display().to_string());
        line("tls-ca-cert-file", &authority.display().to_string());
        line("tls-auth-clients", if *is_mutual { "yes" } else { "no" });
    }
    for (name, value) in &options.settings {
        line(name, value);
    }
    Ok(text)
}
