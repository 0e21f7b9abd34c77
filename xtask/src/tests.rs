//! The stage `tests`: all tests of the workspace, those that mostly wait beside others.
//!
//! Tests on a node wait for pods, windows and leases most of the time. So they run beside the tests of libraries; what
//! starts whole platforms and injects faults into them comes after both and has the machine for itself.

use std::{
    env,
    fs::{self, File},
    path::PathBuf,
    process::Child,
};

use anyhow::{Context as _, ensure};
use cargo_metadata::{MetadataCommand, TargetKind};

use crate::{peers, process};

/// The test targets that run on a node: in several packages.
const ON_A_NODE: &str = "node";

/// The package whose tests start whole platforms.
const PLATFORM: &str = "pnyx";

/// The whole workspace as in the stages before: another choice has other features and compiles libraries again.
const TEST: [&str; 5] = ["cargo", "test", "--locked", "--workspace", "--no-fail-fast"];

/// Runs all of them, and fails if one did.
pub(crate) fn run() -> anyhow::Result<()> {
    let modules = peers::modules()?;
    let run = |choice: &[String]| process::run_with(crate::root(), &line(choice), peers::MODULES_VARIABLE, &modules);
    let (platform, libraries) = targets()?;
    let node = Beside::start(&["--test".to_owned(), ON_A_NODE.to_owned()])?;
    let of_libraries = ["--lib".to_owned(), "--bins".to_owned()].into_iter().chain(libraries).collect::<Vec<_>>();
    let ends = [run(&of_libraries), node.finish(), run(&platform), run(&["--doc".to_owned()])];
    let failed: Vec<String> = ends.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

fn line(choice: &[String]) -> Vec<&str> {
    TEST.into_iter().chain(choice.iter().map(String::as_str)).collect()
}

/// Arguments that choose the integration tests of the platform, and those of all other packages, without what runs on a
/// node.
fn targets() -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let metadata =
        MetadataCommand::new().current_dir(crate::root()).no_deps().other_options(["--locked".into()]).exec()?;
    let (mut platform, mut libraries) = (Vec::new(), Vec::new());
    for package in metadata.workspace_packages() {
        let tests =
            package.targets.iter().filter(|target| target.is_kind(TargetKind::Test) && target.name != ON_A_NODE);
        let chosen = if *package.name == PLATFORM { &mut platform } else { &mut libraries };
        chosen.extend(tests.map(|target| format!("--test={}", target.name)));
    }
    // Cargo chooses targets of the whole workspace by name.
    let twice: Vec<_> = platform.iter().filter(|test| libraries.contains(test)).collect();
    ensure!(twice.is_empty(), "tests of {PLATFORM} need names of their own: {twice:?}");
    libraries.sort();
    libraries.dedup();
    Ok((platform, libraries))
}

/// Tests that run while others do; what they write is kept until it has an end.
struct Beside {
    line: String,
    child: Child,
    output: PathBuf,
}

impl Beside {
    fn start(choice: &[String]) -> anyhow::Result<Self> {
        let line = line(choice);
        let output = env::temp_dir().join(format!("pnyx-tests-beside-{}.log", std::process::id()));
        let file = File::create(&output).with_context(|| output.display().to_string())?;
        process::say(&format!("$ {} (beside what follows; shown when it has ended)", line.join(" ")))?;
        let child = process::command(crate::root(), &line).stderr(file.try_clone()?).stdout(file).spawn()?;
        Ok(Self { line: line.join(" "), child, output })
    }

    /// Waits for their end and shows what they wrote.
    fn finish(mut self) -> anyhow::Result<()> {
        process::say(&format!("\n== waiting for `{}`", self.line))?;
        let status = self.child.wait()?;
        process::say(&String::from_utf8_lossy(&fs::read(&self.output)?))?;
        fs::remove_file(&self.output)?;
        ensure!(status.success(), "`{}` failed: {status}", self.line);
        Ok(())
    }
}
