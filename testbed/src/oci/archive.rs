//! The archive: one image with its name.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{ImageName, Layer, USER, tar::Tar};
use crate::{TestbedError, cache::file_error};

/// When every image was made, as it says: the time of the build would be another each time.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// An image that is to be written.
#[derive(Debug, Clone)]
pub struct Archive {
    name: ImageName,
    layers: Vec<Layer>,
    entrypoint: Vec<String>,
    variables: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

impl Archive {
    /// An image without layers, whose containers run as [`USER`].
    #[must_use]
    pub fn new(name: ImageName) -> Self {
        let (layers, entrypoint) = (Vec::new(), Vec::new());
        Self { name, layers, entrypoint, variables: BTreeMap::new(), labels: BTreeMap::new() }
    }

    /// Adds a layer above the others.
    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// What containers run unless a pod says otherwise.
    #[must_use]
    pub fn entrypoint(self, words: &[&str]) -> Self {
        Self { entrypoint: words.iter().map(|&word| word.to_owned()).collect(), ..self }
    }

    /// Sets a variable of containers' environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Says something about the image, under a name such as `org.opencontainers.image.title`.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ImageName {
        &self.name
    }

    /// Writes the archive. Returns the digest by which registries and pods name exactly this image.
    ///
    /// # Errors
    /// A path in a layer is too long, or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<String, TestbedError> {
        let layers: Vec<Vec<u8>> = self.layers.iter().map(Layer::tar).collect::<Result<_, _>>()?;
        let configuration = self.configuration(&layers).to_string().into_bytes();
        let manifest = manifest(&configuration, &layers).to_string().into_bytes();
        let mut archive = Tar::default();
        // By digest, so that equal images are equal archives; a layer that is there twice is written once.
        let blobs = layers.iter().chain([&configuration, &manifest]);
        let blobs: BTreeMap<String, &Vec<u8>> = blobs.map(|blob| (blob_path(blob), blob)).collect();
        archive.folder("blobs", 0o755)?;
        archive.folder("blobs/sha256", 0o755)?;
        blobs.iter().try_for_each(|(path, blob)| archive.file(path, 0o644, blob))?;
        archive.file("index.json", 0o644, self.index(&manifest).to_string().as_bytes())?;
        archive.file("manifest.json", 0o644, self.docker_manifest(&configuration, &layers).to_string().as_bytes())?;
        archive.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        fs::write(path, archive.finish()).map_err(|source| file_error("write", path, source))?;
        Ok(digest(&manifest))
    }

    fn configuration(&self, layers: &[Vec<u8>]) -> Value {
        let variables = self.variables.iter().map(|(name, value)| format!("{name}={value}"));
        let container = json!({
            "User": USER,
            "Entrypoint": self.entrypoint,
            "Env": variables.collect::<Vec<_>>(),
            "WorkingDir": "/",
            "Labels": self.labels,
        });
        let digests: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
        json!({
            "architecture": architecture(),
            "os": "linux",
            "created": CREATED,
            "config": container,
            "rootfs": {"type": "layers", "diff_ids": digests},
        })
    }

    fn index(&self, manifest: &[u8]) -> Value {
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", manifest);
        let name = self.name.full();
        // The first is containerd's, the second that of the specification.
        entry["annotations"] = json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name});
        entry["platform"] = json!({"architecture": architecture(), "os": "linux"});
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]})
    }

    /// The same once more, in the words of `docker load`, which reads nothing else where it keeps images itself.
    fn docker_manifest(&self, configuration: &[u8], layers: &[Vec<u8>]) -> Value {
        let layers: Vec<String> = layers.iter().map(|layer| blob_path(layer)).collect();
        json!([{"Config": blob_path(configuration), "RepoTags": [self.name.to_string()], "Layers": layers}])
    }
}

fn manifest(configuration: &[u8], layers: &[Vec<u8>]) -> Value {
    let layers = layers.iter().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer));
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", configuration),
        "layers": layers.collect::<Vec<_>>(),
    })
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(blob), "size": blob.len()})
}

fn blob_path(blob: &[u8]) -> String {
    format!("blobs/{}", digest(blob).replacen(':', "/", 1))
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
