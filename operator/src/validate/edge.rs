//! What the edge takes from whom, and where traces go.

use std::{
    net::IpAddr,
    num::{NonZeroU32, NonZeroUsize},
};

use pnyx_backbone::traces::{Endpoint, SampleRatio};
use pnyx_crds::{EdgeSpec, SecretKeyRef, TracesSpec};

use super::problems::{Problems, number};

/// Ports of URLs that name none.
const PORT_HTTP: u16 = 80;
const PORT_HTTPS: u16 = 443;

/// The edge's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Browser origins that may vote and read.
    pub cors_origins: Vec<String>,
    /// Ballots a second that one address may send; `None` is no limit.
    pub requests_per_second_per_address: Option<NonZeroU32>,
    /// Addresses and networks of proxies that are believed; empty where nothing is limited.
    pub trusted_proxies: Vec<String>,
    /// Ballots in flight at once; `None` is as many as the process chooses.
    pub in_flight_max: Option<NonZeroUsize>,
}

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// The collector's URL.
    pub endpoint: String,
    /// Its port.
    pub port: u16,
    /// The part of all ballots that is traced: a decimal number from 0 to 1.
    pub sample: String,
    /// What it must be shown.
    pub headers: Option<SecretKeyRef>,
}

/// Reads `spec.edge`.
pub(super) fn edge(spec: &EdgeSpec, problems: &mut Problems) -> Option<Edge> {
    let rate = spec.requests_per_second_per_address.map(number).map(|value| value.and_then(positive(NonZeroU32::new)));
    let rate = problems.keep_optional("spec.edge.requestsPerSecondPerAddress", rate);
    let in_flight = spec.in_flight_max.map(number).map(|value| value.and_then(positive(NonZeroUsize::new)));
    let in_flight_max = problems.keep_optional("spec.edge.inFlightMax", in_flight);
    for (index, text) in spec.trusted_proxies.iter().enumerate().filter(|(_, text)| !is_network(text)) {
        let problem = format_args!("{text:?} is not a network; write one such as 10.0.0.0/8 or fd00::/8");
        problems.add(format_args!("spec.edge.trustedProxies[{index}]"), problem);
    }
    if spec.requests_per_second_per_address.is_none() && !spec.trusted_proxies.is_empty() {
        let problem = "says nothing without requestsPerSecondPerAddress; set that or remove this";
        problems.add("spec.edge.trustedProxies", problem);
    }
    Some(Edge {
        cors_origins: spec.cors_origins.clone(),
        requests_per_second_per_address: rate?,
        trusted_proxies: spec.trusted_proxies.clone(),
        in_flight_max: in_flight_max?,
    })
}

/// Reads `spec.traces`. The outer `None` is a problem.
pub(super) fn traces(spec: Option<&TracesSpec>, problems: &mut Problems) -> Option<Option<Traces>> {
    let Some(TracesSpec { endpoint, sample, headers_secret_ref }) = spec else { return Some(None) };
    let is_endpoint = problems.keep("spec.traces.endpoint", endpoint.parse::<Endpoint>());
    let port = problems.keep("spec.traces.endpoint", port(endpoint));
    let is_ratio = problems.keep("spec.traces.sample", sample.parse::<SampleRatio>());
    is_endpoint.and(is_ratio)?;
    Some(Some(Traces {
        endpoint: endpoint.clone(),
        port: port?,
        sample: sample.clone(),
        headers: headers_secret_ref.clone(),
    }))
}

/// The port of a URL of HTTP.
pub(super) fn port(url: &str) -> Result<u16, String> {
    let problem = || format!("{url:?} is not a URL; write one such as https://server.example:4318");
    let (scheme, rest) = url.split_once("://").ok_or_else(problem)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Behind the bracket of an IPv6 address, or the whole of another one.
    let behind = authority.rsplit_once(']').map_or(authority, |(_, behind)| behind);
    match (behind.rsplit_once(':'), scheme) {
        (Some((_, port)), _) => port.parse().ok().filter(|port| *port > 0).ok_or_else(problem),
        (None, "http") => Ok(PORT_HTTP),
        (None, "https") => Ok(PORT_HTTPS),
        (None, _) => Err(problem()),
    }
}

fn is_network(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}

fn positive<N, T>(of: impl Fn(N) -> Option<T>) -> impl Fn(N) -> Result<T, String> {
    move |value| of(value).ok_or_else(|| "must be at least 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_urls_are_found() {
        for (url, expected) in [
            ("http://collector:4318", Some(4318)),
            ("http://collector:4318/v1/traces", Some(4318)),
            ("https://collector.example/otlp", Some(443)),
            ("http://[::1]", Some(80)),
            ("http://[::1]:4318/", Some(4318)),
            ("http://collector:0", None),
            ("http://collector:99999", None),
            ("ftp://collector", None),
            ("collector:4318", None),
        ] {
            assert_eq!(port(url).ok(), expected, "{url}");
        }
    }

    #[test]
    fn networks_are_addresses_with_bits() {
        for text in ["10.0.0.0/8", "192.0.2.7", "fd00::/8", "::1", "0.0.0.0/0"] {
            assert!(is_network(text), "{text}");
        }
        for text in ["", "10.0.0/8", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "proxy.example"] {
            assert!(!is_network(text), "{text}");
        }
    }
}
