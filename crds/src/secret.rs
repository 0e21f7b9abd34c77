//! Where a secret lies. No secret ever stands in a resource itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest name of a Kubernetes object, in bytes.
pub(crate) const OBJECT_NAME_BYTES_MAX: usize = 253;

/// What the API server asks of every name (RFC 1123 subdomain).
pub(crate) const OBJECT_NAME_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// One key of a Secret in the same namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = OBJECT_NAME_BYTES_MAX), regex(pattern = OBJECT_NAME_PATTERN))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = OBJECT_NAME_BYTES_MAX), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// A Secret in the same namespace, such as one with a registry's credentials.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = OBJECT_NAME_BYTES_MAX), regex(pattern = OBJECT_NAME_PATTERN))]
    pub name: String,
}

/// TLS by PEM files from Secrets. They are read again when they change.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.certSecretRef) == has(self.keySecretRef)",
    "message": "certSecretRef and keySecretRef must be set together: a certificate is of no use without its key"
}]))]
pub struct TlsSpec {
    /// Authorities that may sign a server's certificate. By default the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
    /// The platform's own certificate and those between it and the authority, where servers ask for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<SecretKeyRef>,
    /// The key of that certificate, without a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret_ref: Option<SecretKeyRef>,
}
