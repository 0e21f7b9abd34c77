//! What the API server wrote down about its requests.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{TestbedError, cache::file_error};

/// One request, as the API server saw it. A watch stands there twice: when it begins and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Who asked, by the name that rules know.
    pub user: String,
    /// What was asked for: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for paths
    /// that are no resources the HTTP method.
    pub verb: String,
    /// The group of the resource; empty for the core group and for paths.
    pub group: String,
    /// The resource in the plural; empty for paths.
    pub resource: String,
    /// `status`, `scale` and the like; empty for the resource itself.
    pub subresource: String,
    /// Its namespace; empty if it has none.
    pub namespace: String,
    /// Its name; empty for lists and often for what is being made.
    pub name: String,
    /// The path with its query.
    pub uri: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// The HTTP status of the answer; nothing if there was none.
    pub status: Option<u16>,
    /// Whether the rules forbade it.
    pub is_forbidden: bool,
}

/// Reads the log; of a line that is being written there is nothing to read yet.
pub(super) fn read(log: &Path) -> Result<Vec<AuditEvent>, TestbedError> {
    let text = match fs::read(log) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(file_error("read", log, source)),
    };
    Ok(text.split_inclusive('\n').filter(|line| line.ends_with('\n')).filter_map(event).collect())
}

/// A line of a server that was killed may have been cut.
fn event(line: &str) -> Option<AuditEvent> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let status = value.pointer("/responseStatus/code").and_then(Value::as_u64);
    Some(AuditEvent {
        user: text("/user/username"),
        verb: text("/verb"),
        group: text("/objectRef/apiGroup"),
        resource: text("/objectRef/resource"),
        subresource: text("/objectRef/subresource"),
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        uri: text("/requestURI"),
        user_agent: text("/userAgent"),
        status: status.and_then(|status| u16::try_from(status).ok()),
        is_forbidden: text("/annotations/authorization.k8s.io~1decision") == "forbid",
    })
}
