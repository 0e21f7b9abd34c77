//! One process of a cluster, which can be killed, paused and started again.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use crate::{Process, TestbedError};

/// A part of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The database of the API server.
    Etcd,
    /// What everybody talks to.
    ApiServer,
    /// What acts on resources.
    ControllerManager,
    /// What gives pods nodes.
    Scheduler,
}

impl Part {
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.program())
    }
}

/// A command line and the process that runs it, if one does. Its files stay when the process ends.
#[derive(Debug)]
pub(super) struct Runner {
    name: String,
    command: Command,
    log: PathBuf,
    process: Mutex<Option<Process>>,
}

impl Runner {
    pub(super) fn new(name: impl Into<String>, command: Command, log: PathBuf) -> Self {
        Self { name: name.into(), command, log, process: Mutex::new(None) }
    }

    /// Starts it; a process that runs is killed first.
    pub(super) fn start(&self) -> Result<(), TestbedError> {
        self.kill()?;
        *self.process() = Some(Process::spawn(self.name.clone(), &self.command, &self.log)?);
        Ok(())
    }

    pub(super) fn kill(&self) -> Result<(), TestbedError> {
        match self.process().take() {
            Some(mut process) => process.kill9(),
            None => Ok(()),
        }
    }

    /// Asks it to end and waits until it has.
    pub(super) fn stop(&self, limit: Duration) -> Result<(), TestbedError> {
        self.running("stop", |process| {
            process.sigterm()?;
            process.wait(limit).map(|_| ())
        })?;
        *self.process() = None;
        Ok(())
    }

    pub(super) fn pause(&self) -> Result<(), TestbedError> {
        self.running("pause", Process::sigstop)
    }

    pub(super) fn resume(&self) -> Result<(), TestbedError> {
        self.running("resume", Process::sigcont)
    }

    pub(super) fn wait_until(&self, limit: Duration, is_so: impl FnMut() -> bool) -> Result<(), TestbedError> {
        self.running("wait for", |process| process.wait_until(limit, is_so))
    }

    pub(super) fn process_id(&self) -> Option<u32> {
        self.process().as_ref().map(Process::id)
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    fn running<T>(
        &self,
        action: &'static str,
        act: impl FnOnce(&mut Process) -> Result<T, TestbedError>,
    ) -> Result<T, TestbedError> {
        match self.process().as_mut() {
            Some(process) => act(process),
            None => Err(TestbedError::NotRunning { action, what: self.name.clone() }),
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().expect("no holder panics")
    }
}
