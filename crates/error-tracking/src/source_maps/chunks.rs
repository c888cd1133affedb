use std::io::{self, Read, Seek, SeekFrom};

use belvedere_kernel::Organisation;
use belvedere_storage::{Database, Id};
use sha1::{Digest, Sha1};
use tokio::runtime::Handle;

use super::store;

/// Chunks one behind the other, of which one at a time is in memory; for threads that may block.
pub(crate) struct ChunkReader {
    db: Database,
    runtime: Handle,
    organisation: Id<Organisation>,
    /// Where each chunk begins, and its checksum.
    chunks: Vec<(u64, String)>,
    length: u64,
    at: u64,
    current: Option<(usize, Vec<u8>)>,
}

impl ChunkReader {
    /// `chunks` are checksums with sizes in bytes, in order.
    pub(crate) fn new(db: Database, organisation: Id<Organisation>, chunks: Vec<(String, u64)>) -> Self {
        let mut length = 0;
        let chunks = chunks
            .into_iter()
            .map(|(checksum, size)| {
                let start = length;
                length += size;
                (start, checksum)
            })
            .collect();
        Self { db, runtime: Handle::current(), organisation, chunks, length, at: 0, current: None }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The SHA-1 of everything, in hexadecimal digits.
    pub(crate) fn checksum(&mut self) -> io::Result<String> {
        self.at = 0;
        let mut hasher = Sha1::new();
        let mut piece = vec![0; 64 << 10];
        loop {
            let count = self.read(&mut piece)?;
            if count == 0 {
                self.at = 0;
                return Ok(hexadecimal(&hasher.finalize()));
            }
            hasher.update(&piece[..count]);
        }
    }

    fn load(&mut self, index: usize) -> io::Result<&[u8]> {
        if self.current.as_ref().is_none_or(|(loaded, _)| *loaded != index) {
            let gone = || io::Error::other("a chunk is not there any more");
            let (_, checksum) = self.chunks.get(index).ok_or_else(gone)?;
            let content = store::read_chunk(self.db.read(), self.organisation, checksum);
            let content = self.runtime.block_on(content).map_err(io::Error::other)?.ok_or_else(gone)?;
            self.current = Some((index, content));
        }
        Ok(self.current.as_ref().map(|(_, content)| content.as_slice()).unwrap_or_default())
    }
}

impl Read for ChunkReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.length || into.is_empty() {
            return Ok(0);
        }
        let index = self.chunks.partition_point(|(start, _)| *start <= self.at) - 1;
        let within = self.at - self.chunks.get(index).map_or(0, |(start, _)| *start);
        let content = self.load(index)?;
        let rest = content.get(usize::try_from(within).unwrap_or(usize::MAX)..).unwrap_or_default();
        if rest.is_empty() {
            return Err(io::Error::other("a chunk is shorter than it was"));
        }
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for ChunkReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::other("before the beginning"))?;
        Ok(self.at)
    }
}

/// The SHA-1 of `bytes`, in hexadecimal digits.
pub(crate) fn checksum_of(bytes: &[u8]) -> String {
    hexadecimal(&Sha1::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
