//! Searches worth keeping: the list of them, and how they are made, changed and deleted.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_error_tracking::IssueSort;
use belvedere_error_tracking::search::{SaveSearch, SavedSearch, SavedSearchId, SearchEditor, SearchOwner};
use belvedere_kernel::Actor;

use crate::form::{CheckedForm, Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::done;
use crate::pages::query::{SORTS, read_query};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;

/// A saved search as the page shows it.
pub(crate) struct SearchRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) query: String,
    pub(crate) sort: &'static str,
    pub(crate) is_shared: bool,
    pub(crate) is_default: bool,
    pub(crate) may_change: bool,
    pub(crate) href: String,
}

#[derive(Template)]
#[template(path = "saved_searches.html")]
struct SavedPage {
    layout: Layout,
    base: String,
    rows: Vec<SearchRow>,
    may_share: bool,
    error: String,
    new: NewSearch,
    sorts: Vec<(&'static str, &'static str)>,
}

/// What the form for a new search begins with.
#[derive(Default)]
struct NewSearch {
    name: String,
    query: String,
    sort: String,
}

/// The project's searches that the visitor sees, the default ones first.
pub(crate) async fn rows(scene: &Scene) -> Result<Vec<SearchRow>, Refusal> {
    let saved = scene.state.search.list_saved_searches(scene.id(), scene.user()).await?;
    let may_share = scene.may(Permission::ManageIssues);
    Ok(saved.iter().map(|search| row(scene, search, may_share)).collect())
}

fn row(scene: &Scene, search: &SavedSearch, may_share: bool) -> SearchRow {
    let is_shared = search.owner == SearchOwner::Shared;
    let pairs = [("status", "all"), ("q", search.query.as_str()), ("sort", search.sort.as_str())];
    SearchRow {
        id: search.id.to_string(),
        name: search.name.clone(),
        query: search.query.clone(),
        sort: search.sort.as_str(),
        is_shared,
        is_default: search.is_default,
        may_change: !is_shared || may_share,
        href: address(&format!("{}/issues", scene.base()), &pairs),
    }
}

/// Where the list of issues begins for the visitor: their own default search, or the project's.
pub(crate) fn default_href(rows: &[SearchRow]) -> Option<String> {
    let mut defaults: Vec<&SearchRow> = rows.iter().filter(|row| row.is_default).collect();
    defaults.sort_by_key(|row| row.is_shared);
    defaults.first().map(|row| row.href.clone())
}

/// `GET /projects/{project}/issues/searches`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let new = NewSearch {
        name: String::new(),
        query: pairs.text("q").to_owned(),
        sort: pairs.text("sort").to_owned(),
    };
    page(&scene, &pairs, new, String::new()).await
}

async fn page(scene: &Scene, pairs: &Pairs, new: NewSearch, error: String) -> Result<Response, Refusal> {
    Ok(respond::page(&SavedPage {
        layout: scene.layout(Section::Issues, pairs).await?,
        base: scene.base(),
        rows: rows(scene).await?,
        may_share: scene.may(Permission::ManageIssues),
        error,
        new,
        sorts: SORTS.iter().map(|(word, label, _)| (*word, *label)).collect(),
    }))
}

fn editor(scene: &Scene) -> SearchEditor {
    SearchEditor {
        actor: scene.principal().actor,
        user: scene.user(),
        may_share: scene.may(Permission::ManageIssues),
        organisation: scene.principal().organisation,
        project: scene.id(),
        request_id: scene.client().request_id.clone(),
    }
}

/// `POST /projects/{project}/issues/searches`
pub(crate) async fn create(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    save(state, visitor, &project, None, &form).await
}

/// `POST /projects/{project}/issues/searches/{id}`
pub(crate) async fn update(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let id: SavedSearchId = id.parse().map_err(|_| Refusal::NotFound)?;
    save(state, visitor, &project, Some(id), &form).await
}

async fn save(
    state: Arc<DashboardState>,
    visitor: Visitor,
    project: &str,
    id: Option<SavedSearchId>,
    form: &Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, project, Permission::ViewIssues).await?;
    let owner = match scene.principal().actor {
        Actor::User(user) if !form.is_ticked("shared") => SearchOwner::Personal(user),
        _ => SearchOwner::Shared,
    };
    let query = form.text("query").to_owned();
    let search = SaveSearch {
        editor: editor(&scene),
        id,
        owner,
        name: form.text("name").to_owned(),
        query: query.clone(),
        sort: form.text("sort").parse::<IssueSort>().unwrap_or_default(),
        is_default: form.is_ticked("default"),
    };
    let result = match read_query(&scene, &query).await {
        Ok(_) => scene.state.search.save_search(search).await.map_err(Refusal::from),
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(Some(_)) => Ok(done(&format!("{}/issues/searches", scene.base()), "saved")),
        Ok(None) => Err(Refusal::NotFound),
        Err(refusal) => {
            let error = refusal.into_form_error()?;
            let sort = form.text("sort").to_owned();
            let new = if id.is_some() {
                NewSearch::default()
            } else {
                NewSearch { name: form.text("name").to_owned(), query, sort }
            };
            page(&scene, &Pairs::default(), new, error).await
        }
    }
}

/// `POST /projects/{project}/issues/searches/{id}/delete`
pub(crate) async fn delete(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let id: SavedSearchId = id.parse().map_err(|_| Refusal::NotFound)?;
    if scene.state.search.delete_search(editor(&scene), id).await? {
        Ok(done(&format!("{}/issues/searches", scene.base()), "deleted_search"))
    } else {
        Err(Refusal::NotFound)
    }
}
