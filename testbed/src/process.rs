//! Processes with a log file that can be killed, stopped and continued, and that never outlive their test.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        OnceLock,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::{TestbedError, cache};

/// How often a waiting call looks again: short beside every start that is measured, and cheap.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How long a process may take to stand still: its threads hear of the signal one after the other.
const STANDSTILL_LIMIT: Duration = Duration::from_secs(10);

/// A process of a test. Dropping it ends the process with SIGKILL; so does the end of the test's process, however it ends.
///
/// That needs `setpriv` of util-linux; without it a process outlives a test that is itself killed with SIGKILL.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` without standard input; both outputs are appended to the file `log`. Of the command, the program,
    /// the arguments, the folder and the variables set on it count.
    ///
    /// # Errors
    /// The log cannot be written or the program cannot be started.
    pub fn spawn(name: impl Into<String>, command: &Command, log: &Path) -> Result<Self, TestbedError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let spawn_error = |source| TestbedError::Spawn { program: program.clone(), source };
        let file = File::options().create(true).append(true).open(log);
        let file = file.map_err(|source| cache::file_error("open", log, source))?;
        let errors = file.try_clone().map_err(|source| cache::file_error("open", log, source))?;
        let mut wrapped = bound_to_us(command)?;
        wrapped.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = spawn_on_lasting_thread(wrapped).map_err(spawn_error)?;
        Ok(Self { name: name.into(), log: log.to_owned(), child, status: None })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The file with both its outputs.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        cache::tail_of(&self.log)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn status(&mut self) -> Result<Option<ExitStatus>, TestbedError> {
        if self.status.is_none() {
            let asked = self.child.try_wait();
            self.status = asked.map_err(|source| TestbedError::Spawn { program: self.name.clone(), source })?;
        }
        Ok(self.status)
    }

    /// Ends it at once, also when it is stopped. Does nothing if it has ended.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn kill9(&mut self) -> Result<(), TestbedError> {
        if self.status()?.is_none() {
            self.signal(Signal::KILL, "kill")?;
            let ended = self.child.wait();
            self.status = Some(ended.map_err(|source| TestbedError::Spawn { program: self.name.clone(), source })?);
        }
        Ok(())
    }

    /// Asks it to end. [`Process::wait`] tells when it has.
    ///
    /// # Errors
    /// It does not run.
    pub fn sigterm(&mut self) -> Result<(), TestbedError> {
        self.signal(Signal::TERM, "end")
    }

    /// Stops it where it stands, with its connections open, and returns when none of its threads runs.
    ///
    /// # Errors
    /// It does not run.
    pub fn sigstop(&mut self) -> Result<(), TestbedError> {
        self.signal(Signal::STOP, "stop")?;
        let id = WaitId::Pid(self.pid());
        // Not consumed, so that a second stop finds it, too.
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        self.wait_until(STANDSTILL_LIMIT, || waitid(id.clone(), options).is_ok_and(|status| status.is_some()))
    }

    /// Lets a stopped process go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn sigcont(&mut self) -> Result<(), TestbedError> {
        self.signal(Signal::CONT, "continue")
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It does not end within `limit`; it then still runs.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, TestbedError> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if start.elapsed() >= limit {
                let (what, log) = (format!("{} did not end", self.name), self.log_tail());
                return Err(TestbedError::TimedOut { what, limit_ms: limit.as_millis(), log });
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits until `is_ready` says so.
    ///
    /// # Errors
    /// It ends before, or `limit` passes; the error shows the end of its log.
    pub fn wait_until(&mut self, limit: Duration, mut is_ready: impl FnMut() -> bool) -> Result<(), TestbedError> {
        let start = Instant::now();
        while !is_ready() {
            if let Some(status) = self.status()? {
                return Err(TestbedError::Died { what: self.name.clone(), status, log: self.log_tail() });
            }
            if start.elapsed() >= limit {
                let (what, log) = (format!("{} was not ready", self.name), self.log_tail());
                return Err(TestbedError::TimedOut { what, limit_ms: limit.as_millis(), log });
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn pid(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("process ids are positive")
    }

    fn signal(&mut self, signal: Signal, action: &'static str) -> Result<(), TestbedError> {
        if self.status()?.is_some() {
            return Err(TestbedError::NotRunning { action, what: self.name.clone() });
        }
        // A process that has not been waited for keeps its id, so that no other can be hit.
        kill_process(self.pid(), signal).map_err(|source| TestbedError::Signal { what: self.name.clone(), source })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What cannot be ended here has ended, or ends with this process.
        let _ = self.kill9();
    }
}

/// The command, started so that the kernel ends it when the thread that started it ends.
fn bound_to_us(command: &Command) -> Result<Command, TestbedError> {
    static HAS_SETPRIV: OnceLock<bool> = OnceLock::new();
    let program = command.get_program();
    let has_setpriv = *HAS_SETPRIV.get_or_init(|| {
        let help = cache::run(Command::new("setpriv").arg("--help"));
        help.is_ok_and(|help| help.contains("--pdeathsig"))
    });
    let mut wrapped = if has_setpriv {
        // It would start and end at once if the program is missing; that is better said here.
        let found = find_program(program, command.get_current_dir());
        let found = found.ok_or_else(|| TestbedError::Spawn {
            program: program.to_string_lossy().into_owned(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", "KILL", "--"]).arg(found);
        wrapped
    } else {
        Command::new(program)
    };
    wrapped.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    Ok(wrapped)
}

/// The program as the system would find it.
fn find_program(program: &OsStr, folder: Option<&Path>) -> Option<OsString> {
    let path = Path::new(program);
    if path.components().count() > 1 {
        let from_folder = folder.map_or_else(|| path.to_owned(), |folder| folder.join(path));
        return from_folder.is_file().then(|| program.to_owned());
    }
    let folders = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&folders).map(|folder| folder.join(path)).find(|path| path.is_file())?;
    Some(found.into_os_string())
}

/// Starts the command on a thread that lives as long as this process: the kernel's "parent" is a thread, and that of a
/// test, or of a pool, ends earlier.
fn spawn_on_lasting_thread(command: Command) -> io::Result<Child> {
    type Order = (Command, SyncSender<io::Result<Child>>);
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, receiver): (Sender<Order>, Receiver<Order>) = channel();
        thread::spawn(move || {
            for (mut command, answer) in receiver {
                // Whoever asked is waiting for the answer.
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (answer, answered) = sync_channel(1);
    orders.send((command, answer)).expect("the thread lives as long as the process");
    answered.recv().expect("the thread answers every order")
}
