//! Who sends: the address that a request comes from, seen through proxies that are trusted, and never what it claims.
//!
//! Each proxy appends the address it was called from to `X-Forwarded-For`, so the list is true from its right end up to
//! the first address that no trusted proxy wrote. That one is the source; whatever stands left of it anybody may have
//! made up.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use axum::http::{HeaderMap, HeaderName};
use thiserror::Error;

/// The list of addresses that proxies keep.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Proxies that one request may have passed: more than any real chain, so that a made-up one costs nothing.
const HOPS_MAX: usize = 32;

/// Bits of an IPv6 address that name a customer's network; a customer has all addresses below it.
const IPV6_NETWORK_BITS: u8 = 64;

/// Addresses with a common beginning, such as `10.0.0.0/8`; a single address has all its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// The part before the slash.
    #[error("{0:?} is not an address; expected one such as 10.0.0.0/8, 192.0.2.7 or fd00::/8")]
    Address(String),
    /// The part behind the slash.
    #[error("/{given} is not a number of bits up to {bits_max}")]
    Bits {
        /// What was given.
        given: String,
        /// The address's own bits.
        bits_max: u8,
    },
}

/// One sender, as far as limits tell them apart: an IPv4 address, or the /64 network of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Source(u128);

impl Network {
    /// Whether the address lies in this network.
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && truncated(address, self.bits) == truncated(self.first, self.bits)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let first: IpAddr = address.trim().parse().map_err(|_| NetworkError::Address(address.to_owned()))?;
        let bits_max = bits_of(first);
        let bits = match bits {
            None => bits_max,
            Some(given) => {
                let parsed = given.trim().parse().ok().filter(|bits| *bits <= bits_max);
                parsed.ok_or_else(|| NetworkError::Bits { given: given.to_owned(), bits_max })?
            }
        };
        Ok(Self { first, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

impl Source {
    /// The source of a request that came over a connection from `peer`.
    pub(crate) fn of(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[Network]) -> Self {
        let is_trusted = |address: IpAddr| trusted_proxies.iter().any(|network| network.contains(address));
        let mut source = peer;
        let lists = headers.get_all(FORWARDED_FOR).iter().rev();
        let hops = lists.flat_map(|list| list.to_str().unwrap_or_default().rsplit(',')).take(HOPS_MAX);
        for hop in hops {
            if !is_trusted(source) {
                break;
            }
            match parse_hop(hop) {
                Some(address) => source = address,
                // Not an address, so nothing is known beyond the proxy that passed it on.
                None => break,
            }
        }
        Self::from(source)
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            // The mapped form, which no other address shares.
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            address @ IpAddr::V6(_) => Self(truncated(address, IPV6_NETWORK_BITS)),
        }
    }
}

/// `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

const fn bits_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The first bits of an address.
fn truncated(address: IpAddr, bits: u8) -> u128 {
    let all = match address {
        IpAddr::V4(address) => u128::from(Ipv4Addr::to_bits(address)),
        IpAddr::V6(address) => Ipv6Addr::to_bits(address),
    };
    let dropped = u32::from(bits_of(address).saturating_sub(bits));
    all.checked_shr(dropped).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(peer: &str, forwarded: &[&str], trusted: &[&str]) -> Source {
        let mut headers = HeaderMap::new();
        for list in forwarded {
            headers.append(FORWARDED_FOR, list.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        Source::of(peer.parse().unwrap(), &headers, &trusted)
    }

    fn check(peer: &str, forwarded: &[&str], trusted: &[&str], expected: &str) {
        let expected = Source::from(expected.parse::<IpAddr>().unwrap());
        assert_eq!(source(peer, forwarded, trusted), expected, "{peer} {forwarded:?} {trusted:?}");
    }

    #[test]
    fn without_trusted_proxies_nobody_is_believed() {
        check("192.0.2.1", &[], &[], "192.0.2.1");
        check("192.0.2.1", &["203.0.113.9"], &[], "192.0.2.1");
        check("192.0.2.1", &["203.0.113.9"], &["10.0.0.0/8"], "192.0.2.1");
    }

    #[test]
    fn the_list_is_read_from_the_right_through_trusted_hops_only() {
        let trusted = ["10.0.0.0/8", "fd00::/8"];
        check("10.0.0.1", &["203.0.113.9"], &trusted, "203.0.113.9");
        check("10.0.0.1", &["203.0.113.9, 10.1.2.3"], &trusted, "203.0.113.9");
        check("10.0.0.1", &["198.51.100.1, 203.0.113.9, 10.1.2.3"], &trusted, "203.0.113.9");
        check("10.0.0.1", &["198.51.100.1", "203.0.113.9,fd00::2"], &trusted, "203.0.113.9");
        check("10.0.0.1", &[" 203.0.113.9:4711 "], &trusted, "203.0.113.9");
        check("::ffff:10.0.0.1", &["[2001:db8::1]:80"], &trusted, "2001:db8::1");
        check("10.0.0.1", &["[2001:db8::1]"], &trusted, "2001:db8::1");
    }

    #[test]
    fn what_is_no_address_ends_the_list() {
        let trusted = ["10.0.0.0/8"];
        check("10.0.0.1", &["203.0.113.9, unknown"], &trusted, "10.0.0.1");
        check("10.0.0.1", &["203.0.113.9, unknown, 10.0.0.2"], &trusted, "10.0.0.2");
        check("10.0.0.1", &[""], &trusted, "10.0.0.1");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], &trusted, "10.0.0.3");
        let long = vec!["10.0.0.2"; 5 * HOPS_MAX].join(",");
        check("10.0.0.1", &["203.0.113.9", &long], &trusted, "10.0.0.2");
    }

    #[test]
    fn an_ipv6_customer_is_one_source() {
        let of = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn networks_are_read_strictly() {
        let network = |text: &str| text.parse::<Network>();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(network("0.0.0.0/0").unwrap().contains(address("255.1.2.3")));
        assert!(!network("0.0.0.0/0").unwrap().contains(address("::1")));
        assert!(network("192.0.2.7").unwrap().contains(address("::ffff:192.0.2.7")));
        assert!(!network("192.0.2.0/25").unwrap().contains(address("192.0.2.128")));
        assert!(network("::/0").unwrap().contains(address("2001:db8::1")));
        assert_eq!(network("10.0.0.0/33"), Err(NetworkError::Bits { given: "33".to_owned(), bits_max: 32 }));
        assert_eq!(network("proxy"), Err(NetworkError::Address("proxy".to_owned())));
        assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
    }
}
