//! A client of S3 as far as these tests need one: requests signed with version 4 of Amazon's signatures.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use alloy_primitives::hex;
use jiff::Timestamp;
use pnyx_testbed::{
    Authority,
    s3::{S3_REGION, S3Server},
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256};

/// How long an answer may take on a machine that compiles beside.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Bytes that SHA-256 takes at once; a key of HMAC is filled up to them.
const BLOCK_LEN: usize = 64;

/// Headers that every signature covers, in the order of their names.
const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date";

/// Somebody who talks to one server.
#[derive(Clone)]
pub(crate) struct Client {
    host: String,
    bucket: String,
    access_key_id: String,
    secret_access_key: String,
    tls: Option<Arc<ClientConfig>>,
}

/// What the server says.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// The one whom the server knows.
    pub(crate) fn of(server: &S3Server) -> Self {
        Self {
            host: server.address().to_string(),
            bucket: server.bucket().to_owned(),
            access_key_id: server.access_key_id().to_owned(),
            secret_access_key: server.secret_access_key().to_owned(),
            tls: None,
        }
    }

    /// The same with other credentials.
    pub(crate) fn with(&self, access_key_id: &str, secret_access_key: &str) -> Self {
        let (access_key_id, secret_access_key) = (access_key_id.to_owned(), secret_access_key.to_owned());
        Self { access_key_id, secret_access_key, ..self.clone() }
    }

    /// The same over TLS, with a server whose certificate is of this authority.
    pub(crate) fn trusting(&self, authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.certificate()).expect("PEM")).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("ring has them");
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Self { tls: Some(Arc::new(config)), ..self.clone() }
    }

    pub(crate) fn put(&self, key: &str, body: &[u8], headers: &[(&str, &str)]) -> Answer {
        self.send("PUT", key, body, headers).expect("the server answers")
    }

    pub(crate) fn get(&self, key: &str) -> Answer {
        self.try_get(key).expect("the server answers")
    }

    pub(crate) fn try_get(&self, key: &str) -> io::Result<Answer> {
        self.send("GET", key, &[], &[])
    }

    fn send(&self, method: &str, key: &str, body: &[u8], headers: &[(&str, &str)]) -> io::Result<Answer> {
        let (host, path) = (&self.host, format!("/{}/{key}", self.bucket));
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let hash = hex::encode(Sha256::digest(body));
        let authorization = self.authorization(method, &path, &hash, &time);
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nx-amz-content-sha256: {hash}\r\nx-amz-date: {time}\r\n\
             authorization: {authorization}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        let stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        let Some(config) = &self.tls else { return exchange(stream, &request) };
        let name = "127.0.0.1".try_into().expect("an address");
        let connection = ClientConnection::new(config.clone(), name).expect("a good configuration");
        exchange(StreamOwned::new(connection, stream), &request)
    }

    fn authorization(&self, method: &str, path: &str, hash: &str, time: &str) -> String {
        let headers = format!("host:{}\nx-amz-content-sha256:{hash}\nx-amz-date:{time}\n", self.host);
        let canonical = format!("{method}\n{path}\n\n{headers}\n{SIGNED}\n{hash}");
        let (day, _) = time.split_once('T').expect("a time has a day");
        let scope = [day, S3_REGION, "s3", "aws4_request"];
        let first = format!("AWS4{}", self.secret_access_key).into_bytes();
        let key = scope.iter().fold(first, |key, part| hmac(&key, part.as_bytes()));
        let scope = scope.join("/");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let signature = hex::encode(hmac(&key, text.as_bytes()));
        let id = &self.access_key_id;
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={SIGNED}, Signature={signature}")
    }
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> io::Result<Answer> {
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or_else(bad)?;
    let status = answer.split(|&byte| byte == b' ').nth(1).and_then(|word| str::from_utf8(word).ok()?.parse().ok());
    Ok(Answer { status: status.ok_or_else(bad)?, body: answer.split_off(end + 4) })
}

/// HMAC with SHA-256, for keys that are no longer than a block.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let padded = |pad: u8| (0..BLOCK_LEN).map(move |index| key.get(index).copied().unwrap_or(0) ^ pad);
    let inner = Sha256::digest(padded(0x36).chain(text.iter().copied()).collect::<Vec<_>>());
    Sha256::digest(padded(0x5c).chain(inner).collect::<Vec<_>>()).to_vec()
}
