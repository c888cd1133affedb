//! Source maps: uploaded as `sentry-cli` does it, kept per project, and used to show the source instead of what a
//! bundler made of it.
//!
//! - Chunks of an organisation wait up to 24 hours to be assembled. A job puts them together, checks the whole and
//!   stores the files that its manifest names, for each project by itself: maps never cross projects.
//! - Before an event is grouped, its frames are mapped: by the debug id that the SDK gives for a script, else by
//!   release and address. What could not be mapped says why in the frame's `data.unmapped`.
//! - An event that lacked a map is remembered for 7 days under the debug ids and the release that it lacked. When
//!   a bundle with one of them comes, the event is mapped and grouped anew.
//!
//! Sources: ECMA-426 for maps; the protocol as `sentry-cli` 3.8 speaks it.

pub(crate) mod archive;
mod assemble;
mod cache;
mod chunks;
mod debug_id;
mod decode;
mod error;
mod frames;
mod late;
mod maps;
mod model;
mod paths;
mod release_key;
mod script;
mod service;
pub(crate) mod store;

use async_trait::async_trait;
use belvedere_kernel::{Organisation, ProjectId};
use belvedere_storage::{Id, Page};

pub use debug_id::{DebugId, ParseDebugIdError};
pub use error::SourceMapError;
pub use model::{
    AssembleBundle, Assembly, AssemblyState, Bundle, BundleDetail, BundleFile, BundleId, BundleKey,
    DeleteBundle, FileKind, ListBundles, NewChunk, Remapped, SourceMapLimits, SourceMapStorage,
};
pub use service::SourceMapService;

pub(crate) use frames::unmap;
pub(crate) use maps::{BatchMaps, Maps};

/// The largest chunk, unpacked, in bytes.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;

/// The job that makes a bundle of chunks; its payload is `{"organisation": id, "key": text}`.
pub const ASSEMBLE_JOB: &str = "source_maps.assemble";

/// The job that maps events anew after an upload; its payload is `{"project": number, "bundle": id}`.
pub const REMAP_JOB: &str = "source_maps.remap";

/// The job that forgets old chunks and deleted bundles.
pub const SWEEP_JOB: &str = "source_maps.sweep";

/// What other code may ask of source maps.
#[async_trait]
pub trait SourceMaps: Send + Sync {
    /// Keeps a chunk after checking its content against its name.
    async fn store_chunk(&self, chunk: NewChunk) -> Result<(), SourceMapError>;

    /// Wishes for a bundle, or asks where an earlier wish stands: the same call does both, as in Sentry's protocol.
    /// Who calls has checked that the projects are the organisation's.
    async fn assemble(&self, wish: AssembleBundle) -> Result<Assembly, SourceMapError>;

    /// A project's bundles, the newest first.
    async fn list_bundles(&self, query: ListBundles) -> Result<Page<Bundle>, SourceMapError>;

    /// One bundle with its files.
    async fn find_bundle(
        &self,
        project: ProjectId,
        bundle: BundleId,
    ) -> Result<Option<BundleDetail>, SourceMapError>;

    /// How much of a project's room is taken.
    async fn count_storage(&self, project: ProjectId) -> Result<SourceMapStorage, SourceMapError>;

    /// Deletes a bundle, with an audit entry; whether it was there. Frames that it resolved stay resolved.
    async fn delete_bundle(&self, wish: DeleteBundle) -> Result<bool, SourceMapError>;

    /// The largest bundle that is taken, in bytes as uploaded.
    fn bundle_bytes_max(&self) -> u64;

    /// Does [`ASSEMBLE_JOB`]; again is no harm.
    async fn run_assembly(&self, organisation: Id<Organisation>, key: &str) -> Result<(), SourceMapError>;

    /// Does [`REMAP_JOB`]; again is no harm.
    async fn remap(&self, project: ProjectId, bundle: BundleId) -> Result<Remapped, SourceMapError>;

    /// Does [`SWEEP_JOB`], until `is_stopped`.
    async fn sweep(&self, is_stopped: &(dyn Fn() -> bool + Send + Sync)) -> Result<(), SourceMapError>;
}
