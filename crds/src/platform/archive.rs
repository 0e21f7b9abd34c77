//! Where archives of finished proposals are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::{OBJECT_NAME_BYTES_MAX, OBJECT_NAME_PATTERN, SecretKeyRef};

/// Folders, without a slash at either end.
const PREFIX_PATTERN: &str = r"^([_A-Za-z0-9][-_.A-Za-z0-9]*(/[_A-Za-z0-9][-_.A-Za-z0-9]*)*)?$";

/// Where archives are kept: exactly one member is set.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.log), has(self.persistentVolumeClaim), has(self.s3)].exists_one(is_set, is_set)",
    "message": "exactly one of log, persistentVolumeClaim and s3 must be set"
}]))]
pub struct ArchiveSpec {
    /// Made from the log whenever somebody asks. Nothing is stored, and the topics must be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogArchiveSpec>,
    /// Files in a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimArchiveSpec>,
    /// Objects in a bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3ArchiveSpec>,
}

/// Nothing to say.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct LogArchiveSpec {}

/// A claim in the same namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PersistentVolumeClaimArchiveSpec {
    /// The claim's name. Recounts write it and tallies read it, so it must allow several nodes at once where there are
    /// several. Files belong to group 65532.
    #[schemars(length(min = 1, max = OBJECT_NAME_BYTES_MAX), regex(pattern = OBJECT_NAME_PATTERN))]
    pub claim_name: String,
}

/// A bucket of S3 or of something that speaks like it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct S3ArchiveSpec {
    /// Where it answers, such as "https://s3.eu-central-1.amazonaws.com".
    #[schemars(length(max = 2_048), regex(pattern = r"^https?://[^\s@]+$"))]
    pub endpoint: String,
    /// The bucket.
    #[schemars(length(min = 3, max = 63), regex(pattern = r"^[a-z0-9][-.a-z0-9]*[a-z0-9]$"))]
    pub bucket: String,
    /// The region that requests are signed for.
    #[serde(default = "region_default")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[-a-z0-9]+$"))]
    pub region: String,
    /// What objects' names begin with, such as "votes/archives".
    #[serde(default)]
    #[schemars(length(max = 512), regex(pattern = PREFIX_PATTERN))]
    pub prefix: String,
    /// The access key's id.
    pub access_key_id_secret_ref: SecretKeyRef,
    /// The access key.
    pub secret_access_key_secret_ref: SecretKeyRef,
    /// Authorities that may sign the server's certificate, PEM. By default the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
}

/// What servers that know no regions expect.
fn region_default() -> String {
    "us-east-1".to_owned()
}
