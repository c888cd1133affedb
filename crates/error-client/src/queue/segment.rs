//! One file of records.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// State, sign, length, two checksums.
pub(super) const HEAD_BYTES: usize = 16;
const SIGN: [u8; 3] = *b"BLV";
const WAITING: u8 = 1;
const GONE: u8 = 0;

/// A segment and the records in it that wait.
#[derive(Debug)]
pub(super) struct Segment {
    number: u64,
    path: PathBuf,
    file: File,
    /// Length of the file, as far as records reach.
    end: u64,
    /// Whether this process began it and nothing failed since.
    is_open: bool,
    /// Payload lengths by offset.
    waiting: BTreeMap<u32, u32>,
}

impl Segment {
    pub(super) fn create(path: &Path, number: u64) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { number, path: path.to_owned(), file, end: 0, is_open: true, waiting: BTreeMap::new() })
    }

    /// Reads the heads of a segment that another process, or this one before a restart, has written.
    pub(super) fn load(path: &Path, number: u64) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        let size = file.metadata()?.len();
        let mut waiting = BTreeMap::new();
        let mut at = 0;
        let mut head = [0; HEAD_BYTES];
        while at + HEAD_BYTES as u64 <= size {
            file.read_exact_at(&mut head, at)?;
            let Some((state, length, _)) = decode(&head) else { break };
            let next = at + HEAD_BYTES as u64 + u64::from(length);
            if next > size {
                break;
            }
            if let (WAITING, Ok(offset)) = (state, u32::try_from(at)) {
                waiting.insert(offset, length);
            }
            at = next;
        }
        if at < size {
            tracing::warn!(
                path = %path.display(),
                bytes = size - at,
                "the end of a segment of undelivered reports is torn and is left out"
            );
        }
        Ok(Self { number, path: path.to_owned(), file, end: size, is_open: false, waiting })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> u64 {
        self.end
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The records that wait, oldest first.
    pub(super) fn offsets(&self) -> impl Iterator<Item = u32> {
        self.waiting.keys().copied()
    }

    /// Adds a record; after an error the file is as before, or closed.
    pub(super) fn append(&mut self, payload: &[u8], sync: bool) -> io::Result<()> {
        let too_far = || io::Error::from(io::ErrorKind::FileTooLarge);
        let offset = u32::try_from(self.end).map_err(|_| too_far())?;
        let length = u32::try_from(payload.len()).map_err(|_| too_far())?;
        let mut record = Vec::with_capacity(HEAD_BYTES + payload.len());
        record.extend_from_slice(&encode(length, payload));
        record.extend_from_slice(payload);
        let written = self.file.write_all_at(&record, self.end);
        let written = if sync { written.and_then(|()| self.file.sync_data()) } else { written };
        if let Err(error) = written {
            // After a failed sync the kernel may have dropped pages: the file takes nothing more.
            self.is_open = !sync && self.file.set_len(self.end).is_ok();
            return Err(error);
        }
        self.end += record.len() as u64;
        self.waiting.insert(offset, length);
        Ok(())
    }

    /// A payload; `None` if it does not wait or is damaged.
    pub(super) fn read(&self, offset: u32) -> io::Result<Option<Vec<u8>>> {
        let Some(length) = self.waiting.get(&offset) else { return Ok(None) };
        let mut record = vec![0; HEAD_BYTES + *length as usize];
        self.file.read_exact_at(&mut record, u64::from(offset))?;
        let payload = record.split_off(HEAD_BYTES);
        let checksum = record.try_into().ok().and_then(|head| decode(&head)).map(|(_, _, checksum)| checksum);
        Ok(Some(payload).filter(|payload| checksum == Some(crc32fast::hash(payload))))
    }

    /// Marks a record as gone; says whether it was waiting.
    pub(super) fn remove(&mut self, offset: u32) -> bool {
        let was_waiting = self.waiting.remove(&offset).is_some();
        if was_waiting && let Err(error) = self.file.write_all_at(&[GONE], u64::from(offset)) {
            tracing::warn!(path = %self.path.display(), %error, "a delivered report may be delivered again");
        }
        was_waiting
    }

    /// Removes the file.
    pub(super) fn delete(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a drained segment of reports was not removed");
        }
    }
}

fn encode(length: u32, payload: &[u8]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[0] = WAITING;
    head[1..4].copy_from_slice(&SIGN);
    head[4..8].copy_from_slice(&length.to_le_bytes());
    head[8..12].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let checksum = crc32fast::hash(&head[1..12]);
    head[12..16].copy_from_slice(&checksum.to_le_bytes());
    head
}

/// State, length and checksum of the payload; `None` if the head is damaged.
fn decode(head: &[u8; HEAD_BYTES]) -> Option<(u8, u32, u32)> {
    let [state, first, second, third, a, b, c, d, e, f, g, h, i, j, k, l] = *head;
    let is_sound = [first, second, third] == SIGN
        && crc32fast::hash(&head[1..12]) == u32::from_le_bytes([i, j, k, l])
        && state <= WAITING;
    is_sound.then(|| (state, u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])))
}
