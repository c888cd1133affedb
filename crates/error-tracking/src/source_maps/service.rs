use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_jobs::{JobQueue, NewJob};
use belvedere_kernel::{
    Actor, ApiToken, AuditSink, Clock, Entry, Organisation, ProjectId, Scrubber, Target, User,
};
use belvedere_storage::{Database, Id, Page, Timestamp, Tx};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::assemble::{Assembled, Assembler};
use super::chunks::checksum_of;
use super::late::Remapper;
use super::maps::Maps;
use super::model::{
    AssembleBundle, Assembly, AssemblyRequest, AssemblyState, Bundle, BundleDetail, BundleId, DeleteBundle,
    ListBundles, NewChunk, Remapped, SourceMapLimits, SourceMapStorage,
};
use super::{ASSEMBLE_JOB, CHUNK_BYTES_MAX, REMAP_JOB, SWEEP_JOB, SourceMapError, SourceMaps, store};
use crate::grouping_rules::GroupingBook;

/// The most chunks of one bundle: 512 MiB.
const CHUNKS_MAX: usize = 512;

/// The most projects of one bundle.
const PROJECTS_MAX: usize = 20;

/// How long a chunk waits to be assembled.
const CHUNK_LIFE: Duration = Duration::from_secs(24 * 3_600);

/// How long a failed wish is remembered; after that the same wish is tried again.
const FAILURE_LIFE: Duration = Duration::from_secs(300);

/// How long a worker may take for a bundle before the wish may be repeated: longer than a job lives.
const ASSEMBLY_LIFE: Duration = Duration::from_secs(3_600);

/// Events that were digested without a map which came before they were stored are looked for so long after it.
const REMAP_AGAIN: Duration = Duration::from_secs(60);

/// How long an event that lacked a map is remembered, to be looked at again after an upload.
pub(super) const LATE_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// The longest text to look for, in characters.
const TEXT_CHARS_MAX: usize = 200;

/// How much one transaction of a sweep deletes: rows of next to nothing, chunks or pieces of up to a megabyte.
const SWEEP_ROWS: i64 = 5_000;
const SWEEP_PIECES: i64 = 16;

/// Source maps on a database.
pub struct SourceMapService {
    pub(super) db: Database,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) audit: Arc<dyn AuditSink>,
    pub(super) scrubber: Arc<dyn Scrubber>,
    pub(super) jobs: JobQueue,
    pub(super) maps: Arc<Maps>,
    pub(super) limits: SourceMapLimits,
    pub(super) grouping: Arc<GroupingBook>,
}

impl SourceMapService {
    pub(crate) fn new(
        db: Database,
        clock: Arc<dyn Clock>,
        audit: Arc<dyn AuditSink>,
        scrubber: Arc<dyn Scrubber>,
        jobs: JobQueue,
        maps: Arc<Maps>,
        limits: SourceMapLimits,
    ) -> Self {
        Self { db, clock, audit, scrubber, jobs, maps, limits, grouping: Arc::default() }
    }

    /// The same service, which groups by what the projects' rules say.
    pub(crate) fn with_grouping(self, grouping: Arc<GroupingBook>) -> Self {
        Self { grouping, ..self }
    }

    /// The answer to a wish that needs no work now.
    async fn known_state(
        &self,
        organisation: Id<Organisation>,
        key: &str,
        request: &AssemblyRequest,
        now: Timestamp,
    ) -> Result<Option<Assembly>, SourceMapError> {
        // Before the bundles: what is made meanwhile is then found, and not taken for deleted.
        let row = store::find_assembly(self.db.read(), organisation, key).await?;
        let mut missing = false;
        for project in &request.projects {
            missing |= !store::has_bundle(self.db.read(), *project, request).await?;
        }
        if !missing {
            return Ok(Some(Assembly::of(AssemblyState::Ok)));
        }
        let Some(row) = row else { return Ok(None) };
        let life = match row.state {
            AssemblyState::Created | AssemblyState::Assembling => ASSEMBLY_LIFE,
            AssemblyState::Error => FAILURE_LIFE,
            // It was made, and deleted since.
            AssemblyState::Ok | AssemblyState::NotFound => return Ok(None),
        };
        let stands = row.updated_at.plus(life) > now;
        Ok(stands.then_some(Assembly { detail: row.detail, ..Assembly::of(row.state) }))
    }

    async fn finish(
        &self,
        organisation: Id<Organisation>,
        key: &str,
        request: &AssemblyRequest,
        made: &[Assembled],
    ) -> Result<(), SourceMapError> {
        let now = self.clock.now();
        self.db
            .write(async |tx| {
                for bundle in made {
                    store::finish_bundle(tx, bundle.project, bundle.id, now).await?;
                    let job = NewJob::new(REMAP_JOB, json!({"project": bundle.project, "bundle": bundle.id}));
                    let again = NewJob { run_at: Some(now.plus(REMAP_AGAIN)), ..job.clone() };
                    self.jobs.enqueue_in(tx, job).await?;
                    self.jobs.enqueue_in(tx, again).await?;
                    let entry = Entry {
                        organisation: Some(organisation),
                        project: Some(bundle.project),
                        target: Some(Target { kind: "source_map_bundle", id: bundle.id.to_string() }),
                        request_id: request.request_id.clone(),
                        detail: json!({
                            "release": bundle.release, "dist": bundle.dist, "files": bundle.files,
                            "checksum": request.checksum,
                        }),
                        ..Entry::new(actor_of(request), "source_maps_uploaded")
                    };
                    self.audit.record(tx, entry).await?;
                }
                store::set_assembly_state(tx, organisation, key, AssemblyState::Ok, None, now).await?;
                Ok::<_, SourceMapError>(())
            })
            .await
    }

    async fn enqueue_in(
        &self,
        tx: &Tx,
        kind: &str,
        payload: serde_json::Value,
    ) -> Result<(), SourceMapError> {
        self.jobs.enqueue_in(tx, NewJob::new(kind, payload)).await?;
        Ok(())
    }

    async fn set_state(
        &self,
        organisation: Id<Organisation>,
        key: &str,
        state: AssemblyState,
        detail: Option<&str>,
    ) -> Result<(), SourceMapError> {
        let now = self.clock.now();
        self.db
            .write(async |tx| store::set_assembly_state(tx, organisation, key, state, detail, now).await)
            .await?;
        Ok(())
    }
}

#[async_trait]
impl SourceMaps for SourceMapService {
    async fn store_chunk(&self, chunk: NewChunk) -> Result<(), SourceMapError> {
        if chunk.content.len() > CHUNK_BYTES_MAX {
            return Err(SourceMapError::invalid("file", format!("larger than {CHUNK_BYTES_MAX} bytes")));
        }
        if checksum_of(&chunk.content) != chunk.checksum {
            let why = "the name of a chunk must be the SHA-1 of its content, and is not";
            return Err(SourceMapError::invalid("file", why));
        }
        let used = store::count_chunk_bytes(self.db.read(), chunk.organisation).await?;
        if used + chunk.content.len() as u64 > self.limits.chunks_bytes_max {
            return Err(SourceMapError::Full(format!(
                "chunks of more than {} bytes wait to be assembled; they are forgotten after 24 hours",
                self.limits.chunks_bytes_max
            )));
        }
        let now = self.clock.now();
        let NewChunk { organisation, checksum, content } = chunk;
        self.db
            .write(async |tx| store::insert_chunk(tx, organisation, &checksum, content, now).await)
            .await?;
        Ok(())
    }

    async fn assemble(&self, wish: AssembleBundle) -> Result<Assembly, SourceMapError> {
        let (organisation, request) = check(wish)?;
        let now = self.clock.now();
        let key = request_key(&request);
        if let Some(known) = self.known_state(organisation, &key, &request, now).await? {
            return Ok(known);
        }
        let found = store::find_chunks(self.db.read(), organisation, &request.chunks).await?;
        let missing_chunks = store::missing_of(&request.chunks, &found);
        if !missing_chunks.is_empty() || request.chunks.is_empty() {
            return Ok(Assembly { missing_chunks, ..Assembly::of(AssemblyState::NotFound) });
        }
        self.db
            .write(async |tx| {
                store::upsert_assembly(tx, organisation, &key, &request, now).await?;
                let payload = json!({"organisation": organisation, "key": key});
                self.enqueue_in(tx, ASSEMBLE_JOB, payload).await
            })
            .await?;
        Ok(Assembly::of(AssemblyState::Created))
    }

    async fn list_bundles(&self, query: ListBundles) -> Result<Page<Bundle>, SourceMapError> {
        if let Some(text) = &query.text {
            if text.chars().count() > TEXT_CHARS_MAX {
                let why = format!("longer than {TEXT_CHARS_MAX} characters");
                return Err(SourceMapError::invalid("query", why));
            }
            // PostgreSQL has no text with NUL, so nothing contains it.
            if text.contains('\0') {
                return Ok(Page { items: Vec::new(), next: None });
            }
        }
        let page = store::list_bundles(self.db.read(), &query).await?;
        page.ok_or_else(|| SourceMapError::invalid("cursor", "does not belong to this list"))
    }

    async fn find_bundle(
        &self,
        project: ProjectId,
        bundle: BundleId,
    ) -> Result<Option<BundleDetail>, SourceMapError> {
        let Some(bundle) = store::find_bundle(self.db.read(), project, bundle).await? else {
            return Ok(None);
        };
        let listed_files = store::list_files(self.db.read(), project, bundle.id).await?;
        Ok(Some(BundleDetail { bundle, listed_files }))
    }

    async fn count_storage(&self, project: ProjectId) -> Result<SourceMapStorage, SourceMapError> {
        Ok(store::count_storage(self.db.read(), project, self.limits.project_bytes_max).await?)
    }

    async fn delete_bundle(&self, wish: DeleteBundle) -> Result<bool, SourceMapError> {
        self.db
            .write(async |tx| {
                if !store::hide_bundle(tx, wish.project, wish.bundle).await? {
                    return Ok(false);
                }
                let entry = Entry {
                    organisation: Some(wish.organisation),
                    project: Some(wish.project),
                    target: Some(Target { kind: "source_map_bundle", id: wish.bundle.to_string() }),
                    request_id: wish.request_id.clone(),
                    ..Entry::new(wish.actor, "source_maps_deleted")
                };
                self.audit.record(tx, entry).await?;
                let sweep = NewJob { key: Some(SWEEP_JOB.to_owned()), ..NewJob::new(SWEEP_JOB, json!(null)) };
                self.jobs.enqueue_in(tx, sweep).await?;
                Ok::<_, SourceMapError>(true)
            })
            .await
    }

    fn bundle_bytes_max(&self) -> u64 {
        self.limits.bundle_bytes_max
    }

    async fn run_assembly(&self, organisation: Id<Organisation>, key: &str) -> Result<(), SourceMapError> {
        let Some(row) = store::find_assembly(self.db.read(), organisation, key).await? else { return Ok(()) };
        if !matches!(row.state, AssemblyState::Created | AssemblyState::Assembling) {
            return Ok(());
        }
        self.set_state(organisation, key, AssemblyState::Assembling, None).await?;
        // What an earlier attempt left behind.
        let now = self.clock.now();
        self.db
            .write(async |tx| {
                for project in &row.request.projects {
                    store::abandon_bundles(tx, Some((*project, &row.request.checksum)), now).await?;
                }
                Ok::<_, SourceMapError>(())
            })
            .await?;
        let sizes: HashMap<String, u64> =
            store::find_chunks(self.db.read(), organisation, &row.request.chunks)
                .await?
                .into_iter()
                .collect();
        let assembler = Assembler {
            db: self.db.clone(),
            clock: Arc::clone(&self.clock),
            limits: self.limits,
            organisation,
            request: row.request.clone(),
        };
        let work = tokio::task::spawn_blocking(move || assembler.run(&sizes));
        let made = work.await.map_err(|error| SourceMapError::Internal(error.to_string()))?;
        match made {
            Ok(made) => self.finish(organisation, key, &row.request, &made).await,
            Err(SourceMapError::Invalid { why, .. } | SourceMapError::Full(why)) => {
                self.set_state(organisation, key, AssemblyState::Error, Some(&why)).await
            }
            Err(error) => Err(error),
        }
    }

    async fn remap(&self, project: ProjectId, bundle: BundleId) -> Result<Remapped, SourceMapError> {
        Remapper::new(self, project).run(bundle).await
    }

    async fn sweep(&self, is_stopped: &(dyn Fn() -> bool + Send + Sync)) -> Result<(), SourceMapError> {
        let now = self.clock.now();
        let ago = |life: Duration| Timestamp::from_micros(now.as_micros() - life.as_micros() as i64);
        self.db
            .write(async |tx| {
                store::abandon_bundles(tx, None, ago(ASSEMBLY_LIFE)).await?;
                store::delete_assemblies(tx, ago(CHUNK_LIFE)).await
            })
            .await?;
        let chunks = async |tx: &Tx| store::delete_chunks(tx, ago(CHUNK_LIFE), SWEEP_PIECES).await;
        while !is_stopped() && self.db.write(chunks).await? > 0 {}
        let pieces = async |tx: &Tx| store::delete_hidden(tx, SWEEP_PIECES).await;
        while !is_stopped() && self.db.write(pieces).await? {}
        let unmapped = async |tx: &Tx| store::delete_old_unmapped(tx, ago(LATE_LIFE), SWEEP_ROWS).await;
        while !is_stopped() && self.db.write(unmapped).await? > 0 {}
        Ok(())
    }
}

/// Checks a wish and brings it into the form in which it is kept.
fn check(wish: AssembleBundle) -> Result<(Id<Organisation>, AssemblyRequest), SourceMapError> {
    let mut projects = wish.projects;
    projects.sort_unstable();
    projects.dedup();
    if !(1..=PROJECTS_MAX).contains(&projects.len()) {
        return Err(SourceMapError::invalid("projects", format!("must name 1 to {PROJECTS_MAX} projects")));
    }
    if wish.chunks.len() > CHUNKS_MAX {
        return Err(SourceMapError::invalid("chunks", format!("more than {CHUNKS_MAX} chunks")));
    }
    let checksum = checked_checksum("checksum", &wish.checksum)?;
    let chunks =
        wish.chunks.iter().map(|chunk| checked_checksum("chunks", chunk)).collect::<Result<_, _>>()?;
    let text = |field, text: Option<String>| match text.map(|text| text.trim().to_owned()) {
        Some(text) if text.chars().count() > 250 => {
            Err(SourceMapError::invalid(field, "longer than 250 characters"))
        }
        text => Ok(text.filter(|text| !text.is_empty())),
    };
    let request = AssemblyRequest {
        projects,
        checksum,
        chunks,
        release: text("version", wish.release)?,
        dist: text("dist", wish.dist)?,
        actor_kind: wish.actor.kind().to_owned(),
        actor_id: wish.actor.id(),
        request_id: wish.request_id,
    };
    Ok((wish.organisation, request))
}

/// A SHA-1 in 40 lower-case hexadecimal digits.
fn checked_checksum(field: &'static str, text: &str) -> Result<String, SourceMapError> {
    let text = text.to_ascii_lowercase();
    if text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text);
    }
    Err(SourceMapError::invalid(field, "must be a SHA-1 in 40 hexadecimal digits"))
}

/// What makes two wishes the same: everything but who has them.
fn request_key(request: &AssemblyRequest) -> String {
    let wish = json!([request.projects, request.checksum, request.release, request.dist]);
    let digest = Sha256::digest(wish.to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn actor_of(request: &AssemblyRequest) -> Actor {
    let id = request.actor_id.as_deref().unwrap_or_default();
    match request.actor_kind.as_str() {
        "token" => id.parse::<Id<ApiToken>>().map_or(Actor::System("source maps"), Actor::Token),
        "user" => id.parse::<Id<User>>().map_or(Actor::System("source maps"), Actor::User),
        _ => Actor::System("source maps"),
    }
}
