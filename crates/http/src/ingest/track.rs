//! Product events as Segment's clients send them, which RudderStack's and Jitsu's speak too.
//!
//! `POST /v1/{identify, track, page, screen, group, alias, batch}`, a browser's short forms of the same, Jitsu's
//! `/api/s/{identify, track, page, group}`, and the settings document that a browser asks for. The write key is a
//! project's ingest key. The door reads every event and answers which ones it does not take and why; what it takes it
//! puts on disk as it understood it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use belvedere_business_intelligence::track::event::{EventKind, name_events};
use belvedere_business_intelligence::track::{
    DELIVERY_KIND, ITEM, ReadError, Received, Refused, SEGMENT_BATCH_BYTES_MAX, SegmentCall, read_segment,
};
use belvedere_error_tracking::envelope::DecodeError;
use belvedere_storage::Timestamp;
use http::header::CONTENT_TYPE;
use http::{HeaderName, StatusCode};
use serde_json::{Value, json};

use super::answer::{Refusal, allow_reading, preflight};
use super::sentry::{Door, refuse};
use crate::body::BodyError;
use crate::decode::Encoding;
use crate::metrics;
use crate::routes::{Access, Routes};
use crate::state::Shared;

/// Jitsu's clients put the key here, with a secret behind a colon where they have one.
const X_WRITE_KEY: HeaderName = HeaderName::from_static("x-write-key");

/// The most refused events that an answer names; it says how many there are.
const NAMED_MAX: usize = 100;

/// What gzip begins with (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

pub(super) fn routes(mut routes: Routes) -> Routes {
    macro_rules! call {
        ($call:expr, $($path:literal),+) => {$(
            routes = routes
                .post($path, Access::IngestKey, |shared: State<Arc<Shared>>, request: Request| segment(shared, request, $call))
                .options($path, super::PREFLIGHT, preflight);
        )+};
    }
    call!(SegmentCall::One(EventKind::Identify), "/v1/identify", "/v1/i", "/api/s/identify");
    call!(SegmentCall::One(EventKind::Track), "/v1/track", "/v1/t", "/api/s/track");
    call!(SegmentCall::One(EventKind::Page), "/v1/page", "/v1/p", "/api/s/page");
    call!(SegmentCall::One(EventKind::Screen), "/v1/screen", "/v1/s");
    call!(SegmentCall::One(EventKind::Group), "/v1/group", "/v1/g", "/api/s/group");
    call!(SegmentCall::One(EventKind::Alias), "/v1/alias", "/v1/a");
    call!(SegmentCall::Batch, "/v1/batch", "/v1/b");
    routes.get("/v1/projects/{key}/settings", Access::IngestKey, settings)
}

/// What became of a request's events.
pub(super) struct Taken {
    accepted: usize,
    refused: Vec<Refused>,
}

async fn segment(State(shared): State<Arc<Shared>>, request: Request, call: SegmentCall) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(&shared, parts, None);
    if let Some(key) = door.parts.headers.get(X_WRITE_KEY).and_then(|key| key.to_str().ok()) {
        let key = key.split(':').next().unwrap_or_default().to_owned();
        door.key_in_path(&key);
    }
    let read = move |body: &[u8], now| read_segment(body, call, now);
    match take(&shared, &mut door, body, SEGMENT_BATCH_BYTES_MAX, read).await {
        Ok(taken) => answer(&shared, &taken, json!({ "success": !taken.is_refused() })),
        Err(refusal) => refuse(&door, refusal, ITEM),
    }
}

/// Reads a request's events and puts on disk those that can be taken.
pub(super) async fn take(
    shared: &Shared,
    door: &mut Door<'_>,
    body: Body,
    bytes_max: usize,
    read: impl Fn(&[u8], Timestamp) -> Result<Received, ReadError> + Send + 'static,
) -> Result<Taken, Refusal> {
    if door.has_key() {
        door.authenticate_track(None).await?;
    }
    let body =
        shared.bodies.read(body, shared.limits.body_bytes_max.min(bytes_max)).await.map_err(too_large)?;
    if body.bytes.is_empty() && !door.has_key() {
        return Err(Refusal::NoWriteKey);
    }
    let encoding = encoding_of(door, &body.bytes);
    let now = shared.clock.now();
    let look = move |bytes: &[u8], is_whole: bool| is_whole.then(|| read(bytes, now));
    let received = shared.bodies.decode(encoding, &body.bytes, look).await.map_err(too_large)?;
    let mut received = received.map_err(|error| Refusal::Event(error.to_string()))?;
    let key = door.authenticate_track(received.key.as_deref()).await?;
    let (accepted, refused) = (received.events.len(), received.refused);
    if accepted > 0 {
        name_events(&mut received.events, now);
        door.accept_events((DELIVERY_KIND, ITEM), &key, &received.events).await?;
    }
    if !refused.is_empty() {
        door.note(ITEM, "invalid", refused.len() as u64);
    }
    Ok(Taken { accepted, refused })
}

/// Some clients compress without saying so.
pub(super) fn encoding_of(door: &Door<'_>, body: &[u8]) -> Option<Encoding> {
    door.encoding().or_else(|| body.starts_with(&GZIP_MAGIC).then_some(Encoding::Gzip))
}

/// A body beyond a protocol's limit is a bad request to it.
fn too_large(error: BodyError) -> Refusal {
    match error {
        BodyError::TooLarge(max) | BodyError::Decode(DecodeError::TooLarge { limit: max }) => {
            Refusal::Event(format!("the body has more than {max} bytes"))
        }
        error => error.into(),
    }
}

impl Taken {
    pub(super) fn accepted(&self) -> usize {
        self.accepted
    }

    /// Whether there were events and none was taken.
    pub(super) fn is_refused(&self) -> bool {
        self.accepted == 0 && !self.refused.is_empty()
    }
}

/// The protocol's own answer; beside it, where events were refused, how many were not, how many were, and why. 400 if
/// none was taken.
pub(super) fn answer(shared: &Shared, taken: &Taken, mut body: Value) -> Response {
    if let (Some(body), false) = (body.as_object_mut(), taken.refused.is_empty()) {
        body.insert("accepted".to_owned(), taken.accepted.into());
        body.insert("refused".to_owned(), taken.refused.len().into());
        body.insert("errors".to_owned(), json!(taken.refused.iter().take(NAMED_MAX).collect::<Vec<_>>()));
    }
    let status = if taken.is_refused() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    if taken.is_refused() {
        shared.metrics.count_refused(metrics::Refused::Invalid);
    }
    json_answer(status, &body)
}

pub(super) fn json_answer(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response();
    allow_reading(response.headers_mut());
    response
}

/// What analytics.js asks for before it sends: that everything goes to this door alone.
async fn settings(State(shared): State<Arc<Shared>>, Path(key): Path<String>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let mut door = Door::new(&shared, parts, None);
    door.key_in_path(&key);
    if let Err(refusal) = door.authenticate_track(None).await {
        return refuse(&door, refusal, ITEM);
    }
    let (protocol, host) = shared.public_url.split_once("://").unwrap_or(("https", &shared.public_url));
    let all = json!({"__default": {"enabled": true, "integrations": {}}});
    let settings = json!({
        "integrations": {"Segment.io": {
            "apiKey": key, "apiHost": format!("{host}/v1"), "protocol": protocol, "unbundledIntegrations": [],
            "addBundledMetadata": true, "maybeBundledConfigIds": {}, "versionSettings": {"version": "4.4.7"},
        }},
        "plan": {"track": all, "identify": all, "group": all},
        "edgeFunction": {},
        "analyticsNextEnabled": true,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": false,
        "remotePlugins": [],
    });
    json_answer(StatusCode::OK, &settings)
}
