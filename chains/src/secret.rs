//! URLs with keys in them: where they come from, and that nobody sees them.

use std::{
    env, fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use reqwest::Url;
use thiserror::Error;

/// Longest URL, in bytes: above what any provider hands out, and what servers accept as a request line.
const URL_BYTES_MAX: u64 = 8 * 1024;

/// Parts of a URL shorter than this are no keys (`v2`, `rpc`): hiding them would only blot out messages.
const KEY_BYTES_MIN: usize = 5;

/// What stands in a text where a part of a URL stood.
const HIDDEN: &str = "[hidden]";

/// An endpoint's URL, never shown: it may hold a key in its user info, path or query. One from a file or from the
/// environment is read again whenever the endpoint is checked anew, so that a changed key is used without a restart.
#[derive(Clone)]
pub struct SecretUrl {
    source: Source,
}

#[derive(Clone)]
enum Source {
    Value(Url),
    File(PathBuf),
    Environment(String),
}

/// Why there is no URL. Says where it should be, never what stands there.
#[derive(Debug, Error)]
pub enum SecretUrlError {
    /// Not an absolute URL.
    #[error("the endpoint's URL is not one like https://host/path")]
    Syntax,
    /// Not HTTP.
    #[error("the endpoint's URL does not begin with http:// or https://")]
    Scheme,
    /// The file cannot be read.
    #[error("cannot read the endpoint's URL from {}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The variable is not set, or not text.
    #[error("the environment variable {name} holds no text")]
    Environment {
        /// Its name.
        name: String,
    },
}

impl SecretUrl {
    /// A URL at hand.
    pub fn parse(text: &str) -> Result<Self, SecretUrlError> {
        Ok(Self { source: Source::Value(parse(text)?) })
    }

    /// The URL that is a file's content, less surrounding white space.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, SecretUrlError> {
        let url = Self { source: Source::File(path.into()) };
        url.read()?;
        Ok(url)
    }

    /// The URL that is the value of an environment variable.
    pub fn from_environment(name: impl Into<String>) -> Result<Self, SecretUrlError> {
        let url = Self { source: Source::Environment(name.into()) };
        url.read()?;
        Ok(url)
    }

    /// The URL as its source says it now. A file is read on the spot: it is one small read, seldom.
    pub(crate) fn read(&self) -> Result<Url, SecretUrlError> {
        match &self.source {
            Source::Value(url) => Ok(url.clone()),
            Source::File(path) => parse(&read_file(path)?),
            Source::Environment(name) => {
                parse(&env::var(name).map_err(|_| SecretUrlError::Environment { name: name.clone() })?)
            }
        }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretUrl")
    }
}

/// `text` without anything that could be a key of `url`, for messages of servers that repeat what they were asked.
pub(crate) fn redact(url: &Url, text: &str) -> String {
    let path = url.path_segments().into_iter().flatten().map(str::to_owned);
    let pairs = url.query_pairs().flat_map(|(name, value)| [name.into_owned(), value.into_owned()]);
    let user = [Some(url.username()), url.password(), url.query(), url.fragment()];
    let mut keys: Vec<String> = path.chain(pairs).chain(user.into_iter().flatten().map(str::to_owned)).collect();
    keys.retain(|key| key.len() >= KEY_BYTES_MIN);
    // The longest first, so that no key's end remains where its beginning is another's.
    keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
    keys.iter().fold(text.to_owned(), |text, key| text.replace(key.as_str(), HIDDEN))
}

fn read_file(path: &Path) -> Result<String, SecretUrlError> {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(URL_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|source| SecretUrlError::File { path: path.to_owned(), source })?;
    Ok(text)
}

fn parse(text: &str) -> Result<Url, SecretUrlError> {
    let url = Url::parse(text.trim()).map_err(|_| SecretUrlError::Syntax)?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(SecretUrlError::Scheme) }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    const URL: &str = "https://user:passphrase@node.example/v2/key-in-path?token=key-in-query";

    #[test]
    fn a_url_is_not_shown() {
        let url = SecretUrl::parse(URL).unwrap();
        assert_eq!(format!("{url:?}"), "SecretUrl");
        assert_eq!(url.read().unwrap().as_str(), URL);
        for text in ["key-in-path", "ftp://key-in-path", "https://", ""] {
            let error = SecretUrl::parse(text).unwrap_err();
            let shown = format!("{error} {error:?} {:?}", error.source());
            assert!(!shown.contains("key-in"), "{shown}");
        }
    }

    #[test]
    fn a_file_is_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(SecretUrl::from_file(file.path()).is_err());
        fs::write(file.path(), format!("{URL}\n")).unwrap();
        let url = SecretUrl::from_file(file.path()).unwrap();
        assert_eq!(url.read().unwrap().as_str(), URL);
        fs::write(file.path(), "http://127.0.0.1:8545").unwrap();
        assert_eq!(url.read().unwrap().as_str(), "http://127.0.0.1:8545/");
        fs::remove_file(file.path()).unwrap();
        assert!(matches!(url.read(), Err(SecretUrlError::File { .. })));
    }

    #[test]
    fn a_server_that_repeats_the_key_is_not_repeated() {
        let url = Url::parse(URL).unwrap();
        let text = "no plan for key-in-path of user (passphrase), token=key-in-query at /v2/key-in-path";
        assert_eq!(
            redact(&url, text),
            "no plan for [hidden] of user ([hidden]), [hidden] at /v2/[hidden]",
            "only what is too short for a key stays"
        );
    }
}
