//! The list of issues, an issue's page, its events and its state.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_error_tracking::feedback::ListFeedback;
use belvedere_error_tracking::grouping::{Explanation, Variant};
use belvedere_error_tracking::{IssueDetail, IssueId};
use belvedere_storage::PageRequest;

use crate::charts::BarChart;
use crate::form::Pairs;
use crate::layout::{Layout, Scene, Section};
use crate::pages::logs;
use crate::pages::triage::IssueTriage;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::attachments::AttachmentRow;
use crate::views::event::EventView;
use crate::views::feedback::FeedbackRow;
use crate::views::issues::{IssueRow, event_href};
use crate::views::logs::LogRow;
use crate::views::overview::{daily_chart, hourly_chart};
use crate::views::stack::FrameGroup;
use crate::views::tags::{CARD_KEYS_MAX, SimilarRow, TagView};
use crate::wording::Count;

/// How much of what people said stands on an issue's page.
const SAID_MAX: u16 = 5;

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
    files: Vec<AttachmentRow>,
    said: Vec<FeedbackRow>,
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
    tags: Vec<TagView>,
    similar: Vec<SimilarRow>,
    logs: Vec<LogRow>,
    logs_href: String,
    grouping_explanation: Explanation,
}

#[derive(Template)]
#[template(path = "fragments_issue.html")]
struct IssueFragment {
    view: IssueHead,
    triage: IssueTriage,
    may_manage: bool,
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
    let files = match &event {
        Some(event) => scene.state.attachments.list_attachments(scene.id(), &event.id).await?,
        None => Vec::new(),
    };
    let said = ListFeedback {
        project: scene.id(),
        status: None,
        issue: Some(issue.summary.id),
        text: None,
        page: PageRequest::first(SAID_MAX),
    };
    let said = scene.state.feedback.list_feedback(said).await?.items;
    let trace = event.as_ref().and_then(|event| event.trace_id.as_deref());
    let at = event.as_ref().map_or(scene.now, |event| event.occurred_at.0);
    let (logs, logs_href) = logs::around(scene, trace, at).await?;
    let link = |id: Option<&String>| id.map(|id| event_href(scene.id(), id));
    let (search, id) = (&scene.state.search, issue.summary.id);
    let (tags, similar) =
        tokio::join!(search.summarise_tags(scene.id(), id), search.list_similar(scene.id(), id));
    Ok(respond::page(&IssuePage {
        layout,
        view: head(scene, issue).await?,
        base: scene.base(),
        event_short_id: event.as_ref().map(|event| event.id.chars().take(8).collect()).unwrap_or_default(),
        files: files.iter().map(|file| AttachmentRow::new(scene.id(), file)).collect(),
        said: said.iter().map(|said| FeedbackRow::new(scene.id(), said, scene.now)).collect(),
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
        tags: tags?
            .iter()
            .take(CARD_KEYS_MAX)
            .map(|tag| TagView::short(scene.id(), &id.to_string(), tag, scene.now))
            .collect(),
        similar: similar?.iter().map(|other| SimilarRow::new(scene.id(), other, scene.now)).collect(),
        logs,
        logs_href,
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

pub(crate) async fn find(scene: &Scene, issue: &str) -> Result<IssueDetail, Refusal> {
    let id: IssueId = issue.parse().map_err(|_| Refusal::NotFound)?;
    scene.errors()?.find_issue(scene.id(), id).await?.ok_or(Refusal::NotFound)
}
