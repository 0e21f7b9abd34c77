//! `pnyx load` as a process of its own, as anybody would run it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::{http, pnyx};

/// A running `pnyx load --json`, killed when dropped.
pub(crate) struct Load {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

/// What it reported.
pub(crate) struct LoadReport {
    /// Its exit code was 0: everything came out as expected.
    pub(crate) is_good: bool,
    /// Its JSON.
    pub(crate) json: Value,
    errors: String,
}

impl Load {
    /// Starts it; its outputs go to files in `folder` that begin with `name`.
    pub(crate) fn start(folder: &Path, name: &str, arguments: impl FnOnce(&mut Command)) -> Self {
        let (output, errors) = (folder.join(format!("{name}.json")), folder.join(format!("{name}.err")));
        let mut command = pnyx();
        command.args(["load", "--json"]);
        arguments(&mut command);
        command.stdin(Stdio::null()).stdout(File::create(&output).unwrap()).stderr(File::create(&errors).unwrap());
        Self { child: command.spawn().unwrap(), output, errors }
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self, limit: Duration) -> LoadReport {
        let status = http::poll("the end of `pnyx load`", limit, || self.child.try_wait().unwrap());
        let text = fs::read_to_string(&self.output).unwrap();
        let errors = fs::read_to_string(&self.errors).unwrap();
        let json = serde_json::from_str(text.trim()).unwrap_or(Value::Null);
        LoadReport { is_good: status.success() && !json.is_null(), json, errors }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl LoadReport {
    /// A number of the report.
    pub(crate) fn number(&self, field: &str) -> u64 {
        self.json[field].as_u64().unwrap_or_else(|| panic!("no {field} in {}\n{}", self.json, self.errors))
    }

    /// Fails with everything it said unless everything came out as expected.
    pub(crate) fn assert_good(&self) {
        assert!(self.is_good, "{}\n{}", self.json, self.errors);
    }
}
