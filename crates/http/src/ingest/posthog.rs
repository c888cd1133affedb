//! Product events as PostHog's clients send them, and the configuration that a page asks for before.

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
use serde_json::{Value, json};

use super::answer::{Refusal, allow_reading, preflight};
use super::sentry::{Door, refuse};
use super::track::{answer, json_answer, take};
use crate::routes::{Access, Routes};
use crate::state::Shared;

const CAPTURE: [&str; 8] = ["/e", "/e/", "/i/v0/e", "/i/v0/e/", "/capture", "/capture/", "/batch", "/batch/"];
pub(super) fn routes(mut routes: Routes) -> Routes {
    for path in CAPTURE {
        routes = routes.post(path, Access::IngestKey, capture).options(path, super::PREFLIGHT, preflight);
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

pub(super) fn unwrap_form(body: &[u8]) -> Option<Result<Vec<u8>, ReadError>> {
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

/// What a page is told: to send its events compressed to this door, and whether to ask for flags.
fn configuration(key: &str, has_flags: bool) -> Value {
    json!({
        "token": key, "supportedCompression": ["gzip", "gzip-js"], "hasFeatureFlags": has_flags,
        "captureDeadClicks": false, "capturePerformance": false, "autocapture_opt_out": false,
        "autocaptureExceptions": false, "analytics": {"endpoint": "/i/v0/e/"}, "elementsChainAsString": true,
        "errorTracking": {"autocaptureExceptions": false, "suppressionRules": []}, "sessionRecording": false,
        "heatmaps": false, "surveys": false, "defaultIdentifiedOnly": true, "siteApps": [],
    })
}

async fn config(State(shared): State<Arc<Shared>>, Path(key): Path<String>, request: Request) -> Response {
    match admit(&shared, &key, request).await {
        Ok(has_flags) => json_answer(StatusCode::OK, &configuration(&key, has_flags)),
        Err(refusal) => refusal,
    }
}

async fn config_script(
    State(shared): State<Arc<Shared>>,
    Path(key): Path<String>,
    request: Request,
) -> Response {
    let has_flags = match admit(&shared, &key, request).await {
        Ok(has_flags) => has_flags,
        Err(refusal) => return refusal,
    };
    // The key is known, so it is 32 hexadecimal digits.
    let config = json!({"config": configuration(&key, has_flags), "siteApps": []});
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

/// Whether there are flags for a page with this key; the answer if it may not ask.
async fn admit(shared: &Shared, key: &str, request: Request) -> Result<bool, Response> {
    let (parts, _) = request.into_parts();
    let mut door = Door::new(shared, parts, None);
    door.key_in_path(key);
    let has_flags = async {
        let project = door.authenticate_track(None).await?.project;
        let flags = shared.feature_flags.flags_now(project).await?;
        Ok::<_, Refusal>(flags.iter().any(|flag| flag.is_active))
    };
    match has_flags.await {
        Ok(has_flags) => Ok(has_flags),
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
