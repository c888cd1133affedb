//! Statements in and out.

use std::collections::HashMap;

use axum::response::{IntoResponse, Response};
use belvedere_accounts::XapiScope;
use belvedere_storage::Timestamp;
use belvedere_xapi::json::Json;
use belvedere_xapi::statement::Format;
use belvedere_xapi::{
    FoundStatements, OneStatement, Reader, StatementQuery, StoreStatements, Version, value,
};
use http::header::{ACCEPT_LANGUAGE, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};

use super::answer::{Refusal, json, last_modified, no_content};
use super::call::{Call, Visit};
use super::parameters::{boolean, uuid};
use super::{activity_id, agent, mixed};
use crate::state::Shared;

/// PUT of one statement, POST of one or several.
pub(super) async fn store(shared: &Shared, visit: Visit, mut call: Call) -> Result<Response, Refusal> {
    visit.require(shared, &[XapiScope::StatementsWrite]).await?;
    let is_put = call.method == Method::PUT;
    let id = if is_put { Some(call.parameters.require("statementId", uuid)?) } else { None };
    call.parameters.end()?;
    let (body, files) = match call.media_type().as_str() {
        "application/json" => (call.body.clone(), HashMap::new()),
        "multipart/mixed" => {
            let kind = call.header(CONTENT_TYPE).unwrap_or_default();
            mixed::taken_apart(kind, &call.body, shared.xapi_limits.attachments_max)?
        }
        _ => return Err(Refusal::bad_request("Content-Type: must be application/json or multipart/mixed")),
    };
    let body = Json::parse(&body, shared.xapi_limits.depth_max).map_err(belvedere_xapi::XapiError::from)?;
    let store = StoreStatements { client: visit.client(), version: visit.version, body, id, files };
    let stored = shared.xapi.store_statements(store).await?;
    if is_put || stored.new == 0 && !stored.ids.is_empty() {
        return Ok(no_content());
    }
    let ids = Json::List(stored.ids.into_iter().map(Json::Text).collect());
    Ok(json(StatusCode::OK, ids.to_string()))
}

/// One statement, or a list of them, or the rest of a list.
pub(super) async fn find(shared: &Shared, visit: Visit, mut call: Call) -> Result<Response, Refusal> {
    visit.require(shared, &[XapiScope::StatementsRead, XapiScope::StatementsReadMine]).await?;
    let reader = Reader {
        client: visit.client(),
        only_mine: !visit.key.allows(&[XapiScope::StatementsRead]),
        languages: call.header(ACCEPT_LANGUAGE).unwrap_or_default().to_owned(),
    };
    let parameters = &mut call.parameters;
    if let Some(more) = parameters.take("more") {
        parameters.end()?;
        let found = shared.xapi.list_more(&reader, &more).await?;
        return Ok(listed(shared, &found.ok_or_else(|| Refusal::not_found("rest of a list"))?));
    }
    let one = parameters.find("statementId", uuid)?;
    let voided = parameters.find("voidedStatementId", uuid)?;
    let format = parameters.find("format", |text| {
        Format::parse(text).ok_or_else(|| "must be exact, ids or canonical".to_owned())
    })?;
    let format = format.unwrap_or_default();
    let attachments = parameters.find("attachments", boolean)?.unwrap_or(false);
    if one.is_some() && voided.is_some() {
        return Err(Refusal::bad_request("voidedStatementId: must not be there together with statementId"));
    }
    if let Some(id) = one.or(voided) {
        parameters.end()?;
        let one = OneStatement { id, is_voided: voided.is_some(), format, attachments };
        let found = shared.xapi.find_statement(&reader, one).await?;
        let found = found.ok_or_else(|| Refusal::not_found("statement"))?;
        return Ok(with_files(&found, found.statements.first().map_or("", String::as_str)));
    }
    let version = visit.version;
    let instant = |text: &str| instant(text, version);
    let query = StatementQuery {
        agent: parameters.find("agent", agent)?,
        verb: parameters.find("verb", activity_id)?,
        activity: parameters.find("activity", activity_id)?,
        registration: parameters.find("registration", uuid)?,
        related_agents: parameters.find("related_agents", boolean)?.unwrap_or(false),
        related_activities: parameters.find("related_activities", boolean)?.unwrap_or(false),
        since: parameters.find("since", instant)?,
        until: parameters.find("until", instant)?,
        limit: parameters.find("limit", |text| {
            text.parse::<u32>().map(|limit| limit as usize).map_err(|_| "must be a number".to_owned())
        })?,
        ascending: parameters.find("ascending", boolean)?.unwrap_or(false),
        format,
        attachments,
    };
    parameters.end()?;
    Ok(listed(shared, &shared.xapi.list_statements(&reader, query).await?))
}

fn instant(text: &str, version: Version) -> Result<Timestamp, String> {
    value::timestamp(text, version)
        .ok_or_else(|| "must be a timestamp such as 2026-11-28T12:00:00Z".to_owned())
}

/// A StatementResult.
fn listed(shared: &Shared, found: &FoundStatements) -> Response {
    let size = found.statements.iter().map(String::len).sum::<usize>() + found.statements.len();
    let mut text = String::with_capacity(size + 300);
    text.push_str("{\"statements\":[");
    for (index, statement) in found.statements.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(statement);
    }
    text.push_str("],\"more\":\"");
    if let Some(more) = &found.more {
        // Relative to the host: whatever stands before the address on it belongs to it.
        let host = shared.public_url.split_once("://").map_or("", |(_, rest)| rest);
        let prefix = host.split_once('/').map_or(String::new(), |(_, path)| format!("/{path}"));
        text.push_str(&format!("{prefix}/xapi/statements?more={more}"));
    }
    text.push_str("\"}");
    with_files(found, &text)
}

fn with_files(found: &FoundStatements, text: &str) -> Response {
    let mut response = if found.attachments {
        let (kind, body) = mixed::put_together(text, &found.files);
        let mut response = body.into_response();
        if let Ok(kind) = HeaderValue::try_from(kind) {
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        response
    } else {
        json(StatusCode::OK, text.to_owned())
    };
    last_modified(&mut response, found.last_stored);
    response
}
