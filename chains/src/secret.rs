//! URLs with keys in them: where they come from, and that nobody sees them.

use std::{
    env, fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use alloy_primitives::hex;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
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

/// `text` without anything that could be a key of `url`, for messages of servers that repeat what they were asked: as it
/// is written, decoded, and as the header that user and password become.
pub(crate) fn redact(url: &Url, text: &str) -> String {
    let pairs = url.query().into_iter().flat_map(|query| query.split(['&', '='])).map(str::to_owned);
    let decoded_pairs = url.query_pairs().flat_map(|(name, value)| [name.into_owned(), value.into_owned()]);
    let path = url.path_segments().into_iter().flatten().map(str::to_owned);
    let (user, password) = (url.username(), url.password().unwrap_or_default());
    let others = [user, password, url.query().unwrap_or_default(), url.fragment().unwrap_or_default()];
    let credentials = format!("{user}:{password}");
    let written: Vec<String> =
        path.chain(pairs).chain(others.map(str::to_owned)).chain((credentials != ":").then_some(credentials)).collect();
    let plain = written.iter().flat_map(|key| [key.clone(), percent_decoded(key)]).chain(decoded_pairs);
    let mut keys: Vec<String> = plain.filter(|key| key.len() >= KEY_BYTES_MIN).flat_map(forms).collect();
    // The longest first, so that no key's end remains where its beginning is another's.
    keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
    keys.iter().fold(text.to_owned(), |text, key| text.replace(key.as_str(), HIDDEN))
}

/// A key as it is and in base64. Without padding: what is padded begins like that.
fn forms(key: String) -> [String; 3] {
    let [standard, url_safe] = [STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|engine| engine.encode(&key));
    [key, standard, url_safe]
}

/// `text` with each `%` and two hexadecimal digits as the byte that they stand for.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let escaped = (*first == b'%').then(|| behind.split_at_checked(2)).flatten();
        let byte = escaped.and_then(|(digits, behind)| Some((hex::decode(digits).ok()?[0], behind)));
        let (byte, behind) = byte.unwrap_or((*first, behind));
        bytes.push(byte);
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).into_owned()
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

    #[test]
    fn a_server_that_repeats_the_key_in_another_form_is_not_repeated() {
        let url =
            Url::parse("https://us%2Fer:pass%C3%A9phrase@node.example/v2/key%2Bpath?token=key%2Fin+query").unwrap();
        let mut forms = vec!["us/er".to_owned(), "us%2Fer".to_owned(), "pass\u{e9}phrase".to_owned()];
        forms.extend(["key+path", "key%2Bpath", "key/in query", "key%2Fin+query"].map(str::to_owned));
        for credentials in ["us/er:pass\u{e9}phrase", "pass\u{e9}phrase", "key+path", "key/in query"] {
            forms.push(base64::engine::general_purpose::STANDARD.encode(credentials));
            forms.push(base64::engine::general_purpose::URL_SAFE.encode(credentials));
        }
        for form in forms {
            let shown = redact(&url, &format!("no plan for {form} here"));
            assert!(shown.starts_with("no plan for [hidden]") && shown.ends_with(" here"), "{form}: {shown}");
            assert!(shown.len() <= "no plan for [hidden]== here".len(), "{form}: {shown}");
        }
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%4g%41%"), "%4gA%");
    }
}
