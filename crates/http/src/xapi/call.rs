//! A request on its way in: version, key, parameters and body, whichever way they are said.

use std::sync::Arc;

use axum::extract::Request;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use belvedere_accounts::{ClientInfo, XapiKeyInfo, XapiScope};
use belvedere_kernel::error_chain;
use belvedere_xapi::{Client, Version};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::answer::Refusal;
use super::parameters::{Parameters, text};
use crate::body::HeldBody;
use crate::observe::RequestId;
use crate::state::Shared;

const X_VERSION: HeaderName = HeaderName::from_static("x-experience-api-version");

/// What is asked, after an alternate request has been taken apart.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) parameters: Parameters,
    pub(super) body: Bytes,
}

/// Who asks, and by which edition.
pub(super) struct Visit {
    pub(super) version: Version,
    pub(super) key: Arc<XapiKeyInfo>,
    request_id: Option<String>,
}

/// Headers that an alternate request may have as fields of its form (1.0.3, Communication 1.3).
const FORM_HEADERS: [&str; 9] = [
    "authorization",
    "x-experience-api-version",
    "content-type",
    "content-length",
    "if-match",
    "if-none-match",
    "accept-language",
    "accept",
    "content-transfer-encoding",
];

pub(super) fn version_of(headers: &HeaderMap) -> Option<Version> {
    Version::parse(headers.get(X_VERSION)?.to_str().ok()?.trim())
}

impl Visit {
    /// Reads a request; the version to answer by goes with a refusal.
    pub(super) async fn begin(
        shared: &Shared,
        request: Request,
    ) -> Result<(Self, Call, Option<HeldBody<'_>>), (Version, Refusal)> {
        let (parts, body) = request.into_parts();
        let version = version_of(&parts.headers).unwrap_or(Version::Two);
        let refuse = |refusal| (version, refusal);
        if !shared.features.xapi {
            return Err(refuse(Refusal::switched_off()));
        }
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        let mut parameters = Parameters::parse(parts.uri.query().unwrap_or_default()).map_err(refuse)?;
        let alternate = parameters.take("method");
        let Some(method) = alternate else {
            let key = authenticate(shared, &parts.headers).await.map_err(refuse)?;
            let visit = Self { version: stated(&parts.headers).map_err(refuse)?, key, request_id };
            let has_body = parts.method == Method::PUT || parts.method == Method::POST;
            let held = if has_body {
                let max = shared.limits.body_bytes_max;
                Some(shared.bodies.read(body, max).await.map_err(|error| refuse(error.into()))?)
            } else {
                None
            };
            let body = held.as_ref().map(|held| held.bytes.clone()).unwrap_or_default();
            let call = Call { method: parts.method, headers: parts.headers, parameters, body };
            return Ok((visit, call, held));
        };
        // The form may name the version; the header, if there is one, must not forbid it.
        if version_of(&parts.headers) == Some(Version::Two) || parts.method != Method::POST {
            let why =
                "method: there is no such parameter here; the alternate request syntax is for POST and 1.0.x";
            return Err(refuse(Refusal::bad_request(why)));
        }
        let held = shared.bodies.read(body, shared.limits.body_bytes_max).await;
        let held = held.map_err(|error| refuse(error.into()))?;
        let call = taken_apart(&method, parts.headers, parameters, &held.bytes).map_err(refuse)?;
        let key = authenticate(shared, &call.headers).await.map_err(refuse)?;
        let version = stated(&call.headers).map_err(refuse)?;
        if version == Version::Two {
            return Err((version, Refusal::bad_request("the alternate request syntax is not part of 2.0.0")));
        }
        Ok((Self { version, key, request_id }, call, Some(held)))
    }

    /// Lets the key pass only with one of the scopes.
    pub(super) async fn require(&self, shared: &Shared, scopes: &[XapiScope]) -> Result<(), Refusal> {
        if self.key.allows(scopes) {
            return Ok(());
        }
        let client = ClientInfo { request_id: self.request_id.clone(), ..ClientInfo::default() };
        if let Err(error) = shared.xapi_keys.record_xapi_denied(&self.key, &client).await {
            let (request_id, error) = (&self.request_id, error_chain(&error));
            tracing::error!(request_id, error, "a refusal was not written into the audit log");
        }
        Err(Refusal::forbidden())
    }

    pub(super) fn client(&self) -> Client {
        Client {
            project: self.key.project,
            organisation: self.key.organisation,
            key: self.key.id,
            name: self.key.label.clone(),
            request_id: self.request_id.clone(),
        }
    }
}

impl Call {
    /// Refuses everything but GET and HEAD.
    pub(super) fn only_read(&self) -> Result<(), Refusal> {
        if matches!(self.method, Method::GET | Method::HEAD) { Ok(()) } else { Err(Refusal::method()) }
    }

    pub(super) fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The media type of the body in lower case, without parameters.
    pub(super) fn media_type(&self) -> String {
        let value = self.header(CONTENT_TYPE).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

fn stated(headers: &HeaderMap) -> Result<Version, Refusal> {
    version_of(headers)
        .ok_or_else(|| Refusal::bad_request("X-Experience-API-Version: must be 2.0.0 or 1.0.0 to 1.0.3"))
}

/// The key whose request this is, if it has not reached its limit.
async fn authenticate(shared: &Shared, headers: &HeaderMap) -> Result<Arc<XapiKeyInfo>, Refusal> {
    let credentials = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(basic);
    let Some((key, secret)) = credentials else { return Err(Refusal::unauthorized()) };
    let key = shared.xapi_keys.authenticate_xapi_key(&key, &secret).await?;
    let key = key.ok_or_else(Refusal::unauthorized)?;
    if let Some(per_minute) = shared.xapi_limits.requests_per_minute {
        shared.xapi_rates.admit(key.id, per_minute, shared.clock.now()).map_err(Refusal::too_many)?;
    }
    Ok(key)
}

/// User and password of `Basic` (RFC 7617).
fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.trim().split_once(' ')?;
    let decoded =
        BASE64_STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// The request that a form stands for: its fields are parameters, headers, and the content.
fn taken_apart(
    method: &str,
    mut headers: HeaderMap,
    parameters: Parameters,
    body: &[u8],
) -> Result<Call, Refusal> {
    parameters
        .end()
        .map_err(|_| Refusal::bad_request("method: must be the only parameter in the address"))?;
    let method = match method {
        "GET" => Method::GET,
        "HEAD" => Method::HEAD,
        "PUT" => Method::PUT,
        "POST" => Method::POST,
        "DELETE" => Method::DELETE,
        _ => return Err(Refusal::bad_request("method: must be GET, HEAD, PUT, POST or DELETE")),
    };
    let kind = headers.remove(CONTENT_TYPE);
    let is_form = kind.as_ref().and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
        kind.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    let form = std::str::from_utf8(body).ok().filter(|_| is_form || body.is_empty());
    let Some(form) = form else {
        return Err(Refusal::bad_request("an alternate request must be application/x-www-form-urlencoded"));
    };
    let mut parameters = Parameters::parse(form)?;
    for name in FORM_HEADERS {
        for spelling in [name.to_owned(), titled(name)] {
            if let Some(value) = parameters.take(&spelling) {
                let value = HeaderValue::try_from(value)
                    .map_err(|_| Refusal::bad_request(format!("{name}: is no value of a header")))?;
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
    let content = parameters.find("content", |content| Ok(content.to_owned()))?;
    let needs_content = method == Method::PUT || method == Method::POST;
    if needs_content && content.is_none() {
        return Err(Refusal::bad_request("content: is required in an alternate request"));
    }
    if needs_content && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(Call { method, headers, parameters, body: content.unwrap_or_default().into() })
}

/// The usual spelling of a header: `X-Experience-API-Version`.
fn titled(name: &str) -> String {
    let word = |word: &str| match word {
        "api" => "API".to_owned(),
        word => word[..1].to_ascii_uppercase() + &word[1..],
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// Takes the id of a document, which may be any text.
pub(super) fn document_id(value: &str) -> Result<String, String> {
    text(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_a_request() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let form = b"statementId=1&X-Experience-API-Version=1.0.3&Authorization=Basic+YTpi&content=%7B%7D";
        let mut call = taken_apart("PUT", headers.clone(), Parameters::default(), form).unwrap();
        assert_eq!((call.method.as_str(), &call.body[..]), ("PUT", &b"{}"[..]));
        assert_eq!(version_of(&call.headers), Some(Version::One));
        assert_eq!(call.header(AUTHORIZATION).and_then(basic), Some(("a".to_owned(), "b".to_owned())));
        assert_eq!(call.parameters.take("statementId").as_deref(), Some("1"));
        assert!(call.parameters.end().is_ok());
        assert_eq!(call.media_type(), "application/json");
        assert!(taken_apart("PUT", headers.clone(), Parameters::default(), b"a=1").is_err());
        assert!(taken_apart("TRACE", headers.clone(), Parameters::default(), b"content=1").is_err());
        assert!(taken_apart("GET", headers, Parameters::parse("statementId=1").unwrap(), b"").is_err());
        assert!(taken_apart("GET", HeaderMap::new(), Parameters::default(), b"a=1").is_err());
    }
}
