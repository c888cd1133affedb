//! The one thread that writes: gathers what is queued, writes and syncs it at once, answers all callers.

use std::io;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::disk::DiskFile;
use super::segment;
use super::{Pending, Shared, SpoolError, record_bytes};

/// A batch takes no further record once it has this many bytes.
const BATCH_BYTES: u64 = 4 << 20;
/// A file grows in these steps, so that most syncs need not store its new length: a lone caller gets a
/// sixth more appends per second on ext4, many callers about the same.
const PREALLOCATE_BYTES: u64 = 4 << 20;
/// How often an idle writer looks whether everything was consumed and can leave the disk.
const TIDY_EVERY: Duration = Duration::from_secs(1);
/// Age at which a segment is closed however small: under a slow steady load the writer is never idle for
/// long.
const SEGMENT_AGE_MAX: Duration = Duration::from_secs(600);

pub(super) fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let writer = Writer {
        seed: segment::seed(&shared.id),
        active: None,
        begun: None,
        buffer: Vec::new(),
        last_batch: 1,
        refused: 0,
        last_sync: Duration::ZERO,
        last_work: Instant::now(),
        shared,
    };
    std::thread::Builder::new().name("spool".to_owned()).spawn(move || {
        let guard = StopGuard(Arc::clone(&writer.shared));
        writer.run();
        drop(guard);
    })
}

/// Leaves nobody waiting, however the thread ends.
struct StopGuard(Arc<Shared>);

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.0.begin_close();
        self.0.lock().queue.clear();
        self.0.stopped.send_replace(true);
    }
}

/// The segment being written.
struct Active {
    file: Arc<dyn DiskFile>,
    /// End of the durable content.
    end: u64,
    /// Length of the file as far as we know.
    allocated: u64,
    /// A failed batch left bytes after `end` that could not be cut off.
    untrimmed: bool,
    begun: Instant,
}

struct Writer {
    shared: Arc<Shared>,
    seed: u32,
    active: Option<Active>,
    /// First number of a segment whose creation failed and has to succeed before anything else: its file may
    /// exist, and then recovery takes numbers from there on only from it.
    begun: Option<u64>,
    buffer: Vec<u8>,
    last_batch: usize,
    /// Records refused since the last one that was stored.
    refused: u64,
    last_sync: Duration,
    last_work: Instant,
}

enum Work {
    Batch(Vec<Pending>),
    Idle,
    Stop,
}

impl Writer {
    fn run(mut self) {
        loop {
            match self.gather() {
                Work::Batch(batch) => self.commit(batch),
                Work::Idle => {
                    let next_seq = self.shared.lock().next_seq;
                    self.reclaim(next_seq);
                    self.last_work = Instant::now();
                }
                Work::Stop => break,
            }
        }
        self.seal();
    }

    /// Waits for work. After a batch of several, waits a little for as many again: their callers are likely
    /// to come back.
    fn gather(&mut self) -> Work {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        while state.queue.is_empty() {
            if state.closed {
                return Work::Stop;
            }
            state.wake_at = 1;
            if state.index.is_newest_used() || !state.doomed.is_empty() {
                let Some(rest) = TIDY_EVERY.checked_sub(self.last_work.elapsed()) else {
                    state.wake_at = usize::MAX;
                    return Work::Idle;
                };
                state = shared.work.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
            } else {
                state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        let linger = shared.config.linger.min(self.last_sync);
        let started = Instant::now();
        while state.queue.len() < self.last_batch
            && !state.closed
            && let Some(rest) = linger.checked_sub(started.elapsed()).filter(|rest| !rest.is_zero())
        {
            state.wake_at = self.last_batch;
            state = shared.work.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.wake_at = usize::MAX;
        let mut batch = Vec::with_capacity(state.queue.len());
        let mut bytes = 0;
        while bytes < BATCH_BYTES
            && let Some(pending) = state.queue.pop_front()
        {
            bytes += record_bytes(&pending.payload);
            batch.push(pending);
        }
        Work::Batch(batch)
    }

    fn commit(&mut self, batch: Vec<Pending>) {
        let count = batch.len() as u64;
        let bytes: u64 = batch.iter().map(|pending| record_bytes(&pending.payload)).sum();
        let first_seq = {
            let mut state = self.shared.lock();
            state.next_seq += count; // for good: a batch that fails may be on disk after a crash nevertheless
            state.next_seq - count
        };
        let mut written = self.write(first_seq, &batch);
        if let Err(error) = &written
            && is_disk_full(error)
            && self.reclaim(first_seq)
        {
            written = self.write(first_seq, &batch);
        }
        self.last_batch = batch.len();
        self.last_work = Instant::now();
        if self.buffer.capacity() as u64 > 2 * BATCH_BYTES {
            self.buffer = Vec::new();
        }
        match written {
            Ok(at) => {
                if self.refused > 0 {
                    tracing::info!(
                        records = self.refused,
                        "the spool stores again; records refused meanwhile"
                    );
                    self.refused = 0;
                }
                self.publish(first_seq, at, bytes, batch);
            }
            Err(error) => {
                // Once per outage: a full disk refuses every batch.
                if self.refused == 0 {
                    tracing::error!(records = count, bytes, %error, "the spool cannot store and refuses records");
                }
                self.refused += count;
                self.shared.lock().queued_bytes -= bytes;
                for pending in batch {
                    let _gone = pending.reply.send(Err(SpoolError::from_disk(&error)));
                }
            }
        }
    }

    /// Makes a durable batch visible and answers its callers.
    fn publish(&mut self, first_seq: u64, mut at: u64, bytes: u64, batch: Vec<Pending>) {
        {
            let mut state = self.shared.lock();
            state.queued_bytes -= bytes;
            for (seq, pending) in (first_seq..).zip(&batch) {
                state.index.add(seq, at, pending.payload.len());
                at += record_bytes(&pending.payload);
            }
        }
        self.shared.stopped.send_modify(|_| ()); // wakes takers
        for (seq, pending) in (first_seq..).zip(batch) {
            let _gone = pending.reply.send(Ok(seq));
        }
    }

    /// Writes and syncs a batch; returns where its first record lies. After an error nothing of it is in use.
    fn write(&mut self, first_seq: u64, batch: &[Pending]) -> io::Result<u64> {
        self.prepare(first_seq)?;
        let Some(active) = &mut self.active else { return Err(io::ErrorKind::NotFound.into()) };
        self.buffer.clear();
        if active.end == 0 {
            segment::encode_header(&self.shared.id, first_seq, &mut self.buffer);
        }
        let records_at = active.end + self.buffer.len() as u64;
        for (seq, pending) in (first_seq..).zip(batch) {
            segment::encode_record(self.seed, seq, &pending.payload, &mut self.buffer);
        }
        let end = active.end + self.buffer.len() as u64;
        if end > active.allocated {
            let target =
                end.next_multiple_of(PREALLOCATE_BYTES).min(self.shared.config.segment_bytes).max(end);
            // Without room for a whole step, or on a file system that cannot, the write itself decides.
            active.allocated = active.file.allocate(active.allocated, target).map_or(end, |()| target);
        }
        if let Err(error) = active.file.write_at(&self.buffer, active.end) {
            active.trim();
            return Err(error);
        }
        let started = Instant::now();
        if let Err(error) = active.file.sync() {
            active.trim();
            // The kernel may have dropped the pages: no later sync of this file proves anything about them.
            // An empty file can go on, because its trimming dropped all of them.
            if active.end > 0 {
                self.active = None;
            }
            return Err(error);
        }
        self.last_sync = started.elapsed();
        active.end = end;
        Ok(records_at)
    }

    /// Makes sure that there is a segment with room, clean up to its end.
    fn prepare(&mut self, first_seq: u64) -> io::Result<()> {
        if self.begun.is_none()
            && let Some(active) = &mut self.active
        {
            let used_up =
                active.end >= self.shared.config.segment_bytes || active.begun.elapsed() >= SEGMENT_AGE_MAX;
            if active.end == 0 || !used_up {
                if active.untrimmed {
                    active.file.set_len(active.end)?;
                    active.untrimmed = false;
                    active.allocated = active.end;
                }
                return Ok(());
            }
        }
        self.begin_segment(first_seq)
    }

    fn begin_segment(&mut self, first_seq: u64) -> io::Result<()> {
        let first_seq = *self.begun.get_or_insert(first_seq);
        let file = self.shared.disk.create(&segment::file_name(first_seq))?;
        self.shared.disk.sync_dir()?;
        self.begun = None;
        self.seal();
        self.active = Some(Active { file, end: 0, allocated: 0, untrimmed: false, begun: Instant::now() });
        let mut state = self.shared.lock();
        state.index.begin_segment(first_seq);
        let consumed = state.index.take_consumed();
        state.doomed.extend(consumed);
        Ok(())
    }

    /// Gives back the space reserved behind the last record.
    fn seal(&mut self) {
        if let Some(active) = self.active.take()
            && active.allocated > active.end
            && let Err(error) = active.file.set_len(active.end)
        {
            tracing::debug!(%error, "reserved space of a spool segment stays until it is consumed");
        }
    }

    /// Frees the disk space of consumed records, those of the newest segment included; returns whether it
    /// freed any.
    fn reclaim(&mut self, next_seq: u64) -> bool {
        let replace = {
            let state = self.shared.lock();
            state.index.is_drained() && state.index.is_newest_used()
        };
        if replace && let Err(error) = self.begin_segment(next_seq) {
            tracing::warn!(%error, "spool segment could not be replaced, trying again later");
        }
        self.shared.remove_doomed()
    }
}

impl Active {
    /// Cuts off what a failed batch left.
    fn trim(&mut self) {
        self.allocated = self.end;
        if let Err(error) = self.file.set_len(self.end) {
            tracing::warn!(%error, "failed spool batch could not be cut off, trying again later");
            self.untrimmed = true;
        }
    }
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
