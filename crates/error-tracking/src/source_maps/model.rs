use belvedere_kernel::{Actor, Organisation, ProjectId};
use belvedere_storage::{Id, PageRequest, StorageError, Timestamp};
use serde::{Deserialize, Serialize};

use super::DebugId;

/// Marks ids of bundles.
#[derive(Debug)]
pub enum BundleKey {}

/// The key of a bundle.
pub type BundleId = Id<BundleKey>;

/// Marks ids of files.
#[derive(Debug)]
pub(crate) enum FileKey {}

/// The key of a file of a bundle.
pub(crate) type FileId = Id<FileKey>;

/// What a file of a bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A source as people wrote it.
    Source,
    /// A generated script: bundled, compiled or minified.
    Script,
    /// The map from a script to its sources.
    Map,
}

impl FileKind {
    /// The kind as a word: `source`, `script`, `map`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Script => "script",
            Self::Map => "map",
        }
    }

    pub(crate) fn to_number(self) -> i64 {
        match self {
            Self::Source => 0,
            Self::Script => 1,
            Self::Map => 2,
        }
    }

    pub(crate) fn from_number(number: i64) -> Result<Self, StorageError> {
        [Self::Source, Self::Script, Self::Map]
            .into_iter()
            .find(|kind| kind.to_number() == number)
            .ok_or_else(|| StorageError::corrupt(format!("kind {number} of a file")))
    }
}

/// How much may be uploaded and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceMapLimits {
    /// The largest bundle as uploaded, in bytes; at most 512 MiB.
    pub bundle_bytes_max: u64,
    /// All bundles of a project as stored, in bytes.
    pub project_bytes_max: u64,
    /// Chunks of an organisation that wait to be assembled, in bytes.
    pub chunks_bytes_max: u64,
    /// Decoded maps and scripts in the memory of a process, in bytes. One that is larger is kept alone.
    pub memory_bytes_max: usize,
    /// How many events without a map are looked at again after an upload, the newest first.
    pub late_events_max: u64,
}

impl Default for SourceMapLimits {
    fn default() -> Self {
        Self {
            bundle_bytes_max: 100 << 20,
            project_bytes_max: 2 << 30,
            chunks_bytes_max: 512 << 20,
            memory_bytes_max: 64 << 20,
            late_events_max: 10_000,
        }
    }
}

/// A piece of a bundle on its way up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChunk {
    /// Whose it is.
    pub organisation: Id<Organisation>,
    /// The SHA-1 of the content that the client announces, 40 hexadecimal digits.
    pub checksum: String,
    /// The content, unpacked; at most [`super::CHUNK_BYTES_MAX`].
    pub content: Vec<u8>,
}

/// The wish to have a bundle made of chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssembleBundle {
    /// Who wishes it.
    pub actor: Actor,
    /// Whose it is to be.
    pub organisation: Id<Organisation>,
    /// For which projects of that organisation; 1 to 20.
    pub projects: Vec<ProjectId>,
    /// The SHA-1 of the whole, 40 hexadecimal digits.
    pub checksum: String,
    /// The SHA-1 of each chunk, in order.
    pub chunks: Vec<String>,
    /// The release it is of, for look-ups by address; the manifest's if left out.
    pub release: Option<String>,
    /// The distribution of the release.
    pub dist: Option<String>,
    /// The id of the HTTP request, if there was one.
    pub request_id: Option<String>,
}

/// Where the making of a bundle stands, in the words of Sentry's clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AssemblyState {
    /// Chunks are missing.
    NotFound,
    /// It waits for a worker.
    Created,
    /// A worker is at it.
    Assembling,
    /// It is there.
    Ok,
    /// It cannot be made; the detail says why.
    Error,
}

impl AssemblyState {
    pub(crate) fn to_number(self) -> i64 {
        match self {
            Self::NotFound => 0,
            Self::Created => 1,
            Self::Assembling => 2,
            Self::Ok => 3,
            Self::Error => 4,
        }
    }

    pub(crate) fn from_number(number: i64) -> Result<Self, StorageError> {
        [Self::NotFound, Self::Created, Self::Assembling, Self::Ok, Self::Error]
            .into_iter()
            .find(|state| state.to_number() == number)
            .ok_or_else(|| StorageError::corrupt(format!("state {number} of an assembly")))
    }
}

/// The answer to a wish for a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembly {
    /// Where it stands.
    pub state: AssemblyState,
    /// The chunks that have to be uploaded.
    pub missing_chunks: Vec<String>,
    /// What went wrong.
    pub detail: Option<String>,
}

impl Assembly {
    pub(crate) fn of(state: AssemblyState) -> Self {
        Self { state, missing_chunks: Vec::new(), detail: None }
    }
}

/// What is kept of [`AssembleBundle`] until a worker takes it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AssemblyRequest {
    pub(crate) projects: Vec<ProjectId>,
    pub(crate) checksum: String,
    pub(crate) chunks: Vec<String>,
    pub(crate) release: Option<String>,
    pub(crate) dist: Option<String>,
    pub(crate) actor_kind: String,
    pub(crate) actor_id: Option<String>,
    pub(crate) request_id: Option<String>,
}

/// Which bundles are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct ListBundles {
    /// The project to look in.
    pub project: ProjectId,
    /// Only those of a release that begins with this text, with a file whose address contains it, or with this debug
    /// id; at most 200 characters.
    pub text: Option<String>,
    /// Which page.
    pub page: PageRequest,
}

/// Files that were uploaded together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bundle {
    /// Its key.
    pub id: BundleId,
    /// The release it is of.
    pub release: Option<String>,
    /// The distribution of the release.
    pub dist: Option<String>,
    /// How many files are in it.
    pub files: u64,
    /// How many bytes they take, compressed.
    pub stored_bytes: u64,
    /// When it was complete.
    pub uploaded_at: Timestamp,
    /// `user` or `token`.
    pub uploaded_by_kind: String,
    /// Whose upload it was: the id of a user or a token.
    pub uploaded_by: Option<String>,
    /// The first debug ids in it, in order; at most 3.
    pub debug_ids: Vec<DebugId>,
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BundleFile {
    /// What it is.
    pub kind: FileKind,
    /// `~/main.js`, or a whole address.
    pub url: String,
    /// What ties it to frames.
    pub debug_id: Option<DebugId>,
    /// Where its map is, relative to its address.
    pub map_reference: Option<String>,
    /// How many bytes it has.
    pub bytes: u64,
}

/// A bundle with its files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BundleDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub bundle: Bundle,
    /// Its files by address, the first 500.
    pub listed_files: Vec<BundleFile>,
}

/// The end of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteBundle {
    /// Who wishes it.
    pub actor: Actor,
    /// The organisation of the project, for the audit log.
    pub organisation: Id<Organisation>,
    /// The project that it belongs to.
    pub project: ProjectId,
    /// Which.
    pub bundle: BundleId,
    /// The id of the HTTP request, if there was one.
    pub request_id: Option<String>,
}

/// How much of a project's room for source maps is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SourceMapStorage {
    /// How many bundles there are.
    pub bundles: u64,
    /// How many bytes they take, compressed.
    pub bytes: u64,
    /// How many they may take.
    pub bytes_max: u64,
}

/// What came of looking at events again after an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Remapped {
    /// Events that were looked at.
    pub looked_at: u64,
    /// Events whose frames are better known now.
    pub rewritten: u64,
    /// Events that went to another issue.
    pub moved: u64,
}
