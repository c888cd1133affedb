//! Uploaded source maps.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_error_tracking as errors;
use belvedere_error_tracking::{BundleId, DeleteBundle, ListBundles};
use belvedere_storage::Timestamp;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::List;
use super::input::{InProject, Parameters, PathText, page, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct BundlesWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Only bundles of a release that begins with this, with a file whose address contains it, or with this debug id.
    query: Option<String>,
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Files that were uploaded together
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Bundle {
    /// Its key.
    #[schema(value_type = String)]
    id: BundleId,
    /// The release it is of.
    release: Option<String>,
    /// The distribution of the release.
    dist: Option<String>,
    /// How many files are in it.
    files: u64,
    /// How many bytes they take, compressed.
    stored_bytes: u64,
    /// When it was complete.
    #[schema(value_type = String)]
    uploaded_at: Timestamp,
    /// `user` or `token`.
    uploaded_by_kind: String,
    /// The id of that user or token.
    uploaded_by: Option<String>,
    /// The first debug ids in it, at most 3.
    debug_ids: Vec<String>,
}

/// A file of a bundle
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BundleFile {
    /// `source`, `script` or `map`.
    kind: &'static str,
    /// `~/main.js`, or a whole address.
    url: String,
    /// What ties it to frames.
    debug_id: Option<String>,
    /// Where its map is, relative to its address.
    map_reference: Option<String>,
    /// How many bytes it has.
    bytes: u64,
}

/// A bundle with its files
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BundleDetail {
    /// The bundle.
    #[serde(flatten)]
    bundle: Bundle,
    /// Its files by address, the first 500.
    listed_files: Vec<BundleFile>,
}

/// How much of a project's room for source maps is taken
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SourceMapStorage {
    /// How many bundles there are.
    bundles: u64,
    /// How many bytes they take, compressed.
    bytes: u64,
    /// How many they may take.
    bytes_max: u64,
}

impl From<errors::Bundle> for Bundle {
    fn from(bundle: errors::Bundle) -> Self {
        Self {
            id: bundle.id,
            release: bundle.release,
            dist: bundle.dist,
            files: bundle.files,
            stored_bytes: bundle.stored_bytes,
            uploaded_at: bundle.uploaded_at,
            uploaded_by_kind: bundle.uploaded_by_kind,
            uploaded_by: bundle.uploaded_by,
            debug_ids: bundle.debug_ids.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<errors::BundleFile> for BundleFile {
    fn from(file: errors::BundleFile) -> Self {
        Self {
            kind: file.kind.as_str(),
            url: file.url,
            debug_id: file.debug_id.map(|id| id.to_string()),
            map_reference: file.map_reference,
            bytes: file.bytes,
        }
    }
}

/// List bundles of source maps, newest first
#[utoipa::path(get, path = "/api/v1/source_maps", tag = "source maps", params(BundlesWanted),
    responses((status = 200, description = "A page of bundles", body = List<Bundle>)))]
pub(super) async fn list_bundles(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<BundlesWanted>,
) -> Result<Json<List<Bundle>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    let query = ListBundles { project: project.id, text: wanted.query, page };
    Ok(List::of(shared.source_maps.list_bundles(query).await?, Bundle::from))
}

/// Read how much room source maps take
#[utoipa::path(get, path = "/api/v1/source_maps/storage", tag = "source maps", params(InProject),
    responses((status = 200, description = "Bytes taken and allowed", body = SourceMapStorage)))]
pub(super) async fn find_storage(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
) -> Result<Json<SourceMapStorage>, Problem> {
    let errors::SourceMapStorage { bundles, bytes, bytes_max } =
        shared.source_maps.count_storage(project.id).await?;
    Ok(Json(SourceMapStorage { bundles, bytes, bytes_max }))
}

/// Read a bundle with its files
#[utoipa::path(get, path = "/api/v1/source_maps/{id}", tag = "source maps",
    params(("id" = String, Path, description = "The bundle's id"), InProject),
    responses((status = 200, description = "The bundle", body = BundleDetail)))]
pub(super) async fn find_bundle(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<BundleDetail>, Problem> {
    let bundle: BundleId = path.id("bundle")?;
    let found = shared.source_maps.find_bundle(project.id, bundle).await?;
    let errors::BundleDetail { bundle, listed_files } = found.ok_or_else(|| Problem::not_found("bundle"))?;
    let listed_files = listed_files.into_iter().map(BundleFile::from).collect();
    Ok(Json(BundleDetail { bundle: bundle.into(), listed_files }))
}

/// Delete a bundle; frames that it resolved stay resolved
#[utoipa::path(delete, path = "/api/v1/source_maps/{id}", tag = "source maps",
    params(("id" = String, Path, description = "The bundle's id"), InProject),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete_bundle(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    let bundle: BundleId = path.id("bundle")?;
    let wish = DeleteBundle {
        actor: caller.principal.actor,
        organisation: caller.principal.organisation,
        project: project.id,
        bundle,
        request_id: caller.client.request_id.clone(),
    };
    if shared.source_maps.delete_bundle(wish).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found("bundle"))
}
