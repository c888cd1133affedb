use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::decode::SourceMap;
use super::model::FileId;
use super::script::Script;

/// A file as the resolution of frames needs it.
#[derive(Debug)]
pub(crate) enum Loaded {
    Map(SourceMap),
    Text(Script),
    /// It cannot be used, for this reason.
    Damaged(String),
}

impl Loaded {
    fn weight(&self) -> usize {
        match self {
            Self::Map(map) => map.weight(),
            Self::Text(text) => text.weight(),
            Self::Damaged(why) => why.len() + 64,
        }
    }
}

/// Decoded files, the least recently used ones forgotten first.
///
/// A file never changes under its key, so nothing here can be out of date.
pub(crate) struct MapCache {
    bytes_max: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    entries: HashMap<FileId, Entry>,
    bytes: usize,
    clock: u64,
}

struct Entry {
    loaded: Arc<Loaded>,
    bytes: usize,
    used_at: u64,
}

impl MapCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, held: Mutex::default() }
    }

    pub(crate) fn find(&self, file: FileId) -> Option<Arc<Loaded>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clock += 1;
        let clock = held.clock;
        let entry = held.entries.get_mut(&file)?;
        entry.used_at = clock;
        Some(Arc::clone(&entry.loaded))
    }

    /// Keeps `loaded`, in place of others if need be; what is larger than the whole cache is kept alone.
    pub(crate) fn insert(&self, file: FileId, loaded: Loaded) -> Arc<Loaded> {
        let bytes = loaded.weight();
        let loaded = Arc::new(loaded);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clock += 1;
        while held.bytes + bytes > self.bytes_max {
            let oldest = held.entries.iter().min_by_key(|(_, entry)| entry.used_at).map(|(file, _)| *file);
            let Some(removed) = oldest.and_then(|oldest| held.entries.remove(&oldest)) else { break };
            held.bytes -= removed.bytes;
        }
        let used_at = held.clock;
        let entry = Entry { loaded: Arc::clone(&loaded), bytes, used_at };
        if let Some(former) = held.entries.insert(file, entry) {
            held.bytes -= former.bytes;
        }
        held.bytes += bytes;
        loaded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(number: u8) -> FileId {
        FileId::from_bytes([number; 16])
    }

    fn text(bytes: usize) -> Loaded {
        Loaded::Text(Script::new("x".repeat(bytes)))
    }

    #[test]
    fn the_least_recently_used_files_make_room() {
        let cache = MapCache::new(1_000);
        for number in 1..=3 {
            cache.insert(file(number), text(200));
        }
        assert!(cache.find(file(1)).is_some());
        cache.insert(file(4), text(200));
        let kept: Vec<bool> = (1..=4).map(|number| cache.find(file(number)).is_some()).collect();
        assert_eq!(kept, [true, false, true, true]);
        cache.insert(file(5), text(5_000));
        let kept: Vec<bool> = (1..=5).map(|number| cache.find(file(number)).is_some()).collect();
        assert_eq!(kept, [false, false, false, false, true]);
        cache.insert(file(6), text(10));
        assert!(cache.find(file(5)).is_none() && cache.find(file(6)).is_some());
    }
}
