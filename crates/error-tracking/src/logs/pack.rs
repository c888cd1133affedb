//! Numbers and texts one after the other in bytes, and back.

use belvedere_storage::StorageError;

/// The most bytes that one part of a block may unpack to.
pub(super) const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// Fast, and on logs within a few percent of what higher levels reach.
const ZSTD_LEVEL: i32 = 3;

pub(super) fn corrupt(what: &str) -> StorageError {
    StorageError::corrupt(format!("log block: {what}"))
}

pub(super) fn compress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::compress(bytes, ZSTD_LEVEL)
}

pub(super) fn decompress(bytes: &[u8]) -> Result<Vec<u8>, StorageError> {
    let size = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten().unwrap_or(0);
    let size = usize::try_from(size).ok().filter(|size| *size <= UNPACKED_BYTES_MAX);
    let size = size.ok_or_else(|| corrupt("too large"))?;
    zstd::bulk::decompress(bytes, size).map_err(|_| corrupt("not zstd"))
}

pub(super) fn put_u32(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

pub(super) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_u32(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

/// Reads what the other functions wrote.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], StorageError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| corrupt("ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u32(&mut self) -> Result<usize, StorageError> {
        let bytes = self.take(4)?.first_chunk::<4>().copied().unwrap_or_default();
        usize::try_from(u32::from_le_bytes(bytes)).map_err(|_| corrupt("a number"))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, StorageError> {
        let length = self.u32()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| corrupt("a text"))
    }

    pub(super) fn array<const N: usize>(&mut self, count: usize) -> Result<Vec<[u8; N]>, StorageError> {
        let bytes = self.take(count.checked_mul(N).ok_or_else(|| corrupt("a length"))?)?;
        Ok(bytes.as_chunks::<N>().0.to_vec())
    }
}
