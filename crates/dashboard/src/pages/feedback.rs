//! What people say: the list, one of it, and what is done about it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_error_tracking::IssueId;
use belvedere_error_tracking::feedback::{
    ChangeFeedback, FeedbackAct, FeedbackDetail, FeedbackId, FeedbackStatus, ListFeedback, RevealContact,
};
use belvedere_kernel::{SubjectId, User};
use belvedere_storage::{Id, PageRequest};

use crate::form::{CheckedForm, Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::{done, page_request};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::attachments::AttachmentRow;
use crate::views::event::{Group, Tag, contexts_of, tags_of};
use crate::views::feedback::{FeedbackRow, feedback_href};
use crate::views::issues::issue_href;
use crate::views::payload::{Marks, Node};
use crate::wording::{At, Count};

const ROWS_PER_PAGE: u16 = 50;

/// The most characters of a search.
const TEXT_CHARS_MAX: usize = 200;

/// How many members somebody can be chosen from.
const MEMBERS_MAX: u16 = 200;

struct Tab {
    label: &'static str,
    href: String,
    count: Option<Count>,
    is_current: bool,
}

#[derive(Template)]
#[template(path = "feedback_list.html")]
struct FeedbackListPage {
    layout: Layout,
    tabs: Vec<Tab>,
    rows: Vec<FeedbackRow>,
    text: String,
    status_param: &'static str,
    issue: String,
    issue_href: Option<String>,
    plain_href: String,
    is_filtered: bool,
    is_first_use: bool,
    first_href: Option<String>,
    next_href: Option<String>,
}

/// A member who can be given something.
pub(crate) struct Assignee {
    id: String,
    name: String,
    is_chosen: bool,
}

/// A button that changes a feedback's status.
struct Action {
    label: &'static str,
    status: &'static str,
    is_primary: bool,
}

#[derive(Template)]
#[template(path = "feedback.html")]
struct FeedbackPage {
    layout: Layout,
    base: String,
    row: FeedbackRow,
    message: String,
    occurred_at: At,
    received_at: At,
    release: String,
    replay_id: Option<String>,
    subject: Option<SubjectId>,
    has_contact: bool,
    /// Name and e-mail address, once somebody asked for them.
    contact: Option<Vec<(&'static str, String)>>,
    files: Vec<AttachmentRow>,
    tags: Vec<Tag>,
    contexts: Vec<Group>,
    actions: Vec<Action>,
    assignees: Vec<Assignee>,
    may_manage: bool,
    may_reveal: bool,
}

const STATUSES: [(&str, &str, Option<FeedbackStatus>); 4] = [
    ("unresolved", "Unresolved", Some(FeedbackStatus::Unresolved)),
    ("resolved", "Resolved", Some(FeedbackStatus::Resolved)),
    ("spam", "Spam", Some(FeedbackStatus::Spam)),
    ("all", "All", None),
];

/// `GET /projects/{project}/feedback`
pub(crate) async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    scene.errors()?;
    let issue: Option<IssueId> = pairs.some("issue").and_then(|issue| issue.parse().ok());
    // All that was said about an issue, whatever became of it.
    let otherwise = if issue.is_some() { STATUSES[3] } else { STATUSES[0] };
    let (status_param, _, status) =
        STATUSES.into_iter().find(|(name, ..)| *name == pairs.text("status")).unwrap_or(otherwise);
    let text: String = pairs.text("q").chars().take(TEXT_CHARS_MAX).collect();
    let query = ListFeedback {
        project: scene.id(),
        status,
        issue,
        text: Some(text.clone()).filter(|text| !text.is_empty()),
        page: page_request(&pairs, ROWS_PER_PAGE),
    };
    let feedback = &scene.state.feedback;
    let count = |status| feedback.count_feedback(scene.id(), status);
    let (page, unresolved, resolved, spam) = tokio::join!(
        feedback.list_feedback(query),
        count(FeedbackStatus::Unresolved),
        count(FeedbackStatus::Resolved),
        count(FeedbackStatus::Spam),
    );
    let (page, counts) = (page?, [unresolved?, resolved?, spam?]);
    let path = format!("{}/feedback", scene.base());
    let issue_text = issue.map(|issue| issue.to_string()).unwrap_or_default();
    let href = |status: &str, after: &str| {
        let status = if status == otherwise.0 { "" } else { status };
        address(&path, &[("status", status), ("q", &text), ("issue", &issue_text), ("after", after)])
    };
    let is_filtered = !text.is_empty() || issue.is_some();
    let tabs = STATUSES.iter().enumerate().map(|(index, (name, label, _))| Tab {
        label,
        href: href(name, ""),
        count: counts.get(index).filter(|_| !is_filtered).map(|count| Count(*count)),
        is_current: *name == status_param,
    });
    Ok(respond::page(&FeedbackListPage {
        layout: scene.layout(Section::Feedback, &pairs).await?,
        tabs: tabs.collect(),
        rows: page.items.iter().map(|said| FeedbackRow::new(scene.id(), said, scene.now)).collect(),
        status_param,
        issue_href: issue.map(|issue| issue_href(scene.id(), &issue.to_string())),
        issue: issue_text.clone(),
        plain_href: path.clone(),
        is_filtered,
        is_first_use: counts.iter().all(|count| *count == 0),
        first_href: pairs.some("after").map(|_| href(status_param, "")),
        next_href: page.next.map(|next| href(status_param, next.as_str())),
        text,
    }))
}

/// `GET /projects/{project}/feedback/{id}`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let found = find(&scene, &id).await?;
    page(&scene, &pairs, &found, None).await
}

/// `POST /projects/{project}/feedback/{id}/reveal`: a form, so that nobody is revealed by following a link.
pub(crate) async fn reveal(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    CheckedForm(_): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::RevealSubjects).await?;
    let found = find(&scene, &id).await?;
    let reveal = RevealContact {
        actor: scene.principal().actor,
        organisation: scene.principal().organisation,
        project: scene.id(),
        feedback: found.summary.id,
        request_id: scene.client().request_id.clone(),
    };
    let contact = scene.state.feedback.reveal_contact(reveal).await?;
    let fields = contact.map(|contact| [("Name", contact.name), ("E-mail", contact.email)]);
    let fields = fields.into_iter().flatten().filter_map(|(key, value)| Some((key, value?))).collect();
    page(&scene, &Pairs::default(), &found, Some(fields)).await
}

/// `POST /projects/{project}/feedback/{id}/status`
pub(crate) async fn set_status(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    let found = find(&scene, &id).await?;
    let status = FeedbackStatus::of_word(form.text("status"))
        .ok_or_else(|| Refusal::Invalid("status: must be unresolved, resolved or spam".to_owned()))?;
    act(&scene, found.summary.id, FeedbackAct::SetStatus(status)).await?;
    Ok(done(&feedback_href(scene.id(), &id), "saved"))
}

/// `POST /projects/{project}/feedback/{id}/assign`
pub(crate) async fn assign(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    let found = find(&scene, &id).await?;
    let wanted = form.some("assignee");
    let members = members(&scene).await?;
    let member =
        wanted.as_ref().and_then(|wanted| members.iter().find(|(user, _)| user.to_string() == *wanted));
    if wanted.is_some() && member.is_none() {
        return Err(Refusal::Invalid("assignee: is no member of this organisation".to_owned()));
    }
    act(&scene, found.summary.id, FeedbackAct::Assign(member.map(|(user, _)| *user))).await?;
    Ok(done(&feedback_href(scene.id(), &id), "saved"))
}

/// `POST /projects/{project}/feedback/{id}/delete`
pub(crate) async fn delete(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    CheckedForm(_): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    let found = find(&scene, &id).await?;
    act(&scene, found.summary.id, FeedbackAct::Delete).await?;
    Ok(done(&format!("{}/feedback", scene.base()), "gone"))
}

async fn find(scene: &Scene, id: &str) -> Result<FeedbackDetail, Refusal> {
    scene.errors()?;
    let id: FeedbackId = id.parse().map_err(|_| Refusal::NotFound)?;
    scene.state.feedback.find_feedback(scene.id(), id).await?.ok_or(Refusal::NotFound)
}

async fn act(scene: &Scene, feedback: FeedbackId, act: FeedbackAct) -> Result<(), Refusal> {
    let change = ChangeFeedback {
        actor: scene.principal().actor,
        organisation: scene.principal().organisation,
        project: scene.id(),
        feedback: vec![feedback],
        act,
        request_id: scene.client().request_id.clone(),
    };
    scene.state.feedback.change_feedback(change).await?;
    Ok(())
}

/// The organisation's members with their names, for those who may see them.
async fn members(scene: &Scene) -> Result<Vec<(Id<User>, String)>, Refusal> {
    if !scene.may(Permission::ViewMembers) {
        return Ok(Vec::new());
    }
    let first = PageRequest::first(MEMBERS_MAX);
    let page = scene.state.members.list_members(scene.principal(), first).await?;
    Ok(page.items.into_iter().map(|member| (member.user, member.name)).collect())
}

async fn page(
    scene: &Scene,
    pairs: &Pairs,
    found: &FeedbackDetail,
    contact: Option<Vec<(&'static str, String)>>,
) -> Result<Response, Refusal> {
    let said = &found.summary;
    let marks = Marks::new(&found.removals);
    let root = Node::root(&found.payload, &marks);
    let files = scene.state.attachments.list_attachments(scene.id(), &said.event_id).await?;
    let assignees = members(scene).await?.into_iter().map(|(user, name)| Assignee {
        id: user.to_string(),
        name,
        is_chosen: said.assignee == Some(user),
    });
    Ok(respond::page(&FeedbackPage {
        layout: scene.layout(Section::Feedback, pairs).await?,
        base: scene.base(),
        row: FeedbackRow::new(scene.id(), said, scene.now),
        message: said.message.clone(),
        occurred_at: At(said.occurred_at),
        received_at: At(said.received_at),
        release: said.release.clone().unwrap_or_default(),
        replay_id: found.replay_id.clone(),
        subject: said.subject,
        has_contact: said.has_contact,
        contact,
        files: files.iter().map(|file| AttachmentRow::new(scene.id(), file)).collect(),
        tags: tags_of(&root),
        contexts: contexts_of(&root),
        actions: actions(said.status),
        assignees: assignees.collect(),
        may_manage: scene.may(Permission::ManageIssues),
        may_reveal: scene.may(Permission::RevealSubjects),
    }))
}

fn actions(status: FeedbackStatus) -> Vec<Action> {
    let action =
        |label, status: FeedbackStatus, is_primary| Action { label, status: status.as_str(), is_primary };
    let resolve = action("Resolve", FeedbackStatus::Resolved, true);
    let reopen = action("Reopen", FeedbackStatus::Unresolved, false);
    let spam = action("Mark as spam", FeedbackStatus::Spam, false);
    match status {
        FeedbackStatus::Unresolved => vec![resolve, spam],
        FeedbackStatus::Resolved => vec![reopen, spam],
        FeedbackStatus::Spam => vec![reopen],
    }
}
