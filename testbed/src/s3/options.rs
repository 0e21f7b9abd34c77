//! What a test may ask of its object store.

use std::net::Ipv4Addr;

use crate::Issued;

/// The bucket that there is if a test names none.
const BUCKET: &str = "pnyx";

/// Where it listens, what the bucket is called, and whether it speaks TLS.
#[derive(Debug, Clone)]
pub struct S3Options {
    pub(super) address: Ipv4Addr,
    pub(super) bucket: String,
    pub(super) tls: Option<Issued>,
}

impl Default for S3Options {
    fn default() -> Self {
        Self::new()
    }
}

impl S3Options {
    /// One bucket, called `pnyx`, reached from this machine without TLS.
    #[must_use]
    pub fn new() -> Self {
        Self { address: Ipv4Addr::LOCALHOST, bucket: BUCKET.to_owned(), tls: None }
    }

    /// Listens on this address of the machine; with [`crate::kubernetes::Node::outside`], pods reach the server there.
    #[must_use]
    pub fn listen_on(self, address: Ipv4Addr) -> Self {
        Self { address, ..self }
    }

    /// Calls the bucket so: 3 to 63 lower-case letters, digits and hyphens.
    #[must_use]
    pub fn bucket(self, name: &str) -> Self {
        Self { bucket: name.to_owned(), ..self }
    }

    /// Speaks TLS with this certificate, and nothing else.
    #[must_use]
    pub fn tls(self, issued: &Issued) -> Self {
        Self { tls: Some(issued.clone()), ..self }
    }
}
