//! Which addresses may be sent to: public ones over HTTPS, so that nobody reaches through Belvedere into its network.
//!
//! A URL is checked when it is declared, and every address that its name leads to is checked each time it is connected
//! to, so a name that leads elsewhere later (DNS rebinding) gains nothing. The ranges are those of the registries of
//! special-purpose addresses that RFC 6890 began (IANA, IPv4 and IPv6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

/// The longest URL in bytes.
const URL_BYTES_MAX: usize = 2_000;

/// Ranges of IPv4 that are not public, as first address and length of the prefix.
const NOT_PUBLIC_V4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),        // this network
    ([10, 0, 0, 0], 8),       // private
    ([100, 64, 0, 0], 10),    // shared by carriers' translation; a cloud's metadata
    ([127, 0, 0, 0], 8),      // loopback
    ([168, 63, 129, 16], 32), // a cloud's metadata
    ([169, 254, 0, 0], 16),   // link-local; most clouds' metadata
    ([172, 16, 0, 0], 12),    // private
    ([192, 0, 0, 0], 24),     // protocol assignments; a cloud's metadata
    ([192, 0, 2, 0], 24),     // documentation
    ([192, 88, 99, 0], 24),   // 6to4 relays
    ([192, 168, 0, 0], 16),   // private
    ([198, 18, 0, 0], 15),    // benchmarks
    ([198, 51, 100, 0], 24),  // documentation
    ([203, 0, 113, 0], 24),   // documentation
    ([224, 0, 0, 0], 4),      // multicast
    ([240, 0, 0, 0], 4),      // reserved, broadcast
];

/// Ranges of IPv6 within 2000::/3 that are not public; nothing outside of it is, but what holds a public IPv4 address.
const NOT_PUBLIC_V6: [([u16; 2], u32); 5] = [
    ([0x2001, 0x0000], 23), // protocol assignments, Teredo among them
    ([0x2001, 0x0db8], 32), // documentation
    ([0x2002, 0x0000], 16), // 6to4
    ([0x3ffe, 0x0000], 16), // the former 6bone
    ([0x3fff, 0x0000], 20), // documentation
];

/// Whether an address is one of the public network.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !NOT_PUBLIC_V4
        .iter()
        .any(|(first, length)| (address.to_bits() ^ u32::from_be_bytes(*first)) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, fourth, fifth, sixth, seventh, eighth] = address.segments();
    let last = u32::from(seventh) << 16 | u32::from(eighth);
    // IPv4-mapped addresses (RFC 4291, 2.5.5.2) and translated ones (RFC 6052) are as public as what they hold.
    if matches!(
        [first, second, third, fourth, fifth, sixth],
        [0, 0, 0, 0, 0, 0xffff] | [0x0064, 0xff9b, 0, 0, 0, 0]
    ) {
        return is_public_v4(Ipv4Addr::from_bits(last));
    }
    let start = u32::from(first) << 16 | u32::from(second);
    first >> 13 == 0b001
        && !NOT_PUBLIC_V6.iter().any(|([high, low], length)| {
            (start ^ (u32::from(*high) << 16 | u32::from(*low))) >> (32 - length) == 0
        })
}

/// Reads the URL of an endpoint; where `allows_private`, of plain HTTP and of any address too.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn parse_url(text: &str, allows_private: bool) -> Result<Uri, &'static str> {
    if text.len() > URL_BYTES_MAX {
        return Err("is longer than 2,000 bytes");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err("has letters that no URL has; a host name of other letters must be written as xn--");
    }
    if text.contains('#') {
        return Err("has a fragment, which is never sent");
    }
    let uri: Uri = text.parse().map_err(|_| "is not a URL")?;
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if allows_private => {}
        _ => return Err("must begin with https://"),
    }
    let authority = uri.authority().ok_or("has no host")?;
    if authority.as_str().contains('@') {
        return Err("has a user or a password");
    }
    let (host, port) = (authority.host(), authority.port_u16());
    let is_whole = match port {
        Some(port) => port > 0 && authority.as_str() == format!("{host}:{port}"),
        None => authority.as_str() == host,
    };
    if !is_whole {
        return Err("has a port that is none");
    }
    match literal(host)? {
        Some(address) if !allows_private && !is_public(address) => {
            Err("is not an address of the public network")
        }
        _ => Ok(uri),
    }
}

/// The address that a host is if it is no name. Anything that some resolver takes for an address, such as `127.1`,
/// `0x7f000001` or `0177.0.0.1`, must be written as addresses usually are.
fn literal(host: &str) -> Result<Option<IpAddr>, &'static str> {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return inner
            .parse()
            .map(|address| Some(IpAddr::V6(address)))
            .map_err(|_| "has a host that is no address");
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(is_letter)
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err("has a host that is no name");
    }
    let last = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let digits = last.strip_prefix("0x").unwrap_or(&last);
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.starts_with("0x") && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_number {
        return Ok(None);
    }
    host.parse().map(|address| Some(IpAddr::V4(address))).map_err(|_| "has an address in an unusual spelling")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_network_are_public() {
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2a00::1",
            "3fff:1000::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ];
        let other = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::1.1.1.1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2002:101:101::1",
            "3ffe::1",
            "3fff::1",
            "4000::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for text in public {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in other {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn urls_are_https_to_a_name_or_a_public_address_and_nothing_clever() {
        let good = [
            "https://hooks.example.org/belvedere?team=1",
            "https://hooks.example.org",
            "https://hooks.example.org.:8443/a%20b",
            "https://xn--bcher-kva.example/",
            "https://1.1.1.1/",
            "https://[2606:4700::1111]:8443/",
            "https://3com.example/",
            "https://example.0xcafe-it/",
            "HTTPS://HOOKS.EXAMPLE.ORG/",
        ];
        let bad = [
            "http://hooks.example.org/",
            "ftp://hooks.example.org/",
            "file:///etc/passwd",
            "gopher://hooks.example.org/",
            "//hooks.example.org/",
            "/hooks",
            "hooks.example.org",
            "hooks.example.org:443",
            "",
            "https://",
            "https:///path",
            "https:hooks.example.org",
            "https://user@hooks.example.org/",
            "https://user:password@hooks.example.org/",
            "https://hooks.example.org@127.0.0.1/",
            "https://127.0.0.1#@hooks.example.org/",
            "https://hooks.example.org\\@127.0.0.1/",
            "https://hooks.example.org/a b",
            "https://hooks.example.org/\r\nx: y",
            " https://hooks.example.org/",
            "https://hooks.example.org:0/",
            "https://hooks.example.org:65536/",
            "https://hooks.example.org:/",
            "https://hooks.example.org:443:443/",
            "https://hooks.example.org:0443/",
            "https://hooks..example.org/",
            "https://.example.org/",
            "https://hooks.%65xample.org/",
            "https://b\u{fc}cher.example/",
            "https://127.0.0.1/",
            "https://127.0.0.1./",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0x7f.0.0.1/",
            "https://127.0.0.0x1/",
            "https://0177.0.0.1/",
            "https://127.0.0.01/",
            "https://1.1.1/",
            "https://1.1.1.1.1/",
            "https://256.1.1.1/",
            "https://0x/",
            "https://hooks.example.1/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://[fe80::1%25eth0]/",
            "https://[::1/",
            "https://[1.1.1.1]/",
        ];
        for url in good {
            assert_eq!(parse_url(url, false).map(drop), Ok(()), "{url}");
        }
        for url in bad {
            assert!(parse_url(url, false).is_err(), "{url}");
        }
        assert!(parse_url(&format!("https://example.org/{}", "a".repeat(2_000)), false).is_err());
        assert!(parse_url(&format!("https://{}.example/", "a".repeat(64)), false).is_err());
    }

    #[test]
    fn where_private_targets_are_allowed_the_spelling_is_checked_all_the_same() {
        for url in
            ["http://127.0.0.1:8080/hook", "https://[::1]/", "http://intranet/hook", "https://10.1.2.3/"]
        {
            assert_eq!(parse_url(url, true).map(drop), Ok(()), "{url}");
        }
        for url in ["http://2130706433/", "http://user@intranet/", "ftp://intranet/", "http://0x7f.1/"] {
            assert!(parse_url(url, true).is_err(), "{url}");
        }
    }
}
