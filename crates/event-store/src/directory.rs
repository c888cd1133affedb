use std::fs::{self, File};
use std::path::{Path, PathBuf};

use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use crate::{EventStoreError, SegmentId};

/// Where segments lie: `<root>/<project>/<segment>.parquet`, and beside it `<segment>.ids`, the filter of its ids,
/// and `<segment>.rollup`.
#[derive(Debug, Clone)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self(root)
    }

    fn of(&self, project: ProjectId) -> PathBuf {
        self.0.join(project.to_string())
    }

    pub(crate) fn segment(&self, project: ProjectId, segment: SegmentId) -> PathBuf {
        self.of(project).join(format!("{segment}.parquet"))
    }

    pub(crate) fn filter(&self, project: ProjectId, segment: SegmentId) -> PathBuf {
        self.of(project).join(format!("{segment}.ids"))
    }

    pub(crate) fn rollup(&self, project: ProjectId, segment: SegmentId) -> PathBuf {
        self.of(project).join(format!("{segment}.rollup"))
    }

    /// The directory of a project; made, and durably so, if it is not there.
    pub(crate) fn create(&self, project: ProjectId) -> Result<PathBuf, EventStoreError> {
        let directory = self.of(project);
        if !directory.is_dir() {
            fs::create_dir_all(&directory).map_err(|error| EventStoreError::file(&directory, error))?;
            for parent in directory.ancestors().skip(1).take(2).filter(|it| !it.as_os_str().is_empty()) {
                sync_directory(parent)?;
            }
        }
        Ok(directory)
    }

    /// Removes the files of a segment; what is left over, a sweep removes.
    pub(crate) fn remove(&self, project: ProjectId, segment: SegmentId) {
        let beside = [self.filter(project, segment), self.rollup(project, segment)];
        for path in std::iter::once(self.segment(project, segment)).chain(beside) {
            if let Err(error) = fs::remove_file(&path) {
                tracing::debug!(path = %path.display(), %error, "file of a segment was not removed");
            }
        }
    }

    /// Files of segments that began to be written before `limit`, whole ones and pieces.
    pub(crate) fn list_before(
        &self,
        project: ProjectId,
        limit: Timestamp,
    ) -> Result<Vec<(SegmentId, PathBuf)>, EventStoreError> {
        let directory = self.of(project);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(EventStoreError::file(&directory, error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| EventStoreError::file(&directory, error))?.path();
            let stem =
                path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split('.').next());
            let Some(segment) = stem.and_then(|stem| stem.parse::<SegmentId>().ok()) else { continue };
            if written_at(segment) < limit {
                found.push((segment, path));
            }
        }
        Ok(found)
    }
}

/// When a segment began to be written, from its id: the machine's clock need not be the one that ids are made with.
fn written_at(segment: SegmentId) -> Timestamp {
    let [a, b, c, d, e, f, ..] = segment.to_bytes();
    let millis = i64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    Timestamp::from_micros(millis.saturating_mul(1_000))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), EventStoreError> {
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(|error| EventStoreError::file(directory, error))
}

/// Writes a whole file that either is there completely or not at all; its name is durable once its directory is synced.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), EventStoreError> {
    let pieces = pieces_of(path);
    let written = File::create(&pieces).and_then(|mut file| {
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        fs::rename(&pieces, path)
    });
    written.map_err(|error| EventStoreError::file(path, error))
}

/// The name under which a file is written before it is whole.
pub(crate) fn pieces_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}
