//! Two made-up bundles of source maps behind the real trait.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_error_tracking::{
    AssembleBundle, Assembly, Bundle, BundleDetail, BundleFile, BundleId, DeleteBundle, FileKind,
    ListBundles, NewChunk, Remapped, SourceMapError, SourceMapStorage, SourceMaps,
};
use belvedere_kernel::{Organisation, ProjectId};
use belvedere_storage::{Cursor, Id, Page, Timestamp};

/// The project that has the bundles.
const PROJECT: ProjectId = ProjectId(7);

/// Bundles of the project 7 alone.
pub(crate) struct FakeMaps {
    now: Timestamp,
    /// Added to every text.
    suffix: String,
    pub(crate) deleted: Mutex<Vec<BundleId>>,
}

/// The bundle with this number.
pub(crate) fn bundle_id(number: u8) -> BundleId {
    Id::from_bytes([number; 16])
}

impl FakeMaps {
    pub(crate) fn new(now: Timestamp, suffix: &str) -> Self {
        Self { now, suffix: suffix.to_owned(), deleted: Mutex::default() }
    }

    fn bundle(&self, number: u8) -> Bundle {
        let release = format!("shop@4.12.{number}{}", self.suffix);
        Bundle {
            id: bundle_id(number),
            release: (number != 2).then_some(release),
            dist: (number == 1).then(|| format!("web{}", self.suffix)),
            files: 2,
            stored_bytes: 1_260_000 * u64::from(number),
            uploaded_at: self.now.minus(Duration::from_secs(u64::from(number) * 7_000)),
            uploaded_by_kind: "token".to_owned(),
            uploaded_by: Some(Id::<()>::from_bytes([9; 16]).to_string()),
            debug_ids: vec!["9c4cb8aa-72e9-571d-a188-195453d1898f".parse().unwrap()],
        }
    }
}

#[async_trait]
impl SourceMaps for FakeMaps {
    async fn store_chunk(&self, _: NewChunk) -> Result<(), SourceMapError> {
        Err(SourceMapError::Internal("not here".to_owned()))
    }
    async fn assemble(&self, _: AssembleBundle) -> Result<Assembly, SourceMapError> {
        Err(SourceMapError::Internal("not here".to_owned()))
    }
    async fn list_bundles(&self, query: ListBundles) -> Result<Page<Bundle>, SourceMapError> {
        let is_found = query.project == PROJECT && query.text.is_none_or(|text| "shop@4.12".contains(&text));
        let items = if is_found { vec![self.bundle(1), self.bundle(2)] } else { Vec::new() };
        let next = is_found.then(|| Cursor::of(&[&1, &2]));
        Ok(Page { items, next })
    }
    async fn find_bundle(
        &self,
        project: ProjectId,
        id: BundleId,
    ) -> Result<Option<BundleDetail>, SourceMapError> {
        let file = |kind, url: &str| BundleFile {
            kind,
            url: format!("{url}{}", self.suffix),
            debug_id: None,
            map_reference: Some(format!("main.js.map{}", self.suffix)),
            bytes: 4_096,
        };
        let files = vec![file(FileKind::Script, "~/main.js"), file(FileKind::Map, "~/main.js.map")];
        let detail = BundleDetail { bundle: self.bundle(1), listed_files: files };
        Ok((project == PROJECT && id == bundle_id(1)).then_some(detail))
    }
    async fn count_storage(&self, _: ProjectId) -> Result<SourceMapStorage, SourceMapError> {
        Ok(SourceMapStorage { bundles: 2, bytes: 3_780_000, bytes_max: 2 << 30 })
    }
    async fn delete_bundle(&self, wish: DeleteBundle) -> Result<bool, SourceMapError> {
        let is_there = wish.project == PROJECT && wish.bundle == bundle_id(1);
        if is_there {
            self.deleted.lock().unwrap().push(wish.bundle);
        }
        Ok(is_there)
    }
    fn bundle_bytes_max(&self) -> u64 {
        100 << 20
    }
    async fn run_assembly(&self, _: Id<Organisation>, _: &str) -> Result<(), SourceMapError> {
        Ok(())
    }
    async fn remap(&self, _: ProjectId, _: BundleId) -> Result<Remapped, SourceMapError> {
        Ok(Remapped::default())
    }
    async fn sweep(&self, _: &(dyn Fn() -> bool + Send + Sync)) -> Result<(), SourceMapError> {
        Ok(())
    }
}
