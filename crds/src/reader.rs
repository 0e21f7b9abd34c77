//! Resources from YAML files, read as strictly as `kubectl apply --validate=strict` does, with the path of each mistake.

mod document;
mod hint;

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use pnyx_core::{
    proposal::{Proposal, ProposalError},
    scaling::ScalingSpec,
    time::Window,
};

use crate::{GovernancePlatform, GovernanceProposal, resolve, resolve_scaling};

use document::Document;

/// Largest file: more than two resources at the size limit of a Kubernetes object (1.5 MiB).
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Most YAML files of one directory: a wrong directory is noticed before it is read into memory.
pub const FILES_MAX: usize = 1_000;

/// A resource and the file it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    file: PathBuf,
    proposal: GovernanceProposal,
}

/// One thing wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// The file or directory.
    pub file: PathBuf,
    /// Path in the resource, such as `spec.choices[2]`; empty where the whole file is meant.
    pub path: String,
    /// What is wrong.
    pub problem: String,
}

/// Everything wrong with the files read, one line each; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError(Vec<FileProblem>);

/// What one file holds.
struct Contents {
    file: PathBuf,
    documents: Vec<Document>,
    problems: Vec<FileProblem>,
}

/// Reads all proposals of a file, or of all `.yaml` and `.yml` files directly in a directory, in order of file name.
/// Platforms beside them must be well-formed too.
///
/// # Errors
/// All problems of all files.
pub fn read_resources(path: &Path) -> Result<Vec<Resource>, ReadError> {
    let mut resources: Vec<Resource> = Vec::new();
    let mut problems = Vec::new();
    let mut has_platform = false;
    for Contents { file, documents, problems: found } in read_files(path)? {
        problems.extend(found);
        for document in documents {
            let Document::Proposal(proposal) = document else {
                has_platform = true;
                continue;
            };
            let resource = Resource { file: file.clone(), proposal: *proposal };
            match resources.iter().find(|earlier| earlier.key() == resource.key()) {
                None => resources.push(resource),
                Some(earlier) => problems.push(resource.repeats(earlier)),
            }
        }
    }
    if !problems.is_empty() {
        return Err(ReadError(problems));
    }
    if resources.is_empty() {
        let problem =
            if has_platform { "holds a GovernancePlatform, but no GovernanceProposal" } else { "holds no resource" };
        return Err(ReadError::of_file(path, problem.to_owned()));
    }
    Ok(resources)
}

/// Reads all platforms of a file or directory, as [`read_resources`] does proposals; there may be none.
///
/// # Errors
/// All problems of all files.
pub fn read_platforms(path: &Path) -> Result<Vec<GovernancePlatform>, ReadError> {
    let mut platforms = Vec::new();
    let mut problems = Vec::new();
    for Contents { documents, problems: found, .. } in read_files(path)? {
        problems.extend(found);
        platforms.extend(documents.into_iter().filter_map(|document| match document {
            Document::Platform(platform) => Some(*platform),
            Document::Proposal(_) => None,
        }));
    }
    if problems.is_empty() { Ok(platforms) } else { Err(ReadError(problems)) }
}

fn read_files(path: &Path) -> Result<Vec<Contents>, ReadError> {
    let files = files(path).map_err(|problem| ReadError::of_file(path, problem))?;
    let contents = |file: PathBuf| {
        let (documents, found) = match read_file(&file) {
            Ok(text) => document::read_all(&text),
            Err(problem) => (Vec::new(), vec![(String::new(), problem)]),
        };
        let in_file = |(path, problem)| FileProblem { file: file.clone(), path, problem };
        let problems = found.into_iter().map(in_file).collect();
        Contents { file, documents, problems }
    };
    Ok(files.into_iter().map(contents).collect())
}

impl Resource {
    /// The file it was read from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The resource; its namespace is set.
    pub const fn proposal(&self) -> &GovernanceProposal {
        &self.proposal
    }

    /// As [`resolve`], with the file named in each problem.
    ///
    /// # Errors
    /// All problems found, in the order of the resource's fields.
    pub fn resolve(&self, platform: &str, window: Option<Window>) -> Result<Proposal, ReadError> {
        resolve(&self.proposal, platform, window).map_err(|errors| self.in_file(errors))
    }

    /// As [`resolve_scaling`], with the file named in each problem.
    ///
    /// # Errors
    /// All problems found, in the order of the resource's fields.
    pub fn resolve_scaling(&self) -> Result<ScalingSpec, ReadError> {
        resolve_scaling(&self.proposal).map_err(|errors| self.in_file(errors))
    }

    fn in_file(&self, errors: Vec<ProposalError>) -> ReadError {
        let in_file = |ProposalError { path, problem }| FileProblem { file: self.file.clone(), path, problem };
        ReadError(errors.into_iter().map(in_file).collect())
    }

    fn key(&self) -> (Option<&str>, Option<&str>) {
        (self.proposal.metadata.namespace.as_deref(), self.proposal.metadata.name.as_deref())
    }

    fn repeats(&self, earlier: &Self) -> FileProblem {
        let (namespace, name) = self.key();
        let (namespace, name) = (namespace.unwrap_or_default(), name.unwrap_or_default());
        FileProblem {
            file: self.file.clone(),
            path: "metadata.name".to_owned(),
            problem: format!("\"{name}\" in namespace \"{namespace}\" is already in {}", earlier.file.display()),
        }
    }
}

impl ReadError {
    /// The problems, in the order of files and their fields.
    pub fn problems(&self) -> &[FileProblem] {
        &self.0
    }

    fn of_file(file: &Path, problem: String) -> Self {
        Self(vec![FileProblem::of_file(file, problem)])
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ReadError {}

impl FileProblem {
    fn of_file(file: &Path, problem: String) -> Self {
        Self { file: file.to_owned(), path: String::new(), problem }
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{}: {}{separator}{}", self.file.display(), self.path, self.problem)
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            files.push(file);
        }
        if files.len() > FILES_MAX {
            return Err(format!("holds more than {FILES_MAX} YAML files"));
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    let length = read.map_err(|error| format!("cannot be read: {error}"))?;
    if u64::try_from(length).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(format!("is larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}
