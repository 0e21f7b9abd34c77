//! Which shared libraries a program needs, and where the loader of this machine finds them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{TestbedError, cache};

/// Folders that every loader looks into, beside folders in them for one kind of machine, such as `/lib/x86_64-linux-gnu`.
const FOLDERS: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

/// How folders for one kind of machine end.
const MACHINE_ENDS: [&str; 2] = ["-linux-gnu", "-linux-musl"];

/// The loader's variables that show it libraries elsewhere. Cargo sets the first for whatever it starts.
const VARIABLES: [&str; 2] = ["LD_LIBRARY_PATH", "LD_PRELOAD"];

/// The loader and all libraries that a program needs, those of its libraries included, where they lie on this machine. An
/// image with these files at these places can run it.
///
/// The program's own loader says what it would load, so that nothing about it is guessed. What lies in the folder that it
/// came with is left out: who puts the whole folder into an image has it there.
pub(super) fn needed_by(program: &Path, own: Option<&Path>) -> Result<Vec<PathBuf>, TestbedError> {
    let mut ldd = Command::new("ldd");
    for variable in VARIABLES {
        ldd.env_remove(variable);
    }
    match cache::run(ldd.arg(program).env("LC_ALL", "C")) {
        Ok(text) => read(&text, own).map_err(|problem| unfit(program, problem)),
        Err(TestbedError::Spawn { .. }) => Err(TestbedError::Missing {
            what: "ldd",
            advice: "it comes with the C library (Debian: libc-bin) and says which libraries an image has to hold",
        }),
        Err(TestbedError::Command { output, .. }) => Err(unfit(program, output.trim().to_owned())),
        Err(error) => Err(error),
    }
}

/// The output of `ldd`: a line for each library, such as `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f…)`. The
/// loader itself has no arrow, and what the kernel gives has no path.
fn read(text: &str, own: Option<&Path>) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "statically linked") {
        let (name, found) = line.split_once(" => ").unwrap_or((line, line));
        if found.starts_with("not found") {
            return Err(format!("this machine has no {name}, which it needs"));
        }
        let path = found.rsplit_once(" (").map_or(found, |(path, _)| path);
        let comes_along = own.is_some_and(|folder| Path::new(path).starts_with(folder));
        if path.starts_with('/') && !comes_along {
            paths.push(checked(path)?);
        }
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// A path where the loader looks without being told, which nothing in an image does.
fn checked(path: &str) -> Result<PathBuf, String> {
    let (folder, _) = path.rsplit_once('/').unwrap_or_default();
    let is_for_machine = folder
        .rsplit_once('/')
        .is_some_and(|(above, last)| FOLDERS.contains(&above) && MACHINE_ENDS.iter().any(|end| last.ends_with(end)));
    if FOLDERS.contains(&folder) || is_for_machine {
        return Ok(PathBuf::from(path));
    }
    Err(format!("it needs {path}, which the loader would not look for in an image; link it statically"))
}

fn unfit(program: &Path, problem: String) -> TestbedError {
    TestbedError::Unfit { program: program.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_and_every_library_are_found() {
        let text = "\tlinux-vdso.so.1 (0x00007f75befff000)\n\
                    \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f75beee2000)\n\
                    \tlibc.so.6 => /lib64/libc.so.6 (0x00007f75bc41e000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f75beff5000)\n";
        let found = read(text, None).expect("all are where loaders look");
        let paths = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2", "/lib64/libc.so.6"];
        assert_eq!(found, paths.map(PathBuf::from));
        assert!(read("\tstatically linked\n", None).expect("it needs none").is_empty());
    }

    #[test]
    fn what_an_image_could_not_hold_is_refused() {
        for (line, reason) in [
            ("libssl.so.3 => not found", "no libssl.so.3"),
            ("libx.so => /opt/x/libx.so (0x00)", "/opt/x/libx.so"),
            ("libx.so => /usr/local/lib/libx.so (0x00)", "/usr/local/lib/libx.so"),
            ("libx.so => /lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libx.so (0x00)", "glibc-hwcaps"),
        ] {
            let problem = read(line, None).expect_err(line);
            assert!(problem.contains(reason), "{problem}");
        }
    }

    #[test]
    fn what_comes_with_the_program_is_not_looked_for() {
        let text = "\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00)\n\
                    \tlibjli.so => /opt/java/bin/../lib/libjli.so (0x00)\n";
        let found = read(text, Some(Path::new("/opt/java"))).expect("all are found");
        assert_eq!(found, [PathBuf::from("/lib/x86_64-linux-gnu/libz.so.1")]);
        assert!(read(text, Some(Path::new("/opt/jav"))).is_err());
    }
}
