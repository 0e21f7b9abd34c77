//! `pnyx operator`: looks after GovernancePlatforms and GovernanceProposals as a process.

use std::{env, process::ExitCode};

use axum::Router;
use pnyx_operator::{Connected, OperatorConfig, Scope, observe::Books};

use super::{Process, Started, banner, file::ConfigFile, settings};
use crate::{cli::operator::OperatorArgs, screen};

/// Where it listens unless told otherwise.
const PORT: u16 = 8084;

/// Runs the process.
pub(crate) async fn run(args: OperatorArgs) -> anyhow::Result<ExitCode> {
    let serving = settings::serving(&args.serve, &ConfigFile::default(), PORT);
    let process = Process::begin("operator", serving).await?;
    let Started::Ready(Connected { client, namespace }) =
        process.start(async { Ok(pnyx_operator::connect().await?) }).await?
    else {
        screen::line("stopped before it was ready");
        return Ok(ExitCode::SUCCESS);
    };
    let config = config(args, namespace);
    let scope = match &config.scope {
        Scope::All => "all namespaces".to_owned(),
        Scope::Namespaces(names) => names.iter().cloned().collect::<Vec<_>>().join(", "),
    };
    let lease = format!("lease {}/{} as {}", config.lease_namespace, config.lease_name, config.identity);
    banner("operator", &[scope, lease]);
    let (health, stop, metrics) = (process.health.clone(), process.shutdown.clone(), process.metrics.clone());
    process.shutdown.spawn("operator", async move {
        pnyx_operator::run(config, client, &health, stop, &metrics, Books::default()).await
    });
    process.finish(Router::new(), "looking after resources, metrics on", async {}).await
}

fn config(args: OperatorArgs, own_namespace: String) -> OperatorConfig {
    let OperatorArgs {
        namespaces,
        lease_namespace,
        lease_name,
        identity,
        image,
        workers,
        credentials_folder,
        serve: _,
    } = args;
    // A pod that is started again keeps its name, and what its predecessor held is not its own.
    let identity = format!("{identity}-{:08x}", rand::random::<u32>());
    let folder = credentials_folder.unwrap_or_else(|| env::temp_dir().join(format!("pnyx-{identity}")));
    let lease_namespace = lease_namespace.unwrap_or(own_namespace);
    let default = OperatorConfig::new(identity, lease_namespace, folder);
    OperatorConfig {
        lease_name,
        scope: if namespaces.is_empty() { Scope::All } else { Scope::Namespaces(namespaces.into_iter().collect()) },
        workers: workers.unwrap_or(default.workers),
        image: image.unwrap_or_else(|| default.image.clone()),
        ..default
    }
}
