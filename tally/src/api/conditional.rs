//! Entity tags and cache control.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// How long an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cache {
    /// A second, which spares a platform that thousands look at and is not seen by a person.
    Live,
    /// For ever.
    Immutable,
}

impl Cache {
    const fn header(self) -> &'static str {
        match self {
            Self::Live => "public, max-age=1",
            Self::Immutable => "public, max-age=31536000, immutable",
        }
    }
}

/// The JSON of a document, or 304 if the client has it.
pub(super) fn json(request: &HeaderMap, document: &impl Serialize, cache: Cache) -> Response {
    json_text(request, to_json(document), cache)
}

/// JSON that is text already, or 304 if the client has it.
pub(super) fn json_text(request: &HeaderMap, text: String, cache: Cache) -> Response {
    let tag = weak_tag(&version(text.as_bytes()));
    answer(request, &tag, cache, || ([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// The answer under a tag, made only if the client does not have it.
pub(super) fn answer(request: &HeaderMap, tag: &str, cache: Cache, make: impl FnOnce() -> Response) -> Response {
    let mut response = if has(request, tag) { StatusCode::NOT_MODIFIED.into_response() } else { make() };
    set(&mut response, header::ETAG, tag);
    set(&mut response, header::CACHE_CONTROL, cache.header());
    response
}

/// Bytes that stand for the content: 16 hexadecimal digits of its SHA-256.
pub(super) fn version(content: &[u8]) -> String {
    use std::fmt::Write as _;

    let hash: [u8; 32] = Sha256::digest(content).into();
    hash[..8].iter().fold(String::with_capacity(16), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// A weak entity tag: equal tags mean the same content, not necessarily the same bytes.
pub(super) fn weak_tag(version: &str) -> String {
    format!("W/\"{version}\"")
}

/// Compact JSON.
pub(super) fn to_json(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("documents of texts, integers and raw JSON always serialise")
}

/// RFC 9110 §13.1.2: weak comparison with any of the listed tags.
pub(super) fn has(request: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let lists = request.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|listed| listed.trim() == "*" || opaque(listed) == opaque(tag))
}

fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("tags and cache rules are plain ASCII");
    response.headers_mut().insert(name, value);
}
