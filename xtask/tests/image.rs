//! Both ways to an image make the same image, and what cannot be made is refused before anything is built.

use std::fs;

use clap::Parser as _;
use pnyx_testbed::oci;
use xtask::Command;

fn read(path: &str) -> String {
    fs::read_to_string(xtask::root().join(path)).expect(path)
}

/// The value of a key in the root Cargo.toml.
fn workspace(key: &str) -> String {
    let manifest = read("Cargo.toml");
    let value = manifest.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
    value.expect(key).to_owned()
}

fn refusal(arguments: &[&str]) -> String {
    let line = [["cargo xtask", "image"].as_slice(), arguments].concat();
    match Command::try_parse_from(line) {
        Ok(command) => xtask::run(command).expect_err("it is refused").to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_dockerfile_is_for_this_workspace() {
    let file = read("Dockerfile");
    let has = |line: &str| assert!(file.contains(line), "Dockerfile: no {line:?}");
    has(&format!("FROM docker.io/library/rust:{}.", workspace("rust-version")));
    has(&format!("org.opencontainers.image.version=\"{}\"", workspace("version")));
    has(&format!("org.opencontainers.image.licenses=\"{}\"", workspace("license")));
    has(&format!("\nUSER {}\n", oci::USER));
    has("\nENTRYPOINT [\"/usr/bin/pnyx\"]\n");
    has("ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt");
    // One release of Debian in both stages, or the program may need a newer C library than there is.
    let stages = file.lines().filter(|line| line.starts_with("FROM "));
    assert_eq!(stages.filter(|line| line.contains("bookworm") || line.contains("debian12")).count(), 2);
}

#[test]
fn what_cannot_be_made_is_refused_with_the_reason() {
    for (arguments, reason) in [
        (
            ["--tag", "pnyx"],
            "\"pnyx\" is no name of an image: it has no tag; write one such as registry.example/pnyx:1.0",
        ),
        (["--tag", "Pnyx:1"], "lower-case"),
        (["--profile", "bench"], "[possible values: dev, release]"),
        (["--output", "no/such/folder/image.tar"], "there is no folder for"),
    ] {
        let text = refusal(&arguments);
        assert!(text.contains(reason), "{arguments:?}: {text}");
    }
}
