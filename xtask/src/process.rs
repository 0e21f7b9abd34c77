//! Programs that tasks start: in the root folder, without standard input, and named in full when they fail.

use std::{
    env,
    io::{self, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

/// Runs a command line in the root folder with its output shown as it comes.
pub(crate) fn run(line: &[&str]) -> anyhow::Result<()> {
    run_in(crate::root(), line)
}

/// As [`run`], in another folder. `PNYX_ROOT` names the root folder for scripts.
pub(crate) fn run_in(folder: &Path, line: &[&str]) -> anyhow::Result<()> {
    run_with(folder, line, "PNYX_ROOT", crate::root())
}

/// As [`run_in`], with one variable more in the environment.
pub(crate) fn run_with(folder: &Path, line: &[&str], variable: &str, value: &Path) -> anyhow::Result<()> {
    say(&format!("$ {}", line.join(" ")))?;
    let status = command(folder, line)
        .env(variable, value)
        .status()
        .with_context(|| format!("failed to start `{}`", line[0]))?;
    ensure!(status.success(), "`{}` failed: {status}", line.join(" "));
    Ok(())
}

/// As [`run`], of two command lines: the second reads what the first writes.
pub(crate) fn run_piped(first: &[&str], second: &[&str]) -> anyhow::Result<()> {
    say(&format!("$ {} | {}", first.join(" "), second.join(" ")))?;
    let start = |line: &[&str]| format!("failed to start `{}`", line[0]);
    let mut writer = command(crate::root(), first).stdout(Stdio::piped()).spawn().with_context(|| start(first))?;
    let pipe = writer.stdout.take().context("the first has a pipe")?;
    let read = command(crate::root(), second).stdin(pipe).status();
    // Waited for in any case: its end says more than that of who read nothing.
    let written = writer.wait()?;
    ensure!(written.success(), "`{}` failed: {written}", first.join(" "));
    let read = read.with_context(|| start(second))?;
    ensure!(read.success(), "`{}` failed: {read}", second.join(" "));
    Ok(())
}

/// Runs a command line in the root folder and returns what it wrote to standard output.
pub(crate) fn output(line: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = command(crate::root(), line)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("failed to start `{}`", line[0]))?;
    ensure!(output.status.success(), "`{}` failed: {}", line.join(" "), output.status);
    Ok(output.stdout)
}

/// As [`output`], without a word where the program is missing or fails.
pub(crate) fn output_quietly(line: &[&str]) -> Option<Vec<u8>> {
    let output = command(crate::root(), line).stderr(Stdio::null()).output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// Writes one line to standard output.
pub(crate) fn say(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// A command line that can be started, in this folder.
pub(crate) fn command(folder: &Path, line: &[&str]) -> Command {
    let (program, arguments) = line.split_first().expect("a command line names a program");
    // The cargo that runs this task, so that a toolchain chosen with `+` stays chosen.
    let cargo = env::var_os("CARGO").filter(|_| *program == "cargo");
    let mut command = Command::new(cargo.unwrap_or_else(|| program.into()));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command
}
