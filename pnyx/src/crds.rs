//! `pnyx crds`: the custom resource definitions, the same YAML that is committed in `crds/yaml/`.

use std::process::ExitCode;

use anyhow::Context as _;
use pnyx_crds::Kind;

use crate::{cli::CrdsArgs, screen};

/// Runs the command.
pub(crate) fn run(args: &CrdsArgs) -> anyhow::Result<ExitCode> {
    let yaml = match &args.name {
        None => pnyx_crds::crd_yaml(),
        Some(name) => {
            let kind = Kind::ALL.into_iter().find(|kind| kind.plural() == *name);
            let names = || format!("\"{name}\" is none of {}", Kind::ALL.map(Kind::plural).join(" and "));
            kind.with_context(names)?.yaml()
        }
    };
    screen::line(yaml.trim_end());
    Ok(ExitCode::SUCCESS)
}
