//! How SDKs say which project they send to: the forms of a DSN's public key.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use belvedere_kernel::ProjectId;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Uri};

const X_SENTRY_AUTH: HeaderName = HeaderName::from_static("x-sentry-auth");

/// The public key of a request's head; the first form that is there wins.
///
/// In this order: `X-Sentry-Auth: Sentry sentry_key=..`, the same in `Authorization`, `?sentry_key=`, and
/// `Authorization: Basic` with the key as user name. (Some proxies add an Authorization of their own, so the forms
/// that only SDKs write come first.)
pub(super) fn key_of_head(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let sentry = headers.get(X_SENTRY_AUTH).and_then(|value| value.to_str().ok());
    sentry
        .and_then(key_of_pairs)
        .or_else(|| authorization.and_then(after_scheme("sentry")).and_then(key_of_pairs))
        .or_else(|| {
            uri.query().and_then(|query| query_value(query, "sentry_key")).filter(|key| !key.is_empty())
        })
        .map(str::to_owned)
        .or_else(|| authorization.and_then(after_scheme("basic")).and_then(key_of_basic))
}

fn after_scheme(scheme: &str) -> impl Fn(&str) -> Option<&str> {
    move |value| {
        let (first, rest) = value.trim_start().split_once(' ')?;
        first.eq_ignore_ascii_case(scheme).then_some(rest)
    }
}

/// The key of `Sentry sentry_key=K, sentry_version=7, ..`, with or without the first word.
fn key_of_pairs(value: &str) -> Option<&str> {
    let pairs = after_scheme("sentry")(value).unwrap_or(value);
    let key = pairs.split(',').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("sentry_key").then(|| value.trim().trim_matches('"'))
    });
    key.filter(|key| !key.is_empty())
}

/// The key of `base64(K:)` (RFC 7617).
fn key_of_basic(value: &str) -> Option<String> {
    let decoded = BASE64_STANDARD.decode(value.trim()).ok()?;
    let (key, _) = str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(key.to_owned()).filter(|key| !key.is_empty())
}

/// A value of a query string as it stands there. Keys are hexadecimal and need no decoding.
pub(super) fn query_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// The public key and the project of `{protocol}://{key}[:{secret}]@{host}[/{prefix}]/{project}`.
pub(super) fn parse_dsn(dsn: &str) -> Option<(&str, ProjectId)> {
    let (_, rest) = dsn.split_once("://")?;
    let (user, place) = rest.split_once('@')?;
    let key = user.split(':').next().filter(|key| !key.is_empty())?;
    let project = place.split(['?', '#']).next()?.trim_end_matches('/').rsplit_once('/')?.1;
    Some((key, project.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn key(headers: &[(&'static str, &str)], uri: &str) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        key_of_head(&map, &uri.parse().unwrap())
    }

    #[test]
    fn every_form_of_the_key_is_found() {
        let pairs = format!("Sentry sentry_key={KEY}, sentry_version=7, sentry_client=sentry.python/2.75.0");
        let quoted = format!("sentry sentry_version=7,sentry_key=\"{KEY}\"");
        // base64("0123456789abcdef0123456789abcdef:")
        let basic = "Basic MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY6";
        for (headers, uri) in [
            (vec![("x-sentry-auth", pairs.as_str())], "/"),
            (vec![("x-sentry-auth", quoted.as_str())], "/"),
            (vec![("authorization", pairs.as_str())], "/"),
            (vec![("authorization", basic)], "/"),
            (vec![], "/?sentry_version=7&sentry_key=0123456789abcdef0123456789abcdef&sentry_client=x"),
            (vec![("authorization", "Basic b3RoZXI6")], "/?sentry_key=0123456789abcdef0123456789abcdef"),
        ] {
            assert_eq!(key(&headers, uri).as_deref(), Some(KEY), "{headers:?} {uri}");
        }
    }

    #[test]
    fn what_is_no_key_is_none() {
        for (headers, uri) in [
            (vec![], "/"),
            (vec![("x-sentry-auth", "Sentry sentry_version=7")], "/?sentry_key="),
            (vec![("authorization", "Bearer abc")], "/"),
            (vec![("authorization", "Basic !!!")], "/"),
            (vec![("authorization", "Basic Og==")], "/"),
        ] {
            assert_eq!(key(&headers, uri), None, "{headers:?} {uri}");
        }
    }

    #[test]
    fn dsns_with_secret_port_and_prefix_are_read() {
        assert_eq!(parse_dsn("https://k@h/7"), Some(("k", ProjectId(7))));
        assert_eq!(parse_dsn("http://k:secret@h:8000/a/b/7/"), Some(("k", ProjectId(7))));
        for wrong in ["", "https://h/7", "https://@h/7", "https://k@h", "https://k@h/x", "k@h/7"] {
            assert_eq!(parse_dsn(wrong), None, "{wrong}");
        }
    }
}
