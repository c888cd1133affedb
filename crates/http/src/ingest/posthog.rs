//! Product events as PostHog's clients send them, and what those clients ask for before and beside: flags, of which there
//! are none, and the configuration of a page.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use belvedere_business_intelligence::track::{
    ITEM, POSTHOG_BATCH_BYTES_MAX, ReadError, Received, read_posthog,
};
use belvedere_storage::Timestamp;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Refusal, allow_reading, preflight};
use super::sentry::{Door, refuse};
use super::track::{answer, encoding_of, json_answer, take};
use crate::routes::{Access, Routes};
use crate::state::Shared;

const CAPTURE: [&str; 8] = ["/e", "/e/", "/i/v0/e", "/i/v0/e/", "/capture", "/capture/", "/batch", "/batch/"];
const FLAGS: [&str; 4] = ["/flags", "/flags/", "/decide", "/decide/"];

/// The largest question for flags, in bytes.
const QUESTION_BYTES_MAX: usize = 256 << 10;

pub(super) fn routes(mut routes: Routes) -> Routes {
    for path in CAPTURE {
        routes = routes.post(path, Access::IngestKey, capture).options(path, super::PREFLIGHT, preflight);
    }
    for path in FLAGS {
        routes = routes.post(path, Access::IngestKey, flags).options(path, super::PREFLIGHT, preflight);
    }
    routes.get("/array/{key}/config", Access::IngestKey, config).get(
        "/array/{key}/config.js",
        Access::IngestKey,
        config_script,
    )
}

async fn capture(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(&shared, parts, None);
    match take(&shared, &mut door, body, POSTHOG_BATCH_BYTES_MAX, read_body).await {
        Ok(taken) => {
            let status = if taken.is_refused() { "Error" } else { "Ok" };
            answer(&shared, &taken, json!({ "status": status }))
        }
        Err(refusal) => refuse(&door, refusal, ITEM),
    }
}

/// JSON, or a form whose field `data` is JSON in base64, as pages send when they close.
fn read_body(body: &[u8], now: Timestamp) -> Result<Received, ReadError> {
    match unwrap_form(body) {
        Some(json) => read_posthog(&json?, now),
        None => read_posthog(body, now),
    }
}

fn unwrap_form(body: &[u8]) -> Option<Result<Vec<u8>, ReadError>> {
    let data = body.strip_prefix(b"data=")?;
    let data = percent_decoded(data.split(|byte| *byte == b'&').next().unwrap_or_default());
    let json = BASE64_STANDARD.decode(data);
    Some(json.map_err(|_| ReadError::NotJson("data is not base64".to_owned())))
}

/// `%2B` is `+`; what is no such code stays as it is.
fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        match (first, behind) {
            (b'%', [high, low, after @ ..]) if digit(high).is_some() && digit(low).is_some() => {
                decoded.push(digit(high).unwrap_or(0) << 4 | digit(low).unwrap_or(0));
                rest = after;
            }
            _ => {
                decoded.push(*first);
                rest = behind;
            }
        }
    }
    decoded
}

/// No flags, in the shapes of all versions of the question.
async fn flags(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(&shared, parts, None);
    match ask(&shared, &mut door, body).await {
        Ok(()) => json_answer(StatusCode::OK, &no_flags()),
        Err(refusal) => refuse(&door, refusal, ITEM),
    }
}

async fn ask(shared: &Shared, door: &mut Door<'_>, body: axum::body::Body) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    struct Asker {
        #[serde(default)]
        token: Option<String>,
        #[serde(default)]
        api_key: Option<String>,
    }
    let body = shared.bodies.read(body, QUESTION_BYTES_MAX).await?;
    if body.bytes.is_empty() && !door.has_key() {
        return Err(Refusal::NoWriteKey);
    }
    let look = |bytes: &[u8], is_whole: bool| {
        is_whole.then(|| match unwrap_form(bytes) {
            Some(json) => serde_json::from_slice::<Asker>(&json.unwrap_or_default()),
            None => serde_json::from_slice::<Asker>(bytes),
        })
    };
    let asker = shared.bodies.decode(encoding_of(door, &body.bytes), &body.bytes, look).await?;
    let asker = asker.map_err(|error| Refusal::Event(error.to_string()))?;
    door.authenticate_track(asker.token.or(asker.api_key).as_deref()).await.map(drop)
}

fn no_flags() -> Value {
    json!({
        "flags": {}, "featureFlags": {}, "featureFlagPayloads": {}, "errorsWhileComputingFlags": false,
        "config": {"enable_collect_everything": false}, "supportedCompression": ["gzip", "gzip-js"],
        "sessionRecording": false, "isAuthenticated": false, "toolbarParams": {}, "siteApps": [],
    })
}

/// What a page is told: to send its events compressed to this door, and nothing else.
fn configuration(key: &str) -> Value {
    json!({
        "token": key, "supportedCompression": ["gzip", "gzip-js"], "hasFeatureFlags": false,
        "captureDeadClicks": false, "capturePerformance": false, "autocapture_opt_out": false,
        "autocaptureExceptions": false, "analytics": {"endpoint": "/i/v0/e/"}, "elementsChainAsString": true,
        "errorTracking": {"autocaptureExceptions": false, "suppressionRules": []}, "sessionRecording": false,
        "heatmaps": false, "surveys": false, "defaultIdentifiedOnly": true, "siteApps": [],
    })
}

async fn config(State(shared): State<Arc<Shared>>, Path(key): Path<String>, request: Request) -> Response {
    match admit(&shared, &key, request).await {
        Ok(()) => json_answer(StatusCode::OK, &configuration(&key)),
        Err(refusal) => refusal,
    }
}

async fn config_script(
    State(shared): State<Arc<Shared>>,
    Path(key): Path<String>,
    request: Request,
) -> Response {
    if let Err(refusal) = admit(&shared, &key, request).await {
        return refusal;
    }
    // The key is known, so it is 32 hexadecimal digits.
    let config = json!({"config": configuration(&key), "siteApps": []});
    let script = format!(
        "window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{{}};\
         window._POSTHOG_REMOTE_CONFIG[\"{key}\"]={config};"
    );
    let mut response = script.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    allow_reading(headers);
    response
}

/// Whether a page with this key may ask; else the answer.
async fn admit(shared: &Shared, key: &str, request: Request) -> Result<(), Response> {
    let (parts, _) = request.into_parts();
    let mut door = Door::new(shared, parts, None);
    door.key_in_path(key);
    match door.authenticate_track(None).await {
        Ok(_) => Ok(()),
        Err(refusal) => Err(refuse(&door, refusal, ITEM)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_unwrapped_and_what_is_none_is_left() {
        let body = format!("data={}&ver=1", BASE64_STANDARD.encode("{\"event\":\"?>\"}").replace('+', "%2B"));
        assert_eq!(unwrap_form(body.as_bytes()).unwrap().unwrap(), b"{\"event\":\"?>\"}");
        assert!(unwrap_form(b"data=!").unwrap().is_err());
        assert!(unwrap_form(b"{}").is_none());
        assert_eq!(percent_decoded(b"a%2B%zz%"), b"a+%zz%");
    }
}
