//! The first page of a project.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_error_tracking::{IssueSort, ListIssues};
use belvedere_storage::PageRequest;

use crate::charts::BarChart;
use crate::form::Pairs;
use crate::layout::{Layout, Scene, Section};
use crate::pages::pipeline::waiting;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::issues::IssueRow;
use crate::views::overview::{fill_hours, hourly_chart, hours_start};
use crate::views::pipeline::totals;
use crate::wording::{Count, change, counted};

/// Rows of the newest issues.
const NEWEST: usize = 6;

/// How many of the newest issues are looked at for "new in the last 24 h"; from there on it says "at least".
const NEW_COUNTED_MAX: u16 = 100;

/// A few lines for the first event from a language.
struct Snippet {
    language: &'static str,
    id: &'static str,
    code: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    layout: Layout,
    view: Overview,
}

#[derive(Template)]
#[template(path = "fragments_overview.html")]
struct OverviewFragment {
    view: Overview,
}

struct Overview {
    is_empty: bool,
    events: Count,
    events_change: Option<String>,
    unresolved: Count,
    new_issues: usize,
    new_issues_text: String,
    waiting: Count,
    waiting_note: String,
    not_stored: Count,
    not_stored_note: String,
    chart: BarChart,
    rows: Vec<IssueRow>,
    issues_href: String,
    pipeline_href: String,
    keys_href: String,
    may_manage_keys: bool,
    dsn: Option<String>,
    snippets: Vec<Snippet>,
}

/// `GET /projects/{project}`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let view = read(&scene).await?;
    if pairs.text("fragment") == "rows" {
        return Ok(respond::page(&OverviewFragment { view }));
    }
    let layout = scene.layout(Section::Overview, &pairs).await?;
    Ok(respond::page(&OverviewPage { layout, view }))
}

async fn read(scene: &Scene) -> Result<Overview, Refusal> {
    let errors = scene.errors()?;
    let now = scene.now;
    let (day, two_days) = (hours_start(now, 24), hours_start(now, 48));
    let newest = ListIssues {
        project: scene.id(),
        status: None,
        substatus: None,
        assigned_to: None,
        text: None,
        environment: None,
        sort: IssueSort::FirstSeen,
        page: PageRequest::first(NEW_COUNTED_MAX),
    };
    let today = now.start_of_day();
    let (hours, issues, unresolved, tallies) = tokio::join!(
        errors.count_events_by_hour(scene.id(), two_days, now.plus(Duration::from_secs(3_600))),
        errors.list_issues(newest),
        scene.count_unresolved(),
        scene.state.intake_log.list_tallies(scene.id(), today, now.plus(Duration::from_secs(1))),
    );
    let issues = issues?;
    let hourly = fill_hours(&hours?, two_days, 48);
    let (before, last): (u64, u64) = (hourly[..24].iter().sum(), hourly[24..].iter().sum());
    let new_issues = issues.items.iter().filter(|issue| issue.first_seen >= day).count();
    let not_stored = totals(&tallies?, today);
    let (waiting, waiting_note) = waiting(scene);
    let is_empty = issues.items.is_empty();
    let dsn = if is_empty { find_dsn(scene).await? } else { None };
    let base = scene.base();
    let at_least = if new_issues == usize::from(NEW_COUNTED_MAX) { "at least " } else { "" };
    Ok(Overview {
        is_empty,
        events: Count(last),
        events_change: change(before, last),
        unresolved: Count(unresolved?.unwrap_or(0)),
        new_issues,
        new_issues_text: format!("{at_least}{}", Count(new_issues as u64)),
        waiting,
        waiting_note,
        not_stored: Count(not_stored.dropped + not_stored.set_aside),
        not_stored_note: match not_stored.set_aside {
            0 => format!("{} stored today", Count(not_stored.stored)),
            some => format!("{} could not be digested", counted(some as usize, "delivery", "deliveries")),
        },
        chart: hourly_chart(&hourly[24..], now, "Events per hour in the last 24 hours", false),
        rows: issues.items.iter().take(NEWEST).map(|issue| IssueRow::new(scene.id(), issue, now)).collect(),
        issues_href: format!("{base}/issues"),
        pipeline_href: format!("{base}/pipeline"),
        keys_href: format!("{base}/settings/keys"),
        may_manage_keys: scene.may(Permission::ManageKeys),
        snippets: dsn.as_deref().map(snippets).unwrap_or_default(),
        dsn,
    })
}

/// The DSN of the project's newest working key, for those who may see keys.
pub(crate) async fn find_dsn(scene: &Scene) -> Result<Option<String>, Refusal> {
    if !scene.may(Permission::ViewKeys) {
        return Ok(None);
    }
    let keys = scene
        .state
        .ingest_keys
        .list_ingest_keys(scene.principal(), scene.id(), PageRequest::first(100))
        .await?;
    let working = keys.items.iter().find(|key| key.revoked_at.is_none());
    Ok(working.map(|key| dsn(&scene.state.public_url, &key.public_key, &scene.id().to_string())))
}

/// `https://<key>@belvedere.example/7` for the installation at `public_url`.
pub(crate) fn dsn(public_url: &str, key: &str, project: &str) -> String {
    match public_url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{key}@{}/{project}", rest.trim_end_matches('/')),
        None => format!("http://{key}@{public_url}/{project}"),
    }
}

fn snippets(dsn: &str) -> Vec<Snippet> {
    let snippet = |language, id, code: String| Snippet { language, id, code };
    vec![
        snippet(
            "Python",
            "snippet-python",
            format!("# pip install sentry-sdk\nimport sentry_sdk\n\nsentry_sdk.init(dsn=\"{dsn}\")\n\n1 / 0"),
        ),
        snippet(
            "JavaScript (browser)",
            "snippet-browser",
            format!(
                "// npm install @sentry/browser\nimport * as Sentry from \"@sentry/browser\";\n\n\
                 Sentry.init({{ dsn: \"{dsn}\" }});\n\nSentry.captureException(new Error(\"first event\"));"
            ),
        ),
        snippet(
            "Node.js",
            "snippet-node",
            format!(
                "// npm install @sentry/node\nconst Sentry = require(\"@sentry/node\");\n\n\
                 Sentry.init({{ dsn: \"{dsn}\" }});\n\nSentry.captureException(new Error(\"first event\"));"
            ),
        ),
        snippet(
            "Rust",
            "snippet-rust",
            format!(
                "// cargo add sentry\nlet _guard = sentry::init((\"{dsn}\", sentry::ClientOptions::default()));\n\n\
                 sentry::capture_message(\"first event\", sentry::Level::Error);"
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dsn_is_the_public_address_with_the_key_in_it() {
        assert_eq!(dsn("https://bv.example", "k1", "7"), "https://k1@bv.example/7");
        assert_eq!(dsn("http://127.0.0.1:8000/", "k1", "7"), "http://k1@127.0.0.1:8000/7");
        assert_eq!(dsn("https://host.example/bv", "k1", "7"), "https://k1@host.example/bv/7");
    }
}
