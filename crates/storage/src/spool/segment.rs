//! The bytes of a segment file: header, records, and a reader that finds its way past damage.

use std::io;
use std::ops::Range;

use super::disk::DiskFile;

pub(super) const HEADER_BYTES: usize = 40;
pub(super) const RECORD_HEAD_BYTES: usize = 20;
const MAGIC: [u8; 8] = *b"BLVSPL\0\x01";
const WINDOW_BYTES: usize = 256 << 10;

pub(super) fn file_name(first_seq: u64) -> String {
    format!("{first_seq:020}.spool")
}

/// The first sequence number, if this is a segment's name.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".spool")?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The state that record checksums continue from.
pub(super) fn seed(id: &[u8; 16]) -> u32 {
    crc32fast::hash(id)
}

fn checksum(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

pub(super) fn encode_header(id: &[u8; 16], first_seq: u64, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(id);
    out.extend_from_slice(&first_seq.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// The id in a header, if the header is whole.
pub(super) fn decode_header(header: &[u8]) -> Option<[u8; 16]> {
    let (body, crc) = header.get(..HEADER_BYTES)?.split_at(HEADER_BYTES - 4);
    let whole = body.starts_with(&MAGIC) && crc32fast::hash(body).to_le_bytes() == crc;
    whole.then(|| body[8..24].try_into().ok())?
}

pub(super) fn encode_record(seed: u32, seq: u64, payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes()); // append refuses longer ones
    out.extend_from_slice(&checksum(seed, payload).to_le_bytes());
    let head = checksum(seed, &out[start..]);
    out.extend_from_slice(&head.to_le_bytes());
    out.extend_from_slice(payload);
}

/// What lies next in a segment.
pub(super) enum Found<'a> {
    Record {
        seq: u64,
        at: u64,
        payload: &'a [u8],
    },
    /// Bytes that are no record; `zero` if they are all zero, as preallocated space is.
    Damage {
        at: u64,
        len: u64,
        zero: bool,
    },
}

/// Reads the records in a range of a segment, in order, through a window of 256 KiB or one record.
pub(super) struct Scanner<'a> {
    file: &'a dyn DiskFile,
    seed: u32,
    at: u64,
    end: u64,
    /// Payloads of records up to this number are not verified: the caller has seen them.
    seen_seq: u64,
    last_seq: u64,
    /// Numbers from here on belong to the next segment.
    end_seq: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(file: &'a dyn DiskFile, seed: u32, range: Range<u64>, seen_seq: u64) -> Self {
        let (at, end) = (range.start, range.end);
        Self {
            file,
            seed,
            at,
            end,
            seen_seq,
            last_seq: 0,
            end_seq: u64::MAX,
            window: Vec::new(),
            window_at: at,
        }
    }

    /// Takes only these numbers for records.
    pub(super) fn within(mut self, seqs: Range<u64>) -> Self {
        self.last_seq = seqs.start - 1;
        self.end_seq = seqs.end;
        self
    }

    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// The next record, or the damage before it; `None` at the end of the range.
    pub(super) fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        let start = self.at;
        let mut zero = true;
        loop {
            if self.at >= self.end {
                let len = self.at.saturating_sub(start);
                return Ok((len > 0).then_some(Found::Damage { at: start, len, zero }));
            }
            if let Some((seq, len)) = self.record_here()? {
                if self.at > start {
                    return Ok(Some(Found::Damage { at: start, len: self.at - start, zero }));
                }
                let payload_at = (self.at - self.window_at) as usize + RECORD_HEAD_BYTES;
                self.at += (RECORD_HEAD_BYTES + len) as u64;
                self.last_seq = seq;
                let payload = self.window.get(payload_at..payload_at + len).unwrap_or_default();
                return Ok(Some(Found::Record { seq, at: start, payload }));
            }
            let here = if self.fill(1)? { self.window_from_here() } else { &[] };
            // No number is 0, so no record begins in the first 9 of 16 zero bytes.
            let step = if here.starts_with(&[0; 16]) { 9 } else { 1 };
            zero &= here.first().is_none_or(|byte| *byte == 0);
            self.at += step;
        }
    }

    /// Number and payload length of the record at the current position, if there is a whole one.
    fn record_here(&mut self) -> io::Result<Option<(u64, usize)>> {
        if !self.fill(RECORD_HEAD_BYTES)? {
            return Ok(None);
        }
        let Some(head) = self.window_from_here().first_chunk::<RECORD_HEAD_BYTES>() else { return Ok(None) };
        let [s0, s1, s2, s3, s4, s5, s6, s7, l0, l1, l2, l3, b0, b1, b2, b3, h0, h1, h2, h3] = *head;
        let seq = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if seq <= self.last_seq
            || seq >= self.end_seq
            || checksum(self.seed, &head[..16]) != u32::from_le_bytes([h0, h1, h2, h3])
        {
            return Ok(None);
        }
        if seq > self.seen_seq {
            if !self.fill(RECORD_HEAD_BYTES + len)? {
                return Ok(None);
            }
            let payload = &self.window_from_here()[RECORD_HEAD_BYTES..RECORD_HEAD_BYTES + len];
            if checksum(self.seed, payload) != u32::from_le_bytes([b0, b1, b2, b3]) {
                return Ok(None);
            }
        }
        Ok(Some((seq, len)))
    }

    fn window_from_here(&self) -> &[u8] {
        self.window.get((self.at - self.window_at) as usize..).unwrap_or_default()
    }

    /// Makes `need` bytes from the current position available; false if the range or the file ends before.
    fn fill(&mut self, need: usize) -> io::Result<bool> {
        if self.window_from_here().len() >= need {
            return Ok(true);
        }
        let left = self.end - self.at;
        if left < need as u64 {
            return Ok(false);
        }
        let want = need.max(WINDOW_BYTES.min(usize::try_from(left).unwrap_or(WINDOW_BYTES)));
        self.window.resize(want, 0);
        self.window_at = self.at;
        let mut got = 0;
        while got < want {
            match self.file.read_at(&mut self.window[got..], self.at + got as u64) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.window.truncate(got);
        Ok(got >= need)
    }
}
