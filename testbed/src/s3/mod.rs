//! An object store that speaks S3: the Versity S3 Gateway, which keeps objects as files.

mod options;
mod server;

use std::path::PathBuf;

pub use options::S3Options;
pub use server::{S3_REGION, S3Server};

use crate::{TestbedError, go};

/// Under this name the cache has it.
const NAME: &str = "versitygw-1.8.0";

/// What is built.
const MODULE: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";

/// Builds the server unless it is there, which takes minutes.
///
/// # Errors
/// Go is missing, a module cannot be had, or the cache cannot be used.
pub fn prepare() -> Result<(), TestbedError> {
    program().map(|_| ())
}

fn program() -> Result<PathBuf, TestbedError> {
    go::installed(NAME, MODULE, "versitygw", "2 to 3 minutes on 2 cores, once")
}
