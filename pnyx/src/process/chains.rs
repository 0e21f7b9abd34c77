//! Chains of a process: which endpoints its settings name. URLs may hold keys, so nothing here repeats one.

use std::num::NonZeroUsize;

use anyhow::{Context as _, bail, ensure};
use pnyx_backbone::telemetry::Metrics;
use pnyx_chains::{
    ChainConfig, Chains, ChainsConfig, ChainsMetrics, EndpointConfig, EndpointLimits, SecretUrl, SecretUrlError,
};
use pnyx_core::chain::ChainId;

use super::file::{ChainSection, EndpointSection};
use crate::cli::process::ChainsArgs;

/// The chains that flags and environment name, else those of the file. None at all is fine for proposals that read none.
pub(crate) fn config(args: &ChainsArgs, sections: Option<&[ChainSection]>) -> anyhow::Result<ChainsConfig> {
    let ChainsArgs { chains, chain_agreement } = args;
    match chains {
        Some(texts) => {
            let endpoints = texts.iter().map(|text| parse_flag(text.as_str())).collect::<anyhow::Result<Vec<_>>>()?;
            of_flags(endpoints, chain_agreement.unwrap_or(NonZeroUsize::MIN))
        }
        None => {
            ensure!(chain_agreement.is_none(), "--chain-agreement says nothing without --chain");
            of_sections(sections.unwrap_or_default())
        }
    }
}

/// What flags and environment alone say.
pub(crate) fn config_of_flags(args: &ChainsArgs) -> anyhow::Result<ChainsConfig> {
    config(args, None)
}

/// Prepares to read them; no endpoint is asked before it is needed.
pub(crate) fn start(config: &ChainsConfig, metrics: &Metrics) -> anyhow::Result<Chains> {
    Ok(Chains::new(config, metrics.register(ChainsMetrics::register))?)
}

/// For a banner: which chains, through how many endpoints.
pub(crate) fn words(config: &ChainsConfig) -> String {
    let chain = |(id, config): (&ChainId, &ChainConfig)| match config.endpoints().len() {
        1 => format!("chain {id}"),
        endpoints => format!("chain {id} ({} of {endpoints} endpoints must agree)", config.agreement()),
    };
    let chains: Vec<String> = config.chains().iter().map(chain).collect();
    if chains.is_empty() { "no chain".to_owned() } else { chains.join(", ") }
}

fn parse_flag(text: &str) -> anyhow::Result<(ChainId, SecretUrl)> {
    let Some((id, place)) = text.split_once('=') else {
        bail!("--chain: must be ID=URL, ID=file:PATH or ID=env:NAME, such as 1=https://node.example");
    };
    // Not repeated: where the id was forgotten, what stands before the first = is the beginning of a URL.
    let id: ChainId = id.parse().context("--chain: what stands before the =")?;
    let url = match (place.strip_prefix("file:"), place.strip_prefix("env:")) {
        (Some(path), _) => SecretUrl::from_file(path),
        (None, Some(name)) => SecretUrl::from_environment(name),
        (None, None) => SecretUrl::parse(place),
    };
    Ok((id, url.with_context(|| format!("--chain {id}"))?))
}

/// Endpoints of one chain are called by their number.
fn of_flags(endpoints: Vec<(ChainId, SecretUrl)>, agreement: NonZeroUsize) -> anyhow::Result<ChainsConfig> {
    let mut chains: Vec<(ChainId, Vec<EndpointConfig>)> = Vec::new();
    for (id, url) in endpoints {
        let index = match chains.iter().position(|(chain, _)| *chain == id) {
            Some(index) => index,
            None => {
                chains.push((id, Vec::new()));
                chains.len() - 1
            }
        };
        let of_chain = &mut chains[index].1;
        let name = format!("endpoint-{}", of_chain.len() + 1).parse()?;
        of_chain.push(EndpointConfig::new(name, url));
    }
    let chain = |(id, endpoints)| {
        let config = ChainConfig::new(endpoints, agreement).with_context(|| format!("--chain {id}"))?;
        anyhow::Ok((id, config))
    };
    Ok(ChainsConfig::new(chains.into_iter().map(chain).collect::<anyhow::Result<Vec<_>>>()?)?)
}

fn of_sections(sections: &[ChainSection]) -> anyhow::Result<ChainsConfig> {
    let chain = |(index, section): (usize, &ChainSection)| {
        let ChainSection { id, agreement, endpoints } = section;
        let endpoints = endpoints.iter().enumerate().map(|(number, endpoint)| {
            endpoint_of(endpoint).with_context(|| format!("chains[{index}].endpoints[{number}]"))
        });
        let endpoints = endpoints.collect::<anyhow::Result<Vec<_>>>()?;
        let config = ChainConfig::new(endpoints, agreement.unwrap_or(NonZeroUsize::MIN));
        Ok((*id, config.with_context(|| format!("chains[{index}]"))?))
    };
    let chains = sections.iter().enumerate().map(chain).collect::<anyhow::Result<Vec<_>>>()?;
    ChainsConfig::new(chains).context("chains")
}

fn endpoint_of(section: &EndpointSection) -> anyhow::Result<EndpointConfig> {
    let EndpointSection { name, url, url_file, url_environment, concurrency, requests_per_second, request_timeout } =
        section;
    let url: Result<SecretUrl, SecretUrlError> = match (url, url_file, url_environment) {
        (Some(url), None, None) => SecretUrl::parse(&url.0),
        (None, Some(path), None) => SecretUrl::from_file(path),
        (None, None, Some(variable)) => SecretUrl::from_environment(variable),
        (_, _, _) => bail!("one of url, urlFile and urlEnvironment is required, and no other"),
    };
    let default = EndpointLimits::default();
    let limits = EndpointLimits {
        concurrency: concurrency.unwrap_or(default.concurrency),
        requests_per_second: requests_per_second.or(default.requests_per_second),
        request_timeout: request_timeout.unwrap_or(default.request_timeout),
    };
    Ok(EndpointConfig { name: name.parse()?, url: url?, limits })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(texts: &[&str], agreement: Option<usize>) -> anyhow::Result<ChainsConfig> {
        let chains = Some(texts.iter().map(|text| (*text).into()).collect());
        let chain_agreement = agreement.map(|agreement| NonZeroUsize::new(agreement).unwrap());
        config(&ChainsArgs { chains, chain_agreement }, None)
    }

    #[test]
    fn endpoints_of_one_chain_are_gathered() {
        let config = flags(&["1=http://a", "10=http://b", "1=http://c"], None).unwrap();
        assert_eq!(words(&config), "chain 1 (1 of 2 endpoints must agree), chain 10");
        let names = |id| {
            let chain = &config.chains()[&ChainId::new(id).unwrap()];
            chain.endpoints().iter().map(|endpoint| endpoint.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!((names(1), names(10)), (vec!["endpoint-1".into(), "endpoint-2".into()], vec!["endpoint-1".into()]));
        assert_eq!(words(&config_of_flags(&ChainsArgs::default()).unwrap()), "no chain");
    }

    #[test]
    fn a_mistake_is_named_and_no_url_is_repeated() {
        for text in [
            "https://node/KEYKEY",
            "https://KEYKEY@node/?a=b",
            "x=https://node/KEYKEY",
            "1=KEYKEY",
            "1=ftp://KEYKEY",
            "1=env:NOT_SET_HERE",
        ] {
            let problem = format!("{:#}", flags(&[text], None).unwrap_err());
            assert!(problem.starts_with("--chain") && !problem.contains("KEYKEY"), "{problem}");
        }
        assert!(format!("{:#}", flags(&["1=http://a"], Some(2)).unwrap_err()).contains("--chain 1"), "too few agree");
        let alone = ChainsArgs { chains: None, chain_agreement: NonZeroUsize::new(2) };
        assert!(config(&alone, None).is_err());
    }
}
