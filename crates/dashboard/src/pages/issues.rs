//! The list of issues, an issue's page, its events and its state.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_error_tracking::{IssueDetail, IssueId, IssueSort, IssueStatus, ListIssues, SetStatus};

use crate::charts::BarChart;
use crate::form::{CheckedForm, Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::{done, page_request};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::event::EventView;
use crate::views::issues::{EventRow, IssueRow, event_href, issue_href, status_word};
use crate::views::overview::{daily_chart, hourly_chart};
use crate::views::stack::FrameGroup;
use crate::wording::Count;

const ROWS_PER_PAGE: u16 = 50;

/// The most characters of a search.
const TEXT_CHARS_MAX: usize = 200;

/// The list of issues, whole or as its changing parts.
struct IssueList {
    tabs: Vec<Tab>,
    rows: Vec<IssueRow>,
    unresolved: Count,
    is_filtered: bool,
    plain_href: String,
    /// `unresolved`, or `at all` for all of them.
    status_label: &'static str,
    status_param: &'static str,
    text: String,
    environments: Vec<Choice>,
    sorts: Vec<Choice>,
    first_href: Option<String>,
    next_href: Option<String>,
}

impl IssueList {
    /// Whether the list is that of one environment.
    fn is_one_environment(&self) -> bool {
        self.environments.iter().any(|choice| choice.is_chosen && !choice.name.is_empty())
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
}

#[derive(Template)]
#[template(path = "fragments_issues.html")]
struct IssuesFragment {
    view: IssueList,
}

/// What is the same on an issue's page and on the page of one of its events.
struct IssueHead {
    issue: IssueRow,
    hourly: BarChart,
    daily: BarChart,
    unresolved: Count,
}

/// A button that changes an issue's state.
struct Action {
    label: &'static str,
    status: &'static str,
    is_primary: bool,
}

#[derive(Template)]
#[template(path = "issue.html")]
struct IssuePage {
    layout: Layout,
    view: IssueHead,
    base: String,
    event: Option<EventView>,
    event_short_id: String,
    is_single_event: bool,
    previous_href: Option<String>,
    next_href: Option<String>,
    may_manage: bool,
    may_reveal: bool,
    actions: Vec<Action>,
    first_release: Option<String>,
    last_release: Option<String>,
    grouping_version: u16,
    grouping_reason: String,
    grouping_values: Vec<String>,
}

#[derive(Template)]
#[template(path = "fragments_issue.html")]
struct IssueFragment {
    view: IssueHead,
}

/// A page of an issue's events.
struct EventList {
    issue: IssueRow,
    rows: Vec<EventRow>,
    unresolved: Count,
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    layout: Layout,
    view: EventList,
    base: String,
    first_href: Option<String>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "fragments_events.html")]
struct EventsFragment {
    view: EventList,
}

/// `GET /projects/{project}/issues`
pub(crate) async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let view = read_list(&scene, &pairs).await?;
    if pairs.text("fragment") == "rows" {
        return Ok(respond::page(&IssuesFragment { view }));
    }
    let layout = scene.layout(Section::Issues, &pairs).await?;
    Ok(respond::page(&IssuesPage { layout, view }))
}

async fn read_list(scene: &Scene, pairs: &Pairs) -> Result<IssueList, Refusal> {
    const STATUSES: [(&str, &str, Option<IssueStatus>); 4] = [
        ("unresolved", "Unresolved", Some(IssueStatus::Unresolved)),
        ("resolved", "Resolved", Some(IssueStatus::Resolved)),
        ("ignored", "Ignored", Some(IssueStatus::Ignored)),
        ("all", "All", None),
    ];
    const SORTS: [(&str, &str, IssueSort); 4] = [
        ("last_seen", "Last seen", IssueSort::LastSeen),
        ("first_seen", "Newest", IssueSort::FirstSeen),
        ("events", "Most events", IssueSort::Events),
        ("subjects", "Most subjects", IssueSort::Subjects),
    ];
    let (status_param, _, status) =
        STATUSES.into_iter().find(|(name, ..)| *name == pairs.text("status")).unwrap_or(STATUSES[0]);
    let (sort_param, _, sort) =
        SORTS.into_iter().find(|(name, ..)| *name == pairs.text("sort")).unwrap_or(SORTS[0]);
    let text: String = pairs.text("q").chars().take(TEXT_CHARS_MAX).collect();
    let environment = pairs.some("environment");
    let query = ListIssues {
        project: scene.id(),
        status,
        text: Some(text.clone()).filter(|text| !text.is_empty()),
        environment: environment.clone(),
        sort,
        page: page_request(pairs, ROWS_PER_PAGE),
    };
    let errors = scene.errors()?;
    let (issues, known, unresolved, resolved, ignored) = tokio::join!(
        errors.list_issues(query),
        errors.list_environments(scene.id()),
        errors.count_issues(scene.id(), IssueStatus::Unresolved),
        errors.count_issues(scene.id(), IssueStatus::Resolved),
        errors.count_issues(scene.id(), IssueStatus::Ignored),
    );
    let (issues, unresolved) = (issues?, unresolved?);
    let counts = [Some(unresolved), Some(resolved?), Some(ignored?), None];
    let path = format!("{}/issues", scene.base());
    let chosen = environment.unwrap_or_default();
    let status_in_href = |status: &'static str| if status == "unresolved" { "" } else { status };
    let sort_in_href = if sort_param == "last_seen" { "" } else { sort_param };
    let href = |status, after: &str| {
        let pairs = [
            ("status", status_in_href(status)),
            ("q", &text),
            ("environment", &chosen),
            ("sort", sort_in_href),
            ("after", after),
        ];
        address(&path, &pairs)
    };
    let is_filtered = !text.is_empty() || !chosen.is_empty();
    let tabs = STATUSES.iter().zip(counts).map(|((name, label, _), count)| Tab {
        label,
        href: href(name, ""),
        // The counts are those of the project; beside a search they would mislead.
        count: count.filter(|_| !is_filtered).map(Count),
        is_current: *name == status_param,
    });
    let mut environments: Vec<Choice> =
        known?.into_iter().map(|name| Choice { value: "", is_chosen: name == chosen, name }).collect();
    if !chosen.is_empty() && environments.iter().all(|choice| !choice.is_chosen) {
        environments.push(Choice { value: "", name: chosen.clone(), is_chosen: true });
    }
    let choice = |(value, name, _): &(&'static str, &str, _)| Choice {
        value,
        name: (*name).to_owned(),
        is_chosen: *value == sort_param,
    };
    Ok(IssueList {
        tabs: tabs.collect(),
        rows: issues.items.iter().map(|issue| IssueRow::new(scene.id(), issue, scene.now)).collect(),
        unresolved: Count(unresolved),
        is_filtered,
        plain_href: address(&path, &[("status", status_in_href(status_param))]),
        status_label: if status_param == "all" { "at all" } else { status_param },
        status_param,
        environments,
        sorts: SORTS.iter().map(choice).collect(),
        first_href: pairs.some("after").map(|_| href(status_param, "")),
        next_href: issues.next.map(|next| href(status_param, next.as_str())),
        text,
    })
}

/// `GET /projects/{project}/issues/{issue}`: the issue with its newest event.
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, issue)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let issue = find(&scene, &issue).await?;
    if pairs.text("fragment") == "rows" {
        let view = head(&scene, &issue).await?;
        return Ok(respond::page(&IssueFragment { view }));
    }
    let event = match &issue.latest_event {
        Some(event_id) => scene.errors()?.find_event(scene.id(), event_id).await?,
        None => None,
    };
    let event = event.map(|event| EventView::new(&event));
    issue_page(&scene, &pairs, &issue, event, false).await
}

/// The page of an issue with one of its events.
pub(crate) async fn issue_page(
    scene: &Scene,
    pairs: &Pairs,
    issue: &IssueDetail,
    event: Option<EventView>,
    is_single_event: bool,
) -> Result<Response, Refusal> {
    let mut layout = scene.layout(Section::Issues, pairs).await?;
    layout.live_issue = Some(issue.summary.id.to_string());
    let link = |id: Option<&String>| id.map(|id| event_href(scene.id(), id));
    Ok(respond::page(&IssuePage {
        layout,
        view: head(scene, issue).await?,
        base: scene.base(),
        event_short_id: event.as_ref().map(|event| event.id.chars().take(8).collect()).unwrap_or_default(),
        previous_href: link(event.as_ref().and_then(|event| event.previous.as_ref())),
        next_href: link(event.as_ref().and_then(|event| event.next.as_ref())),
        event,
        is_single_event,
        may_manage: scene.may(Permission::ManageIssues),
        may_reveal: scene.may(Permission::RevealSubjects),
        actions: actions(issue.summary.status),
        first_release: issue.first_release.clone(),
        last_release: issue.last_release.clone(),
        grouping_version: issue.grouping_version,
        grouping_reason: issue.grouping_reason.clone(),
        grouping_values: issue.grouping_values.clone(),
    }))
}

async fn head(scene: &Scene, issue: &IssueDetail) -> Result<IssueHead, Refusal> {
    Ok(IssueHead {
        issue: IssueRow::new(scene.id(), &issue.summary, scene.now),
        hourly: hourly_chart(&issue.summary.hourly, scene.now, "Events per hour in the last 24 hours", true),
        daily: daily_chart(&issue.daily, scene.now, "Events per day in the last 14 days"),
        unresolved: Count(scene.count_unresolved().await?.unwrap_or(0)),
    })
}

fn actions(status: IssueStatus) -> Vec<Action> {
    let action = |label, status, is_primary| Action { label, status: status_word(status), is_primary };
    let resolve = action("Resolve", IssueStatus::Resolved, true);
    let ignore = action("Ignore", IssueStatus::Ignored, false);
    let reopen = action("Reopen", IssueStatus::Unresolved, false);
    match status {
        IssueStatus::Unresolved => vec![resolve, ignore],
        IssueStatus::Resolved => vec![reopen, ignore],
        IssueStatus::Ignored => vec![resolve, reopen],
    }
}

/// `GET /projects/{project}/issues/{issue}/events`
pub(crate) async fn list_events(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, issue)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let issue = find(&scene, &issue).await?;
    let id = issue.summary.id;
    let events = scene.errors()?.list_events(scene.id(), id, page_request(&pairs, ROWS_PER_PAGE)).await?;
    let view = EventList {
        issue: IssueRow::new(scene.id(), &issue.summary, scene.now),
        rows: events.items.iter().map(|event| EventRow::new(scene.id(), event)).collect(),
        unresolved: Count(scene.count_unresolved().await?.unwrap_or(0)),
    };
    if pairs.text("fragment") == "rows" {
        return Ok(respond::page(&EventsFragment { view }));
    }
    let mut layout = scene.layout(Section::Issues, &pairs).await?;
    layout.live_issue = Some(id.to_string());
    let path = format!("{}/events", issue_href(scene.id(), &id.to_string()));
    Ok(respond::page(&EventsPage {
        layout,
        view,
        base: scene.base(),
        first_href: pairs.some("after").map(|_| path.clone()),
        next_href: events.next.map(|next| address(&path, &[("after", next.as_str())])),
    }))
}

/// `POST /projects/{project}/issues/{issue}/status`
pub(crate) async fn set_status(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, issue)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    let id = find(&scene, &issue).await?.summary.id;
    let status = match form.text("status") {
        "unresolved" => IssueStatus::Unresolved,
        "resolved" => IssueStatus::Resolved,
        "ignored" => IssueStatus::Ignored,
        _ => return Err(Refusal::Invalid("status: must be unresolved, resolved or ignored".to_owned())),
    };
    let change = SetStatus {
        actor: scene.principal().actor,
        organisation: scene.principal().organisation,
        project: scene.id(),
        issues: vec![id],
        status,
        request_id: scene.client().request_id.clone(),
    };
    scene.errors()?.set_status(change).await?;
    Ok(done(&issue_href(scene.id(), &id.to_string()), status_word(status)))
}

async fn find(scene: &Scene, issue: &str) -> Result<IssueDetail, Refusal> {
    let id: IssueId = issue.parse().map_err(|_| Refusal::NotFound)?;
    scene.errors()?.find_issue(scene.id(), id).await?.ok_or(Refusal::NotFound)
}
