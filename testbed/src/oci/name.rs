//! Names of images.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The registry and the folder that runtimes add to a name without any.
const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_FOLDER: &str = "library";

/// Most characters of a tag.
const TAG_LEN_MAX: usize = 128;

/// Most characters of a name without its tag.
const REPOSITORY_LEN_MAX: usize = 255;

/// A name with a tag, such as `registry.example:5000/votes/pnyx:1.0`. There is no tag that it could have without being told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    short: String,
    full: String,
}

/// A text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is no name of an image: {problem}; write one such as registry.example/pnyx:1.0")]
pub struct ImageNameError {
    text: String,
    problem: &'static str,
}

impl ImageName {
    /// The name in full, as runtimes keep it: `pnyx:1.0` is `docker.io/library/pnyx:1.0`.
    #[must_use]
    pub fn full(&self) -> &str {
        &self.full
    }
}

impl FromStr for ImageName {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, ImageNameError> {
        let refuse = |problem| ImageNameError { text: text.to_owned(), problem };
        if text.contains('@') {
            return Err(refuse("an image that is written now gets its digest by what is in it"));
        }
        // A colon before the last slash is a registry's port.
        let last = text.rfind('/').map_or(0, |slash| slash + 1);
        let colon = text[last..].find(':').map(|colon| last + colon);
        let (name, tag) =
            colon.map(|colon| (&text[..colon], &text[colon + 1..])).ok_or_else(|| refuse("it has no tag"))?;
        if !is_tag(tag) {
            return Err(refuse("its tag is not made of letters, digits, dots, hyphens and underscores"));
        }
        let (registry, repository) = match name.split_once('/').filter(|(first, _)| is_registry(first)) {
            Some((registry, repository)) => (Some(registry), repository),
            None => (None, name),
        };
        if name.len() > REPOSITORY_LEN_MAX || !repository.split('/').all(is_folder) {
            return Err(refuse("its parts are not made of lower-case letters, digits and single signs between them"));
        }
        let full = match registry {
            Some(_) => text.to_owned(),
            None if repository.contains('/') => format!("{DEFAULT_REGISTRY}/{text}"),
            None => format!("{DEFAULT_REGISTRY}/{DEFAULT_FOLDER}/{text}"),
        };
        Ok(Self { short: text.to_owned(), full })
    }
}

/// As it was given.
impl fmt::Display for ImageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.short)
    }
}

/// As runtimes tell registries from folders: by a dot, a port, or that it is this machine.
fn is_registry(first: &str) -> bool {
    let (host, port) = first.split_once(':').unwrap_or((first, "0"));
    let is_host =
        !host.is_empty() && host.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-".contains(letter));
    let is_told = first == "localhost" || first.contains(['.', ':']);
    is_told && is_host && port.parse::<u16>().is_ok()
}

fn is_folder(part: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let is_sign = |letter: char| "._-".contains(letter);
    let has_ends = part.starts_with(is_plain) && part.ends_with(is_plain);
    // Two underscores and any number of hyphens may stand together; other signs may not.
    let is_mixed = ["..", "._", "_.", ".-", "-.", "_-", "-_", "___"].iter().any(|signs| part.contains(signs));
    has_ends && !is_mixed && part.chars().all(|letter| is_plain(letter) || is_sign(letter))
}

fn is_tag(tag: &str) -> bool {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let fits = !tag.is_empty() && tag.len() <= TAG_LEN_MAX && tag.starts_with(is_word);
    fits && tag.chars().all(|letter| is_word(letter) || ".-".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_runtimes_make_of_them() {
        for (text, full) in [
            ("pnyx:0.1.0", "docker.io/library/pnyx:0.1.0"),
            ("votes/pnyx:A_1.b-c", "docker.io/votes/pnyx:A_1.b-c"),
            ("registry.test/web:1", "registry.test/web:1"),
            ("localhost/pnyx:dev", "localhost/pnyx:dev"),
            ("mirror:5000/a/b-c__d/e.f:1", "mirror:5000/a/b-c__d/e.f:1"),
        ] {
            let name: ImageName = text.parse().expect(text);
            assert_eq!((name.full(), name.to_string().as_str()), (full, text));
        }
    }

    #[test]
    fn what_names_no_image_is_refused_with_the_reason() {
        for (text, reason) in [
            ("pnyx", "it has no tag"),
            ("mirror:5000/pnyx", "it has no tag"),
            ("", "it has no tag"),
            ("pnyx:", "its tag"),
            ("pnyx:-1", "its tag"),
            ("pnyx:a b", "its tag"),
            ("Pnyx:1", "its parts"),
            (":1", "its parts"),
            ("a//pnyx:1", "its parts"),
            ("/pnyx:1", "its parts"),
            ("pn..yx:1", "its parts"),
            ("-pnyx:1", "its parts"),
            ("mirror:port/pnyx:1", "its parts"),
            ("pnyx@sha256:00", "digest"),
        ] {
            let error = text.parse::<ImageName>().expect_err(text).to_string();
            assert!(error.contains(reason) && error.contains(&format!("{text:?}")), "{error}");
        }
        assert!(format!("pnyx:{}", "1".repeat(TAG_LEN_MAX + 1)).parse::<ImageName>().is_err());
        assert!(format!("{}:1", "a".repeat(REPOSITORY_LEN_MAX + 1)).parse::<ImageName>().is_err());
    }
}
