//! The folder of one process, owned by a lock that ends with the process.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";

/// A folder that this process owns.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// A new folder within `directory`.
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        create_private(directory)?;
        for _ in 0..10 {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(io::Error::other)?;
            let path = directory.join(format!("{:016x}", u64::from_be_bytes(random)));
            create_private(&path)?;
            if let Some(folder) = Self::own(path)? {
                File::open(directory)?.sync_all()?;
                return Ok(folder);
            }
        }
        Err(io::Error::other("no folder of the queue could be locked"))
    }

    /// Owns the folder at `path`, unless another process does.
    fn own(path: PathBuf) -> io::Result<Option<Self>> {
        let lock = File::options().write(true).create(true).truncate(false).open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its segments, oldest first.
    pub(super) fn segments(&self) -> io::Result<Vec<PathBuf>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_some() {
                segments.push(path);
            }
        }
        segments.sort();
        Ok(segments)
    }

    /// Makes the names of its files durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Moves its segments into `other` and ends; says where they are now.
    pub(super) fn move_into(self, other: &Self) -> io::Result<Vec<PathBuf>> {
        let mut moved = Vec::new();
        for from in self.segments()? {
            let Some(name) = from.file_name() else { continue };
            let mut to = other.path.join(name);
            let mut number = 0;
            while to.exists() {
                number += 1;
                let stem = from.file_stem().unwrap_or_default().to_string_lossy();
                let suffix = from.extension().unwrap_or_default().to_string_lossy();
                to = other.path.join(format!("{stem}-{number}.{suffix}"));
            }
            fs::rename(&from, &to)?;
            moved.push(to);
        }
        other.sync()?;
        self.delete();
        Ok(moved)
    }

    /// Removes it, as far as it is empty.
    pub(super) fn delete(self) {
        // The lock is held until after the removal: nobody takes over a folder that is about to go.
        let _ = fs::remove_file(self.path.join(LOCK));
        let _ = fs::remove_dir(&self.path);
        if let Some(directory) = self.path.parent() {
            // Only if no other folder is there.
            let _ = fs::remove_dir(directory);
        }
    }
}

/// The folders in `directory` whose processes are no more, now owned by this one.
pub(super) fn orphans(directory: &Path) -> io::Result<Vec<Folder>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_ours = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if is_ours && path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    // A folder that vanishes meanwhile was removed by its owner.
    Ok(paths.into_iter().filter_map(|path| Folder::own(path).ok().flatten()).collect())
}

fn create_private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
