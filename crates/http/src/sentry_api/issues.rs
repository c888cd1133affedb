//! Issues as `sentry-cli issues list` reads them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use belvedere_error_tracking::{IssueStatus, ListIssues};
use belvedere_storage::PageRequest;
use serde::Deserialize;
use serde_json::{Value, json};

use super::scene;
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// How many issues are listed.
const LISTED_MAX: u16 = 100;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Wanted {
    query: Option<String>,
}

/// `GET /api/0/projects/{organisation}/{project}/issues/`: the latest 100; of a query, `is:` with a state and free
/// words are understood.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((organisation, project)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<Value>>, Problem> {
    let project = scene::project(&shared, &caller, &organisation, &project).await?;
    let query = wanted.query.unwrap_or_default();
    let (states, words): (Vec<&str>, Vec<&str>) =
        query.split_whitespace().partition(|word| word.starts_with("is:"));
    let status = states.last().and_then(|word| word.trim_start_matches("is:").parse::<IssueStatus>().ok());
    let text = words.join(" ");
    let issues = ListIssues {
        status,
        text: Some(text).filter(|text| !text.is_empty()),
        page: PageRequest::first(LISTED_MAX),
        ..ListIssues::first(project.id)
    };
    let page = shared.errors.list_issues(issues).await?;
    let short = project.slug.to_uppercase();
    let answer = page.items.into_iter().map(|issue| {
        json!({
            "id": issue.id,
            "shortId": format!("{short}-{}", issue.number),
            "title": issue.title,
            "culprit": issue.culprit,
            "level": issue.level,
            "status": issue.status,
            "platform": issue.platform,
            "count": issue.events.to_string(),
            "userCount": issue.subjects,
            "firstSeen": issue.first_seen,
            "lastSeen": issue.last_seen,
            "permalink": format!("{}/projects/{}/issues/{}", shared.public_url, project.id, issue.id),
            "project": { "id": project.id.to_string(), "slug": project.slug, "name": project.name },
        })
    });
    Ok(Json(answer.collect()))
}
