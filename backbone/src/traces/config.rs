//! Which traces are sent where.

use std::{
    fmt::{self, Display, Formatter},
    io,
    path::PathBuf,
    str::FromStr,
};

use pnyx_core::id::Digest;
use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use thiserror::Error;

/// What OTLP over HTTP appends to a collector's URL for traces.
const TRACES_PATH: &str = "v1/traces";

/// A ratio is kept in millionths: one ballot in a million is fewer than anybody looks at.
const MILLION: u32 = 1_000_000;

/// Most bytes of a file with headers: far above a token and some names.
pub(super) const HEADERS_BYTES_MAX: u64 = 64 * 1024;

/// Which traces are sent where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracesConfig {
    /// The collector.
    pub endpoint: Endpoint,
    /// Which ballots.
    pub sample: SampleRatio,
    /// A file with a header of each request in every line, `name: value`; read again for each request.
    pub headers_file: Option<PathBuf>,
}

/// A collector's base URL for OTLP over HTTP, such as `http://127.0.0.1:4318`. Without anything secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    traces: Url,
}

/// Why a text is no collector's URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// No URL of HTTP.
    #[error("{text:?} is not a URL like http://127.0.0.1:4318")]
    Url {
        /// The text.
        text: String,
    },
    /// It names a user, or has a query: these carry secrets, and a URL is shown. The text is left out for that reason.
    #[error(
        "the URL of a trace collector has no user, query or fragment; what it must be shown goes into the headers file"
    )]
    Secret,
}

/// The part of all ballots that is traced, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleRatio {
    millionths: u32,
}

/// Why a text is no ratio.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not a ratio from 0 to 1 with at most six decimals, such as 0.01")]
pub struct SampleRatioError {
    text: String,
}

/// Why there are no headers. What a header says is never shown.
#[derive(Debug, Error)]
pub enum HeadersError {
    /// The file.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is larger than 64 KiB.
    #[error("{} is too large", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line is not a header.
    #[error("{}, line {line}: not a header like `authorization: Bearer …`", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
    },
}

impl Endpoint {
    /// Where traces are posted.
    pub(super) fn traces(&self) -> Url {
        self.traces.clone()
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let unreadable = || EndpointError::Url { text: text.to_owned() };
        let Ok(mut traces) = Url::parse(text) else {
            return Err(if text.contains(['@', '?']) { EndpointError::Secret } else { unreadable() });
        };
        let is_plain = traces.username().is_empty()
            && traces.password().is_none()
            && traces.query().is_none()
            && traces.fragment().is_none();
        if !is_plain {
            return Err(EndpointError::Secret);
        }
        if !matches!(traces.scheme(), "http" | "https") {
            return Err(unreadable());
        }
        let base = traces.path().trim_end_matches('/').trim_end_matches(TRACES_PATH).trim_end_matches('/').to_owned();
        traces.set_path(&format!("{base}/{TRACES_PATH}"));
        Ok(Self { traces })
    }
}

impl Display for Endpoint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.traces.fmt(f)
    }
}

impl SampleRatio {
    /// Every ballot.
    pub const ALL: Self = Self { millionths: MILLION };

    /// Whether this ballot is traced; the same in all processes with this ratio. By the digest's last 8 bytes, which no id
    /// of a trace is made of and which are as good as random.
    pub(super) fn takes(self, digest: Digest) -> bool {
        let [.., a, b, c, d, e, f, g, h] = *digest.as_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) % u64::from(MILLION) < u64::from(self.millionths)
    }
}

impl FromStr for SampleRatio {
    type Err = SampleRatioError;

    fn from_str(text: &str) -> Result<Self, SampleRatioError> {
        let problem = || SampleRatioError { text: text.to_owned() };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || fraction.len() > 6 {
            return Err(problem());
        }
        let millionths: u32 = format!("{whole}{fraction:0<6}").parse().map_err(|_| problem())?;
        if millionths > MILLION { Err(problem()) } else { Ok(Self { millionths }) }
    }
}

/// The headers of a file's text: a line each, empty ones and those that begin with `#` left out.
pub(super) fn parse_headers(path: &std::path::Path, text: &str) -> Result<HeaderMap, HeadersError> {
    let mut headers = HeaderMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let header = line.split_once(':').and_then(|(name, value)| {
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((name.trim().parse::<HeaderName>().ok()?, value))
        });
        let (name, value) = header.ok_or_else(|| HeadersError::Line { path: path.to_owned(), line: index + 1 })?;
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_collector_is_named_by_its_base_url() {
        for (text, posted) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://collector.example/otlp/", "https://collector.example/otlp/v1/traces"),
            ("http://collector.example:4318/v1/traces", "http://collector.example:4318/v1/traces"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), posted);
        }
        for text in ["", "collector:4318", "grpc://collector:4317", "/v1/traces"] {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError::Url { text: text.to_owned() }));
        }
        for text in ["http://user:pass@collector", "http://collector?key=1", "http://collector/#1", "http//u:p@x"] {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError::Secret), "{text}");
        }
    }

    #[test]
    fn a_ratio_has_at_most_six_decimals() {
        for (text, millionths) in [("0", 0), ("1", MILLION), ("1.0", MILLION), ("0.01", 10_000), ("0.000001", 1)] {
            assert_eq!(text.parse::<SampleRatio>(), Ok(SampleRatio { millionths }), "{text}");
        }
        for text in ["", "1.1", "2", "-0.1", ".5", "0.0000001", "1e-3", "50%", "99999999999"] {
            assert!(text.parse::<SampleRatio>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_digest_decides_what_is_traced() {
        let digest = |last: u64| {
            let mut bytes = [7; 32];
            bytes[24..].copy_from_slice(&last.to_be_bytes());
            Digest::new(bytes)
        };
        let taken = |ratio: &str, last| ratio.parse::<SampleRatio>().unwrap().takes(digest(last));
        assert!(taken("1", u64::MAX) && taken("1", 999_999) && !taken("0", 0));
        assert!(taken("0.25", 249_999) && !taken("0.25", 250_000) && taken("0.25", 3_000_000));
    }

    #[test]
    fn headers_stand_one_in_a_line() {
        let read = |text: &str| parse_headers(Path::new("h"), text);
        let headers = read("# of the collector\nAuthorization: Bearer a:b\n\nx-scope: 7\r\n").unwrap();
        assert_eq!(headers["authorization"], "Bearer a:b");
        assert_eq!(headers["x-scope"], "7");
        assert!(!format!("{headers:?}").contains("Bearer"), "a secret is shown");
        for text in ["x: 1\ntoken", "x: 1\na b: c", "x: 1\nx: \u{1}"] {
            assert_eq!(read(text).unwrap_err().to_string(), "h, line 2: not a header like `authorization: Bearer …`");
        }
    }
}
