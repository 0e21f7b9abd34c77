//! TLS and credentials, by the Secrets that hold them.

use pnyx_crds::{SecretKeyRef, TlsSpec};

use super::problems::Problems;

/// TLS towards a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Authorities that may sign the server's certificate; `None` is those of the system.
    pub authorities: Option<SecretKeyRef>,
    /// Our own certificate, where the server asks for one.
    pub client: Option<TlsClient>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsClient {
    /// The certificate.
    pub certificate: SecretKeyRef,
    /// Its key.
    pub key: SecretKeyRef,
}

/// Who we are to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user; `None` is the server's default one.
    pub username: Option<SecretKeyRef>,
    /// The password.
    pub password: SecretKeyRef,
}

/// Both halves of a client's certificate, or none. The outer `None` is a problem.
pub(super) fn tls(path: &str, spec: Option<&TlsSpec>, problems: &mut Problems) -> Option<Option<Tls>> {
    let Some(TlsSpec { ca_secret_ref, cert_secret_ref, key_secret_ref }) = spec else { return Some(None) };
    let client = match (cert_secret_ref, key_secret_ref) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some(TlsClient { certificate: certificate.clone(), key: key.clone() }),
        (Some(_), None) | (None, Some(_)) => {
            problems.add(path, "certSecretRef and keySecretRef go together; set both or remove both");
            return None;
        }
    };
    Some(Some(Tls { authorities: ca_secret_ref.clone(), client }))
}
