//! Who is at the other end of a connection, through trusted proxies.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::{HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The most entries of an `X-Forwarded-For` list that are looked at, from its end.
const HOPS_MAX: usize = 16;

/// The other end of the TCP connection; a request extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The client as far as trusted proxies tell; a request extension. Personal data: never to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// A range of addresses in CIDR notation (RFC 4632), such as `10.0.0.0/8`; a single address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    network: IpAddr,
    prefix: u8,
}

/// Text that is no range of addresses.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an address or CIDR range: {0:?}")]
pub struct ParseAddressRangeError(String);

impl FromStr for AddressRange {
    type Err = ParseAddressRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseAddressRangeError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let network = address.parse::<IpAddr>().map_err(|_| refuse())?;
        let widest = bits(network).1;
        let prefix = match prefix {
            Some(prefix) => {
                prefix.parse::<u8>().ok().filter(|prefix| *prefix <= widest).ok_or_else(refuse)?
            }
            None => widest,
        };
        Ok(Self { network, prefix })
    }
}

impl AddressRange {
    fn contains(&self, address: IpAddr) -> bool {
        let (network, width) = bits(self.network);
        let (address, address_width) = bits(address);
        // A shift by the whole width (prefix 0) gives None: everything of that family is in the range.
        width == address_width
            && (network ^ address)
                .checked_shr(u32::from(width - self.prefix))
                .is_none_or(|differing| differing == 0)
    }
}

/// The address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

/// The reverse proxies whose word about the client is believed; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<AddressRange>);

impl TrustedProxies {
    /// The proxies in these ranges.
    ///
    /// # Errors
    /// [`ParseAddressRangeError`] for the first text that is no range.
    pub fn parse<T: AsRef<str>>(ranges: &[T]) -> Result<Self, ParseAddressRangeError> {
        ranges.iter().map(|range| range.as_ref().parse()).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(address))
    }

    /// The nearest address on the way to the client that is no trusted proxy.
    ///
    /// `X-Forwarded-For` is read from its end, as only what trusted proxies appended can be believed.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if self.0.is_empty() || !self.contains(client) {
            return client;
        }
        let lines = headers.get_all(FORWARDED_FOR).iter().rev().filter_map(|line| line.to_str().ok());
        for hop in lines.flat_map(|line| line.rsplit(',')).take(HOPS_MAX) {
            let Some(address) = parse_hop(hop.trim()) else { break };
            client = address.to_canonical();
            if !self.contains(client) {
                break;
            }
        }
        client
    }
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse::<IpAddr>().ok();
    let bare = bare.or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()));
    bare.or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        TrustedProxies::parse(proxies).unwrap().client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed_about_the_client() {
        assert_eq!(client(&[], "192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(client(&["10.0.0.0/8"], "192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(client(&["10.0.0.0/8"], "10.1.2.3", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&["10.0.0.0/8"], "::ffff:10.1.2.3", &["203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn a_client_cannot_choose_its_own_address() {
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["1.2.3.4, 203.0.113.9, 10.0.0.7"]), "203.0.113.9");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["1.2.3.4", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["1.2.3.4, nonsense"]), "10.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["[2001:db8::7]:4711"]), "2001:db8::7");
    }

    #[test]
    fn ranges_are_checked_and_compared_by_their_prefix() {
        let contains = |range: &str, address: &str| {
            TrustedProxies::parse(&[range]).unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("0.0.0.0/0", "8.8.8.8"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(contains("192.168.4.0/22", "192.168.7.255"));
        assert!(!contains("192.168.4.0/22", "192.168.8.0"));
        assert!(contains("::1", "::1"));
        for wrong in ["10.0.0.0/33", "10.0.0", "::/129", "localhost", "10.0.0.0/-1", ""] {
            assert_eq!(wrong.parse::<AddressRange>(), Err(ParseAddressRangeError(wrong.to_owned())));
        }
    }
}
