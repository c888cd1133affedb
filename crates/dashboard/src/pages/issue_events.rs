//! An issue's events as a table, searched and with the columns that the visitor wants.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_error_tracking::search::{SearchEvents, TaggedEvent};
use belvedere_kernel::ProjectId;

use crate::form::{Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::issues::find;
use crate::pages::page_request;
use crate::pages::query::read_query;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::issues::{IssueRow, event_href, issue_href, level_word};
use crate::views::tags::search_href;
use crate::wording::{At, Count};

const ROWS_PER_PAGE: u16 = 50;

/// The most columns beside the event's id.
const COLUMNS_MAX: usize = 12;

/// The most keys of tags that are offered as columns.
const TAG_COLUMNS_MAX: usize = 30;

/// Columns that every event has, with their heads.
const COLUMNS: [(&str, &str); 8] = [
    ("title", "What"),
    ("release", "Release"),
    ("environment", "Environment"),
    ("subject", "Subject"),
    ("level", "Level"),
    ("trace", "Trace"),
    ("transaction", "Transaction"),
    ("time", "Happened"),
];

/// What is shown until somebody chooses.
const USUAL: [&str; 5] = ["title", "release", "environment", "subject", "time"];

/// A page of an issue's events.
struct EventList {
    issue: IssueRow,
    columns: Vec<Column>,
    rows: Vec<EventRow>,
    unresolved: Count,
    is_filtered: bool,
    looked_through: Count,
    has_more: bool,
    all_href: String,
}

/// A column of the table.
struct Column {
    head: String,
    class: &'static str,
}

/// A row of the table.
struct EventRow {
    id: String,
    short_id: String,
    href: String,
    cells: Vec<Cell>,
}

/// A cell; a time is markup of ours, everything else text.
struct Cell {
    class: &'static str,
    text: String,
    at: Option<At>,
    href: Option<String>,
}

/// A column that can be chosen.
struct ColumnChoice {
    name: String,
    label: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    layout: Layout,
    view: EventList,
    base: String,
    text: String,
    environments: Vec<(String, bool)>,
    choices: Vec<ColumnChoice>,
    error: String,
    first_href: Option<String>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "fragments_events.html")]
struct EventsFragment {
    view: EventList,
}

/// `GET /projects/{project}/issues/{issue}/events`
pub(crate) async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, issue)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let issue = find(&scene, &issue).await?;
    let id = issue.summary.id;
    let text = pairs.text("q").to_owned();
    let environment = pairs.some("environment");
    let mut error = String::new();
    let found = match read_query(&scene, &text).await {
        Ok(query) => {
            let search = SearchEvents {
                project: scene.id(),
                issue: id,
                query,
                environment: environment.clone(),
                page: page_request(&pairs, ROWS_PER_PAGE),
            };
            scene.state.search.search_events(search).await.map_err(Refusal::from)
        }
        Err(refusal) => Err(refusal),
    };
    let found = match found {
        Ok(found) => Some(found),
        Err(refusal) => {
            error = refusal.into_form_error()?;
            None
        }
    };
    let chosen = chosen_columns(&pairs);
    let path = format!("{}/events", issue_href(scene.id(), &id.to_string()));
    let columns = chosen.iter().map(|name| column(name)).collect();
    let next = found.as_ref().and_then(|found| found.page.next.clone());
    let rows = found.as_ref().map(|found| found.page.items.as_slice()).unwrap_or_default();
    let view = EventList {
        issue: IssueRow::new(scene.id(), &issue.summary, scene.now),
        columns,
        rows: rows.iter().map(|event| event_row(scene.id(), event, &chosen)).collect(),
        unresolved: Count(scene.count_unresolved().await?.unwrap_or(0)),
        is_filtered: !text.is_empty() || environment.is_some(),
        looked_through: Count(found.as_ref().map_or(0, |found| found.looked_through)),
        has_more: next.is_some(),
        all_href: path.clone(),
    };
    if pairs.text("fragment") == "rows" {
        return Ok(respond::page(&EventsFragment { view }));
    }
    let mut layout = scene.layout(Section::Issues, &pairs).await?;
    layout.live_issue = Some(id.to_string());
    let named = chosen.join(",");
    let is_usual = chosen.iter().map(String::as_str).eq(USUAL);
    let environment = environment.unwrap_or_default();
    let href = |after: &str| {
        let columns = if is_usual { "" } else { named.as_str() };
        address(&path, &[("q", &text), ("environment", &environment), ("columns", columns), ("after", after)])
    };
    let known = scene.errors()?.list_environments(scene.id()).await?;
    let tags = scene.state.search.summarise_tags(scene.id(), id).await?;
    Ok(respond::page(&EventsPage {
        layout,
        view,
        base: scene.base(),
        environments: known.into_iter().map(|name| (name.clone(), name == environment)).collect(),
        choices: choices(&chosen, tags.into_iter().map(|tag| tag.key)),
        error,
        first_href: pairs.some("after").map(|_| href("")),
        next_href: next.map(|next| href(next.as_str())),
        text,
    }))
}

/// The columns that the address names: one after the other in `columns`, or ticked one by one.
fn chosen_columns(pairs: &Pairs) -> Vec<String> {
    let listed = pairs.text("columns").split(',').map(str::trim);
    let mut chosen: Vec<String> = Vec::new();
    for name in listed.chain(pairs.all("column")) {
        let is_name = !name.is_empty() && name.len() <= 40;
        if is_name && chosen.len() < COLUMNS_MAX && chosen.iter().all(|known| known != name) {
            chosen.push(name.to_owned());
        }
    }
    if chosen.is_empty() { USUAL.map(str::to_owned).to_vec() } else { chosen }
}

fn choices(chosen: &[String], tags: impl Iterator<Item = String>) -> Vec<ColumnChoice> {
    let own = COLUMNS.iter().map(|(name, label)| ((*name).to_owned(), (*label).to_owned()));
    let is_own = |key: &String| COLUMNS.iter().any(|(name, _)| name == key);
    let tags = tags.filter(|key| !is_own(key)).take(TAG_COLUMNS_MAX).map(|key| (format!("tag.{key}"), key));
    let mut all: Vec<(String, String)> = own.chain(tags).collect();
    for name in chosen {
        if let Some(key) = name.strip_prefix("tag.")
            && all.iter().all(|(known, _)| known != name)
        {
            all.push((name.clone(), key.to_owned()));
        }
    }
    let choice =
        |(name, label): (String, String)| ColumnChoice { is_chosen: chosen.contains(&name), name, label };
    all.into_iter().map(choice).collect()
}

fn column(name: &str) -> Column {
    let own = COLUMNS.iter().find(|(known, _)| *known == name).map(|(_, head)| *head);
    let head = own.unwrap_or_else(|| name.strip_prefix("tag.").unwrap_or(name)).to_owned();
    Column { head, class: class(name) }
}

fn class(name: &str) -> &'static str {
    match name {
        "time" => "n",
        "title" => "bidi clip",
        "subject" => "nowrap",
        "trace" => "mono",
        _ => "bidi",
    }
}

fn event_row(project: ProjectId, event: &TaggedEvent, columns: &[String]) -> EventRow {
    let id = event.summary.event_id.clone();
    EventRow {
        short_id: id.chars().take(8).collect(),
        href: event_href(project, &id),
        cells: columns.iter().map(|name| cell(project, event, name)).collect(),
        id,
    }
}

fn cell(project: ProjectId, event: &TaggedEvent, name: &str) -> Cell {
    let summary = &event.summary;
    let tag = |key: &str| event.tags.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone());
    let text = match name {
        "title" => summary.title.clone(),
        "release" => summary.release.clone().unwrap_or_default(),
        "environment" => summary.environment.clone().unwrap_or_default(),
        "subject" => summary.subject.map(|subject| format!("Subject {subject}")).unwrap_or_default(),
        "level" => level_word(summary.level).to_owned(),
        "trace" => event.trace.as_deref().map(|trace| trace.chars().take(8).collect()).unwrap_or_default(),
        "time" => String::new(),
        other => tag(other.strip_prefix("tag.").unwrap_or(other)).unwrap_or_default(),
    };
    let trace = event.trace.as_ref().filter(|_| name == "trace");
    Cell {
        class: class(name),
        text,
        at: (name == "time").then_some(At(summary.occurred_at)),
        href: trace.map(|trace| search_href(project, &format!("trace:{trace}"))),
    }
}
