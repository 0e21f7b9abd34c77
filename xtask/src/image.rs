//! The container image of `pnyx`, written without a daemon: an archive that runtimes import.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use cargo_metadata::MetadataCommand;
use clap::ValueEnum;
use pnyx_testbed::oci::{self, ImageName};

use crate::process;

/// What is built, and where the archive lies.
#[derive(Debug, clap::Args)]
pub struct Image {
    /// Writes the archive to this file, by default pnyx-image.tar in cargo's target folder.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How the program is compiled; `dev` is optimised, and it is the one that tests run.
    #[arg(long, value_enum, default_value_t = Profile::Dev)]
    profile: Profile,
    /// The name of the image with its tag.
    #[arg(long, value_name = "REF", default_value = concat!("pnyx:", env!("CARGO_PKG_VERSION")))]
    tag: ImageName,
}

/// One of cargo's profiles.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Profile {
    /// Optimised, with checks of assertions and overflows; nothing is compiled that tests do not need as well.
    Dev,
    /// Without these checks. Compiles everything once more.
    Release,
}

impl Image {
    /// An image of this name, where it is by default.
    pub(crate) const fn named(tag: ImageName, profile: Profile) -> Self {
        Self { output: None, profile, tag }
    }
}

impl Profile {
    /// The command line that builds the program. That of tests builds all that they need as well: a choice of less has other
    /// features and compiles libraries again.
    const fn build(self) -> &'static [&'static str] {
        match self {
            Self::Dev => &["cargo", "build", "--locked", "--workspace", "--all-targets"],
            Self::Release => &["cargo", "build", "--locked", "--package", "pnyx", "--bin", "pnyx", "--release"],
        }
    }

    /// The program below cargo's target folder.
    const fn program(self) -> &'static str {
        match self {
            Self::Dev => "debug/pnyx",
            Self::Release => "release/pnyx",
        }
    }
}

/// Builds the program and writes its image. Returns where the archive is.
pub(crate) fn run(image: &Image) -> anyhow::Result<PathBuf> {
    let Image { output, profile, tag } = image;
    ensure!(cfg!(target_os = "linux"), "an image holds libraries of Linux; build the Dockerfile here instead");
    let metadata = MetadataCommand::new().manifest_path(crate::root().join("Cargo.toml")).no_deps().exec()?;
    let default = || metadata.target_directory.join("pnyx-image.tar").into_std_path_buf();
    // From where the person is who asks, and not from the root as other tasks.
    let output = std::path::absolute(output.clone().unwrap_or_else(default))?;
    let folder = output.parent().filter(|folder| folder.is_dir());
    ensure!(folder.is_some(), "there is no folder for {}", output.display());
    process::run(profile.build())?;
    let program = metadata.target_directory.join(profile.program());
    let mut archive = oci::of_pnyx(tag.clone(), program.as_std_path())?;
    if let Some(revision) = revision() {
        archive = archive.label("org.opencontainers.image.revision", &revision);
    }
    let digest = archive.write(&output)?;
    let len = output.metadata().with_context(|| format!("no {}", output.display()))?.len();
    process::say(&format!("image    {tag} · {digest}"))?;
    process::say(&format!("archive  {} · {}.{} MB", output.display(), len / 1_000_000, len / 100_000 % 10))?;
    process::say("import   kind load image-archive · ctr images import · docker load -i · podman load -i")?;
    Ok(output)
}

/// The commit that was built; nothing where there is none, or where more than it was built.
fn revision() -> Option<String> {
    // Whoever builds without git, or from an archive of the sources, has an image all the same.
    let output = |line: &[&str]| Some(String::from_utf8(process::output_quietly(line)?).ok()?.trim().to_owned());
    let is_clean = output(&["git", "status", "--porcelain"])?.is_empty();
    output(&["git", "rev-parse", "HEAD"]).filter(|_| is_clean)
}
