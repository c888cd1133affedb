//! The keys by which learning tools use the project's xAPI record store.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::{NewXapiKey, Permission, XapiKeyInfo, XapiKeys, XapiScope};

use super::{SettingsTab, tabs, with_status_of};
use crate::form::{CheckedForm, Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::{done, page_request};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::At;

const ROWS_PER_PAGE: u16 = 50;

/// A key as the page shows it.
struct KeyRow {
    id: String,
    label: String,
    public_key: String,
    scopes: String,
    created_at: At,
    is_revoked: bool,
}

/// A key that was just made, with its secret.
struct NewKey {
    public_key: String,
    secret: String,
}

/// A scope as the form offers it.
struct ScopeRow {
    name: &'static str,
    about: &'static str,
}

const SCOPES: [ScopeRow; 6] = [
    ScopeRow { name: "statements/write", about: "store statements" },
    ScopeRow { name: "statements/read/mine", about: "read the statements that it stored" },
    ScopeRow { name: "statements/read", about: "read all statements, activities and agents" },
    ScopeRow { name: "state", about: "read and change states" },
    ScopeRow { name: "profile", about: "read and change profiles" },
    ScopeRow { name: "all", about: "do everything" },
];

#[derive(Template)]
#[template(path = "settings/xapi_keys.html")]
struct KeysPage {
    layout: Layout,
    tabs: Vec<SettingsTab>,
    error: Option<String>,
    base: String,
    endpoint: String,
    new: Option<NewKey>,
    keys: Vec<KeyRow>,
    scopes: &'static [ScopeRow],
    may_manage: bool,
    next_href: Option<String>,
}

/// `GET /projects/{project}/settings/xapi-keys`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewKeys).await?;
    page(&scene, &pairs, None, None).await
}

/// `POST /projects/{project}/settings/xapi-keys`: the answer shows the secret, this once.
pub(crate) async fn create(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageKeys).await?;
    let new = NewXapiKey {
        project: scene.id(),
        label: form.text("label").to_owned(),
        scopes: XapiScope::ALL.into_iter().filter(|scope| form.is_ticked(scope.as_str())).collect(),
    };
    match keys(&scene)?.create_xapi_key(scene.principal(), new, scene.client()).await {
        Ok((key, secret)) => {
            let new = NewKey { public_key: key.public_key, secret: secret.0 };
            page(&scene, &Pairs::default(), Some(new), None).await
        }
        Err(error) => {
            let error = Refusal::from(error).into_form_error()?;
            page(&scene, &Pairs::default(), None, Some(error)).await
        }
    }
}

/// `POST /projects/{project}/settings/xapi-keys/{key}/revoke`
pub(crate) async fn revoke(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, key)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageKeys).await?;
    let key = key.parse().map_err(|_| Refusal::NotFound)?;
    keys(&scene)?.revoke_xapi_key(scene.principal(), key, scene.client()).await?;
    Ok(done(&format!("{}/settings/xapi-keys", scene.base()), "revoked"))
}

/// The keys, unless the record store is switched off.
fn keys(scene: &Scene) -> Result<&dyn XapiKeys, Refusal> {
    scene.state.xapi_keys.as_deref().ok_or(Refusal::NotFound)
}

async fn page(
    scene: &Scene,
    pairs: &Pairs,
    new: Option<NewKey>,
    error: Option<String>,
) -> Result<Response, Refusal> {
    let request = page_request(pairs, ROWS_PER_PAGE);
    let listed = keys(scene)?.list_xapi_keys(scene.principal(), scene.id(), request).await?;
    let path = format!("{}/settings/xapi-keys", scene.base());
    let has_error = error.is_some();
    let page = KeysPage {
        layout: scene.layout(Section::Settings, pairs).await?,
        tabs: tabs(scene, "/xapi-keys"),
        error,
        base: scene.base(),
        endpoint: format!("{}/xapi/", scene.state.public_url),
        new,
        keys: listed.items.iter().map(row).collect(),
        scopes: &SCOPES,
        may_manage: scene.may(Permission::ManageKeys),
        next_href: listed.next.map(|next| address(&path, &[("after", next.as_str())])),
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

fn row(key: &XapiKeyInfo) -> KeyRow {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    KeyRow {
        id: key.id.to_string(),
        label: key.label.clone(),
        public_key: key.public_key.clone(),
        scopes: scopes.join(", "),
        created_at: At(key.created_at),
        is_revoked: key.revoked_at.is_some(),
    }
}
