use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use belvedere_kernel::ProjectId;

/// How many hashes are remembered; beyond it all are forgotten, which costs no more than computing them once more.
const REMEMBERED_MAX: usize = 50_000;

/// The hashes of the current version that this process has seen lead to an issue: their events need not be grouped by
/// the version before as well.
#[derive(Debug, Default)]
pub(crate) struct KnownHashes(Mutex<HashSet<(ProjectId, [u8; 16])>>);

impl KnownHashes {
    pub(crate) fn contains(&self, project: ProjectId, hash: [u8; 16]) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&(project, hash))
    }

    /// Remembers hashes that are stored; to be called after the commit.
    pub(crate) fn add(&self, hashes: impl IntoIterator<Item = (ProjectId, [u8; 16])>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.extend(hashes);
    }
}
