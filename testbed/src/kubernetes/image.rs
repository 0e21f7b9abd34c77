//! Images for pods of a test.

use std::{fs, path::Path};

use crate::{
    TestbedError, apt,
    cache::file_error,
    oci::{Archive, Layer},
};

/// What the one program of an image with a shell is called by.
const SHELL_NAMES: [&str; 14] =
    ["cat", "date", "env", "false", "grep", "httpd", "ls", "nc", "nslookup", "ping", "sh", "sleep", "true", "wget"];

/// The user of [`crate::oci::USER`] in an image with a shell.
const USERS: &str = "root:x:0:0:root:/:/bin/sh\nnobody:x:65532:65532:nobody:/:/bin/sh\n";

/// An image for pods of a test. It has the files that are put into it, and no others.
#[derive(Debug)]
pub struct Image {
    name: String,
    layer: Layer,
    entrypoint: Vec<String>,
}

impl Image {
    /// An empty image under a full name with a tag, such as `registry.test/web:1`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let layer = Layer::new().folder("/bin", 0o755).folder("/tmp", 0o1777).file("/etc/passwd", 0o644, USERS);
        Self { name: name.to_owned(), layer, entrypoint: Vec::new() }
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
    pub fn program(self, name: &str, path: &Path) -> Result<Self, TestbedError> {
        let content = fs::read(path).map_err(|source| file_error("read", path, source))?;
        Ok(Self { layer: self.layer.file(&format!("/bin/{name}"), 0o755, content), ..self })
    }

    /// Calls a program of `/bin` by another name, too.
    #[must_use]
    pub fn alias(self, name: &str, program: &str) -> Self {
        Self { layer: self.layer.link(&format!("/bin/{name}"), program), ..self }
    }

    /// What containers run unless a pod says otherwise.
    #[must_use]
    pub fn entrypoint(self, words: &[&str]) -> Self {
        Self { entrypoint: words.iter().map(|&word| word.to_owned()).collect(), ..self }
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// Its name names no image, or the file cannot be written.
    pub fn write(self, path: &Path) -> Result<(), TestbedError> {
        let words: Vec<&str> = self.entrypoint.iter().map(String::as_str).collect();
        let archive = Archive::new(self.name.parse()?).layer(self.layer).entrypoint(&words).variable("PATH", "/bin");
        archive.write(path).map(|_| ())
    }
}
