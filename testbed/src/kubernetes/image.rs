//! Container images without a registry: OCI archives of one layer.

use std::{fs, path::Path};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::tar::Tar;
use crate::{
    TestbedError, apt,
    cache::{self, file_error},
};

/// What the one program of an image with a shell is called by.
const SHELL_NAMES: [&str; 14] =
    ["cat", "date", "env", "false", "grep", "httpd", "ls", "nc", "nslookup", "ping", "sh", "sleep", "true", "wget"];

/// An image for pods of a test. It has the files that are put into it, and no others.
#[derive(Debug)]
pub struct Image {
    name: String,
    layer: Tar,
    entrypoint: Vec<String>,
    user: String,
}

impl Image {
    /// An empty image under a full name with a tag, such as `registry.test/web:1`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut layer = Tar::default();
        for (folder, mode) in [("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)] {
            layer.folder(folder, mode);
        }
        layer.file("etc/passwd", 0o644, b"root:x:0:0:root:/:/bin/sh\nnobody:x:65532:65532:nobody:/:/bin/sh\n");
        Self { name: name.to_owned(), layer, entrypoint: Vec::new(), user: "65532:65532".to_owned() }
    }

    /// An image with a shell, `httpd`, `wget`, `nslookup` and the usual small programs: Debian's static BusyBox.
    ///
    /// # Errors
    /// The package cannot be had.
    pub fn with_shell(name: &str) -> Result<Self, TestbedError> {
        let package = apt::unpacked("busybox-static", || TestbedError::Missing {
            what: "apt-get with dpkg",
            advice: "images with a shell have Debian's busybox-static in them; run such tests on Debian",
        })?;
        let image = Self::new(name).program("busybox", &package.join("bin/busybox"))?;
        Ok(SHELL_NAMES.iter().fold(image, |image, name| image.alias(name, "busybox")))
    }

    /// Puts a program of this machine into `/bin`. It must need no libraries.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn program(mut self, name: &str, path: &Path) -> Result<Self, TestbedError> {
        let content = fs::read(path).map_err(|source| file_error("read", path, source))?;
        self.layer.file(&format!("bin/{name}"), 0o755, &content);
        Ok(self)
    }

    /// Calls a program of `/bin` by another name, too.
    #[must_use]
    pub fn alias(mut self, name: &str, program: &str) -> Self {
        self.layer.link(&format!("bin/{name}"), program);
        self
    }

    /// What containers run unless a pod says otherwise.
    #[must_use]
    pub fn entrypoint(self, words: &[&str]) -> Self {
        Self { entrypoint: words.iter().map(|&word| word.to_owned()).collect(), ..self }
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(self, path: &Path) -> Result<(), TestbedError> {
        let layer = self.layer.finish();
        let configuration = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "User": self.user, "Env": ["PATH=/bin"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        });
        let configuration = configuration.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &configuration),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        entry["annotations"] = json!({"io.containerd.image.name": self.name});
        let mut archive = Tar::default();
        archive.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#);
        archive.file("index.json", 0o644, json!({"schemaVersion": 2, "manifests": [entry]}).to_string().as_bytes());
        for blob in [&layer, &configuration, &manifest] {
            let digest = digest(blob);
            let hash = digest.strip_prefix("sha256:").expect("digests begin like this");
            archive.file(&format!("blobs/sha256/{hash}"), 0o644, blob);
        }
        fs::write(path, archive.finish()).map_err(|source| cache::file_error("write", path, source))
    }
}

fn descriptor(media_type: &str, blob: &[u8]) -> serde_json::Value {
    json!({"mediaType": media_type, "digest": digest(blob), "size": blob.len()})
}

fn digest(blob: &[u8]) -> String {
    let hash: String = Sha256::digest(blob).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hash}")
}

/// This machine's, in the words of images.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
