//! The source maps of a project: what was uploaded, and how to upload.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_error_tracking::{Bundle, BundleFile, BundleId, DeleteBundle, ListBundles, SourceMaps};

use super::{SettingsTab, tabs};
use crate::form::{CheckedForm, Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::{done, page_request};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::{Ago, Bytes, Count, counted};

const ROWS_PER_PAGE: u16 = 50;

/// The longest text to look for, in characters.
const QUERY_CHARS_MAX: usize = 200;

/// A bundle as the list shows it.
struct BundleRow {
    href: String,
    release: Option<String>,
    dist: Option<String>,
    debug_ids: Vec<String>,
    files: String,
    size: Bytes,
    uploaded_at: Ago,
    uploaded_by: String,
}

/// How much room is taken.
struct Room {
    bundles: Count,
    used: Bytes,
    max: Bytes,
    /// Of a hundred.
    percent: u64,
}

/// A file as the page of its bundle shows it.
struct FileRow {
    kind: &'static str,
    url: String,
    debug_id: Option<String>,
    map_reference: Option<String>,
    size: Bytes,
}

#[derive(Template)]
#[template(path = "settings/source_maps.html")]
struct SourceMapsPage {
    layout: Layout,
    tabs: Vec<SettingsTab>,
    error: Option<String>,
    base: String,
    query: String,
    room: Room,
    bundles: Vec<BundleRow>,
    public_url: String,
    organisation: String,
    project: String,
    may_make_tokens: bool,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "settings/source_map_bundle.html")]
struct BundlePage {
    layout: Layout,
    tabs: Vec<SettingsTab>,
    error: Option<String>,
    base: String,
    bundle: BundleRow,
    files: Vec<FileRow>,
    files_left_out: u64,
    may_delete: bool,
}

fn source_maps(scene: &Scene) -> Result<&dyn SourceMaps, Refusal> {
    scene.state.source_maps.as_deref().ok_or(Refusal::NotFound)
}

/// `GET /projects/{project}/settings/source-maps`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let maps = source_maps(&scene)?;
    let query: String = pairs.text("q").chars().take(QUERY_CHARS_MAX).collect();
    let wanted = ListBundles {
        project: scene.id(),
        text: Some(query.clone()).filter(|text| !text.is_empty()),
        page: page_request(&pairs, ROWS_PER_PAGE),
    };
    let bundles = maps.list_bundles(wanted).await?;
    let storage = maps.count_storage(scene.id()).await?;
    let organisation = scene.state.accounts.find_organisation(scene.principal()).await?;
    let path = format!("{}/settings/source-maps", scene.base());
    let page = SourceMapsPage {
        layout: scene.layout(Section::Settings, &pairs).await?,
        tabs: tabs(&scene, "/source-maps"),
        error: None,
        base: scene.base(),
        room: Room {
            bundles: Count(storage.bundles),
            used: Bytes(storage.bytes),
            max: Bytes(storage.bytes_max),
            percent: (storage.bytes.saturating_mul(100) / storage.bytes_max.max(1)).min(100),
        },
        bundles: bundles.items.iter().map(|bundle| row(&scene, bundle)).collect(),
        public_url: scene.state.public_url.clone(),
        organisation: organisation.map(|organisation| organisation.slug).unwrap_or_default(),
        project: scene.project.slug.clone(),
        may_make_tokens: scene.may(Permission::ManageTokens),
        next_href: bundles.next.map(|next| address(&path, &[("q", &query), ("after", next.as_str())])),
        query,
    };
    Ok(respond::page(&page))
}

/// `GET /projects/{project}/settings/source-maps/{bundle}`
pub(crate) async fn show_bundle(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, bundle)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let id: BundleId = bundle.parse().map_err(|_| Refusal::NotFound)?;
    let found = source_maps(&scene)?.find_bundle(scene.id(), id).await?.ok_or(Refusal::NotFound)?;
    let page = BundlePage {
        layout: scene.layout(Section::Settings, &pairs).await?,
        tabs: tabs(&scene, "/source-maps"),
        error: None,
        base: scene.base(),
        files_left_out: found.bundle.files.saturating_sub(found.listed_files.len() as u64),
        bundle: row(&scene, &found.bundle),
        files: found.listed_files.into_iter().map(file_row).collect(),
        may_delete: scene.may(Permission::UploadReleaseFiles),
    };
    Ok(respond::page(&page))
}

/// `POST /projects/{project}/settings/source-maps/{bundle}/delete`
pub(crate) async fn delete(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, bundle)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::UploadReleaseFiles).await?;
    let wish = DeleteBundle {
        actor: scene.principal().actor,
        organisation: scene.principal().organisation,
        project: scene.id(),
        bundle: bundle.parse().map_err(|_| Refusal::NotFound)?,
        request_id: scene.client().request_id.clone(),
    };
    if !source_maps(&scene)?.delete_bundle(wish).await? {
        return Err(Refusal::NotFound);
    }
    Ok(done(&format!("{}/settings/source-maps", scene.base()), "bundle_deleted"))
}

fn row(scene: &Scene, bundle: &Bundle) -> BundleRow {
    let by = bundle.uploaded_by.as_deref().unwrap_or_default();
    BundleRow {
        href: format!("{}/settings/source-maps/{}", scene.base(), bundle.id),
        release: bundle.release.clone(),
        dist: bundle.dist.clone(),
        debug_ids: bundle.debug_ids.iter().map(ToString::to_string).collect(),
        files: counted(usize::try_from(bundle.files).unwrap_or(usize::MAX), "file", "files"),
        size: Bytes(bundle.stored_bytes),
        uploaded_at: Ago { at: bundle.uploaded_at, now: scene.now },
        uploaded_by: format!("{} {by}", bundle.uploaded_by_kind).trim_end().to_owned(),
    }
}

fn file_row(file: BundleFile) -> FileRow {
    FileRow {
        kind: file.kind.as_str(),
        url: file.url,
        debug_id: file.debug_id.map(|id| id.to_string()),
        map_reference: file.map_reference,
        size: Bytes(file.bytes),
    }
}
