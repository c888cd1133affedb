//! What people do with issues: one by one, and all that they picked; comments.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::post;
use belvedere_accounts::Permission;
use belvedere_error_tracking::{
    Act, CHANGED_ISSUES_MAX, ChangeComment, ChangeIssues, Counted, Ignoring, IssueChange, IssueDetail,
    IssueHash, IssueId, IssueStatus, MergeIssues, NewComment, Resolution, UnmergeIssue,
};
use belvedere_storage::{PageRequest, Timestamp};

use crate::csrf;
use crate::form::{CheckedForm, Pairs, address};
use crate::layout::Scene;
use crate::pages::done;
use crate::pages::issue_list::wanted;
use crate::pages::issues::find;
use crate::people::{People, PersonChoice};
use crate::refusal::Refusal;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::issues::issue_href;
use crate::views::timeline::{TimelineEntry, condition_text, until_text};

/// How many entries of a timeline are on a page.
const ENTRIES_PER_PAGE: u16 = 20;

/// The most issues that match and are changed at once.
const MATCHING_MAX: usize = 10_000;

/// The routes below `/projects/{project}`.
pub(crate) fn routes() -> Router<Arc<DashboardState>> {
    Router::new()
        .route("/issues/bulk", post(change_many))
        .route("/issues/{issue}/change", post(change_one))
        .route("/issues/{issue}/comments", post(comment))
        .route("/issues/{issue}/comments/{comment}", post(change_comment))
        .route("/issues/{issue}/unmerge", post(unmerge))
}

/// A release with the one before it.
pub(crate) struct Suspect {
    pub(crate) label: &'static str,
    pub(crate) version: String,
    pub(crate) href: String,
    pub(crate) before: Option<(String, String)>,
}

/// What an issue's page shows of its triage.
pub(crate) struct IssueTriage {
    /// The visitor's anti-forgery value, masked.
    pub(crate) csrf: String,
    pub(crate) status: IssueStatus,
    /// `until 10 more events`; empty where nothing in particular is waited for.
    pub(crate) condition: String,
    pub(crate) people: Vec<PersonChoice>,
    pub(crate) assignee: String,
    pub(crate) suggested: String,
    pub(crate) suspects: Vec<Suspect>,
    pub(crate) hashes: Vec<IssueHash>,
    pub(crate) entries: Vec<TimelineEntry>,
    pub(crate) next_href: Option<String>,
    /// Whether the visitor is on a later page of the timeline.
    pub(crate) first_href: Option<String>,
}

impl IssueTriage {
    pub(crate) fn is(&self, status: &str) -> bool {
        self.status.as_str() == status
    }

    pub(crate) async fn load(scene: &Scene, issue: &IssueDetail, pairs: &Pairs) -> Result<Self, Refusal> {
        let (project, id) = (scene.id(), issue.summary.id);
        let after = pairs.some("activity").map(belvedere_storage::Cursor::from);
        let is_later = after.is_some();
        let (activity, hashes, people) = tokio::join!(
            scene.state.triage.list_activity(project, id, PageRequest::new(ENTRIES_PER_PAGE, after)),
            scene.state.triage.list_hashes(project, id),
            People::load(scene),
        );
        let (activity, people) = (activity?, people?);
        let visitor = scene.user().map(|user| user.to_string());
        let entry = |entry| {
            TimelineEntry::new(project, entry, |id| people.name_of(id), visitor.as_deref(), scene.now)
        };
        let triaged = &issue.triaged;
        let condition = triaged.condition.as_ref().map(condition_text);
        let condition = condition.or_else(|| triaged.until.map(until_text)).unwrap_or_default();
        let path = issue_href(project, &id.to_string());
        Ok(Self {
            csrf: scene.principal().csrf.as_deref().map(csrf::mask).unwrap_or_default(),
            status: issue.summary.status,
            condition,
            people: people.choices(issue.summary.assigned_to),
            assignee: issue.summary.assigned_to.map(|user| people.name(user)).unwrap_or_default(),
            suggested: triaged.suggested_owner.map(|user| people.name(user)).unwrap_or_default(),
            suspects: suspects(scene, issue),
            hashes: hashes?,
            entries: activity.items.iter().map(entry).collect(),
            next_href: activity.next.map(|next| address(&path, &[("activity", next.as_str())])),
            first_href: is_later.then_some(path),
        })
    }
}

fn suspects(scene: &Scene, issue: &IssueDetail) -> Vec<Suspect> {
    let href = |version: &str| {
        // The unreserved characters of RFC 3986 stay; `address` escapes alike.
        let escaped = address("", &[("v", version)]);
        format!("{}/releases/{}", scene.base(), escaped.trim_start_matches("?v="))
    };
    let suspect = |label, version: &Option<String>, before: &Option<String>| {
        let version = version.clone()?;
        let before = before.clone().map(|before| (href(&before), before));
        Some(Suspect { label, href: href(&version), version, before })
    };
    let triaged = &issue.triaged;
    let first = suspect("First seen in", &issue.first_release, &triaged.release_before_first);
    let back = suspect("Came back in", &triaged.regressed_in, &triaged.release_before_regression);
    [back, first].into_iter().flatten().collect()
}

/// What a button asks for.
enum Action {
    Change(IssueChange),
    Merge,
}

/// The action that a form names, and the word for what was done.
fn parse_action(form: &Pairs, now: Timestamp) -> Result<(Action, &'static str), Refusal> {
    let invalid = |why: &str| Refusal::Invalid(why.to_owned());
    let text = form.text("action");
    let mut parts = text.split(':');
    let words = [parts.next(), parts.next(), parts.next(), parts.next()].map(Option::unwrap_or_default);
    let count = |text: &str, name: &str| {
        text.trim().replace(',', "").parse::<u64>().map_err(|_| invalid(&format!("{name} must be a number")))
    };
    let ignore = |ignoring| Ok((Action::Change(IssueChange::Ignore(ignoring)), "ignored"));
    let change = |change, word| Ok((Action::Change(change), word));
    match words {
        ["resolve", "", ..] => change(IssueChange::Resolve(Resolution::Now), "resolved"),
        ["resolve", "release", ..] => {
            change(IssueChange::Resolve(Resolution::InRelease(None)), "resolved-release")
        }
        ["resolve", "next", ..] => {
            change(IssueChange::Resolve(Resolution::InNextRelease), "resolved-release")
        }
        ["ignore", "", ..] => ignore(Ignoring::ForEver),
        ["ignore", "hours", hours, _] => {
            let hours = count(hours, "hours")?.min(100_000);
            ignore(Ignoring::Until(now.plus(Duration::from_secs(hours * 3_600))))
        }
        ["ignore", "custom", ..] => {
            let counted =
                if form.text("counted") == "subjects" { Counted::Subjects } else { Counted::Events };
            let minutes = match form.text("minutes") {
                "" => None,
                text => Some(u32::try_from(count(text, "Minutes")?).unwrap_or(u32::MAX)),
            };
            ignore(Ignoring::More { counted, count: count(form.text("count"), "The number")?, minutes })
        }
        ["ignore", "events", events, _] => ignore(Ignoring::More {
            counted: Counted::Events,
            count: count(events, "events")?,
            minutes: None,
        }),
        ["archive", ..] => change(IssueChange::Archive, "archived"),
        ["reopen", ..] => change(IssueChange::Reopen, "unresolved"),
        ["assign", ..] => {
            let to = match form.text("assigned_to") {
                "" => None,
                id => Some(id.parse().map_err(|_| invalid("assigned_to: is not the id of a member"))?),
            };
            change(IssueChange::Assign(to), "assigned")
        }
        ["delete", ..] => change(IssueChange::Delete { discards: false }, "deleted"),
        ["discard", ..] => change(IssueChange::Delete { discards: true }, "deleted"),
        ["merge", ..] => Ok((Action::Merge, "merged")),
        _ => Err(invalid("action: is none that Belvedere knows")),
    }
}

pub(crate) fn act(scene: &Scene) -> Act {
    Act {
        actor: scene.principal().actor,
        organisation: scene.principal().organisation,
        project: scene.id(),
        request_id: scene.client().request_id.clone(),
    }
}

/// `POST /projects/{project}/issues/{issue}/change`
async fn change_one(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, issue)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    let id = find(&scene, &issue).await?.summary.id;
    let (action, word) = parse_action(&form, scene.now)?;
    let triage = &scene.state.triage;
    match action {
        Action::Change(change) => {
            let is_gone = matches!(change, IssueChange::Delete { .. });
            triage.change_issues(ChangeIssues { act: act(&scene), issues: vec![id], change }).await?;
            let path = if is_gone {
                format!("{}/issues", scene.base())
            } else {
                issue_href(scene.id(), &id.to_string())
            };
            Ok(done(&path, word))
        }
        Action::Merge => {
            let mut issues = ids_in(form.text("others"))?;
            issues.push(id);
            let left = triage.merge_issues(MergeIssues { act: act(&scene), issues }).await?;
            Ok(done(&issue_href(scene.id(), &left.to_string()), word))
        }
    }
}

/// The ids of issues in a text of addresses or ids.
fn ids_in(text: &str) -> Result<Vec<IssueId>, Refusal> {
    let words = text.split([' ', ',', '\n', '\r']).filter(|word| !word.is_empty());
    let id = |word: &str| {
        let path = word.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        let last = path.rsplit('/').next().unwrap_or_default();
        last.parse().map_err(|_| Refusal::Invalid(format!("others: {word:?} is not the address of an issue")))
    };
    words.map(id).collect()
}

/// `POST /projects/{project}/issues/bulk`
async fn change_many(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    scene.errors()?;
    let (action, word) = parse_action(&form, scene.now)?;
    let issues = match form.some("matching") {
        Some(count) => find_matching(&scene, &form, &count).await?,
        None => {
            let ids = form.all("issue").into_iter().map(str::parse).collect::<Result<Vec<IssueId>, _>>();
            ids.map_err(|_| Refusal::Invalid("issue: is not the id of an issue".to_owned()))?
        }
    };
    if issues.is_empty() {
        return Err(Refusal::Invalid("pick at least one issue first".to_owned()));
    }
    let triage = &scene.state.triage;
    match action {
        Action::Change(change) => {
            for part in issues.chunks(CHANGED_ISSUES_MAX) {
                let change = ChangeIssues { act: act(&scene), issues: part.to_vec(), change: change.clone() };
                triage.change_issues(change).await?;
            }
        }
        Action::Merge => {
            let left = triage.merge_issues(MergeIssues { act: act(&scene), issues }).await?;
            return Ok(done(&issue_href(scene.id(), &left.to_string()), word));
        }
    }
    let back = ["status", "q", "environment", "time", "assigned", "sort"].map(|name| (name, form.text(name)));
    let pairs: Vec<(&str, &str)> = back.into_iter().chain([("done", word)]).collect();
    let path = address(&format!("{}/issues", scene.base()), &pairs);
    Ok(Redirect::to(&path).into_response())
}

/// Everything that matches the list, if it is as many as the page said.
async fn find_matching(scene: &Scene, form: &Pairs, count: &str) -> Result<Vec<IssueId>, Refusal> {
    let stale = || Refusal::Invalid("other issues match by now; look at the list again".to_owned());
    let count: usize = count.replace(',', "").parse().map_err(|_| stale())?;
    if count > MATCHING_MAX {
        return Err(Refusal::Invalid(format!("at most {MATCHING_MAX} issues can be changed at once")));
    }
    let mut search = wanted(scene, form).await?.search;
    // First seen does not change under the reader.
    search.sort = belvedere_error_tracking::IssueSort::FirstSeen;
    search.page = PageRequest::first(PageRequest::LIMIT_MAX);
    let mut found = Vec::new();
    loop {
        let page = scene.state.search.search_issues(search.clone()).await?.page;
        found.extend(page.items.iter().map(|issue| issue.id));
        match page.next {
            Some(next) if found.len() <= count => {
                search.page = PageRequest::new(PageRequest::LIMIT_MAX, Some(next));
            }
            _ => break,
        }
    }
    if found.len() == count { Ok(found) } else { Err(stale()) }
}

/// `POST /projects/{project}/issues/{issue}/comments`
async fn comment(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, issue)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    let issue = find(&scene, &issue).await?.summary.id;
    let new = NewComment { act: act(&scene), issue, text: form.raw("text").to_owned() };
    scene.state.triage.comment(new).await?;
    Ok(done(&issue_href(scene.id(), &issue.to_string()), "commented"))
}

/// `POST /projects/{project}/issues/{issue}/comments/{comment}`
async fn change_comment(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, issue, comment)): Path<(String, String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    let issue = find(&scene, &issue).await?.summary.id;
    let comment = comment.parse().map_err(|_| Refusal::NotFound)?;
    let is_deletion = form.text("action") == "delete";
    let text = (!is_deletion).then(|| form.raw("text").to_owned());
    scene.state.triage.change_comment(ChangeComment { act: act(&scene), issue, comment, text }).await?;
    let word = if is_deletion { "comment-gone" } else { "saved" };
    Ok(done(&issue_href(scene.id(), &issue.to_string()), word))
}

/// `POST /projects/{project}/issues/{issue}/unmerge`
async fn unmerge(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, issue)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    let issue = find(&scene, &issue).await?.summary.id;
    let hashes = form.all("hash").into_iter().map(str::to_owned).collect();
    let new = scene.state.triage.unmerge_issue(UnmergeIssue { act: act(&scene), issue, hashes }).await?;
    Ok(done(&issue_href(scene.id(), &new.to_string()), "unmerged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issues_are_named_by_address_or_id() {
        let id: IssueId = belvedere_storage::Id::from_bytes([1; 16]);
        let text =
            format!("https://bv.example/projects/7/issues/{id}?done=x\n {id}, /projects/7/issues/{id}/");
        assert_eq!(ids_in(&text).unwrap(), [id, id, id]);
        assert!(ids_in("https://bv.example/projects/7").is_err());
    }
}
