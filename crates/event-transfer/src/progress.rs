//! How far an import is, in a file beside the imported one, and what was set aside.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::TransferError;
use crate::source::Place;

/// How far an import is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The length of the imported file: one of another length is another file.
    pub(crate) length: u64,
    /// The project that it goes to.
    pub(crate) project: i64,
    /// Where the next row lies.
    pub(crate) place: Place,
    pub(crate) stored: u64,
    pub(crate) duplicates: u64,
    pub(crate) rejected: u64,
    /// The length of the file of rejected rows.
    pub(crate) rejected_bytes: u64,
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

impl Progress {
    fn path(imported: &Path) -> PathBuf {
        beside(imported, ".progress")
    }

    /// What an interrupted import of the same file into the same project left, or the start.
    pub(crate) fn load(imported: &Path, length: u64, project: i64) -> Self {
        let start = Self { length, project, ..Self::default() };
        let found = std::fs::read(Self::path(imported)).ok();
        let found: Option<Self> = found.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        found.filter(|found| (found.length, found.project) == (length, project)).unwrap_or(start)
    }

    pub(crate) fn save(&self, imported: &Path) -> Result<(), TransferError> {
        let path = Self::path(imported);
        let pieces = beside(&path, ".part");
        let written = serde_json::to_vec(self).map_err(std::io::Error::other).and_then(|bytes| {
            let mut file = File::create(&pieces)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&pieces, &path)
        });
        written.map_err(|error| TransferError::file(&path, error))
    }

    /// Forgets it: the import is complete.
    pub(crate) fn remove(imported: &Path) {
        let _ = std::fs::remove_file(Self::path(imported));
    }
}

/// The rows that were set aside: one JSON object a line, with the number of its line, why, and itself.
pub(crate) struct Rejected {
    path: PathBuf,
    file: Option<File>,
    length: u64,
}

impl Rejected {
    /// Goes on after so many bytes; what an interrupted import wrote behind them comes again.
    pub(crate) fn open(imported: &Path, length: u64) -> Result<Self, TransferError> {
        let mut rejected = Self { path: beside(imported, ".rejected"), file: None, length };
        if length > 0 {
            rejected.create()?;
        } else {
            let _ = std::fs::remove_file(&rejected.path);
        }
        Ok(rejected)
    }

    fn create(&mut self) -> Result<&mut File, TransferError> {
        let failed = |error| TransferError::file(&self.path, error);
        if self.file.is_none() {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&self.path)
                .map_err(failed)?;
            file.set_len(self.length).map_err(failed)?;
            file.seek(SeekFrom::Start(self.length)).map_err(failed)?;
            self.file = Some(file);
        }
        self.file.as_mut().ok_or_else(|| failed(std::io::Error::other("is not open")))
    }

    pub(crate) fn add(&mut self, line: u64, why: &str, content: &[u8]) -> Result<(), TransferError> {
        let text = String::from_utf8_lossy(content);
        let text = text.trim_end_matches(['\r', '\n']);
        let row = serde_json::json!({ "line": line, "why": why, "row": text }).to_string() + "\n";
        let path = self.path.clone();
        self.create()?.write_all(row.as_bytes()).map_err(|error| TransferError::file(&path, error))?;
        self.length += row.len() as u64;
        Ok(())
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Where they are, if there are any.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        (self.length > 0).then(|| self.path.clone())
    }
}
