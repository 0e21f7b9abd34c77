//! Programs that are run to their end within a time.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    TestbedError,
    cache::{self, file_error},
    process::POLL_INTERVAL,
};

/// How long one command may take: `helm install --wait` of a chart whose pods start slowly, on a machine that compiles.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs the command, with a file as its standard input, and returns what it wrote to standard output.
pub(super) fn output(command: &mut Command, input: Option<&Path>) -> Result<String, TestbedError> {
    let line = line_of(command);
    let spawn_error = |source| TestbedError::Spawn { program: line.clone(), source };
    let stdin = match input {
        Some(path) => File::open(path).map_err(|source| file_error("open", path, source))?.into(),
        None => Stdio::null(),
    };
    let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(spawn_error)?;
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    // Read beside waiting: who writes more than a pipe holds would never end.
    let (status, written, complaints) = thread::scope(|scope| {
        let written = scope.spawn(move || read_all(stdout.as_mut()));
        let complaints = scope.spawn(move || read_all(stderr.as_mut()));
        let status = wait(&mut child);
        let text = |reader: thread::ScopedJoinHandle<'_, String>| reader.join().unwrap_or_default();
        (status, text(written), text(complaints))
    });
    let all = || cache::tail(&format!("{written}{complaints}"));
    match status.map_err(spawn_error)? {
        Some(status) if status.success() => Ok(written),
        Some(status) => Err(TestbedError::Command { line, status, output: all() }),
        None => Err(TestbedError::TimedOut {
            what: format!("`{line}` did not end"),
            limit_ms: LIMIT.as_millis(),
            log: all(),
        }),
    }
}

/// How the child ended; nothing if it had to be killed.
fn wait(child: &mut Child) -> std::io::Result<Option<std::process::ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() >= LIMIT {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn read_all(pipe: Option<&mut impl std::io::Read>) -> String {
    let mut bytes = Vec::new();
    // What could be read before an error is what there is to show.
    let _ = pipe.map(|pipe| pipe.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn line_of(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
