//! What `pnyx operator` takes.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;
use pnyx_operator::{LEASE_NAME_DEFAULT, validate::OwnImage};

use super::process::ServeArgs;

/// What stands under its help.
const ABOUT_RIGHTS: &str = "The API server is found as kubectl finds it (KUBECONFIG, ~/.kube/config), and in a pod by its service account. \
Of several operators one leads: it holds the lease, and the others wait.\n\n\
SIGTERM: what is in hand is finished, then the lease is given back. Exit code 0: ended as asked. 2: could not go on, or the \
lease was lost; the cause is on standard error.";

/// Arguments of `pnyx operator`.
#[derive(Debug, Args)]
#[command(after_help = ABOUT_RIGHTS)]
pub struct OperatorArgs {
    /// Look after these namespaces only, with rights in these alone; repeat it, or separate them by commas [default: all].
    #[arg(long = "namespace", env = "PNYX_OPERATOR_NAMESPACES", value_name = "NAMESPACE", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Namespace of the lease [default: the operator's own].
    #[arg(long, env = "PNYX_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Name of the lease: operators that share the work share it.
    #[arg(long, env = "PNYX_LEASE_NAME", value_name = "NAME", default_value = LEASE_NAME_DEFAULT)]
    pub lease_name: String,
    /// How this operator is called as the lease's holder, such as the pod's name; something new is added at each start.
    #[arg(long, env = "PNYX_IDENTITY", value_name = "NAME", default_value = "operator")]
    pub identity: String,
    /// The image that platforms run which name none: REGISTRY/REPOSITORY:TAG@DIGEST, tag and digest as far as they are known
    /// [default: pnyx with the version of this program].
    #[arg(long, env = "PNYX_IMAGE", value_name = "IMAGE")]
    pub image: Option<OwnImage>,
    /// Resources that are worked on at once [default: 8].
    #[arg(long, env = "PNYX_WORKERS", value_name = "NUMBER")]
    pub workers: Option<NonZeroUsize>,
    /// Where credentials for Kafka lie as files while they are used, readable by nobody else [default: a folder of this
    /// process in the folder for temporary files].
    #[arg(long, env = "PNYX_CREDENTIALS_FOLDER", value_name = "FOLDER")]
    pub credentials_folder: Option<PathBuf>,
    /// Where it listens.
    #[command(flatten)]
    pub serve: ServeArgs,
}
