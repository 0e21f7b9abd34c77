//! What can go wrong with a server that a test wants.

use std::{error::Error as _, fmt, io, path::PathBuf, process::ExitStatus};

use thiserror::Error;

/// Why a server could not be prepared, started or handled. Each text is one that a person can act on.
///
/// `Debug` shows text and sources as they are, since this is what an `unwrap` in a test prints, and logs have many lines.
#[derive(Error)]
#[non_exhaustive]
pub enum TestbedError {
    /// Neither `PNYX_TESTBED_CACHE`, `XDG_CACHE_HOME` nor `HOME` names an absolute folder.
    #[error("nowhere to keep what tests prepare; set PNYX_TESTBED_CACHE to a folder")]
    NoCache,
    /// The folder for what is prepared lies in the checkout.
    #[error("{0} lies in the checkout; set PNYX_TESTBED_CACHE to a folder outside")]
    CacheInCheckout(PathBuf),
    /// A program that tests need is not on this machine.
    #[error("{what} is missing; {advice}")]
    Missing {
        /// What is needed.
        what: &'static str,
        /// What to install, or what to set instead.
        advice: &'static str,
    },
    /// A file or folder could not be used.
    #[error("failed to {action} {path}")]
    File {
        /// What was to be done with it.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A program could not be started at all.
    #[error("failed to start `{program}`")]
    Spawn {
        /// The program.
        program: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A program that prepares something ended with an error.
    #[error("`{line}` failed: {status}\n{output}")]
    Command {
        /// The command line.
        line: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote.
        output: String,
    },
    /// A server or process ended although it should run.
    #[error("{what} ended: {status}; the end of its log:\n{log}")]
    Died {
        /// Which one.
        what: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// Something did not happen in time.
    #[error("{what} within {limit_ms} ms; the end of its log:\n{log}")]
    TimedOut {
        /// What did not happen, as the beginning of a sentence.
        what: String,
        /// How long it was waited for, in milliseconds.
        limit_ms: u128,
        /// The end of its log.
        log: String,
    },
    /// No port of the range is free.
    #[error("no port between {first} and {last} is free")]
    NoPort {
        /// First port that was tried.
        first: u16,
        /// Last port that was tried.
        last: u16,
    },
    /// Only the owner of a server can do this, and a variable points to somebody else's.
    #[error("cannot {action}: {variable} points to a server that is not ours; unset it")]
    NotOurs {
        /// What was asked for.
        action: &'static str,
        /// The variable.
        variable: &'static str,
    },
    /// A variable that points to a server cannot be read.
    #[error("{variable} must look like {form}")]
    BadVariable {
        /// The variable.
        variable: &'static str,
        /// The form it must have.
        form: &'static str,
    },
    /// A process is not in the state that the call needs.
    #[error("cannot {action} {what}: it does not run")]
    NotRunning {
        /// What was asked for.
        action: &'static str,
        /// Which process.
        what: String,
    },
    /// The system refused a signal.
    #[error("failed to signal {what}")]
    Signal {
        /// Which process.
        what: String,
        /// What the system says.
        #[source]
        source: rustix::io::Errno,
    },
    /// A connection failed.
    #[error("failed to {action} {address}")]
    Network {
        /// What was to be done.
        action: &'static str,
        /// With whom.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Redis answered with an error or with something else than asked for.
    #[error("redis answered `{command}` with: {answer}")]
    Redis {
        /// Name of the command, without its arguments, which may be secrets.
        command: String,
        /// What it answered.
        answer: String,
    },
    /// The EVM node answered with an error, or a transaction failed.
    #[error("the EVM node answered `{method}` with: {answer}")]
    Evm {
        /// Name of the JSON-RPC method.
        method: String,
        /// What it answered.
        answer: String,
    },
    /// A NetworkPolicy has what the node of the test bed does not enforce.
    #[error("the network policy {name} has {problem}, which the node does not enforce")]
    Policy {
        /// Its namespace and name.
        name: String,
        /// What it has.
        problem: &'static str,
    },
    /// Prometheus answered with an error or with something else than asked for.
    #[error("prometheus answered {question} with: {answer}")]
    Prometheus {
        /// The path that was asked for.
        question: String,
        /// What it answered.
        answer: String,
    },
    /// A text names no image.
    #[error(transparent)]
    ImageName(#[from] crate::oci::ImageNameError),
    /// An archive cannot hold a file of this name.
    #[error("{name} has more than the {len_max} bytes that a name in an image may have")]
    LongName {
        /// The path of the file in the image, or where a link leads.
        name: String,
        /// Most bytes of one.
        len_max: usize,
    },
    /// No image can be made of a program.
    #[error("no image can be made of {program}: {problem}")]
    Unfit {
        /// The program.
        program: PathBuf,
        /// Why not.
        problem: String,
    },
    /// A certificate could not be made.
    #[error("failed to make a certificate")]
    Certificate(#[from] rcgen::Error),
}

impl fmt::Debug for TestbedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")?;
        let mut source = self.source();
        while let Some(error) = source {
            write!(formatter, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
