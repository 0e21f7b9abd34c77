//! Container images without a daemon and without a registry: OCI archives, which runtimes import.
//!
//! An [`Archive`] is one image: a name, layers of files that are put into it and no others, and what a container runs.
//! Equal contents make equal bytes: entries are in order, everything belongs to root and is as old as 1970, and nothing of
//! the machine that writes is in it. [`of_program`] makes the image of a program of this machine with the libraries that it
//! needs; [`of_pnyx`] says what the image of `pnyx` is, for `cargo xtask image` and for tests alike.
//! [`of_kafka`] and [`of_redis`] stand in for the images of their makers where no registry is reached.

mod archive;
mod layer;
mod libraries;
mod name;
mod program;
mod servers;
mod tar;

pub use archive::Archive;
pub use layer::Layer;
pub use name::{ImageName, ImageNameError};
pub use program::{of_pnyx, of_program};
pub use servers::{of_kafka, of_redis};

/// Who runs in an image unless a pod says otherwise: the user and the group "nonroot", as in images of distroless.
pub const USER: &str = "65532:65532";
