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
    Authority, TestbedError,
    cache::{self, file_error},
};

/// Who may do everything: the test bed, and tests unless they choose somebody.
pub(super) const ADMIN: &str = "admin";

/// The group that may do everything.
pub(super) const MASTERS: &str = "system:masters";

/// The address of the API server as a service: the first one of their range.
const SERVICE_ADDRESS: &str = "10.96.0.1";

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
        user("system:node:node0", &["system:nodes"]),
        user("system:kube-proxy", &[]),
        user("dns", &[MASTERS]),
    ]
}

impl Credentials {
    /// Writes certificates, tokens and keys into the folder.
    pub(super) fn write(folder: PathBuf, server: SocketAddr, users: &[User]) -> Result<Self, TestbedError> {
        cache::make_folder(&folder)?;
        let authority = Authority::new()?;
        let address = server.ip().to_string();
        let own =
            authority.issue_for("kube-apiserver", &[&address, "127.0.0.1", "localhost", SERVICE_ADDRESS], None)?;
        // What the API server shows to kubelets.
        let client = authority.issue_for("kubelet-client", &[], Some(MASTERS))?;
        let credentials = Self { folder, server, authority_pem: own.authority_pem().to_owned() };
        cache::write(&credentials.file("authority.pem"), own.authority_pem())?;
        // Copied, so that a server can be started again after its authority is gone.
        for (issued, name) in [(own, "server"), (client, "client")] {
            for (from, to) in [(issued.certificate(), "cert"), (issued.key(), "key")] {
                let to = credentials.file(&format!("{name}.{to}.pem"));
                fs::copy(from, to).map_err(|source| file_error("copy", from, source))?;
            }
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

    /// Where all the files are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
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
