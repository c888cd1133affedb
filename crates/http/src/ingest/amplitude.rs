//! Product events as Amplitude's clients send them: `POST /2/httpapi`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use belvedere_business_intelligence::track::{AMPLITUDE_BYTES_MAX, ITEM, read_amplitude};
use serde_json::json;

use super::answer::preflight;
use super::sentry::{Door, refuse};
use super::track::{answer, take};
use crate::routes::{Access, Routes};
use crate::state::Shared;

pub(super) fn routes(routes: Routes) -> Routes {
    let path = "/2/httpapi";
    routes.post(path, Access::IngestKey, events).options(path, super::PREFLIGHT, preflight)
}

async fn events(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(&shared, parts, None);
    match take(&shared, &mut door, body, AMPLITUDE_BYTES_MAX, read_amplitude).await {
        Ok(taken) => {
            let code = if taken.is_refused() { 400 } else { 200 };
            let at = shared.clock.now().as_millis();
            let body = json!({"code": code, "events_ingested": taken.accepted(), "server_upload_time": at});
            answer(&shared, &taken, body)
        }
        Err(refusal) => refuse(&door, refusal, ITEM),
    }
}
