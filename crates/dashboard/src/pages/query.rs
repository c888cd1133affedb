//! Queries as visitors write them: read with the members that they may name, and completed.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use belvedere_accounts::Permission;
use belvedere_error_tracking::search::{KEYS, Query, QueryContext, parse_query};
use belvedere_error_tracking::{ErrorTrackingError, IssueSort, IssueStatus, Level};
use belvedere_kernel::User;
use belvedere_storage::{Id, PageRequest};

use crate::form::Pairs;
use crate::layout::Scene;
use crate::refusal::Refusal;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::tags::term;

/// How many completions are offered.
const SUGGESTIONS_MAX: usize = 20;

/// The longest term that is completed, in characters.
const TERM_CHARS_MAX: usize = 200;

/// The orders of a list of issues: their word, their label, and what they are.
pub(crate) const SORTS: [(&str, &str, IssueSort); 5] = [
    ("last_seen", "Last seen", IssueSort::LastSeen),
    ("first_seen", "Newest", IssueSort::FirstSeen),
    ("events", "Most events", IssueSort::Events),
    ("subjects", "Most subjects", IssueSort::Subjects),
    ("trend", "Rising most", IssueSort::Trend),
];

/// Reads a query as the visitor means it.
pub(crate) async fn read_query(scene: &Scene, text: &str) -> Result<Query, Refusal> {
    let people = if text.contains("assigned:") { members(scene).await? } else { Vec::new() };
    let context = QueryContext { now: scene.now, me: scene.user(), people };
    parse_query(text, &context).map_err(|error| Refusal::from(ErrorTrackingError::from(error)))
}

/// The names and addresses by which members can be named; those of the first 200.
async fn members(scene: &Scene) -> Result<Vec<(String, Id<User>)>, Refusal> {
    let page = PageRequest::first(PageRequest::LIMIT_MAX);
    let members = scene.state.members.list_members(scene.principal(), page).await?;
    let names = members.items.into_iter().flat_map(|member| {
        [(member.email.to_lowercase(), member.user), (member.name.to_lowercase(), member.user)]
    });
    Ok(names.filter(|(name, _)| !name.is_empty()).collect())
}

/// `GET /projects/{project}/issues/suggest?text=`: what a term of a query can go on to, as a JSON list of terms.
pub(crate) async fn suggest(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    scene.errors()?;
    let text: String = pairs.text("text").chars().take(TERM_CHARS_MAX).collect();
    let (sign, start) = match text.strip_prefix(['!', '-']) {
        Some(rest) => (&text[..1], rest),
        None => ("", text.as_str()),
    };
    let mut found = match start.split_once(':') {
        Some((key, value)) => values(&scene, key, value.trim_start_matches('"')).await?,
        None => keys(&scene, start).await?,
    };
    found.truncate(SUGGESTIONS_MAX);
    let found: Vec<String> = found.into_iter().map(|term| format!("{sign}{term}")).collect();
    Ok(Json(found).into_response())
}

async fn keys(scene: &Scene, start: &str) -> Result<Vec<String>, Refusal> {
    let mut keys: Vec<String> =
        KEYS.iter().map(|(key, _)| (*key).to_owned()).filter(|key| key.starts_with(start)).collect();
    for tag in scene.state.search.list_tag_keys(scene.id()).await? {
        if tag.key.starts_with(start) && !keys.contains(&tag.key) {
            keys.push(tag.key);
        }
    }
    Ok(keys.into_iter().map(|key| format!("{key}:")).collect())
}

async fn values(scene: &Scene, key: &str, start: &str) -> Result<Vec<String>, Refusal> {
    let fixed: Vec<&str> = match key {
        "is" => IssueStatus::ALL
            .into_iter()
            .map(IssueStatus::as_str)
            .chain(["regressed", "escalating", "assigned", "unassigned", "new"])
            .collect(),
        "level" => Level::ALL.map(Level::as_str).to_vec(),
        "handled" => vec!["yes", "no"],
        "assigned" => vec!["me", "none"],
        "first_seen" | "last_seen" => vec!["-1h", "-24h", "-7d", "+7d"],
        _ => Vec::new(),
    };
    if !fixed.is_empty() {
        let fitting = fixed.into_iter().filter(|value| value.starts_with(start));
        return Ok(fitting.map(|value| format!("{key}:{value}")).collect());
    }
    let tag = if key == "type" { "error.type" } else { key };
    let known = scene.state.search.list_tag_values(scene.id(), tag, start).await?;
    let written = |value: &str| term(key, value).replacen(&format!("tags[{key}]:"), &format!("{key}:"), 1);
    Ok(known.iter().map(|value| written(&value.value)).collect())
}
