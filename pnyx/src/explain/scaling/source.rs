//! Where a proposal is read from: a cluster, as the person who asks, or a file.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use kube::{
    Api, Config, Error, ResourceExt as _,
    config::{KubeConfigOptions, KubeconfigError},
    core::DynamicObject,
};
use pnyx_crds::{FILE_BYTES_MAX, GovernanceProposal};
use pnyx_operator::Primary;
use serde_json::Value;

use crate::cli::explain::{ExplainScalingArgs, ProposalName};

/// Longest that the API server may take to answer: a person waits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A proposal, and when it was so; what was saved in a file may be of any age.
pub(super) struct Read {
    pub(super) proposal: GovernanceProposal,
    pub(super) at: Option<Timestamp>,
}

/// Reads what the arguments name.
pub(super) async fn read(args: &ExplainScalingArgs) -> anyhow::Result<Read> {
    match (&args.file, &args.proposal) {
        (Some(file), name) => {
            let wanted = (args.namespace.as_deref(), name.as_ref().map(ProposalName::as_str));
            let text = read_file(file)?;
            let proposal = in_file(&text, wanted).with_context(|| format!("{}", file.display()))?;
            Ok(Read { proposal, at: None })
        }
        (None, Some(name)) => {
            let proposal = from_cluster(name.as_str(), args.namespace.as_deref(), args.context.as_deref()).await?;
            Ok(Read { proposal, at: Some(Timestamp::now()) })
        }
        (None, None) => bail!("name a proposal (gprop/NAME), or a file (--file FILE)"),
    }
}

fn read_file(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let opened: Box<dyn io::Read> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file).with_context(|| format!("{}: cannot be read", file.display()))?)
    };
    let length = opened
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("{}: cannot be read", file.display()))?;
    ensure!(length as u64 <= FILE_BYTES_MAX, "{}: is larger than {FILE_BYTES_MAX} bytes", file.display());
    Ok(text)
}

/// The one proposal in `text` that is wanted: an object, or a list of them, as kubectl writes it.
fn in_file(text: &str, (namespace, name): (Option<&str>, Option<&str>)) -> anyhow::Result<GovernanceProposal> {
    let document: Value = serde_saphyr::from_str(text).context("is neither YAML nor JSON of one object")?;
    let objects = match document.get("items") {
        Some(Value::Array(items)) => items.clone(),
        Some(_) | None => vec![document],
    };
    let proposals = objects.into_iter().filter(|object| object["kind"] == Primary::Proposal.kind()).map(typed);
    let proposals = proposals.collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(!proposals.is_empty(), "holds no GovernanceProposal; save one with kubectl get gprop NAME -o yaml");
    let is_wanted = |proposal: &GovernanceProposal| {
        let is_named = name.is_none_or(|name| proposal.name_any() == name);
        is_named && namespace.is_none_or(|namespace| proposal.namespace().as_deref() == Some(namespace))
    };
    let names: Vec<String> = proposals.iter().map(|proposal| format!("gprop/{}", proposal.name_any())).collect();
    let mut wanted = proposals.into_iter().filter(is_wanted);
    match (wanted.next(), wanted.next()) {
        (Some(proposal), None) => Ok(proposal),
        (None, _) => bail!("does not hold the proposal that is asked for, but {}", names.join(", ")),
        (Some(_), Some(_)) => bail!("holds several proposals; name one of {}", names.join(", ")),
    }
}

/// The proposal as this version reads it. Fields that it does not know are left out.
fn typed(object: Value) -> anyhow::Result<GovernanceProposal> {
    serde_path_to_error::deserialize(object).map_err(|error| {
        anyhow::anyhow!("this version of pnyx cannot read the proposal: {}: {}", error.path(), error.inner())
    })
}

async fn from_cluster(
    name: &str,
    namespace: Option<&str>,
    context: Option<&str>,
) -> anyhow::Result<GovernanceProposal> {
    let config = config(context).await?;
    let server = config.cluster_url.to_string();
    let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
    let client = pnyx_operator::client(config)?;
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &Primary::Proposal.resource());
    let object = match tokio::time::timeout(ANSWER_TIMEOUT, api.get(name)).await {
        Ok(Ok(object)) => object,
        Ok(Err(error)) => return Err(refused(error, &server, &namespace, name)),
        Err(_) => bail!("the API server at {server} did not answer within {} s", ANSWER_TIMEOUT.as_secs()),
    };
    typed(serde_json::to_value(object).context("what the API server sent")?)
}

/// What kubectl would use.
async fn config(context: Option<&str>) -> anyhow::Result<Config> {
    const NO_CLUSTER: &str = "no Kubernetes cluster is known: set KUBECONFIG to a file that names one, or give what kubectl saved \
                              (kubectl get gprop NAME -o yaml) with --file";
    let Some(context) = context else { return Config::infer().await.context(NO_CLUSTER) };
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    match Config::from_kubeconfig(&options).await {
        Ok(config) => Ok(config),
        Err(KubeconfigError::LoadContext(_)) => {
            bail!("the kubeconfig has no context {context:?}; kubectl config get-contexts lists those that it has")
        }
        Err(error) => Err(error).context(NO_CLUSTER),
    }
}

/// What went wrong, and what helps.
fn refused(error: Error, server: &str, namespace: &str, name: &str) -> anyhow::Error {
    let what = match &error {
        // Of a kind that it does not know an API server says nothing but 404.
        Error::Api(status) if status.code == 404 && status.details.is_none() => {
            let definition = format!("{}.pnyx.dev", Primary::Proposal.resource().plural);
            format!(
                "{server} does not know {definition}: install the chart, or pnyx crds | kubectl apply --server-side -f -"
            )
        }
        Error::Api(status) if status.is_not_found() => format!(
            "there is no gprop/{name} in namespace {namespace}; kubectl get gprop --all-namespaces lists those there are"
        ),
        Error::Api(status) if status.is_forbidden() => {
            format!(
                "you may not read gprop/{name} in namespace {namespace}: {}; ask for the role view there",
                status.message
            )
        }
        Error::Api(status) if status.code == 401 => {
            format!("{server} does not know who you are; kubectl auth whoami says whether the kubeconfig still works")
        }
        _ => return anyhow::Error::new(error).context(format!("{server} cannot be asked")),
    };
    anyhow::Error::msg(what)
}
