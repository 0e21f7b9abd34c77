//! The tasks of `cargo xtask`, in Rust so that they are typed and run everywhere.

mod bench;
mod chaos;
pub mod generated;
mod image;
mod kind;
mod peers;
mod process;
mod stages;
mod testbed;
mod tests;

use std::path::Path;

use clap::Parser;

/// Tests, checks and regenerates this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub enum Command {
    /// Runs all stages in order and reports how long each took.
    Test {
        /// Runs this stage alone; may be given several times.
        #[arg(long, value_name = "STAGE", value_parser = stages::names())]
        only: Vec<String>,
        /// Lists the stages instead of running them.
        #[arg(long)]
        list: bool,
    },
    /// Checks format, clippy and tidiness.
    Lint,
    /// Writes the committed generated files again.
    Gen {
        /// Changes nothing and fails if a file is not as it would be written.
        #[arg(long)]
        check: bool,
    },
    /// Runs the benchmarks and prints what they measured.
    Bench {
        /// Runs only the benchmarks whose name contains this text.
        name: Option<String>,
        /// Handed to each of them: `edge_kafka -- three` measures with three brokers only.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Injects faults into a running pipeline under load and checks that nothing is lost or counted twice.
    Chaos(chaos::Chaos),
    /// Writes the container image of pnyx as an archive, without a daemon.
    Image(image::Image),
    /// Runs the quick start of docs/kind.md on a Kubernetes inside of Docker.
    #[command(subcommand)]
    Kind(kind::Kind),
    /// Starts and ends Kafka, Redis, an EVM node and Kubernetes, as tests use them.
    #[command(subcommand)]
    Testbed(testbed::Testbed),
}

/// Runs one task.
///
/// # Errors
/// What failed, with the command line to repeat it.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Test { list: true, .. } => stages::list(),
        Command::Test { only, list: false } => {
            stages::run(|stage| only.is_empty() || only.iter().any(|name| name == stage))
        }
        Command::Lint => stages::run(|stage| stages::LINT.contains(&stage)),
        Command::Gen { check: false } => generated::write(),
        Command::Gen { check: true } => generated::check(),
        Command::Bench { name, arguments } => bench::run(name.as_deref().unwrap_or(""), &arguments),
        Command::Chaos(chaos) => chaos::run(&chaos),
        Command::Image(image) => image::run(&image).map(drop),
        Command::Kind(task) => kind::run(&task),
        Command::Testbed(task) => testbed::run(task),
    }
}

/// The folder of the root Cargo.toml.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}
