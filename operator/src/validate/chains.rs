//! Chains of a platform, and who answers for them.

use std::{
    collections::BTreeSet,
    num::{NonZeroU32, NonZeroUsize},
};

use pnyx_chains::EndpointName;
use pnyx_core::chain::ChainId;
use pnyx_crds::{ChainSpec, EndpointSpec, SecretKeyRef};

use super::{
    duration,
    problems::{Problems, number},
};

/// Shortest and longest time that a request may take, in seconds.
const REQUEST_TIMEOUT_S: (u64, u64) = (1, 300);

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Which one.
    pub id: ChainId,
    /// How many endpoints must give the same answer; never more than there are.
    pub agreement: NonZeroUsize,
    /// Who answers, each by a name of its own; never empty.
    pub endpoints: Vec<ChainEndpoint>,
}

/// Who answers for a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainEndpoint {
    /// What logs and metrics call it, and its file: a DNS label.
    pub name: EndpointName,
    /// Its URL.
    pub url: SecretKeyRef,
    /// Requests in flight at once; `None` is as many as the process chooses.
    pub concurrency: Option<NonZeroUsize>,
    /// Requests in a second; `None` is as many as it answers.
    pub requests_per_second: Option<NonZeroU32>,
    /// How long one request may take; `None` is as long as the process chooses.
    pub request_timeout_s: Option<u64>,
}

/// Reads `spec.chains`.
pub(super) fn chains(specs: &[ChainSpec], problems: &mut Problems) -> Option<Vec<Chain>> {
    let chains: Vec<_> = specs.iter().enumerate().map(|(index, spec)| chain(index, spec, problems)).collect();
    let chains: Vec<Chain> = chains.into_iter().collect::<Option<_>>()?;
    let mut seen = BTreeSet::new();
    let again = chains.iter().find(|chain| !seen.insert(chain.id));
    if let Some(again) = again {
        problems.add(
            "spec.chains",
            format_args!("chain {} is there twice; give it one entry with all endpoints", again.id),
        );
        return None;
    }
    Some(chains)
}

fn chain(index: usize, spec: &ChainSpec, problems: &mut Problems) -> Option<Chain> {
    let path = format!("spec.chains[{index}]");
    let id = problems.keep(format_args!("{path}.chainId"), spec.chain_id.parse());
    let agreement = number::<usize>(spec.agreement).ok().and_then(NonZeroUsize::new);
    let agreement = agreement.filter(|agreement| agreement.get() <= spec.endpoints.len());
    if agreement.is_none() {
        let most = spec.endpoints.len();
        problems.add(format_args!("{path}.agreement"), format_args!("must be 1 to the number of endpoints, {most}"));
    }
    let endpoint = |(number, spec)| endpoint(&format!("{path}.endpoints[{number}]"), spec, problems);
    let endpoints: Vec<_> = spec.endpoints.iter().enumerate().map(endpoint).collect();
    let endpoints: Vec<ChainEndpoint> = endpoints.into_iter().collect::<Option<_>>()?;
    let names: BTreeSet<_> = endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
    if names.len() < endpoints.len() {
        problems.add(format_args!("{path}.endpoints"), "two have one name; give each its own");
        return None;
    }
    Some(Chain { id: id?, agreement: agreement?, endpoints })
}

fn endpoint(path: &str, spec: &EndpointSpec, problems: &mut Problems) -> Option<ChainEndpoint> {
    let name = problems.keep(format_args!("{path}.name"), name(&spec.name));
    let concurrency = spec.concurrency.map(|value| positive(value, NonZeroUsize::new));
    let concurrency = problems.keep_optional(format_args!("{path}.concurrency"), concurrency);
    let rate = spec.requests_per_second.map(|value| positive(value, NonZeroU32::new));
    let rate = problems.keep_optional(format_args!("{path}.requestsPerSecond"), rate);
    let (least, most) = REQUEST_TIMEOUT_S;
    let timeout = spec.request_timeout.as_ref().map(|text| duration::seconds_within(text, least, most));
    let timeout = problems.keep_optional(format_args!("{path}.requestTimeout"), timeout);
    Some(ChainEndpoint {
        name: name?,
        url: spec.url_secret_ref.clone(),
        concurrency: concurrency?,
        requests_per_second: rate?,
        request_timeout_s: timeout?,
    })
}

/// It becomes part of a file's path, so it is a DNS label and nothing else.
fn name(text: &str) -> Result<EndpointName, String> {
    let is_label = !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let problem = || format!("{text:?} is not a name; write small letters, digits and '-'");
    text.parse().ok().filter(|_| is_label).ok_or_else(problem)
}

fn positive<N: TryFrom<i64>, T>(value: i64, of: impl Fn(N) -> Option<T>) -> Result<T, String> {
    number(value).and_then(|value| of(value).ok_or_else(|| "must be at least 1".to_owned()))
}
