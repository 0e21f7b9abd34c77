//! Prints the custom resource definitions; `cargo xtask gen` writes them beside the sources with it.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    io::stdout().lock().write_all(pnyx_crds::crd_yaml().as_bytes())
}
