//! What waits for delivery, in files: it outlives the process, the server's absence and, if fatal, a power cut.
//!
//! # Format (version 1, integers little endian)
//!
//! | Path | Content |
//! |---|---|
//! | `<16 hex digits>/` | within the folder of a destination: the queue of one process, or of one that is no more |
//! | `<16 hex digits>/lock` | empty; locked while its process lives |
//! | `<16 hex digits>/<name>.<importance>` | a segment: records, one after the other |
//!
//! A segment's name is the microsecond of its beginning (20 digits) and a number (6 digits), so that names sort by age
//! and segments of several processes can come to lie in one folder. Importance is `fatal`, `error` or `other`.
//!
//! Record: state (u8: 1 waiting, 0 gone), 3 bytes `BLV`, payload length (u32), CRC-32 of the payload, CRC-32 of the
//! second to twelfth byte, payload. The state is overwritten in place when the record is delivered or dropped: one byte
//! cannot be torn.
//!
//! # Invariants
//!
//! - A fatal record is on disk (fsync of file and folder) when [`Queue::append`] returns; others outlive the process,
//!   not a power cut.
//! - Segments are only appended to by the process that began them and never after a restart. A reader stops at the
//!   first head that is damaged, which can only be what a power cut left of unsynced records.
//! - All files together hold at most `bytes_max` bytes, all records together number at most `records_max`. Room is made
//!   by dropping the oldest of the least important, never what matters more than the newcomer. The caller is told what
//!   was dropped.
//! - Memory: about 32 bytes a record.
//! - A folder belongs to the process that holds its lock. The first folder without an owner becomes that of the next
//!   process; segments of further ones are moved into it.

mod folder;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use self::folder::Folder;
use self::segment::{HEAD_BYTES, Segment};

/// Segments are closed at this size, or at an eighth of all bytes if that is less.
const SEGMENT_BYTES_MAX: u64 = 1 << 20;

/// Where what cannot be delivered waits, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfig {
    /// A directory for this purpose, made if it is missing. Several processes may share it.
    pub directory: PathBuf,
    /// All files of one process together; at least 64 KiB.
    pub bytes_max: u64,
    /// All waiting records of one process; at least 10.
    pub records_max: usize,
}

impl QueueConfig {
    /// At most 64 MiB and 10,000 records in `directory`.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), bytes_max: 64 << 20, records_max: 10_000 }
    }
}

/// How much it matters that something arrives; the first is given up last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Importance {
    /// The last word of a process.
    Fatal,
    /// Errors, messages, check-ins, sessions.
    Error,
    /// Transactions, counts.
    Other,
}

impl Importance {
    pub(crate) const ALL: [Self; 3] = [Self::Fatal, Self::Error, Self::Other];

    fn suffix(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Other => "other",
        }
    }
}

/// Why something cannot wait here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueueError {
    #[error("{bytes} bytes are more than the queue takes at once")]
    TooLarge { bytes: usize },
    #[error("the queue is full of what matters more")]
    Full,
    #[error("the queue's disk failed: {0}")]
    Disk(#[from] io::Error),
}

/// A record that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) importance: Importance,
    segment: u64,
    offset: u32,
}

/// The segments of one importance, oldest first.
#[derive(Debug, Default)]
struct Stream {
    segments: VecDeque<Segment>,
}

/// The queue of this process.
#[derive(Debug)]
pub(crate) struct Queue {
    config: QueueConfig,
    segment_bytes: u64,
    folder: Option<Folder>,
    streams: [Stream; 3],
    next_segment: u64,
    bytes: u64,
    records: usize,
    /// Whether files without waiting records are removed at the end; not after a simulated kill.
    tidies: bool,
}

impl Queue {
    /// Opens the queue and takes over what processes that are no more left behind.
    pub(crate) fn open(config: QueueConfig) -> Result<Self, QueueError> {
        let config = QueueConfig {
            bytes_max: config.bytes_max.max(64 << 10),
            records_max: config.records_max.max(10),
            ..config
        };
        let mut queue = Self {
            segment_bytes: SEGMENT_BYTES_MAX.min(config.bytes_max / 8),
            folder: None,
            streams: Default::default(),
            next_segment: 0,
            bytes: 0,
            records: 0,
            tidies: true,
            config,
        };
        queue.adopt()?;
        Ok(queue)
    }

    /// Takes over the folders of processes that are no more; says how many records came with them.
    pub(crate) fn adopt(&mut self) -> Result<usize, QueueError> {
        let before = self.records;
        for orphan in folder::orphans(&self.config.directory)? {
            match &self.folder {
                None => {
                    let segments = orphan.segments()?;
                    self.folder = Some(orphan);
                    segments.iter().for_each(|path| self.load(path));
                }
                Some(own) => {
                    let moved = orphan.move_into(own)?;
                    moved.iter().for_each(|path| self.load(path));
                }
            }
        }
        let came = self.records.saturating_sub(before);
        let mut dropped = 0;
        while self.bytes > self.config.bytes_max || self.records > self.config.records_max {
            let Some(ticket) = self.least_important() else { break };
            self.remove(ticket);
            dropped += 1;
        }
        if dropped > 0 {
            tracing::warn!(dropped, "undelivered reports of earlier processes are more than the queue takes");
        }
        Ok(came)
    }

    /// Reads a segment's heads; a segment of which nothing waits is removed.
    fn load(&mut self, path: &Path) {
        let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
        let Some(importance) = Importance::ALL.into_iter().find(|it| it.suffix() == suffix) else { return };
        self.next_segment += 1;
        match Segment::load(path, self.next_segment) {
            Ok(segment) => {
                self.bytes += segment.bytes();
                self.records += segment.waiting();
                let segments = &mut self.streams[importance as usize].segments;
                let place = segments.partition_point(|it| it.path() < segment.path());
                segments.insert(place, segment);
                self.remove_drained(importance, false);
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a segment of undelivered reports cannot be read");
            }
        }
    }

    /// How many records wait.
    pub(crate) fn len(&self) -> usize {
        self.records
    }

    /// Bytes of all files.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a record. What had to be dropped to make room is handed to `dropped`.
    pub(crate) fn append(
        &mut self,
        importance: Importance,
        payload: &[u8],
        mut dropped: impl FnMut(&[u8]),
    ) -> Result<(), QueueError> {
        let size = (HEAD_BYTES + payload.len()) as u64;
        if size > self.config.bytes_max / 4 {
            return Err(QueueError::TooLarge { bytes: payload.len() });
        }
        while self.bytes + size > self.config.bytes_max || self.records >= self.config.records_max {
            let Some(ticket) = self.least_important() else { break };
            if ticket.importance < importance {
                return Err(QueueError::Full);
            }
            if let Ok(Some(payload)) = self.read(ticket) {
                dropped(&payload);
            }
            self.remove(ticket);
        }
        let sync = importance == Importance::Fatal;
        self.ensure_segment(importance)?;
        let stream = &mut self.streams[importance as usize];
        let Some(segment) = stream.segments.back_mut() else {
            return Err(io::Error::from(io::ErrorKind::NotFound).into());
        };
        let before = segment.bytes();
        let written = segment.append(payload, sync);
        self.bytes = self.bytes - before + segment.bytes();
        written?;
        self.records += 1;
        Ok(())
    }

    /// Makes sure that the newest segment of `importance` can be appended to.
    fn ensure_segment(&mut self, importance: Importance) -> Result<(), QueueError> {
        let newest = self.streams[importance as usize].segments.back();
        if newest.is_some_and(|it| it.is_open() && it.bytes() < self.segment_bytes) {
            return Ok(());
        }
        let folder = match &self.folder {
            Some(folder) => folder,
            None => self.folder.insert(Folder::create(&self.config.directory)?),
        };
        self.next_segment += 1;
        let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let newest = newest.and_then(|it| it.path().file_stem()?.to_str().map(str::to_owned));
        // The clock may have gone back: a new segment is still the newest.
        let mut name = format!("{age:020}-{:06}", self.next_segment % 1_000_000);
        if let Some(newest) = newest.filter(|newest| *newest >= name) {
            let age = newest.get(..20).and_then(|digits| digits.parse::<u128>().ok()).unwrap_or(age);
            name = format!("{:020}-{:06}", age + 1, self.next_segment % 1_000_000);
        }
        let path = folder.path().join(format!("{name}.{}", importance.suffix()));
        let segment = Segment::create(&path, self.next_segment)?;
        if importance == Importance::Fatal {
            folder.sync()?;
        }
        self.streams[importance as usize].segments.push_back(segment);
        self.remove_drained(importance, true);
        Ok(())
    }

    /// The most important record that waits, the oldest of its kind; only of `importances`, and another than `except`.
    pub(crate) fn first(&self, importances: &[Importance], except: Option<Ticket>) -> Option<Ticket> {
        importances.iter().find_map(|importance| self.oldest(*importance, except))
    }

    fn least_important(&self) -> Option<Ticket> {
        Importance::ALL.iter().rev().find_map(|importance| self.oldest(*importance, None))
    }

    fn oldest(&self, importance: Importance, except: Option<Ticket>) -> Option<Ticket> {
        let segments = self.streams[importance as usize].segments.iter();
        let mut tickets = segments.flat_map(|segment| {
            let ticket = |offset| Ticket { importance, segment: segment.number(), offset };
            segment.offsets().map(ticket)
        });
        tickets.find(|ticket| Some(*ticket) != except)
    }

    fn segment_mut(&mut self, ticket: Ticket) -> Option<&mut Segment> {
        let segments = &mut self.streams[ticket.importance as usize].segments;
        segments.iter_mut().find(|segment| segment.number() == ticket.segment)
    }

    /// A record's payload; `None` if it is gone or damaged.
    pub(crate) fn read(&mut self, ticket: Ticket) -> io::Result<Option<Vec<u8>>> {
        self.segment_mut(ticket).map_or(Ok(None), |segment| segment.read(ticket.offset))
    }

    /// Ends the waiting of a record that was delivered or given up.
    pub(crate) fn remove(&mut self, ticket: Ticket) {
        if self.segment_mut(ticket).is_some_and(|segment| segment.remove(ticket.offset)) {
            self.records -= 1;
        }
        self.remove_drained(ticket.importance, true);
    }

    /// Removes files of which nothing waits; one that may still be appended to stays while it is small.
    fn remove_drained(&mut self, importance: Importance, keeps_open: bool) {
        let small = self.segment_bytes / 4;
        let segments = &mut self.streams[importance as usize].segments;
        let (last, mut at) = (segments.len().saturating_sub(1), 0);
        segments.retain(|segment| {
            let is_newest = at == last;
            at += 1;
            let stays = segment.waiting() > 0
                || (keeps_open && is_newest && segment.is_open() && segment.bytes() < small);
            if !stays {
                self.bytes -= segment.bytes();
                segment.delete();
            }
            stays
        });
    }

    /// Ends like a killed process: nothing is tidied up.
    #[cfg(test)]
    fn abandon(mut self) {
        self.tidies = false;
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if !self.tidies {
            return;
        }
        Importance::ALL.iter().for_each(|importance| self.remove_drained(*importance, false));
        if let Some(folder) = self.folder.take()
            && self.records == 0
        {
            folder.delete();
        }
    }
}
