//! What `pnyx explain` takes.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Subcommand};

use super::PlatformArgs;

/// Commands of `pnyx explain`.
#[derive(Debug, Subcommand)]
pub enum ExplainCommand {
    /// Why a voter's ballot counts or not.
    Ballot(ExplainVoterArgs),
    /// Where a voter's power comes from: by strategy, chain and block, and why it is zero.
    Power(ExplainVoterArgs),
    /// Why a proposal on Kubernetes has so many verifier shards and partitions, and what to change to have others.
    Scaling(ExplainScalingArgs),
}

/// Which voter of which proposal.
#[derive(Debug, Args)]
pub struct ExplainVoterArgs {
    /// The proposal: its name or its id.
    #[arg(long)]
    pub proposal: String,
    /// The voter's address.
    #[arg(long)]
    pub voter: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// The platform.
    #[command(flatten)]
    pub platform: PlatformArgs,
}

/// What stands under the help of `pnyx explain scaling`.
const ABOUT_SCALING: &str = "The API server is found as kubectl finds it (KUBECONFIG, ~/.kube/config), and asked with your own rights: \
`get` on governanceproposals is enough.\n\nExit code 0: explained. 2: it could not be read, or nothing was decided yet; the reason is on standard \
error.\n\nExamples:\n  pnyx explain scaling gprop/grants-round\n  pnyx explain scaling grants-round --namespace votes --json\n  \
kubectl get gprop grants-round -o yaml | pnyx explain scaling --file -";

/// Which proposal of which cluster.
#[derive(Debug, Args)]
#[command(after_help = ABOUT_SCALING)]
pub struct ExplainScalingArgs {
    /// The GovernanceProposal: gprop/NAME, or its name alone.
    #[arg(value_name = "PROPOSAL", required_unless_present = "file")]
    pub proposal: Option<ProposalName>,
    /// Its namespace [default: the one of the kubeconfig's context].
    #[arg(long, short = 'n', value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Which context of the kubeconfig [default: the current one].
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub context: Option<String>,
    /// Explain what was saved with `kubectl get gprop -o yaml` (or json) instead of asking a cluster; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// The kinds that kubectl takes for a GovernanceProposal, without its group.
const KINDS: [&str; 4] = ["gprop", "gprops", "governanceproposal", "governanceproposals"];

/// The name of a GovernanceProposal, which may be given as `gprop/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalName(String);

impl ProposalName {
    /// The name alone.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProposalName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text.split_once('/').map_or((None, text), |(kind, name)| (Some(kind), name));
        let is_known = |kind: &str| {
            let (kind, group) = kind.split_once('.').map_or((kind, None), |(kind, group)| (kind, Some(group)));
            KINDS.contains(&kind) && group.is_none_or(|group| group == "pnyx.dev")
        };
        if let Some(other) = kind.filter(|kind| !is_known(kind)) {
            return Err(format!("{other:?} is no kind that is scaled; give gprop/NAME"));
        }
        // What is no name of an object must not become a path of the API.
        let is_name = !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric() || "-.".contains(it));
        if is_name { Ok(Self(name.to_owned())) } else { Err(format!("{name:?} is no name; give gprop/NAME")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_is_named_as_kubectl_takes_it() {
        for text in ["vote", "gprop/vote", "governanceproposals/vote", "governanceproposal.pnyx.dev/vote"] {
            assert_eq!(text.parse(), Ok(ProposalName("vote".to_owned())));
        }
        for text in ["", "gprop/", "gprop/a/b", "gplat/vote", "gprop.apps/vote", "a vote", "../secrets/x"] {
            assert!(text.parse::<ProposalName>().is_err(), "{text}");
        }
    }
}
