//! The commands of `pnyx`. A library, so that tests run the same code in-process that the binary runs.

pub mod cli;
pub mod dev;
pub mod process;

pub mod audit;
pub mod crds;
pub mod explain;
pub mod load;
pub mod receipt;
pub mod shell;
pub mod simulate;
pub mod vote;

mod client;
mod http;
mod numbers;
mod proposing;
mod screen;
mod serving;
mod trying;
mod wallet;

use std::process::ExitCode;

use anyhow::Context as _;
use cli::{Cli, Command};

/// Exit code of a command that ran and found something wrong (a difference, an invalid archive, a refused ballot).
pub const EXIT_FOUND_WRONG: u8 = 1;

/// Exit code of a command that could not do its work.
pub const EXIT_FAILED: u8 = 2;

/// Exit code of a command that could not do its work, and would not if it were run again: somebody has to look first.
pub const EXIT_LASTING: u8 = 3;

/// Runs a parsed command line; prints an error's whole chain once, here.
pub fn main_with(cli: Cli) -> ExitCode {
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            screen::error_line(&format!("error: {error:#}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Starts what every command needs and runs the command.
fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { log_format, log_filter, command } = cli;
    pnyx_backbone::telemetry::init(log_format, &log_filter).context("starting the log")?;
    // Two crypto providers may be linked in; clients panic unless one is chosen. A second choice in one process is harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async move {
        match command {
            Command::Dev(args) => dev::run(args).await,
            Command::Ingest(args) => process::ingest::run(*args).await,
            Command::Verifier(args) => process::verifier::run(*args).await,
            Command::Tally(args) => Box::pin(process::tally::run(*args)).await,
            Command::Recount(args) => process::recount::run(*args).await,
            Command::Propose(args) => process::propose::run(*args).await,
            Command::Operator(args) => Box::pin(process::operator::run(*args)).await,
            Command::Vote(args) => vote::run(args).await,
            Command::Load(args) => load::run(args).await,
            Command::Audit(args) => audit::run(args).await,
            Command::Receipt(args) => receipt::run(args),
            Command::Explain(args) => explain::run(args).await,
            Command::Simulate(args) => simulate::run(&args),
            Command::Crds(args) => crds::run(&args),
            Command::Openapi => http::print_openapi(),
            Command::Completions(args) => shell::completions(&args),
            Command::Man(args) => shell::man(&args),
        }
    })
}
