//! `pnyx crds`: the custom resource definitions, the same YAML that is committed in `crds/yaml/`.

use std::process::ExitCode;

use crate::screen;

/// Runs the command.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    screen::line(pnyx_crds::crd_yaml().trim_end());
    Ok(ExitCode::SUCCESS)
}
