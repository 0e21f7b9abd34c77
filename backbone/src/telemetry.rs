//! Telemetry: structured logs on standard error, and the metrics registry.

use std::{
    error::Error,
    fmt::{self, Write as _},
    io::{self, IsTerminal as _},
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{encoding::text, registry::Registry};
use thiserror::Error;
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt as subscriber, util::TryInitError};

/// What every metric's name begins with.
const METRICS_PREFIX: &str = "pnyx";

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Why the log lines cannot be started.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("log filter {filter:?} cannot be read")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// Something else in this process took the log lines before.
    #[error("log output was started twice")]
    Started {
        /// What the subscriber says.
        #[source]
        source: TryInitError,
    },
}

/// Sends log lines that pass `filter` (such as `info` or `info,pnyx_ingest=debug`) to standard error. Once a process.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

    let parsed =
        EnvFilter::try_new(filter).map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })?;
    let registry = tracing_subscriber::registry().with(parsed);
    let started = match format {
        // Colours are for terminals; in a file they would be in the way of whoever searches it.
        LogFormat::Text => {
            let layer = subscriber::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
            registry.with(layer).try_init()
        }
        LogFormat::Json => registry.with(subscriber::layer().json().with_writer(io::stderr)).try_init(),
    };
    started.map_err(|source| TelemetryError::Started { source })
}

/// An error and everything behind it, as one line: `cannot open the log: disk full`.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        write!(line, ": {error}").expect("writing to a string cannot fail");
        source = error.source();
    }
    line
}

/// The metrics of this process: one registry into which each component registers its own struct of metrics.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// An empty registry; names get the prefix `pnyx_`.
    pub fn new() -> Self {
        Self { registry: Arc::new(Mutex::new(Registry::with_prefix(METRICS_PREFIX))) }
    }

    /// Lets a component register its metrics and returns what it makes of them.
    pub fn register<M>(&self, register: impl FnOnce(&mut Registry) -> M) -> M {
        register(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All metrics in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        text::encode(&mut text, &registry).expect("writing to a string cannot fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
