//! The image of one program: itself, the libraries that it needs, and what programs look for in `/etc`.

use std::{fs, path::Path, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Archive, ImageName, Layer, libraries};
use crate::{
    TestbedError,
    cache::{self, file_error},
    directory::Directory,
};

/// Where the authorities are that certificates are checked against, and the variable that names it. OpenSSL inside of
/// Kafka's client was built to look elsewhere, and finds it by this variable alone.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
const AUTHORITIES_VARIABLE: &str = "SSL_CERT_FILE";

/// Characters of a line in PEM.
const PEM_LINE_LEN: usize = 64;

/// Small files that the C library reads, with the user and the group of [`super::USER`].
const FILES: [(&str, &str); 3] = [
    ("/etc/passwd", "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"),
    ("/etc/group", "root:x:0:\nnonroot:x:65532:\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/// Where the image of Pnyx has its program.
const PNYX_PATH: &str = "/usr/bin/pnyx";

/// The image of Pnyx, from a binary of it.
///
/// # Errors
/// As of [`of_program`].
pub fn of_pnyx(name: ImageName, binary: &Path) -> Result<Archive, TestbedError> {
    let labels = [
        ("title", "pnyx"),
        ("description", "Governance voting that does not gridlock: every component of Pnyx in one program"),
        ("licenses", env!("CARGO_PKG_LICENSE")),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    let archive = of_program(name, binary, PNYX_PATH)?;
    Ok(labels
        .iter()
        .fold(archive, |archive, (key, value)| archive.label(&format!("org.opencontainers.image.{key}"), value)))
}

/// An image that runs a program of this machine, which lies at `place` in it. There it finds its libraries, public
/// authorities, a user's name and an empty `/tmp`, and no shell.
///
/// # Errors
/// The program cannot be read, or needs what an image cannot hold; `ldd` or `strip` is missing.
pub fn of_program(name: ImageName, program: &Path, place: &str) -> Result<Archive, TestbedError> {
    let system = system_for(program, None)?.file(AUTHORITIES, 0o644, authorities());
    let folder = place.rsplit_once('/').map_or("/", |(folder, _)| folder);
    // The program in a layer of its own: the other one stays the same from build to build.
    Ok(Archive::new(name)
        .layer(system)
        .layer(Layer::new().file(place, 0o755, stripped(program)?))
        .entrypoint(&[place])
        .variable("PATH", folder)
        .variable(AUTHORITIES_VARIABLE, AUTHORITIES))
}

/// What a program finds beside itself: its libraries, a user's name and an empty `/tmp`. Libraries in the folder that it came
/// with are left out.
pub(super) fn system_for(program: &Path, own: Option<&Path>) -> Result<Layer, TestbedError> {
    let mut system = Layer::new().folder("/tmp", 0o1777);
    for (path, text) in FILES {
        system = system.file(path, 0o644, text);
    }
    for library in libraries::needed_by(program, own)? {
        let content = fs::read(&library).map_err(|source| file_error("read", &library, source))?;
        system = system.file(&library.to_string_lossy(), 0o755, content);
    }
    Ok(system)
}

/// The program without what debuggers alone read. Names of functions stay, so that a panic says where it was.
fn stripped(program: &Path) -> Result<Vec<u8>, TestbedError> {
    let directory = Directory::new()?;
    let output = directory.path().join("program");
    let mut strip = Command::new("strip");
    cache::run(strip.args(["--strip-debug", "-o"]).arg(&output).arg(program)).map_err(|error| match error {
        TestbedError::Spawn { .. } => TestbedError::Missing {
            what: "strip",
            advice: "install it (Debian: apt-get install binutils); compilers for C bring it",
        },
        other => other,
    })?;
    fs::read(&output).map_err(|source| file_error("read", &output, source))
}

/// Mozilla's authorities in PEM. Not those of this machine, which may have some that only its owner trusts.
fn authorities() -> String {
    let mut text = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(certificate);
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(PEM_LINE_LEN));
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}
