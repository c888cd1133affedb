//! Who struggles with what, and what people say of it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use belvedere_accounts::Permission;
use belvedere_kernel::SubjectId;
use belvedere_learning_analytics::{ChangedBy, FlagFeedback, ListStruggling};

use crate::csrf;
use crate::form::{CheckedForm, Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::page_request;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::learners::{FlagRow, PrecisionView, flags_of};
use crate::wording::Count;

const FLAGS_PER_PAGE: u16 = 50;

/// The list with its changing parts.
struct Struggling {
    base: String,
    precision: PrecisionView,
    rows: Vec<FlagRow>,
    with_cleared: bool,
    may_judge: bool,
    csrf: String,
    unresolved: Count,
}

#[derive(Template)]
#[template(path = "struggling.html")]
struct StrugglingPage {
    layout: Layout,
    view: Struggling,
    path: String,
    first_href: Option<String>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "fragments_struggling.html")]
struct StrugglingFragment {
    view: Struggling,
}

/// `GET /projects/{project}/learning/struggling`: for those who may see analytics.
pub(super) async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let learning = scene.learning()?;
    let with_cleared = pairs.is_ticked("all");
    let query =
        ListStruggling { project: scene.id(), with_cleared, page: page_request(&pairs, FLAGS_PER_PAGE) };
    let (found, precision, unresolved) = tokio::join!(
        learning.list_struggling(query),
        learning.find_precision(scene.id()),
        scene.count_unresolved(),
    );
    let found = found?;
    let view = Struggling {
        base: scene.base(),
        precision: PrecisionView::new(&precision?),
        rows: flags_of(&scene.base(), &found.items, pairs.some("after").is_none(), scene.now),
        with_cleared,
        may_judge: scene.may(Permission::ManageIssues),
        csrf: scene.principal().csrf.as_deref().map(csrf::mask).unwrap_or_default(),
        unresolved: Count(unresolved?.unwrap_or(0)),
    };
    if pairs.text("fragment") == "rows" {
        return Ok(respond::page(&StrugglingFragment { view }));
    }
    let path = format!("{}/learning/struggling", scene.base());
    let all = if with_cleared { "1" } else { "" };
    let mut layout = scene.layout(Section::Struggling, &pairs).await?;
    layout.live_topic = "learning.struggling";
    Ok(respond::page(&StrugglingPage {
        layout,
        view,
        first_href: pairs.some("after").map(|_| address(&path, &[("all", all)])),
        next_href: found.next.map(|next| address(&path, &[("all", all), ("after", next.as_str())])),
        path,
    }))
}

/// `POST /projects/{project}/learning/struggling/feedback`: for those who may manage issues; the service writes the
/// audit entry.
pub(super) async fn judge(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    scene.learning()?;
    let subject = form.text("subject").parse().map(SubjectId).map_err(|_| Refusal::NotFound)?;
    let feedback = FlagFeedback::find(form.text("feedback"))
        .ok_or_else(|| Refusal::Invalid("feedback: must be helped or not_struggling".to_owned()))?;
    let by = ChangedBy { actor: scene.principal().actor, request_id: scene.client().request_id.clone() };
    let settings = &scene.state.learning_settings;
    settings.give_feedback(scene.id(), subject, form.raw("skill"), feedback, &by).await?;
    let path = format!("{}/learning/struggling", scene.base());
    let all = if form.is_ticked("all") { "1" } else { "" };
    Ok(Redirect::to(&address(&path, &[("all", all), ("done", "judged")])).into_response())
}
