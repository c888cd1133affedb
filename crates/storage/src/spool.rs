//! A durable local queue of accepted payloads: what [`Spool::append`] acknowledged survives a killed
//! process, a power cut and a full disk, and is read back in order until it is [acknowledged](Spool::ack).
//!
//! # Why an own log and not a SQLite file
//!
//! A queue needs none of a database's tables, and three things speak against one: a WAL writes each byte
//! twice (log, then checkpoint), what a power cut leaves of unsynced writes cannot be modelled exactly in a
//! property test, and the file is opaque to an operator. Here every byte is written once, every file
//! operation goes through a small `Disk` trait that the tests replace with a disk that forgets unsynced
//! writes, and the whole format fits on this page.
//!
//! # Format (version 1, integers little endian)
//!
//! | File | Content |
//! |---|---|
//! | `id` | 16 random bytes made with the directory, then CRC-32 of them |
//! | `lock` | empty; locked while a process has the spool open |
//! | `<first seq, 20 digits>.spool` | a segment: header, records, perhaps preallocated zeros |
//! | `<segment>.<offset>.quarantine` | copy of damaged bytes, at most 1 MiB each, the newest 16 |
//!
//! Segment header, 40 bytes: `BLVSPL\0\x01`, id (16), first sequence number (u64), 4 zero bytes, CRC-32
//! of all that. It is written together with the first records; an empty file is a valid empty segment.
//!
//! Record: sequence number (u64), payload length (u32), CRC-32 of the payload, CRC-32 of these 16 bytes,
//! payload. Both record checksums continue from the CRC-32 of the id: a payload that imitates a record is
//! not taken for one when the reader looks for the next record after damage, as its sender does not know
//! the id.
//!
//! # Invariants
//!
//! - Sequence numbers start at 1, only increase and are never given twice, across restarts, failures and
//!   damage as well. They have gaps: a batch that failed leaves one, and so does a damaged tail.
//! - A record is handed out only after its batch is synced; recovery syncs before it hands out.
//! - A batch that failed is cut off again, and after a failed sync its file is not written any more
//!   (the kernel may have dropped the dirty pages). A record whose append failed, or whose caller went
//!   away, may still appear after a crash: consumers drop duplicates by the payload's own id.
//! - A new segment's name is on disk before an older segment is removed, so the directory always knows
//!   the next sequence number.
//! - From the number in a segment's name on, records count only in that segment or later ones: what a failed
//!   batch left in an older segment never hides the batch that was written in its place.
//! - Memory is bounded: 16 MiB of queued payloads (or one payload, if larger), a 4 MiB write buffer,
//!   and about 10 KiB of index per segment. Disk use is at most `bytes_max` plus two segments and 16 MiB of
//!   quarantine.
//! - Consumed payloads leave the disk with their segment: when the next one is begun (64 MiB or ten minutes
//!   later) or within two seconds once nothing arrives and everything is consumed.

mod disk;
mod index;
mod reader;
mod recovery;
mod segment;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use self::disk::{Disk, LocalDisk};
use self::index::{Cursor, Index};
pub use self::recovery::SpoolRecovery;
use self::segment::RECORD_HEAD_BYTES;

/// Payload bytes that may wait for the writer before `append` itself waits.
const QUEUE_BYTES_MAX: u32 = 16 << 20;
/// What a queued payload costs beside its bytes; bounds the number of empty ones.
const QUEUE_ITEM_BYTES: u32 = 256;
/// Largest number that a consumer's position may name: half of what a database's signed integer holds.
const SEQ_MAX: u64 = 1 << 62;

/// Where a spool lives and how large it may grow.
#[derive(Debug, Clone)]
pub struct SpoolConfig {
    /// The directory, created if missing; it belongs to one spool in one process.
    pub dir: PathBuf,
    /// Bytes of records not yet acknowledged at which appends are refused.
    pub bytes_max: u64,
    /// Size at which a new segment file is begun; at most a quarter of `bytes_max` is used.
    pub segment_bytes: u64,
    /// Largest payload.
    pub record_bytes_max: u32,
    /// Longest time that a batch waits for company while several callers are appending; never longer than
    /// the last sync took.
    pub linger: Duration,
}

impl SpoolConfig {
    /// The defaults: 4 GiB in segments of 64 MiB, payloads up to 64 MiB, 2 ms.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            bytes_max: 4 << 30,
            segment_bytes: 64 << 20,
            record_bytes_max: 64 << 20,
            linger: Duration::from_millis(2),
        }
    }
}

/// Why the spool did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The consumer is too far behind; try again later.
    #[error("spool holds {bytes} bytes of at most {bytes_max}")]
    Full {
        /// Bytes not yet acknowledged, with those waiting to be written.
        bytes: u64,
        /// The configured limit.
        bytes_max: u64,
    },
    /// The file system or the quota has no room; try again later. Nothing of the payload was kept.
    #[error("no space left on the spool's disk")]
    DiskFull,
    /// The payload can never be appended.
    #[error("payload of {len} bytes is larger than {max}")]
    TooLarge {
        /// Its length.
        len: usize,
        /// The configured limit.
        max: u32,
    },
    /// The spool was closed.
    #[error("spool is closed")]
    Closed,
    /// Another process has this directory open.
    #[error("spool directory {} is in use by another process", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory cannot be read as one spool, and guessing would lose data.
    #[error("spool file {file} is unusable: {reason}")]
    Corrupt {
        /// The file within the directory.
        file: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Any other failure of the disk.
    #[error("spool disk failure")]
    Io(#[from] io::Error),
}

impl SpoolError {
    fn from_disk(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            kind => Self::Io(error.raw_os_error().map_or_else(|| kind.into(), io::Error::from_raw_os_error)),
        }
    }
}

/// One payload with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its sequence number.
    pub seq: u64,
    /// What was appended.
    pub payload: Vec<u8>,
}

/// How much waits in a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolDepth {
    /// Durable records not yet acknowledged; too high by at most the gaps in their numbers.
    pub records: u64,
    /// Their bytes, counted in steps of about 256 KiB.
    pub bytes: u64,
    /// Lowest number not yet acknowledged; `None` if all are.
    pub oldest_seq: Option<u64>,
    /// Highest number that may be taken; 0 before the first.
    pub durable_seq: u64,
    /// The configured limit of `bytes`.
    pub bytes_max: u64,
    /// Size of the quarantine files.
    pub quarantined_bytes: u64,
}

/// The handle of an open spool; clones share it.
///
/// Dropping the last one writes what is queued and releases the directory.
///
/// ```
/// # async fn example() -> Result<(), belvedere_storage::spool::SpoolError> {
/// use belvedere_storage::spool::{Spool, SpoolConfig};
///
/// let spool = Spool::open(SpoolConfig::new("/var/lib/belvedere/spool"))?;
/// let position = 0; // the consumer's database knows this, for spool.id()
/// spool.ack(position).await?;
/// spool.append(b"payload".to_vec()).await?; // durable from here on
/// for record in spool.take(position, 500, 4 << 20).await? {
///     // .. commit the results and record.seq in one transaction
///     spool.ack(record.seq).await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Spool {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the handles and the writer thread share.
struct Shared {
    config: SpoolConfig,
    disk: Arc<dyn Disk>,
    id: [u8; 16],
    recovery: SpoolRecovery,
    state: Mutex<State>,
    work: Condvar,
    queue_room: Arc<Semaphore>,
    /// Whether the writer has ended; also signalled when records became durable.
    stopped: watch::Sender<bool>,
}

struct State {
    index: Index,
    queue: VecDeque<Pending>,
    /// Record bytes in `queue` and in the batch being written.
    queued_bytes: u64,
    next_seq: u64,
    /// Queue length at which the waiting writer wants to be woken; `usize::MAX` while it is busy.
    wake_at: usize,
    closed: bool,
    /// Consumed segments whose files still have to be removed.
    doomed: Vec<u64>,
    cursor: Option<Cursor>,
}

struct Pending {
    payload: Vec<u8>,
    reply: oneshot::Sender<Result<u64, SpoolError>>,
    _room: OwnedSemaphorePermit,
}

fn record_bytes(payload: &[u8]) -> u64 {
    (RECORD_HEAD_BYTES + payload.len()) as u64
}

impl Spool {
    /// Opens or creates a spool and reads all of it once; blocks.
    ///
    /// Damage is logged, copied aside and stepped over; only a lost identity, a segment of another spool,
    /// a directory in use and a failing disk are errors.
    pub fn open(config: SpoolConfig) -> Result<Self, SpoolError> {
        let disk = Arc::new(LocalDisk::open(&config.dir)?);
        Self::open_on(disk, config)
    }

    fn open_on(disk: Arc<dyn Disk>, mut config: SpoolConfig) -> Result<Self, SpoolError> {
        config.segment_bytes = config.segment_bytes.min(config.bytes_max / 4).max(1);
        let recovered = recovery::recover(disk.as_ref())?;
        let queue_bytes = QUEUE_BYTES_MAX.max(config.record_bytes_max.saturating_add(QUEUE_ITEM_BYTES));
        let shared = Arc::new(Shared {
            disk,
            id: recovered.id,
            recovery: recovered.report,
            state: Mutex::new(State {
                index: recovered.index,
                queue: VecDeque::new(),
                queued_bytes: 0,
                next_seq: recovered.next_seq,
                wake_at: usize::MAX,
                closed: false,
                doomed: Vec::new(),
                cursor: None,
            }),
            work: Condvar::new(),
            queue_room: Arc::new(Semaphore::new(queue_bytes as usize)),
            stopped: watch::Sender::new(false),
            config,
        });
        let thread = writer::start(Arc::clone(&shared))?;
        Ok(Self { handle: Arc::new(Handle { shared, thread: Some(thread) }) })
    }

    /// The random identity of this directory.
    ///
    /// A consumer stores its position as (id, sequence number): after the directory was lost, numbers start
    /// again at 1.
    pub fn id(&self) -> [u8; 16] {
        self.handle.shared.id
    }

    /// What opening found.
    pub fn recovery(&self) -> SpoolRecovery {
        self.handle.shared.recovery
    }

    /// Stores a payload; returns its sequence number once it is on disk.
    ///
    /// Calls at the same time share one write and one sync. If the future is dropped while it waits, the
    /// payload may be stored nevertheless.
    pub async fn append(&self, payload: Vec<u8>) -> Result<u64, SpoolError> {
        let shared = &self.handle.shared;
        let max = shared.config.record_bytes_max;
        let len = match u32::try_from(payload.len()) {
            Ok(len) if len <= max => len,
            _ => return Err(SpoolError::TooLarge { len: payload.len(), max }),
        };
        let permits = len.saturating_add(QUEUE_ITEM_BYTES);
        let room = Arc::clone(&shared.queue_room).acquire_many_owned(permits).await;
        let room = room.map_err(|_| SpoolError::Closed)?;
        let (reply, answer) = oneshot::channel();
        {
            let mut state = shared.lock();
            if state.closed {
                return Err(SpoolError::Closed);
            }
            let bytes = state.index.unacked_bytes() + state.queued_bytes;
            let added = record_bytes(&payload);
            if bytes + added > shared.config.bytes_max {
                return Err(SpoolError::Full { bytes, bytes_max: shared.config.bytes_max });
            }
            state.queued_bytes += added;
            state.queue.push_back(Pending { payload, reply, _room: room });
            if state.queue.len() >= state.wake_at {
                state.wake_at = usize::MAX;
                shared.work.notify_one();
            }
        }
        answer.await.map_err(|_| SpoolError::Closed)?
    }

    /// Waits for durable records numbered above `after` and returns the first of them in order.
    ///
    /// At most `records_max` and `bytes_max` payload bytes, but at least one record. Acknowledged records
    /// are not returned. Taking does not remove: the same call returns the same records again. After
    /// [`Spool::close`] it returns what is left, then [`SpoolError::Closed`].
    pub async fn take(
        &self,
        after: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, SpoolError> {
        let mut signal = self.handle.shared.stopped.subscribe();
        loop {
            let stopped = *signal.borrow_and_update();
            let records = self.try_take(after, records_max, bytes_max).await?;
            if !records.is_empty() {
                return Ok(records);
            }
            if stopped || signal.changed().await.is_err() {
                return Err(SpoolError::Closed);
            }
        }
    }

    /// As [`Spool::take`], but returns nothing at once where that would wait.
    pub async fn try_take(
        &self,
        after: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, SpoolError> {
        let shared = &self.handle.shared;
        if shared.lock().index.plan(after, None).is_none() {
            return Ok(Vec::new());
        }
        let shared = Arc::clone(shared);
        blocking(move || shared.read(after, records_max.max(1), bytes_max)).await?
    }

    /// Gives up all records numbered `seq` and below, and the disk space of segments that hold no others.
    ///
    /// Call it with the consumer's stored position after opening: the spool does not store it. A position
    /// beyond what the spool knows (its tail was lost after it was consumed) moves the next number past it.
    pub async fn ack(&self, seq: u64) -> Result<(), SpoolError> {
        let shared = &self.handle.shared;
        if seq > SEQ_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "position is no sequence number").into());
        }
        {
            let mut state = shared.lock();
            if seq >= state.next_seq {
                tracing::warn!(
                    seq,
                    next_seq = state.next_seq,
                    "spool is behind its consumer, numbers skip ahead"
                );
                state.next_seq = seq + 1;
            }
            state.ack(seq);
            if state.doomed.is_empty() {
                return Ok(());
            }
        }
        let shared = Arc::clone(shared);
        blocking(move || shared.remove_doomed()).await.map(drop)
    }

    /// How much waits, for limits and metrics.
    pub fn depth(&self) -> SpoolDepth {
        let shared = &self.handle.shared;
        let state = shared.lock();
        SpoolDepth {
            records: state.index.unacked_records(),
            bytes: state.index.unacked_bytes(),
            oldest_seq: state.index.oldest_seq(),
            durable_seq: state.index.durable_seq(),
            bytes_max: shared.config.bytes_max,
            quarantined_bytes: shared.recovery.quarantined_bytes,
        }
    }

    /// Refuses further appends, writes those that wait, and returns when that is done.
    pub async fn close(&self) {
        let shared = &self.handle.shared;
        shared.begin_close();
        let mut signal = shared.stopped.subscribe();
        // An error would mean that the sender is gone, but `shared` holds it.
        let _stopped = signal.wait_for(|stopped| *stopped).await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.begin_close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("spool writer panicked");
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("config", &self.config).finish_non_exhaustive()
    }
}

impl State {
    fn ack(&mut self, seq: u64) {
        let consumed = self.index.ack(seq);
        self.doomed.extend(consumed);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the state whole, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_close(&self) {
        self.lock().closed = true;
        self.queue_room.close();
        self.work.notify_one();
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SpoolError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| SpoolError::Io(io::Error::other(error)))
}
