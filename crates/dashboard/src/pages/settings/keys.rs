//! The keys by which SDKs send, as DSNs.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::{IngestKeyChange, IngestKeyInfo, NewIngestKey, Permission};
use belvedere_kernel::IngestKey;
use belvedere_storage::Id;

use super::{SettingsTab, tabs, with_status_of};
use crate::form::{CheckedForm, Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::overview::dsn;
use crate::pages::{done, page_request};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::{At, Count, counted};

const ROWS_PER_PAGE: u16 = 50;

/// A key as the page shows it.
struct KeyRow {
    id: String,
    label: String,
    public_key: String,
    dsn: String,
    /// What it allows, in words.
    limits: String,
    rate_limit: String,
    origins: String,
    created_at: At,
    is_revoked: bool,
}

#[derive(Template)]
#[template(path = "settings/keys.html")]
struct KeysPage {
    layout: Layout,
    tabs: Vec<SettingsTab>,
    error: Option<String>,
    base: String,
    keys: Vec<KeyRow>,
    may_manage: bool,
    next_href: Option<String>,
}

/// `GET /projects/{project}/settings/keys`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewKeys).await?;
    page(&scene, &pairs, None).await
}

/// `POST /projects/{project}/settings/keys`
pub(crate) async fn create(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageKeys).await?;
    let made = match rate_limit(&form) {
        Ok(rate_limit_per_minute) => {
            let new = NewIngestKey {
                project: scene.id(),
                label: form.text("label").to_owned(),
                rate_limit_per_minute,
                allowed_origins: form.lines("origins"),
            };
            let made =
                scene.state.ingest_keys.create_ingest_key(scene.principal(), new, scene.client()).await;
            made.map(drop).map_err(Refusal::from)
        }
        Err(refusal) => Err(refusal),
    };
    finish(&scene, made, "key").await
}

/// `POST /projects/{project}/settings/keys/{key}`
pub(crate) async fn change(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, key)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageKeys).await?;
    let key = parse(&key)?;
    let changed = match rate_limit(&form) {
        Ok(rate_limit) => {
            let change = IngestKeyChange {
                key,
                label: Some(form.text("label").to_owned()),
                rate_limit_per_minute: Some(rate_limit),
                allowed_origins: Some(form.lines("origins")),
            };
            let changed =
                scene.state.ingest_keys.update_ingest_key(scene.principal(), change, scene.client()).await;
            changed.map(drop).map_err(Refusal::from)
        }
        Err(refusal) => Err(refusal),
    };
    finish(&scene, changed, "saved").await
}

/// `POST /projects/{project}/settings/keys/{key}/revoke`
pub(crate) async fn revoke(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, key)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageKeys).await?;
    let revoked =
        scene.state.ingest_keys.revoke_ingest_key(scene.principal(), parse(&key)?, scene.client()).await;
    finish(&scene, revoked.map_err(Refusal::from), "revoked").await
}

async fn finish(scene: &Scene, outcome: Result<(), Refusal>, word: &str) -> Result<Response, Refusal> {
    match outcome {
        Ok(()) => Ok(done(&format!("{}/settings/keys", scene.base()), word)),
        Err(refusal) => page(scene, &Pairs::default(), Some(refusal.into_form_error()?)).await,
    }
}

fn rate_limit(form: &Pairs) -> Result<Option<u32>, Refusal> {
    let invalid = |_| Refusal::Invalid("requests per minute must be a number from 1 to 1,000,000".to_owned());
    form.some("rate_limit").map(|text| text.parse().map_err(invalid)).transpose()
}

fn parse(key: &str) -> Result<Id<IngestKey>, Refusal> {
    key.parse().map_err(|_| Refusal::NotFound)
}

async fn page(scene: &Scene, pairs: &Pairs, error: Option<String>) -> Result<Response, Refusal> {
    let request = page_request(pairs, ROWS_PER_PAGE);
    let keys = scene.state.ingest_keys.list_ingest_keys(scene.principal(), scene.id(), request).await?;
    let path = format!("{}/settings/keys", scene.base());
    let has_error = error.is_some();
    let page = KeysPage {
        layout: scene.layout(Section::Settings, pairs).await?,
        tabs: tabs(scene, "/keys"),
        error,
        base: scene.base(),
        keys: keys.items.iter().map(|key| row(scene, key)).collect(),
        may_manage: scene.may(Permission::ManageKeys),
        next_href: keys.next.map(|next| address(&path, &[("after", next.as_str())])),
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

fn row(scene: &Scene, key: &IngestKeyInfo) -> KeyRow {
    let rate = match key.rate_limit_per_minute {
        Some(limit) => format!("at most {} requests a minute", Count(u64::from(limit))),
        None => "any number of requests".to_owned(),
    };
    let from = match key.allowed_origins.len() {
        0 => "browsers of any site".to_owned(),
        1 => format!("browsers of {} only", key.allowed_origins[0]),
        many => format!("browsers of {} only", counted(many, "site", "sites")),
    };
    KeyRow {
        id: key.id.to_string(),
        label: key.label.clone(),
        dsn: dsn(&scene.state.public_url, &key.public_key, &scene.id().to_string()),
        public_key: key.public_key.clone(),
        limits: format!("Takes {rate}, from servers and from {from}."),
        rate_limit: key.rate_limit_per_minute.map(|limit| limit.to_string()).unwrap_or_default(),
        origins: key.allowed_origins.join("\n"),
        created_at: At(key.created_at),
        is_revoked: key.revoked_at.is_some(),
    }
}
