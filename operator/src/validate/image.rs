//! Which image runs.

use std::str::FromStr;

use pnyx_crds::{ImagesSpec, PullPolicy};
use thiserror::Error;

/// The operator's own image, which platforms run unless they name another: `registry/repository:tag`, with `@digest` where
/// that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnImage {
    registry: Option<String>,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// A text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not an image; write one such as registry.example/pnyx:1.0.0")]
pub struct OwnImageError(String);

/// An image that can be pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// All of its name.
    pub reference: String,
    /// When it is pulled.
    pub pull_policy: PullPolicy,
    /// Secrets with credentials for the registry.
    pub pull_secrets: Vec<String>,
}

/// The image of this version, wherever nodes find one of that name.
impl Default for OwnImage {
    fn default() -> Self {
        let (repository, tag) = ("pnyx".to_owned(), Some(env!("CARGO_PKG_VERSION").to_owned()));
        Self { registry: None, repository, tag, digest: None }
    }
}

impl FromStr for OwnImage {
    type Err = OwnImageError;

    fn from_str(text: &str) -> Result<Self, OwnImageError> {
        let problem = || OwnImageError(text.to_owned());
        let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
        // A colon before the last slash is a registry's port.
        let (path, last) = name.rsplit_once('/').unwrap_or(("", name));
        let (last, tag) = last.split_once(':').map_or((last, None), |(last, tag)| (last, Some(tag)));
        let joined = if path.is_empty() { last.to_owned() } else { format!("{path}/{last}") };
        // As container runtimes tell registries from folders: by a dot, a port, or that it is this machine.
        let is_registry = |first: &str| first.contains(['.', ':']) || first == "localhost";
        let (registry, repository) = match joined.split_once('/').filter(|(first, _)| is_registry(first)) {
            Some((registry, repository)) => (Some(registry.to_owned()), repository.to_owned()),
            None => (None, joined),
        };
        let is_filled = |part: Option<&str>| part.is_none_or(|part| !part.is_empty());
        let is_named = !repository.is_empty() && repository.split('/').all(|part| !part.is_empty());
        if !is_named || !is_filled(tag) || !is_filled(digest) || text.contains(char::is_whitespace) {
            return Err(problem());
        }
        Ok(Self { registry, repository, tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) })
    }
}

/// Reads `spec.images`: what it leaves out is the operator's own. Whoever names another repository or tag means no digest
/// of ours; whoever names another registry alone has a copy.
pub(super) fn image(spec: &ImagesSpec, own: &OwnImage) -> Image {
    let is_other = spec.repository.is_some() || spec.tag.is_some();
    let registry = spec.registry.as_ref().or(own.registry.as_ref());
    let repository = spec.repository.as_ref().unwrap_or(&own.repository);
    let digest = spec.digest.as_ref().or_else(|| own.digest.as_ref().filter(|_| !is_other));
    let tag = spec.tag.as_ref().or(own.tag.as_ref());
    let version = match (digest, tag) {
        (Some(digest), _) => format!("@{digest}"),
        (None, Some(tag)) => format!(":{tag}"),
        (None, None) => String::new(),
    };
    let name = registry.map_or_else(|| repository.clone(), |registry| format!("{registry}/{repository}"));
    Image {
        reference: format!("{name}{version}"),
        pull_policy: spec.pull_policy,
        pull_secrets: spec.pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(own: &str, spec: &ImagesSpec, expected: &str) {
        let own = own.parse().expect("an image");
        assert_eq!(image(spec, &own).reference, expected);
    }

    #[test]
    fn what_is_left_out_is_the_operators_own() {
        let nothing = ImagesSpec::default();
        check("pnyx", &nothing, "pnyx");
        check("registry.example:5000/gov/pnyx:1.0", &nothing, "registry.example:5000/gov/pnyx:1.0");
        check("gov/pnyx:1.0@sha256:aa", &nothing, "gov/pnyx@sha256:aa");
        let mirror = ImagesSpec { registry: Some("mirror:5000".into()), ..ImagesSpec::default() };
        check("registry.example/pnyx:1.0@sha256:aa", &mirror, "mirror:5000/pnyx@sha256:aa");
        let tag = ImagesSpec { tag: Some("2.0".into()), ..ImagesSpec::default() };
        check("registry.example/pnyx:1.0@sha256:aa", &tag, "registry.example/pnyx:2.0");
        let digest = ImagesSpec { digest: Some("sha256:bb".into()), ..tag };
        check("registry.example/pnyx:1.0@sha256:aa", &digest, "registry.example/pnyx@sha256:bb");
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for text in ["", "/", "a//b", "pnyx:", "pnyx@", "registry.example/", "a b"] {
            assert!(text.parse::<OwnImage>().is_err(), "{text}");
        }
    }
}
