//! Source maps as the tools upload them: in chunks named by their SHA-1, then put together by a wish that is repeated
//! until it is fulfilled.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use belvedere_error_tracking::{AssembleBundle, Assembly, CHUNK_BYTES_MAX, NewChunk};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::scene;
use crate::api::JsonBody;
use crate::multipart::{self, Part};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// The most chunks of one request.
const CHUNKS_PER_REQUEST_MAX: usize = 4;

/// What names, boundaries and headers of a request may add to its chunks.
const OVERHEAD_BYTES: usize = 64 << 10;

/// What is said of native debug files.
const NO_DEBUG_FILES: &str =
    "debug files of native programs are not used here yet; source maps are: sentry-cli sourcemaps upload";

/// How large a chunk, and how large all chunks of a request may be.
fn sizes(shared: &Shared) -> (usize, usize) {
    let request = (CHUNKS_PER_REQUEST_MAX * CHUNK_BYTES_MAX)
        .min(shared.limits.body_bytes_max.saturating_sub(OVERHEAD_BYTES))
        .max(1 << 10);
    // Old tools want a power of two.
    let chunk = 1 << request.min(CHUNK_BYTES_MAX).ilog2();
    (chunk, request)
}

/// `GET /api/0/organizations/{organisation}/chunk-upload/`: where and how chunks are to be sent.
pub(super) async fn show_options(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(organisation): Path<String>,
) -> Result<Json<Value>, Problem> {
    let organisation = scene::organisation(&shared, &caller, &organisation).await?;
    let (chunk, request) = sizes(&shared);
    Ok(Json(json!({
        "url": format!("{}/api/0/organizations/{}/chunk-upload/", shared.public_url, organisation.slug),
        "chunkSize": chunk,
        "chunksPerRequest": CHUNKS_PER_REQUEST_MAX,
        "maxFileSize": shared.source_maps.bundle_bytes_max(),
        "maxRequestSize": request,
        "concurrency": 2,
        "hashAlgorithm": "sha1",
        "compression": ["gzip"],
        "accept": ["release_files", "sources", "artifact_bundles", "artifact_bundles_v2"],
    })))
}

/// `POST /api/0/organizations/{organisation}/chunk-upload/`
pub(super) async fn store_chunks(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(organisation): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let organisation = scene::organisation(&shared, &caller, &organisation).await?;
    let (parts, body) = request.into_parts();
    let (chunk_bytes_max, request_bytes_max) = sizes(&shared);
    let body = shared.bodies.read(body, request_bytes_max + OVERHEAD_BYTES).await?;
    let parts = multipart::parse(&parts.headers, &body.bytes, CHUNKS_PER_REQUEST_MAX);
    for Part { name, file_name, content } in parts.map_err(|error| Problem::bad_request(error.to_string()))? {
        let is_packed = match name.as_str() {
            "file" => false,
            "file_gzip" => true,
            _ => return Err(Problem::invalid("file", "parts must be called file or file_gzip")),
        };
        let checksum = file_name.unwrap_or_default().to_ascii_lowercase();
        let unpack = move || if is_packed { unpack(&content, chunk_bytes_max) } else { Ok(content.to_vec()) };
        let content = tokio::task::spawn_blocking(unpack).await;
        let content = content.map_err(|error| Problem::internal(&error))??;
        let chunk = NewChunk { organisation: organisation.id, checksum, content };
        shared.source_maps.store_chunk(chunk).await?;
    }
    Ok(StatusCode::OK)
}

/// Undoes gzip; at most `bytes_max` come out.
fn unpack(packed: &Bytes, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let mut content = Vec::new();
    flate2::bufread::MultiGzDecoder::new(&packed[..])
        .take(bytes_max as u64 + 1)
        .read_to_end(&mut content)
        .map_err(|_| Problem::invalid("file_gzip", "is not gzip"))?;
    if content.len() > bytes_max {
        let detail = format!("file_gzip: unpacks to more than {bytes_max} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    Ok(content)
}

/// What a bundle is to be made of.
#[derive(Deserialize)]
pub(super) struct Wish {
    checksum: String,
    #[serde(default)]
    chunks: Vec<String>,
    #[serde(default)]
    projects: Vec<String>,
    version: Option<String>,
    dist: Option<String>,
}

/// `POST /api/0/organizations/{organisation}/artifactbundle/assemble/`
pub(super) async fn assemble(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(organisation): Path<String>,
    JsonBody(wish): JsonBody<Wish>,
) -> Result<Json<Value>, Problem> {
    assemble_wish(&shared, &caller, &organisation, wish).await
}

/// `POST /api/0/organizations/{organisation}/releases/{version}/assemble/`, as tools before version 2 ask.
pub(super) async fn assemble_of_release(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((organisation, version)): Path<(String, String)>,
    JsonBody(wish): JsonBody<Wish>,
) -> Result<Json<Value>, Problem> {
    assemble_wish(&shared, &caller, &organisation, Wish { version: Some(version), ..wish }).await
}

async fn assemble_wish(
    shared: &Shared,
    caller: &Caller,
    organisation: &str,
    wish: Wish,
) -> Result<Json<Value>, Problem> {
    let organisation = scene::organisation(shared, caller, organisation).await?;
    let mut known = shared.accounts.list_projects(&caller.principal).await?;
    let named: BTreeSet<&String> = wish.projects.iter().collect();
    let projects =
        named.into_iter().map(|named| scene::take_project(&mut known, named).map(|project| project.id));
    let projects = projects.collect::<Result<Vec<_>, _>>()?;
    let wish = AssembleBundle {
        actor: caller.principal.actor,
        organisation: organisation.id,
        projects,
        checksum: wish.checksum,
        chunks: wish.chunks,
        release: wish.version,
        dist: wish.dist,
        request_id: caller.client.request_id.clone(),
    };
    let Assembly { state, missing_chunks, detail } = shared.source_maps.assemble(wish).await?;
    Ok(Json(json!({ "state": state, "missingChunks": missing_chunks, "detail": detail })))
}

/// `POST /api/0/projects/{organisation}/{project}/files/difs/assemble/`: no debug file is taken, and the tool is told
/// so for each.
pub(super) async fn refuse_debug_files(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((organisation, project)): Path<(String, String)>,
    JsonBody(wishes): JsonBody<BTreeMap<String, Value>>,
) -> Result<Json<Value>, Problem> {
    scene::project(&shared, &caller, &organisation, &project).await?;
    let answers: serde_json::Map<String, Value> = wishes
        .into_keys()
        .map(|checksum| {
            (checksum, json!({ "state": "error", "missingChunks": [], "detail": NO_DEBUG_FILES }))
        })
        .collect();
    Ok(Json(answers.into()))
}
