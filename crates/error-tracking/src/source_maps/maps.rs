use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use belvedere_kernel::ProjectId;
use belvedere_storage::{Database, Id, StorageError};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::DebugId;
use super::archive::FILE_BYTES_MAX;
use super::cache::{Loaded, MapCache};
use super::decode::SourceMap;
use super::frames::{
    Located, Mapped, for_each_frame, for_each_holder, frames_room, map_stacktrace, other_path_of, path_of,
};
use super::model::{BundleId, FileId, FileKind};
use super::paths::{join, upload_names};
use super::release_key::release_key;
use super::script::Script;
use super::store::{self, FileRow};

/// The most scripts of one event that are looked up.
const SCRIPTS_MAX: usize = 50;

/// The most debug ids and releases under which one event without maps is found again.
const KEYS_MAX: usize = 10;

/// The most images of one event that are looked through.
const IMAGES_MAX: usize = 1_000;

/// The source maps of an installation, decoded as they are needed.
pub(crate) struct Maps {
    db: Database,
    cache: MapCache,
}

impl Maps {
    pub(crate) fn new(db: Database, memory_bytes_max: usize) -> Self {
        Self { db, cache: MapCache::new(memory_bytes_max) }
    }

    /// The maps for one batch of events, which looks everything up once.
    pub(crate) fn batch(self: &Arc<Self>) -> BatchMaps {
        BatchMaps { maps: Arc::clone(self), runtime: Handle::current(), found: Mutex::default() }
    }
}

/// What a batch has looked up already.
#[derive(Default)]
struct Found {
    by_debug_id: HashMap<(ProjectId, DebugId), Located>,
    by_url: HashMap<(ProjectId, Release, String), Located>,
    releases: HashMap<(ProjectId, String), bool>,
    failure: Option<StorageError>,
}

/// A release and its distribution.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Release {
    version: String,
    dist: Option<String>,
}

/// The maps for one batch of events; for threads that may block.
pub(crate) struct BatchMaps {
    maps: Arc<Maps>,
    runtime: Handle,
    found: Mutex<Found>,
}

impl BatchMaps {
    /// Maps the frames of an event in the stored shape, where it is one of JavaScript, and says under which debug ids
    /// and releases maps for it were missed.
    pub(crate) fn resolve(&self, project: ProjectId, event: &mut Value) -> Vec<Id<()>> {
        if !matches!(event.get("platform").and_then(Value::as_str), Some("javascript" | "node")) {
            return Vec::new();
        }
        let Some(wanted) = Wanted::of(event) else { return Vec::new() };
        let mut missed = Vec::new();
        let located = match self.locate(project, &wanted, &mut missed) {
            Ok(located) => located,
            Err(error) => {
                self.found().failure.get_or_insert(error);
                return Vec::new();
            }
        };
        if located.values().any(|located| !matches!(located, Located::Unknown)) {
            let source_text = |bundle: BundleId, path: &str| self.source_text(project, bundle, path);
            let mut room = frames_room();
            for_each_holder(event, &mut |holder| {
                map_stacktrace(holder, &located, &source_text, &mut room);
            });
        }
        missed.sort_unstable();
        missed.dedup();
        missed.truncate(KEYS_MAX);
        missed
    }

    /// The first failure of the database, after which nothing that was resolved may be kept.
    pub(crate) fn take_failure(&self) -> Option<StorageError> {
        self.found().failure.take()
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locate(
        &self,
        project: ProjectId,
        wanted: &Wanted,
        missed: &mut Vec<Id<()>>,
    ) -> Result<HashMap<String, Located>, StorageError> {
        let debug_ids: HashSet<DebugId> = wanted.scripts.values().flatten().copied().collect();
        self.find_debug_ids(project, debug_ids)?;
        let mut located = HashMap::with_capacity(wanted.scripts.len());
        for (path, debug_id) in &wanted.scripts {
            let found = match (debug_id, &wanted.release) {
                (Some(id), _) => self.found().by_debug_id.get(&(project, *id)).cloned(),
                (None, Some(release)) => Some(self.find_url(project, release, path)?),
                (None, None) => None,
            };
            let found = found.unwrap_or(Located::Unknown);
            if !matches!(found, Located::Mapped(_)) {
                missed.extend(debug_id.map(|id| id.to_key().cast()));
                if debug_id.is_none() {
                    missed
                        .extend(wanted.release.as_ref().map(|release| release_key(&release.version).cast()));
                }
            }
            located.insert(path.clone(), found);
        }
        Ok(located)
    }

    fn find_debug_ids(&self, project: ProjectId, mut ids: HashSet<DebugId>) -> Result<(), StorageError> {
        {
            let found = self.found();
            ids.retain(|id| !found.by_debug_id.contains_key(&(project, *id)));
        }
        if ids.is_empty() {
            return Ok(());
        }
        let ids: Vec<DebugId> = ids.into_iter().collect();
        let files =
            self.runtime.block_on(store::find_files_by_debug_id(self.maps.db.read(), project, &ids))?;
        for id in ids {
            let of_kind = |kind| files.iter().find(|file| file.debug_id == Some(id) && file.kind == kind);
            let located =
                self.pair(project, of_kind(FileKind::Map), of_kind(FileKind::Script), "debug_id")?;
            let located = located
                .unwrap_or_else(|| Located::Lacking(json!({"why": "no_map", "debug_id": id.to_string()})));
            self.found().by_debug_id.insert((project, id), located);
        }
        Ok(())
    }

    fn find_url(&self, project: ProjectId, release: &Release, path: &str) -> Result<Located, StorageError> {
        let names = upload_names(path);
        let Some(plain) = names.first() else { return Ok(Located::Unknown) };
        let memo = (project, release.clone(), plain.clone());
        if let Some(located) = self.found().by_url.get(&memo) {
            return Ok(located.clone());
        }
        let located = self.look_up_url(project, release, &names)?;
        self.found().by_url.insert(memo, located.clone());
        Ok(located)
    }

    fn look_up_url(
        &self,
        project: ProjectId,
        release: &Release,
        names: &[String],
    ) -> Result<Located, StorageError> {
        if !self.has_release(project, &release.version)? {
            return Ok(Located::Unknown);
        }
        let Some(script) = self.find_upload(project, release, names, FileKind::Script)? else {
            let name = names.last().cloned().unwrap_or_default();
            return Ok(Located::Lacking(json!({"why": "no_file", "file": name, "release": release.version})));
        };
        let text = self.load(project, &script)?;
        let reference = match (&script.map_reference, &*text) {
            (Some(reference), _) => Some(reference.clone()),
            (None, Loaded::Text(text)) => text.map_reference().map(str::to_owned),
            _ => None,
        };
        let Some(reference) = reference.filter(|reference| !reference.starts_with("data:")) else {
            let inline = self.pair(project, None, Some(&script), "url")?;
            let lacking = json!({"why": "no_reference", "file": script.url});
            return Ok(inline.unwrap_or(Located::Lacking(lacking)));
        };
        let map_url = join(&script.url, &reference);
        let map = self.find_upload(project, release, &upload_names(&map_url), FileKind::Map)?;
        let located = self.pair(project, map.as_ref(), Some(&script), "url")?;
        Ok(located.unwrap_or_else(|| {
            Located::Lacking(json!({"why": "no_map_file", "file": map_url, "release": release.version}))
        }))
    }

    fn has_release(&self, project: ProjectId, version: &str) -> Result<bool, StorageError> {
        let memo = (project, version.to_owned());
        if let Some(has) = self.found().releases.get(&memo) {
            return Ok(*has);
        }
        let query = store::has_files_of_release(self.maps.db.read(), project, release_key(version));
        let has = self.runtime.block_on(query)?;
        self.found().releases.insert(memo, has);
        Ok(has)
    }

    /// The newest upload under the most exact of the names; one without a distribution stands in for a missing one.
    fn find_upload(
        &self,
        project: ProjectId,
        release: &Release,
        names: &[String],
        kind: FileKind,
    ) -> Result<Option<FileRow>, StorageError> {
        if names.is_empty() {
            return Ok(None);
        }
        let query =
            store::find_files_by_url(self.maps.db.read(), project, release_key(&release.version), names);
        let files = self.runtime.block_on(query)?;
        let mut fitting: Vec<FileRow> = files
            .into_iter()
            .filter(|file| file.kind == kind && (file.dist.is_none() || file.dist == release.dist))
            .collect();
        // Stable: the newest stays first among equals.
        fitting
            .sort_by_key(|file| (file.dist != release.dist, names.iter().position(|name| *name == file.url)));
        Ok(fitting.into_iter().next())
    }

    /// A script with its map, which the script may hold itself; `None` if there is no map.
    fn pair(
        &self,
        project: ProjectId,
        map: Option<&FileRow>,
        script: Option<&FileRow>,
        found_by: &'static str,
    ) -> Result<Option<Located>, StorageError> {
        let script_text = script.map(|file| self.load(project, file)).transpose()?;
        if let Some(file) = map {
            let map = self.load(project, file)?;
            let mapped =
                Mapped { map, script: script_text, map_url: file.url.clone(), bundle: file.bundle, found_by };
            return Ok(Some(Located::Mapped(mapped)));
        }
        let (Some(file), Some(text)) = (script, script_text) else { return Ok(None) };
        let Loaded::Text(script) = &*text else { return Ok(None) };
        let Some(inline) = script.inline_map() else { return Ok(None) };
        let decoded = BASE64_STANDARD.decode(inline).map_err(|_| "its base64 is damaged".to_owned());
        let map = decoded.and_then(|json| SourceMap::parse(&json).map_err(|error| error.to_string()));
        let map = Arc::new(map.map_or_else(Loaded::Damaged, Loaded::Map));
        let (map_url, bundle) = (file.url.clone(), file.bundle);
        Ok(Some(Located::Mapped(Mapped { map, script: Some(text), map_url, bundle, found_by })))
    }

    /// The text of a source that its map does not hold.
    fn source_text(&self, project: ProjectId, bundle: BundleId, path: &str) -> Option<Arc<Loaded>> {
        let names = upload_names(path);
        if names.is_empty() {
            return None;
        }
        let query = store::find_files_of_bundle(self.maps.db.read(), project, bundle, &names);
        let found = self.runtime.block_on(query).and_then(|files| {
            let source = files.iter().find(|file| file.kind == FileKind::Source);
            source.map(|file| self.load(project, file)).transpose()
        });
        match found {
            Ok(loaded) => loaded,
            Err(error) => {
                self.found().failure.get_or_insert(error);
                None
            }
        }
    }

    fn load(&self, project: ProjectId, file: &FileRow) -> Result<Arc<Loaded>, StorageError> {
        if let Some(loaded) = self.maps.cache.find(file.id) {
            return Ok(loaded);
        }
        let stored = self.runtime.block_on(store::read_file(self.maps.db.read(), project, file.id))?;
        let bytes = unpack_file(&stored, file.id)?;
        let loaded = match file.kind {
            FileKind::Map => match SourceMap::parse(&bytes) {
                Ok(map) => Loaded::Map(map),
                Err(error) => Loaded::Damaged(error.to_string()),
            },
            FileKind::Script | FileKind::Source => {
                Loaded::Text(Script::new(String::from_utf8_lossy(&bytes).into_owned()))
            }
        };
        Ok(self.maps.cache.insert(file.id, loaded))
    }
}

fn unpack_file(stored: &[u8], file: FileId) -> Result<Vec<u8>, StorageError> {
    let corrupt = || StorageError::corrupt(format!("file {file} of a bundle"));
    let size = zstd::zstd_safe::get_frame_content_size(stored).ok().flatten().unwrap_or(0);
    if size > FILE_BYTES_MAX {
        return Err(corrupt());
    }
    zstd::bulk::decompress(stored, usize::try_from(size).unwrap_or(0)).map_err(|_| corrupt())
}

/// What an event needs looked up.
struct Wanted {
    /// The paths of its scripts, with the debug ids that the SDK gives for them.
    scripts: BTreeMap<String, Option<DebugId>>,
    release: Option<Release>,
}

impl Wanted {
    /// `None` if it needs nothing.
    fn of(event: &Value) -> Option<Self> {
        let images = event.get("debug_meta").and_then(|meta| meta.get("images")).and_then(Value::as_array);
        let mut debug_ids: HashMap<&str, DebugId> = HashMap::new();
        for image in images.into_iter().flatten().take(IMAGES_MAX) {
            let text = |key: &str| image.get(key).and_then(Value::as_str);
            if text("type") == Some("sourcemap")
                && let (Some(file), Some(Ok(id))) = (text("code_file"), text("debug_id").map(str::parse))
            {
                debug_ids.insert(file, id);
            }
        }
        let mut scripts = BTreeMap::new();
        for_each_frame(event, &mut |frame| {
            let Some(path) = path_of(frame) else { return };
            if scripts.len() < SCRIPTS_MAX && !scripts.contains_key(path) {
                let other = other_path_of(frame).and_then(|path| debug_ids.get(path));
                scripts.insert(path.to_owned(), debug_ids.get(path).or(other).copied());
            }
        });
        let text = |key: &str| event.get(key).and_then(Value::as_str).map(str::to_owned);
        let release = text("release").map(|version| Release { version, dist: text("dist") });
        let needs_something = scripts.values().any(Option::is_some) || release.is_some();
        (needs_something && !scripts.is_empty()).then_some(Self { scripts, release })
    }
}
