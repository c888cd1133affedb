//! States and profiles.

use axum::response::{IntoResponse, Response};
use belvedere_accounts::XapiScope;
use belvedere_xapi::json::Json;
use belvedere_xapi::{
    ChangeDocument, Condition, ConditionRule, DocumentChange, DocumentOwner, Version, value,
};
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderValue, Method, StatusCode};

use super::answer::{Refusal, json, last_modified, no_content};
use super::call::{Call, Visit, document_id};
use super::parameters::uuid;
use super::{activity_id, agent};
use crate::state::Shared;

/// Which resource.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    State,
    ActivityProfile,
    AgentProfile,
}

/// The most entity tags of a condition.
const TAGS_MAX: usize = 50;

pub(super) async fn serve(
    shared: &Shared,
    visit: Visit,
    mut call: Call,
    kind: Kind,
) -> Result<Response, Refusal> {
    let scope = if kind == Kind::State { XapiScope::State } else { XapiScope::Profile };
    visit.require(shared, &[scope]).await?;
    let parameters = &mut call.parameters;
    let owner = match kind {
        Kind::State => DocumentOwner::State {
            activity: parameters.require("activityId", activity_id)?,
            agent: parameters.require("agent", agent)?,
            registration: parameters.find("registration", uuid)?,
        },
        Kind::ActivityProfile => DocumentOwner::Activity(parameters.require("activityId", activity_id)?),
        Kind::AgentProfile => DocumentOwner::Agent(parameters.require("agent", agent)?),
    };
    let name = if kind == Kind::State { "stateId" } else { "profileId" };
    let id = parameters.find(name, document_id)?;
    let is_read = matches!(call.method, Method::GET | Method::HEAD);
    if is_read {
        let version = visit.version;
        let since = parameters.find("since", |text| {
            value::timestamp(text, version)
                .ok_or_else(|| "must be a timestamp such as 2026-11-28T12:00:00Z".to_owned())
        })?;
        parameters.end()?;
        return match id {
            Some(_) if since.is_some() => {
                Err(Refusal::bad_request(format!("since: must not be there together with {name}")))
            }
            Some(id) => find(shared, &visit, &owner, &id).await,
            None => {
                let (ids, last) = shared.xapi.list_documents(visit.key.project, &owner, since).await?;
                let ids = Json::List(ids.into_iter().map(Json::Text).collect());
                let mut response = json(StatusCode::OK, ids.to_string());
                last_modified(&mut response, last);
                Ok(response)
            }
        };
    }
    parameters.end()?;
    let is_delete = call.method == Method::DELETE;
    let id = match id {
        Some(id) => id,
        None if is_delete && kind == Kind::State => String::new(),
        None => return Err(Refusal::bad_request(format!("{name}: is required"))),
    };
    let content_type = call.header(CONTENT_TYPE).unwrap_or("application/octet-stream").to_owned();
    let content = call.body.clone();
    let change = match call.method {
        Method::DELETE => DocumentChange::Delete,
        Method::PUT => {
            let needs_condition = match (kind, visit.version) {
                (Kind::State, Version::One) => ConditionRule::Optional,
                (_, Version::Two) => ConditionRule::ToReplace,
                (_, Version::One) => ConditionRule::Always,
            };
            DocumentChange::Put { content_type, content, needs_condition }
        }
        Method::POST if call.media_type() == "application/json" => {
            DocumentChange::Merge { content_type, content }
        }
        // What is no JSON cannot be added to anything; where nothing is, it is stored as by PUT.
        Method::POST => {
            if shared.xapi.find_document(visit.key.project, &owner, &id).await?.is_some() {
                return Err(Refusal::bad_request(
                    "Content-Type: only JSON can be added to a document that exists",
                ));
            }
            DocumentChange::Put { content_type, content, needs_condition: ConditionRule::ToReplace }
        }
        _ => return Err(Refusal::method()),
    };
    let tags = |name| call.header(name).map(tags_of);
    let condition = Condition { if_match: tags(IF_MATCH), if_none_match: tags(IF_NONE_MATCH) };
    shared
        .xapi
        .change_document(ChangeDocument { client: visit.client(), owner, id, condition, change })
        .await?;
    Ok(no_content())
}

async fn find(shared: &Shared, visit: &Visit, owner: &DocumentOwner, id: &str) -> Result<Response, Refusal> {
    let document = shared.xapi.find_document(visit.key.project, owner, id).await?;
    let document = document.ok_or_else(|| Refusal::not_found("document"))?;
    let mut response = document.content.into_response();
    let headers = response.headers_mut();
    let fallback = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, HeaderValue::try_from(document.content_type).unwrap_or(fallback));
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", document.etag)) {
        headers.insert(ETAG, tag);
    }
    last_modified(&mut response, Some(document.updated_at));
    Ok(response)
}

/// The entity tags of a list (RFC 9110, section 8.8.3), without their quotes.
fn tags_of(list: &str) -> Vec<String> {
    let tags = list.split(',').map(str::trim).filter(|tag| !tag.is_empty()).take(TAGS_MAX);
    tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_with_and_without_quotes() {
        assert_eq!(tags_of("\"AB\", W/\"cd\" ,*"), ["ab", "cd", "*"]);
        assert_eq!(tags_of("1234"), ["1234"]);
        assert_eq!(tags_of(""), Vec::<String>::new());
    }
}
