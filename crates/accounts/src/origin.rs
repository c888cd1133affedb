//! Which web origins may send with an ingest key (RFC 6454; wildcards for whole domains).

use crate::{AccountsError, IngestKeyInfo};

const ORIGINS_MAX: usize = 50;
const ORIGIN_LEN_MAX: usize = 200;
const WHY: &str = "must be like https://app.example.org, https://*.example.org or http://localhost:3000: \
    scheme, host and perhaps a port, nothing after it";

/// The origins in lower case and once each.
pub(crate) fn normalise(origins: &[String]) -> Result<Vec<String>, AccountsError> {
    if origins.len() > ORIGINS_MAX {
        return Err(AccountsError::invalid("allowed_origins", format!("must be at most {ORIGINS_MAX}")));
    }
    let mut normal: Vec<String> = Vec::with_capacity(origins.len());
    for (index, origin) in origins.iter().enumerate() {
        let origin = origin.trim().to_ascii_lowercase();
        if !is_pattern(&origin) {
            return Err(AccountsError::invalid("allowed_origins", format!("number {}: {WHY}", index + 1)));
        }
        if !normal.contains(&origin) {
            normal.push(origin);
        }
    }
    Ok(normal)
}

fn is_pattern(origin: &str) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    let rest = rest.strip_prefix("*.").unwrap_or(rest);
    let (host, port) = split_port(rest);
    origin.len() <= ORIGIN_LEN_MAX && is_scheme(scheme) && is_host(host) && port.is_none_or(is_port)
}

/// The part before the last colon outside of brackets, and the part after it.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// RFC 3986, section 3.1. Not only http: apps in a web view send origins such as `capacitor://localhost`.
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|letter: char| letter.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    host.split('.').all(is_label)
}

fn is_port(port: &str) -> bool {
    !port.is_empty()
        && port.bytes().all(|digit| digit.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

impl IngestKeyInfo {
    /// Whether a browser page of `origin`, as the Origin header gives it, may send with this key.
    ///
    /// Without a list of origins every page may. `https://*.example.org` admits every host below `example.org`, at
    /// any depth, but not `example.org` itself. A port that is not named means the scheme's own.
    #[must_use]
    pub fn allows_origin(&self, origin: &str) -> bool {
        if self.allowed_origins.is_empty() {
            return true;
        }
        if origin.len() > ORIGIN_LEN_MAX {
            return false;
        }
        let origin = origin.to_ascii_lowercase();
        self.allowed_origins.iter().any(|pattern| matches(pattern, &origin))
    }
}

fn matches(pattern: &str, origin: &str) -> bool {
    let (Some((scheme, rest)), Some((origin_scheme, origin_rest))) =
        (pattern.split_once("://"), origin.split_once("://"))
    else {
        return false;
    };
    let (wanted, host) = (rest.strip_prefix("*."), split_port(origin_rest));
    let (pattern_host, pattern_port) = split_port(wanted.unwrap_or(rest));
    let is_port = port_or_default(scheme, pattern_port) == port_or_default(origin_scheme, host.1);
    let is_host = match wanted {
        None => host.0 == pattern_host,
        Some(_) => {
            host.0.strip_suffix(pattern_host).is_some_and(|below| below.len() > 1 && below.ends_with('.'))
                && is_host(host.0)
        }
    };
    scheme == origin_scheme && is_port && is_host
}

fn port_or_default<'a>(scheme: &str, port: Option<&'a str>) -> Option<&'a str> {
    match (scheme, port) {
        ("https", Some("443")) | ("http", Some("80")) => None,
        _ => port,
    }
}

#[cfg(test)]
mod tests {
    use belvedere_kernel::ProjectId;
    use belvedere_storage::{Id, Timestamp};

    use super::*;

    fn key(origins: &[&str]) -> IngestKeyInfo {
        IngestKeyInfo {
            id: Id::from_bytes([1; 16]),
            project: ProjectId(1),
            public_key: String::new(),
            label: String::new(),
            rate_limit_per_minute: None,
            allowed_origins: origins.iter().map(ToString::to_string).collect(),
            created_at: Timestamp::EPOCH,
            revoked_at: None,
        }
    }

    #[test]
    fn origins_are_scheme_host_and_port_and_nothing_else() {
        let good = [
            "https://app.example.org",
            "HTTPS://*.Example.org",
            "http://localhost:3000",
            "http://[::1]:8080",
        ];
        let good = good.map(str::to_owned);
        let expected = [
            "https://app.example.org",
            "https://*.example.org",
            "http://localhost:3000",
            "http://[::1]:8080",
        ];
        assert_eq!(normalise(&good).unwrap(), expected);
        assert_eq!(normalise(&["capacitor://localhost".to_owned()]).unwrap(), ["capacitor://localhost"]);
        assert_eq!(
            normalise(&["https://a.b".to_owned(), "https://A.b".to_owned()]).unwrap(),
            ["https://a.b"]
        );
        let bad = [
            "",
            "*",
            "example.org",
            "https://",
            "https://*",
            "https://a.b/",
            "https://a.b/path",
            "https://u@a.b",
        ];
        for bad in bad.into_iter().chain([
            "https://a..b",
            "https://a.*.b",
            "https://a.b:",
            "https://a.b:0",
            "https://[::1",
        ]) {
            let error = normalise(&["https://a.b".to_owned(), bad.to_owned()]).unwrap_err();
            assert_eq!(error.to_string(), format!("allowed_origins: number 2: {WHY}"), "{bad}");
        }
        let many = vec!["https://a.b".to_owned(); 51];
        assert_eq!(normalise(&many).unwrap_err().to_string(), "allowed_origins: must be at most 50");
    }

    #[test]
    fn an_empty_list_admits_every_page() {
        assert!(key(&[]).allows_origin("https://anything.example"));
        assert!(key(&[]).allows_origin("null"));
    }

    #[test]
    fn a_listed_origin_is_admitted_and_its_neighbours_are_not() {
        let key = key(&["https://app.example.org", "http://localhost:3000"]);
        assert!(key.allows_origin("https://app.example.org"));
        assert!(key.allows_origin("https://APP.example.org:443"));
        assert!(key.allows_origin("http://localhost:3000"));
        for other in
            ["http://app.example.org", "https://app.example.org:8443", "https://example.org", "null", ""]
        {
            assert!(!key.allows_origin(other), "{other}");
        }
        assert!(!key.allows_origin("http://localhost"));
        assert!(!key.allows_origin("https://app.example.org.evil.example"));
    }

    #[test]
    fn a_wildcard_admits_hosts_below_and_neither_the_domain_itself_nor_lookalikes() {
        let key = key(&["https://*.example.org"]);
        assert!(key.allows_origin("https://a.example.org"));
        assert!(key.allows_origin("https://a.b.example.org"));
        for other in [
            "https://example.org",
            "https://.example.org",
            "https://evilexample.org",
            "https://a.example.org:1",
        ] {
            assert!(!key.allows_origin(other), "{other}");
        }
        assert!(!key.allows_origin("https://evil.example/.example.org"));
    }
}
