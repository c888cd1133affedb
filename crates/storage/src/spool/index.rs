//! Where the records lie, in chunks of about 256 KiB, and how much of it is acknowledged.

use std::collections::VecDeque;

use super::segment::RECORD_HEAD_BYTES;

/// A chunk takes no further record once it has this many bytes: what one read costs at most.
const CHUNK_BYTES: u64 = 256 << 10;

/// Neighbouring records without damage between them.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    first_seq: u64,
    last_seq: u64,
    start: u64,
    end: u64,
    records: u64,
}

/// The readable content of one file.
#[derive(Debug)]
pub(super) struct Segment {
    first_seq: u64,
    chunks: Vec<Chunk>,
    bytes: u64,
    records: u64,
}

/// All segments, oldest first; the last one may be being written and is never given up.
#[derive(Debug, Default)]
pub(super) struct Index {
    segments: VecDeque<Segment>,
    acked: u64,
    durable_seq: u64,
    unacked_bytes: u64,
}

/// Where the last read stopped, so that the next one need not look for its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    pub(super) after: u64,
    pub(super) segment: u64,
    pub(super) at: u64,
}

/// One read: a range of a file that holds the first record after `after`.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) segment: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) after: u64,
    pub(super) last_seq: u64,
}

impl Segment {
    fn last_seq(&self) -> Option<u64> {
        self.chunks.last().map(|chunk| chunk.last_seq)
    }

    /// Chunks with a record after `seq`.
    fn chunks_after(&self, seq: u64) -> &[Chunk] {
        &self.chunks[self.chunks.partition_point(|chunk| chunk.last_seq <= seq)..]
    }

    fn is_after(&self, seq: u64) -> bool {
        self.last_seq().is_some_and(|last_seq| last_seq > seq)
    }
}

impl Index {
    pub(super) fn begin_segment(&mut self, first_seq: u64) {
        self.segments.push_back(Segment { first_seq, chunks: Vec::new(), bytes: 0, records: 0 });
    }

    /// Adds a durable record to the newest segment.
    pub(super) fn add(&mut self, seq: u64, at: u64, payload_len: usize) {
        let Some(segment) = self.segments.back_mut() else { return };
        let len = (RECORD_HEAD_BYTES + payload_len) as u64;
        match segment.chunks.last_mut() {
            Some(chunk) if chunk.end == at && at - chunk.start < CHUNK_BYTES => {
                chunk.last_seq = seq;
                chunk.end += len;
                chunk.records += 1;
            }
            _ => segment.chunks.push(Chunk {
                first_seq: seq,
                last_seq: seq,
                start: at,
                end: at + len,
                records: 1,
            }),
        }
        segment.bytes += len;
        segment.records += 1;
        self.durable_seq = seq;
        self.unacked_bytes += len;
    }

    /// Marks everything up to `seq` as consumed; returns the segments that are not needed any more.
    pub(super) fn ack(&mut self, seq: u64) -> Vec<u64> {
        self.acked = self.acked.max(seq);
        let mut consumed = Vec::new();
        while self.segments.len() > 1
            && let Some(segment) = self.segments.pop_front_if(|segment| !segment.is_after(self.acked))
        {
            consumed.push(segment.first_seq);
        }
        self.unacked_bytes = self.unacked(|segment| segment.bytes, |chunk, _| chunk.end - chunk.start);
        consumed
    }

    /// Segments consumed since, because a newer one was begun.
    pub(super) fn take_consumed(&mut self) -> Vec<u64> {
        self.ack(self.acked)
    }

    fn unacked(&self, whole: impl Fn(&Segment) -> u64, part: impl Fn(&Chunk, u64) -> u64) -> u64 {
        let acked = self.acked;
        let of_segment = |segment: &Segment| match segment.chunks.first() {
            Some(first) if first.first_seq > acked => whole(segment),
            _ => segment.chunks_after(acked).iter().map(|chunk| part(chunk, acked)).sum(),
        };
        self.segments.iter().map(of_segment).sum()
    }

    pub(super) fn unacked_records(&self) -> u64 {
        self.unacked(|segment| segment.records, |chunk, acked| chunk.records.min(chunk.last_seq - acked))
    }

    pub(super) fn unacked_bytes(&self) -> u64 {
        self.unacked_bytes
    }

    pub(super) fn durable_seq(&self) -> u64 {
        self.durable_seq
    }

    pub(super) fn is_acked(&self, seq: u64) -> bool {
        seq <= self.acked
    }

    pub(super) fn is_drained(&self) -> bool {
        self.durable_seq <= self.acked
    }

    /// Whether the newest segment holds records.
    pub(super) fn is_newest_used(&self) -> bool {
        self.segments.back().is_some_and(|segment| segment.records > 0)
    }

    pub(super) fn oldest_seq(&self) -> Option<u64> {
        let chunk = self.segments.iter().find_map(|segment| segment.chunks_after(self.acked).first())?;
        Some(chunk.first_seq.max(self.acked + 1))
    }

    /// The read that finds the first record after `after` that is not acknowledged.
    pub(super) fn plan(&self, after: u64, cursor: Option<Cursor>) -> Option<Plan> {
        let after = after.max(self.acked);
        if after >= self.durable_seq {
            return None;
        }
        let segment = self.segments.iter().find(|segment| segment.is_after(after))?;
        let chunk = segment.chunks_after(after).first()?;
        let start = match cursor {
            Some(cursor) if cursor.after == after && cursor.segment == segment.first_seq => {
                cursor.at.max(chunk.start)
            }
            _ => chunk.start,
        };
        Some(Plan { segment: segment.first_seq, start, end: chunk.end, after, last_seq: chunk.last_seq })
    }
}
