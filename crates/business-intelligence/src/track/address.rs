//! The parts of web addresses that say where something happened and not to whom. No I/O.

/// The host of `scheme://[user@]host[:port]/..`, in lower case and without `www.`; none of an address without one.
pub(crate) fn host_of(address: &str) -> Option<String> {
    let (scheme, rest) = address.trim().split_once("://")?;
    let is_scheme =
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let authority = rest.split(['/', '?', '#', '\\']).next().filter(|_| is_scheme)?;
    let host = authority.rsplit('@').next()?;
    let host =
        if host.starts_with('[') { host.split_inclusive(']').next()? } else { host.split(':').next()? };
    let host = host.trim_end_matches('.').to_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    let is_host =
        !host.is_empty() && !host.chars().any(|letter| letter.is_control() || letter.is_whitespace());
    is_host.then(|| host.to_owned())
}

/// An address without its query and fragment, which may hold tokens and e-mail addresses, and without who signs in.
pub(crate) fn without_query(address: &str) -> &str {
    address.split(['?', '#']).next().unwrap_or_default()
}

/// The path of an address, or of what is a path already.
pub(crate) fn path_of(address: &str) -> &str {
    let address = without_query(address);
    match address.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |place| &rest[place..]),
        None => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_and_brought_into_one_spelling() {
        for (address, host) in [
            ("https://www.Search.example/?q=x", Some("search.example")),
            ("http://ada:secret@shop.example:8080/a", Some("shop.example")),
            ("android-app://com.chat.example", Some("com.chat.example")),
            ("http://[2001:db8::1]:80/", Some("[2001:db8::1]")),
            ("https://shop.example", Some("shop.example")),
            ("/a/b", None),
            ("", None),
            ("https://", None),
            ("https://a b/", None),
        ] {
            assert_eq!(host_of(address).as_deref(), host, "{address}");
        }
    }

    #[test]
    fn paths_have_neither_query_nor_fragment() {
        for (address, path) in [
            ("https://shop.example/a/b?email=ada@example.com#c", "/a/b"),
            ("https://shop.example?x", "/"),
            ("/a?token=1", "/a"),
            ("#/route", ""),
        ] {
            assert_eq!(path_of(address), path, "{address}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_address_makes_them_panic(address in "\\PC{0,60}") {
            let _ = (host_of(&address), path_of(&address));
        }
    }
}
