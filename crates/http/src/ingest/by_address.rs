//! Product events as Plausible's clients (`POST /api/event`) and Umami's (`POST /api/send`) send them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use belvedere_business_intelligence::track::{BY_ADDRESS_BYTES_MAX, ITEM, read_plausible, read_umami};
use http::StatusCode;
use serde_json::json;

use super::answer::{allow_reading, preflight};
use super::sentry::{Door, refuse};
use super::track::{answer, take};
use crate::routes::{Access, Routes};
use crate::state::Shared;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .post("/api/event", Access::IngestKey, plausible)
        .options("/api/event", super::PREFLIGHT, preflight)
        .post("/api/send", Access::IngestKey, umami)
        .options("/api/send", super::PREFLIGHT, preflight)
}

async fn plausible(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(&shared, parts, None);
    match take(&shared, &mut door, body, BY_ADDRESS_BYTES_MAX, read_plausible).await {
        Ok(taken) if taken.is_refused() => answer(&shared, &taken, json!({})),
        Ok(_) => {
            let mut response = (StatusCode::ACCEPTED, "ok").into_response();
            allow_reading(response.headers_mut());
            response
        }
        Err(refusal) => refuse(&door, refusal, ITEM),
    }
}

async fn umami(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(&shared, parts, None);
    match take(&shared, &mut door, body, BY_ADDRESS_BYTES_MAX, read_umami).await {
        Ok(taken) => answer(&shared, &taken, json!({ "ok": !taken.is_refused() })),
        Err(refusal) => refuse(&door, refusal, ITEM),
    }
}
