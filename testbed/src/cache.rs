//! What is prepared once: kept outside the checkout, made by one process at a time, whole or not there.

use std::{
    env,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::TestbedError;

/// Names the folder for everything that tests prepare; by default `pnyx` in `XDG_CACHE_HOME` or in `~/.cache`.
pub const CACHE_VARIABLE: &str = "PNYX_TESTBED_CACHE";

/// Lines of a program's output that an error shows: enough for a Java stack trace and its cause.
const TAIL_LINES: usize = 40;

/// The folder for everything that tests prepare. It is made when missing.
///
/// # Errors
/// No variable names a folder, it lies in the checkout, or it cannot be made.
pub fn root() -> Result<PathBuf, TestbedError> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute(CACHE_VARIABLE)
        .or_else(|| absolute("XDG_CACHE_HOME").map(|cache| cache.join("pnyx")))
        .or_else(|| absolute("HOME").map(|home| home.join(".cache/pnyx")))
        .ok_or(TestbedError::NoCache)?;
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is a folder of the workspace");
    if folder.starts_with(checkout) {
        return Err(TestbedError::CacheInCheckout(folder));
    }
    make_folder(&folder)?;
    Ok(folder)
}

/// Makes `name` in the cache with `make`, which fills the folder it is given, unless it is there. Other processes that
/// want it wait; one that is killed leaves nothing that could be taken for whole.
pub(crate) fn prepared(
    name: &str,
    about: &str,
    make: impl FnOnce(&Path) -> Result<(), TestbedError>,
) -> Result<PathBuf, TestbedError> {
    let root = root()?;
    let folder = root.join(name);
    if folder.exists() {
        return Ok(folder);
    }
    let _lock = lock(&root.join(format!("{name}.lock")))?;
    if folder.exists() {
        return Ok(folder);
    }
    say(&format!("preparing {about} in {}", folder.display()));
    let aside = root.join(format!("{name}.part"));
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(|source| file_error("remove", &aside, source))?;
    }
    make_folder(&aside)?;
    make(&aside)?;
    fs::rename(&aside, &folder).map_err(|source| file_error("move a folder to", &folder, source))?;
    Ok(folder)
}

/// Waits for the lock that the file stands for; it is held as long as the file is open.
pub(crate) fn lock(path: &Path) -> Result<File, TestbedError> {
    let file = open_lock(path)?;
    file.lock().map_err(|source| file_error("lock", path, source))?;
    Ok(file)
}

/// Takes the lock that the file stands for, unless another has it.
pub(crate) fn try_lock(path: &Path) -> Result<Option<File>, TestbedError> {
    let file = open_lock(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(source)) => Err(file_error("lock", path, source)),
    }
}

/// Runs a program to its end; its output is shown only by the error.
pub(crate) fn run(command: &mut Command) -> Result<String, TestbedError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| TestbedError::Spawn { program: program.clone(), source })?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    let line = [program.into()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ");
    Err(TestbedError::Command { line, status: output.status, output: tail(&text) })
}

/// Whether a program can be run, by asking for its version.
pub(crate) fn has_program(name: &str, version_argument: &str) -> bool {
    run(Command::new(name).arg(version_argument)).is_ok()
}

/// Tells a person why a test takes long.
pub(crate) fn say(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "testbed: {text}");
}

/// The end of a log file, or why there is none.
pub(crate) fn tail_of(log: &Path) -> String {
    match fs::read(log) {
        Ok(bytes) => tail(&String::from_utf8_lossy(&bytes)),
        Err(error) => format!("no log at {}: {error}", log.display()),
    }
}

pub(crate) fn make_folder(path: &Path) -> Result<(), TestbedError> {
    fs::create_dir_all(path).map_err(|source| file_error("make the folder", path, source))
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), TestbedError> {
    fs::write(path, text).map_err(|source| file_error("write", path, source))
}

pub(crate) fn file_error(action: &'static str, path: &Path, source: io::Error) -> TestbedError {
    TestbedError::File { action, path: path.to_owned(), source }
}

fn open_lock(path: &Path) -> Result<File, TestbedError> {
    let opened = File::options().create(true).truncate(false).write(true).open(path);
    opened.map_err(|source| file_error("open", path, source))
}

pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
