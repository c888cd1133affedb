//! The audit log, for those who may read it.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_audit::{AuditRow, EntryFilter};
use belvedere_storage::Timestamp;
use serde_json::Value;

use crate::form::{Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::page_request;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::{At, shorten};

const ROWS_PER_PAGE: u16 = 50;
const DETAIL_CHARS_MAX: usize = 4_000;

/// An entry as the page shows it.
struct EntryRow {
    seq: u64,
    at: At,
    actor: String,
    actor_id: String,
    action: String,
    target_kind: String,
    target_id: String,
    outcome: String,
    is_success: bool,
    detail: String,
    is_unreadable: bool,
    is_damaged: bool,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    layout: Layout,
    action: String,
    actor: String,
    from: String,
    to: String,
    is_here: bool,
    rows: Vec<EntryRow>,
    first_href: Option<String>,
    next_href: Option<String>,
}

/// `GET /projects/{project}/audit`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAudit).await?;
    let is_here = pairs.is_ticked("here");
    let (from, to) = (pairs.text("from").to_owned(), pairs.text("to").to_owned());
    let filter = EntryFilter {
        action: pairs.some("action"),
        actor: pairs.some("actor"),
        project: is_here.then(|| scene.id()),
        from: day_start(&from)?,
        // The last day is meant whole.
        to: day_start(&to)?.map(|day| day.plus(Duration::from_secs(86_400))),
    };
    let organisation = scene.principal().organisation;
    let request = page_request(&pairs, ROWS_PER_PAGE);
    let entries = scene.state.audit.list_entries(organisation, filter, request).await?;
    let path = format!("{}/audit", scene.base());
    let (action, actor) = (pairs.text("action").to_owned(), pairs.text("actor").to_owned());
    let href = |after: &str| {
        let here = if is_here { "1" } else { "" };
        address(
            &path,
            &[
                ("action", &action),
                ("actor", &actor),
                ("from", &from),
                ("to", &to),
                ("here", here),
                ("after", after),
            ],
        )
    };
    Ok(respond::page(&AuditPage {
        layout: scene.layout(Section::Audit, &pairs).await?,
        rows: entries.items.iter().map(row).collect(),
        first_href: pairs.some("after").map(|_| href("")),
        next_href: entries.next.map(|next| href(next.as_str())),
        is_here,
        action,
        actor,
        from,
        to,
    }))
}

/// Midnight (UTC) of a day as date fields send it; `None` for an empty field.
fn day_start(day: &str) -> Result<Option<Timestamp>, Refusal> {
    if day.is_empty() {
        return Ok(None);
    }
    let parsed = format!("{day}T00:00:00Z").parse();
    parsed.map(Some).map_err(|_| Refusal::Invalid("the day must be written as 2026-11-23".to_owned()))
}

fn row(entry: &AuditRow) -> EntryRow {
    let detail = match &entry.detail {
        Some(Value::Null) | None => String::new(),
        Some(detail) => shorten(&serde_json::to_string_pretty(detail).unwrap_or_default(), DETAIL_CHARS_MAX),
    };
    EntryRow {
        seq: entry.seq,
        at: At(entry.at),
        actor: entry.actor_kind.clone(),
        actor_id: entry.actor_id.clone().unwrap_or_default(),
        action: entry.action.clone(),
        target_kind: entry.target_kind.clone().unwrap_or_default().replace('_', " "),
        target_id: entry.target_id.clone().unwrap_or_default(),
        is_success: entry.outcome == "success",
        outcome: entry.outcome.clone(),
        detail,
        is_unreadable: entry.detail.is_none() && !entry.detail_is_damaged,
        is_damaged: entry.detail_is_damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight_and_nonsense_is_refused() {
        assert_eq!(day_start("2026-11-23").unwrap().unwrap().to_string(), "2026-11-23T00:00:00Z");
        assert!(day_start("").unwrap().is_none());
        assert!(matches!(day_start("yesterday"), Err(Refusal::Invalid(_))));
    }
}
