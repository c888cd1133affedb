//! Files for an event that was sent before, and what people say in the dialogue that a page shows after a crash. Both
//! are put into the form of an envelope and go the same way as everything else.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Form, FromRequest, Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use belvedere_error_tracking::envelope::{EventId, NewItem, compose};
use belvedere_error_tracking::limits::Category;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::answer::{self, Refusal, preflight};
use super::multipart;
use super::sentry::{Door, Look, Taken, refuse};
use crate::routes::{Access, Routes};
use crate::state::Shared;

/// The largest form of the dialogue, in bytes: a message at its longest, every character escaped.
const REPORT_BYTES_MAX: usize = 64 << 10;

/// The longest name or address that is taken, in characters.
const LINE_CHARS_MAX: usize = 254;

/// The dialogue that `Sentry.showReportDialog()` loads: it reads all from its own address.
const DIALOGUE: &str = include_str!("error_page.js");

pub(super) fn routes(mut routes: Routes) -> Routes {
    for path in ["/api/{project}/events/{event}/attachments/", "/api/{project}/events/{event}/attachments"] {
        routes = routes.post(path, Access::IngestKey, attach).options(path, super::PREFLIGHT, preflight);
    }
    for path in ["/api/embed/error-page/", "/api/embed/error-page"] {
        routes = routes
            .get(path, Access::Public("a script that is the same for everybody"), dialogue)
            .post(path, Access::IngestKey, report)
            .options(path, super::PREFLIGHT, preflight);
    }
    routes
}

/// `POST /api/{project}/events/{event}/attachments/`: a form with files, 201.
async fn attach(
    State(shared): State<Arc<Shared>>,
    Path((project, event)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(&shared, parts, Some(&project));
    match take_files(&mut door, &shared, &event, body).await {
        Ok(taken) => answer::tell(answer::empty(StatusCode::CREATED), &taken.limited),
        Err(refusal) => refuse(&door, refusal, "attachment"),
    }
}

async fn take_files(door: &mut Door<'_>, shared: &Shared, event: &str, body: Body) -> Result<Taken, Refusal> {
    let key = door.authenticate(None).await?;
    let event: EventId = event.parse().map_err(|_| Refusal::Event("event id is none".to_owned()))?;
    let kind = door.parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = multipart::boundary_of(kind).map_err(|error| Refusal::Event(error.to_string()))?;
    let body = shared.bodies.read(body, shared.limits.body_bytes_max).await?;
    let read = move |body: &[u8], is_whole: bool| is_whole.then(|| envelope_of_form(event, body, &boundary));
    let envelope = shared.bodies.decode(door.encoding(), &body.bytes, read).await?;
    let (envelope, files, bytes) = envelope.map_err(|error| Refusal::Event(error.to_string()))?;
    let look = Look {
        event_id: Some(event),
        items: BTreeMap::from([("attachment".to_owned(), files)]),
        demand: BTreeMap::from([(Category::Attachment, bytes)]),
        ..Look::default()
    };
    door.accept("sentry.envelope", &key, look, None, envelope.into()).await
}

/// The files of a form as items of an envelope, how many there are, and their bytes.
fn envelope_of_form(
    event: EventId,
    body: &[u8],
    boundary: &str,
) -> Result<(Vec<u8>, u64, u64), multipart::MultipartError> {
    let parts = multipart::parse(body, boundary)?;
    let files = parts.iter().filter(|part| part.filename.is_some());
    let items: Vec<NewItem<'_>> = files
        .map(|part| NewItem {
            headers: json!({
                "type": "attachment",
                "filename": part.filename.as_deref().filter(|name| !name.is_empty()).unwrap_or(&part.name),
                "content_type": part.content_type,
            }),
            payload: &body[part.content.clone()],
        })
        .collect();
    let bytes = items.iter().map(|item| item.payload.len() as u64).sum();
    let files = items.len() as u64;
    Ok((compose(event, items), files, bytes))
}

/// `GET /api/embed/error-page/`: the dialogue as a script.
async fn dialogue() -> Response {
    let mut response = DIALOGUE.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    answer::allow_reading(headers);
    response
}

/// `POST /api/embed/error-page/?dsn=..&eventId=..`: a form with name, email and comments.
async fn report(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(&shared, parts, None);
    match take_report(&mut door, &shared, body).await {
        Ok(taken) => answer::accepted(taken.id, &taken.limited),
        Err(refusal) => refuse(&door, refusal, "user_report"),
    }
}

async fn take_report(door: &mut Door<'_>, shared: &Shared, body: Body) -> Result<Taken, Refusal> {
    let invalid = |why: &str| Refusal::Event(why.to_owned());
    let query = Query::<Vec<(String, String)>>::try_from_uri(&door.parts.uri);
    let Query(query) = query.map_err(|_| invalid("the address cannot be read"))?;
    let value = |pairs: &[(String, String)], name: &str| {
        pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim().to_owned())
    };
    let key = door.authenticate(value(&query, "dsn").as_deref()).await?;
    let event = value(&query, "eventId").unwrap_or_default();
    let event: EventId = event.parse().map_err(|_| invalid("eventId: is not 32 hexadecimal digits"))?;
    let body = shared.bodies.read(body, REPORT_BYTES_MAX).await?;
    let form = Request::post("/")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body.bytes.clone()))
        .map_err(|_| invalid("the form cannot be read"))?;
    let form = Form::<Vec<(String, String)>>::from_request(form, &()).await;
    let Form(form) = form.map_err(|_| invalid("the form cannot be read"))?;
    let comments = value(&form, "comments").filter(|text| !text.is_empty());
    let comments = comments.ok_or_else(|| invalid("comments: must be given"))?;
    let line = |name: &str| {
        let line = value(&form, name).unwrap_or_default();
        if line.chars().count() <= LINE_CHARS_MAX {
            Ok(line)
        } else {
            Err(invalid(&format!("{name}: is too long")))
        }
    };
    let report = json!({
        "event_id": event.to_string(), "name": line("name")?, "email": line("email")?, "comments": comments,
    });
    let report = report.to_string();
    let item = NewItem { headers: json!({ "type": "user_report" }), payload: report.as_bytes() };
    let look = Look {
        event_id: Some(event),
        is_limited: true,
        items: BTreeMap::from([("user_report".to_owned(), 1)]),
        demand: BTreeMap::from([(Category::Feedback, 1)]),
        ..Look::default()
    };
    door.accept("sentry.envelope", &key, look, None, compose(event, vec![item]).into()).await
}
