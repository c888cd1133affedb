//! Reading a spool directory at start: every segment once, damage copied aside, everything synced.

use std::io;

use super::SpoolError;
use super::disk::{Disk, DiskFile};
use super::index::Index;
use super::segment::{self, Found, HEADER_BYTES, RECORD_HEAD_BYTES, Scanner};

const QUARANTINE_BYTES_MAX: u64 = 1 << 20;
const QUARANTINE_FILES_MAX: usize = 16;
const ID_FILE: &str = "id";

/// What opening a spool found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolRecovery {
    /// Segment files.
    pub segments: u64,
    /// Readable records, consumed ones in segments that are still there included.
    pub records: u64,
    /// Bytes that were no record and not preallocated space: a write cut short, or damage.
    pub damaged_bytes: u64,
    /// Size of the quarantine files, older ones included.
    pub quarantined_bytes: u64,
}

pub(super) struct Recovered {
    pub(super) id: [u8; 16],
    pub(super) index: Index,
    pub(super) next_seq: u64,
    pub(super) report: SpoolRecovery,
}

pub(super) fn recover(disk: &dyn Disk) -> Result<Recovered, SpoolError> {
    let names = disk.list()?;
    let mut segments: Vec<u64> = names.iter().filter_map(|name| segment::parse_name(name)).collect();
    segments.sort_unstable();
    let id = identity(disk, &names, &segments)?;
    let mut recovery = Recovery {
        disk,
        names,
        id,
        copies: 0,
        recovered: Recovered { id, index: Index::default(), next_seq: 1, report: SpoolRecovery::default() },
    };
    for (i, first_seq) in segments.iter().enumerate() {
        // A failed batch may lie in one segment, and the same batch, written again, in the next: only that
        // one counts.
        recovery.segment(*first_seq, segments.get(i + 1).copied().unwrap_or(u64::MAX))?;
    }
    let mut recovered = recovery.recovered;
    let damaged = recovered.report.damaged_bytes;
    recovered.report.quarantined_bytes = bound_quarantine(disk)?;
    disk.sync_dir()?; // a process that ended before may not have come to it
    if damaged > 0 {
        tracing::warn!(
            damaged,
            records = recovered.report.records,
            "spool was damaged, the rest of it was read"
        );
    }
    Ok(recovered)
}

/// Reads the id, takes a lost one from the newest segment, or makes one for a new directory.
fn identity(disk: &dyn Disk, names: &[String], segments: &[u64]) -> Result<[u8; 16], SpoolError> {
    if names.iter().any(|name| name == ID_FILE)
        && let Some(id) = decode_id(&read(disk.open(ID_FILE)?.as_ref(), 0, 20)?)
    {
        return Ok(id);
    }
    let mut id = None;
    let mut written = false;
    for first_seq in segments.iter().rev() {
        let file = disk.open(&segment::file_name(*first_seq))?;
        written |= file.size()? > 0;
        id = segment::decode_header(&read(file.as_ref(), 0, HEADER_BYTES as u64)?);
        if id.is_some() {
            break;
        }
    }
    let id = match id {
        Some(id) => id,
        None if written => {
            return Err(corrupt(ID_FILE, "missing or damaged, and no segment has a whole header"));
        }
        None => {
            let mut id = [0; 16];
            getrandom::fill(&mut id).map_err(io::Error::other)?;
            id
        }
    };
    let file = disk.create(ID_FILE)?;
    file.write_at(&[&id[..], &crc32fast::hash(&id).to_le_bytes()].concat(), 0)?;
    file.sync()?;
    disk.sync_dir()?;
    Ok(id)
}

fn decode_id(bytes: &[u8]) -> Option<[u8; 16]> {
    let (id, crc) = bytes.split_first_chunk::<16>()?;
    (crc32fast::hash(id).to_le_bytes() == crc).then_some(*id)
}

fn corrupt(file: &str, reason: &'static str) -> SpoolError {
    SpoolError::Corrupt { file: file.to_owned(), reason }
}

fn read(file: &dyn DiskFile, at: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len as usize];
    let mut got = 0;
    while got < bytes.len() {
        match file.read_at(&mut bytes[got..], at + got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(got);
    Ok(bytes)
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    names: Vec<String>,
    id: [u8; 16],
    /// Quarantine files made.
    copies: usize,
    recovered: Recovered,
}

impl Recovery<'_> {
    fn segment(&mut self, first_seq: u64, end_seq: u64) -> Result<(), SpoolError> {
        let name = segment::file_name(first_seq);
        let file = self.disk.open(&name)?;
        let size = file.size()?;
        let Recovered { index, next_seq, report, .. } = &mut self.recovered;
        index.begin_segment(first_seq);
        report.segments += 1;
        *next_seq = (*next_seq).max(first_seq);
        let start = match segment::decode_header(&read(file.as_ref(), 0, HEADER_BYTES as u64)?) {
            Some(id) if id == self.id => HEADER_BYTES as u64,
            Some(_) => return Err(corrupt(&name, "belongs to another spool")),
            None => 0, // the damage before the first record is then found by reading
        };
        let mut scanner =
            Scanner::new(file.as_ref(), segment::seed(&self.id), start..size, 0).within(*next_seq..end_seq);
        let mut content_end = start;
        let mut damage = Vec::new();
        while let Some(found) = scanner.next()? {
            match found {
                Found::Record { seq, at, payload } => {
                    index.add(seq, at, payload.len());
                    report.records += 1;
                    *next_seq = seq + 1;
                    content_end = at + (RECORD_HEAD_BYTES + payload.len()) as u64;
                }
                Found::Damage { zero: true, at, len } if at + len == size => {} // preallocated
                Found::Damage { at, len, zero } => damage.push((at, len, zero)),
            }
        }
        // The name of an empty segment is not used for another one.
        *next_seq = (*next_seq).max(first_seq + 1);
        let mut damaged_tail = 0;
        for (at, len, zero) in damage {
            self.recovered.report.damaged_bytes += len;
            if at >= content_end {
                damaged_tail += len;
            }
            if !zero {
                self.quarantine(file.as_ref(), &name, at, len);
            }
        }
        let skipped = damaged_tail == 0 || end_seq < u64::MAX || self.skip_numbers(damaged_tail);
        if skipped && content_end < size {
            file.set_len(if content_end == start { 0 } else { content_end })?;
        }
        // A killed process leaves records that are written but not synced. Handed out and then lost in a
        // power cut, they would leave their numbers to others, which the consumer would take for
        // duplicates.
        file.sync()?;
        Ok(())
    }

    /// Does not give numbers again that a damaged tail may have held: its records may have been consumed.
    ///
    /// An empty segment remembers it; returns whether there is one, so that the tail may be cut off.
    fn skip_numbers(&mut self, damaged_tail: u64) -> bool {
        let Recovered { index, next_seq, .. } = &mut self.recovered;
        *next_seq += damaged_tail / RECORD_HEAD_BYTES as u64 + 1;
        let created = self.disk.create(&segment::file_name(*next_seq)).and_then(|_| self.disk.sync_dir());
        if let Err(error) = created {
            tracing::warn!(%error, "damaged end of the spool stays until there is room for a new segment");
            *next_seq += 1; // its file may exist
            return false;
        }
        index.begin_segment(*next_seq);
        *next_seq += 1;
        true
    }

    /// Copies damaged bytes into a file of their own, once; the spool works without the copy as well.
    fn quarantine(&mut self, file: &dyn DiskFile, segment: &str, at: u64, len: u64) {
        let name = format!("{segment}.{at:012}.quarantine");
        if self.copies == QUARANTINE_FILES_MAX || self.names.contains(&name) {
            return;
        }
        self.copies += 1;
        tracing::warn!(segment, at, len, copy = name, "spool bytes are damaged and are stepped over");
        let copy = || {
            let bytes = read(file, at, len.min(QUARANTINE_BYTES_MAX))?;
            let copy = self.disk.create(&name)?;
            copy.write_at(&bytes, 0)?;
            copy.sync()
        };
        if let Err(error) = copy() {
            tracing::warn!(segment, at, %error, "damaged spool bytes could not be copied aside");
        }
    }
}

/// Removes all but the newest quarantine files; returns the size of those.
fn bound_quarantine(disk: &dyn Disk) -> io::Result<u64> {
    let mut names = disk.list()?;
    names.retain(|name| name.ends_with(".quarantine"));
    names.sort_unstable();
    let surplus = names.len().saturating_sub(QUARANTINE_FILES_MAX);
    for name in names.drain(..surplus) {
        disk.remove(&name)?;
    }
    let mut bytes = 0;
    for name in names {
        bytes += disk.open(&name)?.size()?;
    }
    Ok(bytes)
}
