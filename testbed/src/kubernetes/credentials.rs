//! Who may come in: tokens, and the files that clients read.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::KeyPair;

use super::options::User;
use crate::{
    Issued, TestbedError,
    cache::{self, file_error},
};

/// Who may do everything: the test bed, and tests unless they choose somebody.
pub(super) const ADMIN: &str = "admin";

/// The group that may do everything.
pub(super) const MASTERS: &str = "system:masters";

/// Files of one cluster about who may come in.
#[derive(Debug)]
pub(super) struct Credentials {
    folder: PathBuf,
    server: SocketAddr,
    authority_pem: String,
}

/// The parts of a cluster by the names that its own rules know.
pub(super) fn parts() -> Vec<User> {
    let user = |name: &str, groups: &[&str]| User {
        name: name.to_owned(),
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
    };
    vec![
        user(ADMIN, &[MASTERS]),
        user("system:kube-controller-manager", &[]),
        user("system:kube-scheduler", &[]),
        user("fake-nodes", &[MASTERS]),
    ]
}

impl Credentials {
    /// Writes tokens and keys into the folder. Everything a server needs is copied, so that it outlives its authority.
    pub(super) fn write(
        folder: PathBuf,
        server: SocketAddr,
        issued: &Issued,
        users: &[User],
    ) -> Result<Self, TestbedError> {
        cache::make_folder(&folder)?;
        let credentials = Self { folder, server, authority_pem: issued.authority_pem().to_owned() };
        cache::write(&credentials.file("authority.pem"), issued.authority_pem())?;
        for (from, to) in [(issued.certificate(), "server.cert.pem"), (issued.key(), "server.key.pem")] {
            fs::copy(from, credentials.file(to)).map_err(|source| file_error("copy", from, source))?;
        }
        let key = KeyPair::generate()?;
        cache::write(&credentials.file("accounts.key.pem"), &key.serialize_pem())?;
        cache::write(&credentials.file("accounts.pub.pem"), &key.public_key_pem())?;
        let lines = users.iter().enumerate().map(|(index, user)| {
            format!("{},{},{index},\"{}\"\n", token(&user.name), user.name, user.groups.join(","))
        });
        cache::write(&credentials.file("tokens.csv"), &lines.collect::<String>())?;
        for user in users {
            credentials.write_kubeconfig(&user.name, &token(&user.name))?;
        }
        Ok(credentials)
    }

    /// The path of one of the files.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The kubeconfig of somebody, if there is one.
    pub(super) fn kubeconfig(&self, user: &str) -> Option<PathBuf> {
        Some(self.kubeconfig_path(user)).filter(|path| path.exists())
    }

    /// Writes a kubeconfig that needs no other file.
    pub(super) fn write_kubeconfig(&self, user: &str, token: &str) -> Result<PathBuf, TestbedError> {
        let path = self.kubeconfig_path(user);
        let authority = STANDARD.encode(&self.authority_pem);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: testbed\n\
             clusters:\n- name: testbed\n  cluster:\n    server: https://{}\n    certificate-authority-data: {authority}\n\
             users:\n- name: \"{user}\"\n  user:\n    token: {token}\n\
             contexts:\n- name: testbed\n  context:\n    cluster: testbed\n    user: \"{user}\"\n",
            self.server
        );
        cache::write(&path, &text)?;
        Ok(path)
    }

    fn kubeconfig_path(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{}.kubeconfig", file_name(user)))
    }
}

/// Nobody beside this machine can come in, so that tokens need not be secret.
fn token(user: &str) -> String {
    format!("token-of-{}", file_name(user))
}

fn file_name(user: &str) -> String {
    user.replace([':', '/', '\\'], "-")
}

/// The rules of the API server about what it writes down: who did what to which resource, and not with which content.
pub(super) fn write_audit_policy(path: &Path) -> Result<(), TestbedError> {
    let text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n";
    cache::write(path, text)
}
