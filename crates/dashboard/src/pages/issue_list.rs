//! The list of issues: what the address asks for, and the page.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use belvedere_accounts::Permission;
use belvedere_error_tracking::search::{CountsCover, IssuesFound, KEYS, Matching, Query, SearchIssues};
use belvedere_error_tracking::{IssueSort, IssueStatus, Substatus};
use belvedere_storage::Page;
use http::StatusCode;

use crate::form::{Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::page_request;
use crate::pages::query::{SORTS, read_query};
use crate::pages::saved_searches::{self, SearchRow, default_href};
use crate::people::{People, PersonChoice};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::issues::IssueRow;
use crate::views::tags::term;
use crate::wording::{Count, day, hour};

const ROWS_PER_PAGE: u16 = 50;

/// The tabs: their word, their label, and what they show.
const STATUSES: [(&str, &str, Option<IssueStatus>, Option<Substatus>); 6] = [
    ("unresolved", "Unresolved", Some(IssueStatus::Unresolved), None),
    ("regressed", "Regressed", Some(IssueStatus::Unresolved), Some(Substatus::Regressed)),
    ("resolved", "Resolved", Some(IssueStatus::Resolved), None),
    ("ignored", "Ignored", Some(IssueStatus::Ignored), None),
    ("archived", "Archived", Some(IssueStatus::Archived), None),
    ("all", "All", None, None),
];

/// Times that the list can be limited to: their word, their label and their hours.
const TIMES: [(&str, &str, u64); 6] = [
    ("", "Any time", 0),
    ("1h", "Last hour", 1),
    ("24h", "Last 24 h", 24),
    ("7d", "Last 7 d", 7 * 24),
    ("14d", "Last 14 d", 14 * 24),
    ("30d", "Last 30 d", 30 * 24),
];

/// What an address, or the form around the list, asks for.
pub(crate) struct Wanted {
    /// The word of the tab.
    tab: &'static str,
    pub(crate) search: SearchIssues,
    /// The text of the query.
    text: String,
    environment: String,
    is_mine: bool,
    time: &'static str,
    sort: &'static str,
}

/// Reads the address of the list.
///
/// A query that says itself in which state issues must be is about all of them.
pub(crate) async fn wanted(scene: &Scene, pairs: &Pairs) -> Result<Wanted, Refusal> {
    let text = pairs.text("q").to_owned();
    let query = read_query(scene, &text).await?;
    Ok(wanted_with(scene, pairs, text, query))
}

fn wanted_with(scene: &Scene, pairs: &Pairs, text: String, query: Query) -> Wanted {
    let all = STATUSES[STATUSES.len() - 1];
    let named = STATUSES.into_iter().find(|(name, ..)| *name == pairs.text("status"));
    let (tab, _, status, substatus) = if query.names_status() { all } else { named.unwrap_or(STATUSES[0]) };
    let (sort, _, order) =
        SORTS.into_iter().find(|(name, ..)| *name == pairs.text("sort")).unwrap_or(SORTS[0]);
    let (time, _, hours) =
        TIMES.into_iter().find(|(name, ..)| *name == pairs.text("time")).unwrap_or(TIMES[0]);
    let mine = scene.user().filter(|_| pairs.text("assigned") == "me");
    let query = status.into_iter().fold(query, Query::with_status);
    let query = substatus.into_iter().fold(query, Query::with_substatus);
    // So many hours, the one that has begun among them.
    let since = |hours: u64| scene.now.minus(Duration::from_secs((hours - 1) * 3_600)).start_of_hour();
    let search = SearchIssues {
        project: scene.id(),
        query: mine.into_iter().fold(query, Query::with_assignee),
        environment: pairs.some("environment"),
        since: (hours > 0).then(|| since(hours)),
        sort: order,
        page: page_request(pairs, ROWS_PER_PAGE),
    };
    let environment = pairs.text("environment").to_owned();
    Wanted { tab, search, text, environment, is_mine: mine.is_some(), time, sort }
}

/// The list of issues, whole or as its changing parts.
struct IssueList {
    tabs: Vec<Tab>,
    rows: Vec<IssueRow>,
    /// How many issues match.
    found: String,
    /// What the numbers of events beside them are.
    counts: String,
    /// How many there are on all pages, where that is known and more than on this one.
    matching: Option<Count>,
    bulk_href: String,
    may_manage: bool,
    /// Whether only those are shown that the visitor is to look at.
    is_mine: bool,
    people: Vec<PersonChoice>,
    unresolved: Count,
    is_filtered: bool,
    plain_href: String,
    /// `unresolved`, or `at all` for all of them.
    status_label: &'static str,
    status_param: &'static str,
    text: String,
    error: String,
    environments: Vec<Choice>,
    times: Vec<Choice>,
    sorts: Vec<Choice>,
    first_href: Option<String>,
    next_href: Option<String>,
    save_href: String,
}

impl IssueList {
    /// What the form around the list must say again to mean the same list.
    fn back(&self) -> [(&'static str, &str); 6] {
        let chosen = |choices: &'_ [Choice]| -> &'static str {
            choices.iter().find(|choice| choice.is_chosen).map_or("", |choice| choice.value)
        };
        [
            ("status", self.status_param),
            ("q", &self.text),
            (
                "environment",
                self.environments.iter().find(|choice| choice.is_chosen).map_or("", |choice| &choice.name),
            ),
            ("time", chosen(&self.times)),
            ("assigned", if self.is_mine { "me" } else { "" }),
            ("sort", chosen(&self.sorts)),
        ]
    }
}

struct Tab {
    label: &'static str,
    href: String,
    count: Option<Count>,
    is_current: bool,
}

/// An option of a select.
pub(crate) struct Choice {
    pub(crate) value: &'static str,
    pub(crate) name: String,
    pub(crate) is_chosen: bool,
}

#[derive(Template)]
#[template(path = "issues.html")]
struct IssuesPage {
    layout: Layout,
    view: IssueList,
    saved: Vec<SearchRow>,
    base: String,
    keys: &'static [(&'static str, &'static str)],
}

#[derive(Template)]
#[template(path = "fragments_issues.html")]
struct IssuesFragment {
    view: IssueList,
}

/// `GET /projects/{project}/issues`
pub(crate) async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    scene.errors()?;
    let is_fragment = pairs.text("fragment") == "rows";
    let saved = if is_fragment { Vec::new() } else { saved_searches::rows(&scene).await? };
    if pairs.is_empty()
        && let Some(href) = default_href(&saved)
    {
        return Ok(Redirect::to(&href).into_response());
    }
    let view = read_list(&scene, &pairs).await?;
    if is_fragment {
        return Ok(respond::page(&IssuesFragment { view }));
    }
    let layout = scene.layout(Section::Issues, &pairs).await?;
    let is_wrong = !view.error.is_empty();
    let mut response = respond::page(&IssuesPage { layout, view, saved, base: scene.base(), keys: &KEYS });
    if is_wrong {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

async fn read_list(scene: &Scene, pairs: &Pairs) -> Result<IssueList, Refusal> {
    let text = pairs.text("q").to_owned();
    let (query, error) = match read_query(scene, &text).await {
        Ok(query) => (Some(query), String::new()),
        Err(refusal) => (None, refusal.into_form_error()?),
    };
    let is_wrong = query.is_none();
    let wanted = wanted_with(scene, pairs, text, query.unwrap_or_default());
    let errors = scene.errors()?;
    let (issues, known, counts, people) = tokio::join!(
        async {
            if is_wrong {
                Ok(nothing())
            } else {
                scene.state.search.search_issues(wanted.search.clone()).await
            }
        },
        errors.list_environments(scene.id()),
        scene.state.triage.count_by_status(scene.id()),
        People::load(scene),
    );
    let (issues, counts, people) = (issues?, counts?, people?);
    let of_tabs =
        [counts.unresolved, counts.regressed, counts.resolved, counts.ignored, counts.archived].map(Some);
    let (chosen, is_mine) = (wanted.environment.clone(), wanted.is_mine);
    let path = format!("{}/issues", scene.base());
    let sort_in_href = if wanted.sort == "last_seen" { "" } else { wanted.sort };
    let href = |status: &str, after: &str| {
        let pairs = [
            ("status", status),
            ("q", &wanted.text),
            ("environment", &chosen),
            ("time", wanted.time),
            ("assigned", if is_mine { "me" } else { "" }),
            ("sort", sort_in_href),
            ("after", after),
        ];
        address(&path, &pairs)
    };
    let is_filtered =
        !wanted.text.is_empty() || !chosen.is_empty() || is_mine || wanted.search.since.is_some();
    let tabs = STATUSES.iter().zip(of_tabs.into_iter().chain([None])).map(|((name, label, ..), count)| Tab {
        label,
        href: href(name, ""),
        // The counts are those of the project; beside a search they would mislead.
        count: count.filter(|_| !is_filtered).map(Count),
        is_current: *name == wanted.tab,
    });
    let mut environments: Vec<Choice> =
        known?.into_iter().map(|name| Choice { value: "", is_chosen: name == chosen, name }).collect();
    if !chosen.is_empty() && environments.iter().all(|choice| !choice.is_chosen) {
        environments.push(Choice { value: "", name: chosen.clone(), is_chosen: true });
    }
    let choice = |value: &'static str, name: &str, current: &str| Choice {
        value,
        name: name.to_owned(),
        is_chosen: value == current,
    };
    let may_manage = scene.may(Permission::ManageIssues);
    let rows: Vec<IssueRow> = issues
        .page
        .items
        .iter()
        .map(|issue| IssueRow {
            assignee: issue.assigned_to.map(|user| people.name(user)).unwrap_or_default(),
            is_pickable: may_manage,
            ..IssueRow::new(scene.id(), issue, scene.now)
        })
        .collect();
    Ok(IssueList {
        tabs: tabs.collect(),
        found: found(issues.matching),
        counts: counted_events(&issues.counts, wanted.search.sort),
        // More than are on the page.
        matching: Some(issues.matching)
            .filter(|matching| matching.is_exact && matching.count > rows.len() as u64)
            .map(|matching| Count(matching.count)),
        rows,
        bulk_href: format!("{path}/bulk"),
        may_manage,
        is_mine,
        people: people.choices(None),
        unresolved: Count(counts.unresolved),
        is_filtered,
        plain_href: address(&path, &[("status", wanted.tab)]),
        status_label: if wanted.tab == "all" { "at all" } else { wanted.tab },
        status_param: wanted.tab,
        error,
        environments,
        times: TIMES.iter().map(|(value, name, _)| choice(value, name, wanted.time)).collect(),
        sorts: SORTS.iter().map(|(value, name, _)| choice(value, name, wanted.sort)).collect(),
        first_href: pairs.some("after").map(|_| href(wanted.tab, "")),
        next_href: issues.page.next.map(|next| href(wanted.tab, next.as_str())),
        save_href: address(&format!("{path}/searches"), &[("q", &to_save(&wanted)), ("sort", wanted.sort)]),
        text: wanted.text,
    })
}

/// The query as it must be kept to find the same again: with what the tab, the box and the environment say.
fn to_save(wanted: &Wanted) -> String {
    let terms = [
        Some(wanted.text.clone()).filter(|text| !text.is_empty()),
        (wanted.tab != "all").then(|| format!("is:{}", wanted.tab)),
        wanted.is_mine.then(|| "assigned:me".to_owned()),
        Some(&wanted.environment).filter(|name| !name.is_empty()).map(|name| term("environment", name)),
    ];
    terms.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn nothing() -> IssuesFound {
    IssuesFound {
        page: Page { items: Vec::new(), next: None },
        matching: Matching { count: 0, is_exact: true },
        counts: CountsCover::AllEvents,
    }
}

fn found(matching: Matching) -> String {
    match (matching.count, matching.is_exact) {
        (1, true) => "1 issue".to_owned(),
        (count, true) => format!("{} issues", Count(count)),
        (count, false) => format!("{}+ issues", Count(count)),
    }
}

/// A sentence about the numbers of events, and about what else is counted differently.
fn counted_events(counts: &CountsCover, sort: IssueSort) -> String {
    let events = match counts {
        CountsCover::AllEvents => {
            "events, subjects, first and last seen of all the issue's events".to_owned()
        }
        CountsCover::Tag { key, value } => {
            format!("events with {key} {value}, exactly; subjects, first and last seen of all events")
        }
        CountsCover::Since { from, environment } => {
            let place = environment.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
            let from = format!("{}, {} UTC", day(*from), hour(*from));
            format!("events since {from}{place}, exactly; subjects and first seen of all events")
        }
    };
    if sort == IssueSort::Trend {
        return format!(
            "{events}; rising most: events of about the last day against those of about the last week"
        );
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_how_many_it_found_and_what_it_counted() {
        assert_eq!(found(Matching { count: 1, is_exact: true }), "1 issue");
        assert_eq!(found(Matching { count: 1_234, is_exact: true }), "1,234 issues");
        assert_eq!(found(Matching { count: 10_000, is_exact: false }), "10,000+ issues");
        let from = "2026-11-23T11:00:00Z".parse().unwrap();
        let since = CountsCover::Since { from, environment: Some("production".to_owned()) };
        assert_eq!(
            counted_events(&since, IssueSort::LastSeen),
            "events since 23 Nov, 11:00 UTC in production, exactly; subjects and first seen of all events"
        );
        let tag = CountsCover::Tag { key: "plan".to_owned(), value: "pro".to_owned() };
        assert_eq!(
            counted_events(&tag, IssueSort::Events),
            "events with plan pro, exactly; subjects, first and last seen of all events"
        );
        assert!(counted_events(&CountsCover::AllEvents, IssueSort::Trend).ends_with("the last week"));
    }
}
