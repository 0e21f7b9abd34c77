//! Resource definitions of others, which the optional parts of a chart are made of: as their authors publish them.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    TestbedError,
    cache::{self, file_error},
    go,
};

/// Resource definitions that many clusters have and a new one has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Definitions {
    /// Gateway and HTTPRoute of the Gateway API 1.4.1.
    GatewayApi,
    /// ServiceMonitor, PodMonitor and PrometheusRule of the Prometheus operator 0.85.0.
    PrometheusOperator,
}

/// Where the definitions of one project are.
struct Source {
    name: &'static str,
    module: &'static str,
    folder: &'static str,
    files: &'static [&'static str],
}

impl Definitions {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::GatewayApi, Self::PrometheusOperator];

    /// Their YAML, fetched the first time.
    ///
    /// # Errors
    /// Go is missing, the module cannot be had, or the cache cannot be used.
    pub fn yaml(self) -> Result<String, TestbedError> {
        let source = self.source();
        let about = format!("resource definitions (from the Go module {})", source.module);
        let folder = cache::prepared(source.name, &about, |folder| source.fetch(folder))?;
        let read = |name: &&str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|source| file_error("read", &path, source))
        };
        let documents: Result<Vec<String>, TestbedError> = source.files.iter().map(read).collect();
        Ok(documents?.join("\n---\n"))
    }

    const fn source(self) -> Source {
        match self {
            Self::GatewayApi => Source {
                name: "definitions-gateway-api-1.4.1",
                module: "sigs.k8s.io/gateway-api@v1.4.1",
                folder: "config/crd/standard",
                files: &["gateway.networking.k8s.io_gateways.yaml", "gateway.networking.k8s.io_httproutes.yaml"],
            },
            Self::PrometheusOperator => Source {
                name: "definitions-prometheus-operator-0.85.0",
                module: "github.com/prometheus-operator/prometheus-operator@v0.85.0",
                folder: "example/prometheus-operator-crd",
                files: &[
                    "monitoring.coreos.com_podmonitors.yaml",
                    "monitoring.coreos.com_prometheusrules.yaml",
                    "monitoring.coreos.com_servicemonitors.yaml",
                ],
            },
        }
    }
}

impl Source {
    fn fetch(&self, folder: &Path) -> Result<(), TestbedError> {
        go::check()?;
        let work = folder.join("download");
        let said = cache::run(go::command(&work).args(["mod", "download", "-json", self.module]).current_dir(folder))?;
        let said: Value = serde_json::from_str(&said).unwrap_or_default();
        let module = Path::new(said["Dir"].as_str().unwrap_or_default());
        for name in self.files {
            let from = module.join(self.folder).join(name);
            fs::copy(&from, folder.join(name)).map_err(|source| file_error("copy", &from, source))?;
        }
        fs::remove_dir_all(&work).map_err(|source| file_error("remove", &work, source))
    }
}
