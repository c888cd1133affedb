//! The list of issues, an issue's page, its events and its state.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_error_tracking::grouping::{Explanation, Variant};
use belvedere_error_tracking::{
    IssueDetail, IssueId, IssueSort, IssueStatus, IssueSummary, ListIssues, Substatus,
};

use crate::charts::BarChart;
use crate::form::{Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::page_request;
use crate::pages::triage::IssueTriage;
use crate::people::{People, PersonChoice};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::event::EventView;
use crate::views::issues::{EventRow, IssueRow, event_href, issue_href};
use crate::views::overview::{daily_chart, hourly_chart};
use crate::views::stack::FrameGroup;
use crate::wording::Count;

const ROWS_PER_PAGE: u16 = 50;

/// The most characters of a search.
const TEXT_CHARS_MAX: usize = 200;

/// The tabs: their word, their label, and what they show.
const STATUSES: [(&str, &str, Option<IssueStatus>, Option<Substatus>); 6] = [
    ("unresolved", "Unresolved", Some(IssueStatus::Unresolved), None),
    ("regressed", "Regressed", Some(IssueStatus::Unresolved), Some(Substatus::Regressed)),
    ("resolved", "Resolved", Some(IssueStatus::Resolved), None),
    ("ignored", "Ignored", Some(IssueStatus::Ignored), None),
    ("archived", "Archived", Some(IssueStatus::Archived), None),
    ("all", "All", None, None),
];

const SORTS: [(&str, &str, IssueSort); 4] = [
    ("last_seen", "Last seen", IssueSort::LastSeen),
    ("first_seen", "Newest", IssueSort::FirstSeen),
    ("events", "Most events", IssueSort::Events),
    ("subjects", "Most subjects", IssueSort::Subjects),
];

/// Which issues an address, or the form around the list, asks for; with the word of the tab.
pub(crate) fn wanted(scene: &Scene, pairs: &Pairs) -> (&'static str, ListIssues) {
    let (word, _, status, substatus) =
        STATUSES.into_iter().find(|(name, ..)| *name == pairs.text("status")).unwrap_or(STATUSES[0]);
    let sort = SORTS.into_iter().find(|(name, ..)| *name == pairs.text("sort"));
    let text: String = pairs.text("q").chars().take(TEXT_CHARS_MAX).collect();
    let query = ListIssues {
        project: scene.id(),
        status,
        substatus,
        assigned_to: scene.user().filter(|_| pairs.text("assigned") == "me"),
        text: Some(text).filter(|text| !text.is_empty()),
        environment: pairs.some("environment"),
        sort: sort.map(|(_, _, sort)| sort).unwrap_or_default(),
        page: page_request(pairs, ROWS_PER_PAGE),
    };
    (word, query)
}

/// The list of issues, whole or as its changing parts.
struct IssueList {
    tabs: Vec<Tab>,
    rows: Vec<IssueRow>,
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
    environments: Vec<Choice>,
    sorts: Vec<Choice>,
    first_href: Option<String>,
    next_href: Option<String>,
}

impl IssueList {
    /// What the form around the list must say again to mean the same list.
    fn back(&self) -> [(&'static str, &str); 5] {
        [
            ("status", self.status_param),
            ("q", &self.text),
            (
                "environment",
                self.environments.iter().find(|choice| choice.is_chosen).map_or("", |choice| &choice.name),
            ),
            ("assigned", if self.is_mine { "me" } else { "" }),
            ("sort", self.sorts.iter().find(|choice| choice.is_chosen).map_or("", |choice| choice.value)),
        ]
    }

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
    triage: IssueTriage,
    first_release: Option<String>,
    last_release: Option<String>,
    grouping_version: u16,
    grouping_reason: String,
    grouping_values: Vec<String>,
    grouping_explanation: Explanation,
}

#[derive(Template)]
#[template(path = "fragments_issue.html")]
struct IssueFragment {
    view: IssueHead,
    triage: IssueTriage,
    may_manage: bool,
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
    let query = wanted(scene, pairs);
    let status_param = query.0;
    let sort_param =
        SORTS.iter().find(|(_, _, sort)| *sort == query.1.sort).map_or("last_seen", |(name, ..)| name);
    let (query, text) = (query.1.clone(), query.1.text.unwrap_or_default());
    let environment = query.environment.clone();
    let is_mine = query.assigned_to.is_some();
    let errors = scene.errors()?;
    let (issues, known, counts, people) = tokio::join!(
        errors.list_issues(query),
        errors.list_environments(scene.id()),
        scene.state.triage.count_by_status(scene.id()),
        People::load(scene),
    );
    let (issues, counts, people) = (issues?, counts?, people?);
    let of_tabs =
        [counts.unresolved, counts.regressed, counts.resolved, counts.ignored, counts.archived].map(Some);
    let of_tabs = of_tabs.into_iter().chain([None]);
    let path = format!("{}/issues", scene.base());
    let chosen = environment.unwrap_or_default();
    let status_in_href = |status: &'static str| if status == "unresolved" { "" } else { status };
    let sort_in_href = if sort_param == "last_seen" { "" } else { sort_param };
    let href = |status, after: &str| {
        let pairs = [
            ("status", status_in_href(status)),
            ("q", &text),
            ("environment", &chosen),
            ("assigned", if is_mine { "me" } else { "" }),
            ("sort", sort_in_href),
            ("after", after),
        ];
        address(&path, &pairs)
    };
    let is_filtered = !text.is_empty() || !chosen.is_empty() || is_mine;
    let tabs = STATUSES.iter().zip(of_tabs.clone()).map(|((name, label, ..), count)| Tab {
        label,
        href: href(name, ""),
        // The counts are those of the project; beside a search they would mislead.
        count: count.filter(|_| !is_filtered).map(Count),
        is_current: *name == status_param,
    });
    let environments = environment_choices(known?, &chosen);
    let choice = |(value, name, _): &(&'static str, &str, _)| Choice {
        value,
        name: (*name).to_owned(),
        is_chosen: *value == sort_param,
    };
    let may_manage = scene.may(Permission::ManageIssues);
    let row = |issue: &IssueSummary| IssueRow {
        assignee: issue.assigned_to.map(|user| people.name(user)).unwrap_or_default(),
        is_pickable: may_manage,
        ..IssueRow::new(scene.id(), issue, scene.now)
    };
    let rows: Vec<IssueRow> = issues.items.iter().map(row).collect();
    let of_tab = STATUSES.iter().zip(of_tabs).find(|((name, ..), _)| *name == status_param);
    let matching = of_tab.and_then(|(_, count)| count).filter(|_| !is_filtered);
    Ok(IssueList {
        tabs: tabs.collect(),
        // More than are on the page.
        matching: matching.filter(|count| *count > rows.len() as u64).map(Count),
        rows,
        bulk_href: format!("{path}/bulk"),
        may_manage,
        is_mine,
        people: people.choices(None),
        unresolved: Count(counts.unresolved),
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

fn environment_choices(known: Vec<String>, chosen: &str) -> Vec<Choice> {
    let choice = |name: String| Choice { value: "", is_chosen: name == chosen, name };
    let mut choices: Vec<Choice> = known.into_iter().map(choice).collect();
    if !chosen.is_empty() && choices.iter().all(|choice| !choice.is_chosen) {
        choices.push(choice(chosen.to_owned()));
    }
    choices
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
        let triage = IssueTriage::load(&scene, &issue, &pairs).await?;
        let may_manage = scene.may(Permission::ManageIssues);
        return Ok(respond::page(&IssueFragment { view, triage, may_manage }));
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
        triage: IssueTriage::load(scene, issue, pairs).await?,
        first_release: issue.first_release.clone(),
        last_release: issue.last_release.clone(),
        grouping_version: issue.grouping_version,
        grouping_reason: issue.grouping_reason.clone(),
        grouping_values: issue.grouping_values.clone(),
        grouping_explanation: issue.grouping_explanation.clone(),
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

pub(crate) async fn find(scene: &Scene, issue: &str) -> Result<IssueDetail, Refusal> {
    let id: IssueId = issue.parse().map_err(|_| Refusal::NotFound)?;
    scene.errors()?.find_issue(scene.id(), id).await?.ok_or(Refusal::NotFound)
}
