//! Certificates for servers and clients of a test, from an authority that lives as long as the test.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::{TestbedError, cache, directory::Directory};

/// A certificate authority. A second one is a wrong one for whatever the first has issued.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    certificate: PathBuf,
    directory: Directory,
}

/// A certificate of an [`Authority`] with its key, in PEM files that live as long as the authority. It holds for
/// `127.0.0.1` and `localhost`, for servers and for clients.
#[derive(Debug, Clone)]
pub struct Issued {
    certificate: PathBuf,
    key: PathBuf,
    authority: PathBuf,
    key_and_certificate_pem: String,
    authority_pem: String,
}

impl Authority {
    /// Makes a key (EC P-256) and a certificate for it.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn new() -> Result<Self, TestbedError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Pnyx test authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let directory = Directory::new()?;
        let certificate = directory.path().join("authority.pem");
        cache::write(&certificate, &issuer.pem())?;
        Ok(Self { issuer, certificate, directory })
    }

    /// The file with its certificate, which clients and servers trust.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Issues a certificate with `name` as its common name; issuing again under a name replaces the files.
    ///
    /// # Errors
    /// The files cannot be written.
    ///
    /// # Panics
    /// If `name` is no plain file name.
    pub fn issue(&self, name: &str) -> Result<Issued, TestbedError> {
        self.issue_for(name, &["127.0.0.1", "localhost"], None)
    }

    /// As [`Authority::issue`], for other addresses and for a member of an organisation.
    pub(crate) fn issue_for(
        &self,
        name: &str,
        addresses: &[&str],
        organisation: Option<&str>,
    ) -> Result<Issued, TestbedError> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        assert!(!name.is_empty() && name.chars().all(is_plain), "a name has letters, digits and hyphens");
        let mut params =
            CertificateParams::new(addresses.iter().map(|&address| address.to_owned()).collect::<Vec<_>>())?;
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(organisation) = organisation {
            params.distinguished_name.push(DnType::OrganizationName, organisation);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        let key_pem = key.serialize_pem();
        let issued = Issued {
            certificate: self.directory.path().join(format!("{name}.cert.pem")),
            key: self.directory.path().join(format!("{name}.key.pem")),
            authority: self.certificate.clone(),
            key_and_certificate_pem: format!("{key_pem}{certificate_pem}"),
            authority_pem: self.issuer.pem(),
        };
        cache::write(&issued.certificate, &certificate_pem)?;
        cache::write(&issued.key, &key_pem)?;
        Ok(issued)
    }
}

impl Issued {
    /// The file with the certificate.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// The file with its key (PKCS#8).
    #[must_use]
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// The file with the certificate of the authority.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// Key and certificate in one text, as Kafka wants them.
    #[must_use]
    pub fn key_and_certificate_pem(&self) -> &str {
        &self.key_and_certificate_pem
    }

    /// The certificate of the authority.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }
}
