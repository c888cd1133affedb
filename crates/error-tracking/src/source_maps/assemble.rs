//! Chunks become a bundle: the whole is checked, then file by file it is read, compressed and stored.

use std::collections::HashMap;
use std::sync::Arc;

use belvedere_kernel::{Clock, Organisation, ProjectId};
use belvedere_storage::{Database, Id};
use tokio::runtime::Handle;

use super::SourceMapError;
use super::archive::{Archive, BundledFile, InvalidBundle, Manifest};
use super::chunks::ChunkReader;
use super::model::{AssemblyRequest, BundleId, SourceMapLimits};
use super::store::{self, NewBundle, NewFile};

/// How large the stored pieces of a file are.
const PIECE_BYTES: usize = 512 << 10;

/// Maps compress to a fourth; higher levels take far longer for a tenth less.
const ZSTD_LEVEL: i32 = 3;

/// Why the files of a bundle are not stored.
const EMPTY: &str = "there is no source map, script or source in the bundle";

/// What is needed to make the bundles of one wish; for threads that may block.
pub(crate) struct Assembler {
    pub(crate) db: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: SourceMapLimits,
    pub(crate) organisation: Id<Organisation>,
    pub(crate) request: AssemblyRequest,
}

/// A bundle whose files are all stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assembled {
    pub(crate) id: BundleId,
    pub(crate) project: ProjectId,
    pub(crate) release: Option<String>,
    pub(crate) dist: Option<String>,
    pub(crate) files: usize,
}

impl Assembler {
    /// Stores the files for every project of the wish.
    ///
    /// # Errors
    /// [`SourceMapError::Invalid`] and [`SourceMapError::Full`] if the wish can never be fulfilled as it is.
    pub(crate) fn run(&self, sizes: &HashMap<String, u64>) -> Result<Vec<Assembled>, SourceMapError> {
        let chunks: Option<Vec<(String, u64)>> = self
            .request
            .chunks
            .iter()
            .map(|chunk| sizes.get(chunk).map(|size| (chunk.clone(), *size)))
            .collect();
        let chunks = chunks
            .ok_or_else(|| SourceMapError::invalid("chunks", "some are not there any more; upload again"))?;
        let mut reader = ChunkReader::new(self.db.clone(), self.organisation, chunks);
        let length = reader.length();
        let bundle_bytes_max = self.limits.bundle_bytes_max;
        if length > bundle_bytes_max {
            let why = format!("the bundle has {length} bytes; at most {bundle_bytes_max} are taken here");
            return Err(SourceMapError::invalid("chunks", why));
        }
        let checksum = reader.checksum().map_err(|error| refusal(InvalidBundle::Read(error)))?;
        if checksum != self.request.checksum {
            let why = "the chunks together do not have the SHA-1 that was announced";
            return Err(SourceMapError::invalid("checksum", why));
        }
        let mut archive = Archive::open(reader, length).map_err(refusal)?;
        let manifest = archive.read_manifest().map_err(refusal)?;
        if manifest.files.is_empty() {
            return Err(SourceMapError::invalid("manifest.json", EMPTY));
        }
        self.store(&mut archive, &manifest)
    }

    fn store(
        &self,
        archive: &mut Archive<ChunkReader>,
        manifest: &Manifest,
    ) -> Result<Vec<Assembled>, SourceMapError> {
        let runtime = Handle::current();
        let now = self.clock.now();
        let release = self.request.release.as_deref().or(manifest.release.as_deref());
        let dist = self.request.dist.as_deref().or(manifest.dist.as_deref());
        let new: Vec<NewBundle<'_>> = self
            .request
            .projects
            .iter()
            .map(|project| NewBundle {
                id: Id::generate(now),
                project: *project,
                request: &self.request,
                release,
                dist,
                now,
            })
            .collect();
        let mut room = u64::MAX;
        for bundle in &new {
            let max = self.limits.project_bytes_max;
            let used = runtime.block_on(store::count_storage(self.db.read(), bundle.project, max))?;
            room = room.min(max.saturating_sub(used.bytes));
            runtime.block_on(self.db.write(async |tx| store::insert_bundle(tx, bundle).await))?;
        }
        for file in &manifest.files {
            let bytes = archive.read_file(file).map_err(refusal)?;
            let stored = zstd::bulk::compress(&bytes, ZSTD_LEVEL)
                .map_err(|error| SourceMapError::Internal(error.to_string()))?;
            let size = stored.len() as u64;
            room = room.checked_sub(size).ok_or_else(|| {
                SourceMapError::Full(format!(
                    "the project's room of {} bytes for source maps is used up; delete old bundles in its settings",
                    self.limits.project_bytes_max
                ))
            })?;
            for bundle in &new {
                runtime.block_on(self.store_file(bundle, file, bytes.len() as u64, &stored))?;
            }
        }
        let made = new.iter().map(|bundle| Assembled {
            id: bundle.id,
            project: bundle.project,
            release: release.map(str::to_owned),
            dist: dist.map(str::to_owned),
            files: manifest.files.len(),
        });
        Ok(made.collect())
    }

    /// Stores one file, piece by piece in transactions of their own: nobody sees them before the bundle is whole.
    async fn store_file(
        &self,
        bundle: &NewBundle<'_>,
        file: &BundledFile,
        size: u64,
        stored: &[u8],
    ) -> Result<(), SourceMapError> {
        let new = NewFile { id: Id::generate(bundle.now), file, size, stored_size: stored.len() as u64 };
        let mut pieces = stored.chunks(PIECE_BYTES).enumerate();
        let first = pieces.next();
        self.db
            .write(async |tx| {
                store::insert_file(tx, bundle, &new).await?;
                if let Some((number, piece)) = first {
                    store::insert_piece(tx, bundle.project, new.id, number, piece.to_vec()).await?;
                }
                Ok::<_, SourceMapError>(())
            })
            .await?;
        for (number, piece) in pieces {
            self.db
                .write(async |tx| {
                    store::insert_piece(tx, bundle.project, new.id, number, piece.to_vec()).await
                })
                .await?;
        }
        Ok(())
    }
}

/// What is wrong with a bundle is the uploader's to know; a database that failed is not.
fn refusal(error: InvalidBundle) -> SourceMapError {
    match error {
        InvalidBundle::Read(error) => match error.downcast::<belvedere_storage::StorageError>() {
            Ok(error) => SourceMapError::Storage(error),
            Err(error) => SourceMapError::Internal(error.to_string()),
        },
        error => SourceMapError::invalid("bundle", error.to_string()),
    }
}
