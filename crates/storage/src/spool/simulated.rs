//! A disk in memory that keeps what was written and what was synced apart, and fails when told.
//!
//! It promises only what POSIX does: after a power cut each unsynced write may be there, be missing or be
//! there in some of its 512-byte sectors, and each unsynced creation, removal and change of length may be
//! there or not. After a failed sync some writes are never stored although they can be read (as with Linux
//! page caches).

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::disk::{Disk, DiskFile};

const SECTOR: u64 = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    NoSpace,
    Io,
    /// Nothing works any more until [`SimulatedDisk::resume`]: the process is as good as dead.
    Halt,
}

enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Default)]
struct File {
    cached: Vec<u8>,
    stored: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Default)]
struct Inner {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    stored_names: BTreeMap<String, usize>,
    unsynced_names: Vec<(String, Option<usize>)>,
    random: u64,
    /// Changing operations that succeed, then how many fail, and how; one after the other.
    faults: VecDeque<(u64, u64, Fault)>,
    off: bool,
    faults_hit: u64,
}

#[derive(Clone)]
pub(super) struct SimulatedDisk(Arc<Mutex<Inner>>);

struct SimulatedFile(SimulatedDisk, usize);

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(len) => content.resize(*len as usize, 0),
        Change::Write(at, bytes) => {
            let end = *at as usize + bytes.len();
            content.resize(content.len().max(end), 0);
            content[*at as usize..end].copy_from_slice(bytes);
        }
    }
}

impl Inner {
    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn coin(&mut self) -> bool {
        self.random() & 1 == 1
    }

    /// Counts a changing operation and fails it if its turn has come.
    fn turn(&mut self) -> io::Result<()> {
        self.powered()?;
        match self.faults.front_mut() {
            None => Ok(()),
            Some((wait, ..)) if *wait > 0 => {
                *wait -= 1;
                Ok(())
            }
            Some((_, count, fault)) => {
                *count -= 1;
                let (last, fault) = (*count == 0, *fault);
                if last {
                    self.faults.pop_front();
                }
                self.faults_hit += 1;
                self.off |= fault == Fault::Halt;
                Err(io::Error::from_raw_os_error(if fault == Fault::NoSpace { 28 } else { 5 }))
            }
        }
    }

    fn powered(&self) -> io::Result<()> {
        if self.off { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    fn change(&mut self, file: usize, change: Change) {
        let file = &mut self.files[file];
        apply(&mut file.cached, &change);
        file.unsynced.push(change);
    }

    /// Stores some of the sectors of a write, or a change of length or not.
    fn store_part(&mut self, file: usize, change: &Change) {
        let mode = self.random() % 3;
        match change {
            Change::Length(_) if mode == 0 => {}
            Change::Length(_) => apply(&mut self.files[file].stored, change),
            Change::Write(at, bytes) => {
                let mut from = 0;
                while from < bytes.len() {
                    let to_sector_end = (SECTOR - (at + from as u64) % SECTOR) as usize;
                    let to = (from + to_sector_end).min(bytes.len());
                    if mode == 2 || (mode == 1 && self.coin()) {
                        let part = Change::Write(at + from as u64, bytes[from..to].to_vec());
                        apply(&mut self.files[file].stored, &part);
                    }
                    from = to;
                }
            }
        }
    }
}

impl SimulatedDisk {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner { random: seed, ..Inner::default() })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Lets `count` changing operations fail after `wait` more, counted from the end of earlier faults.
    pub(super) fn fail(&self, wait: u64, count: u64, fault: Fault) {
        self.inner().faults.push_back((wait, count, fault));
    }

    pub(super) fn coin(&self) -> bool {
        self.inner().coin()
    }

    /// From here on nothing works, so that the spool cannot tidy up as it ends.
    pub(super) fn halt(&self) {
        self.inner().off = true;
    }

    /// Everything works again, and what was written is still there.
    pub(super) fn resume(&self) {
        let mut inner = self.inner();
        inner.off = false;
        inner.faults.clear();
    }

    pub(super) fn is_off(&self) -> bool {
        self.inner().off
    }

    pub(super) fn faults_hit(&self) -> u64 {
        self.inner().faults_hit
    }

    /// Loses what was not synced, or parts of it.
    pub(super) fn power_cut(&self) {
        let mut inner = self.inner();
        for file in 0..inner.files.len() {
            for change in std::mem::take(&mut inner.files[file].unsynced) {
                inner.store_part(file, &change);
            }
            inner.files[file].cached = inner.files[file].stored.clone();
        }
        for (name, file) in std::mem::take(&mut inner.unsynced_names) {
            if inner.coin() {
                match file {
                    Some(file) => inner.stored_names.insert(name, file),
                    None => inner.stored_names.remove(&name),
                };
            }
        }
        inner.names = inner.stored_names.clone();
    }

    pub(super) fn content(&self, name: &str) -> Vec<u8> {
        let inner = self.inner();
        inner.files[inner.names[name]].cached.clone()
    }

    /// Changes a file behind the spool's back, as a failing medium does.
    pub(super) fn overwrite(&self, name: &str, content: &[u8]) {
        let mut inner = self.inner();
        let file = inner.names[name];
        inner.files[file] = File { cached: content.to_vec(), stored: content.to_vec(), unsynced: Vec::new() };
    }
}

impl Disk for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let inner = self.inner();
        inner.powered()?;
        Ok(inner.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.inner();
        inner.powered()?;
        let file = *inner.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimulatedFile(self.clone(), file)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.inner();
        inner.turn()?;
        let file = match inner.names.get(name) {
            Some(file) => *file,
            None => {
                inner.files.push(File::default());
                let file = inner.files.len() - 1;
                inner.names.insert(name.to_owned(), file);
                inner.unsynced_names.push((name.to_owned(), Some(file)));
                file
            }
        };
        inner.change(file, Change::Length(0));
        Ok(Arc::new(SimulatedFile(self.clone(), file)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.inner();
        inner.turn()?;
        inner.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        inner.unsynced_names.push((name.to_owned(), None));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut inner = self.inner();
        inner.turn()?;
        inner.unsynced_names.clear();
        inner.stored_names = inner.names.clone();
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        let inner = self.0.inner();
        inner.powered()?;
        Ok(inner.files[self.1].cached.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let inner = self.0.inner();
        inner.powered()?;
        let rest = inner.files[self.1].cached.get(at as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len()).min(1000); // short reads are allowed
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut inner = self.0.inner();
        let turn = inner.turn();
        let written = if turn.is_ok() { bytes.len() } else { inner.random() as usize % (bytes.len() + 1) };
        inner.change(self.1, Change::Write(at, bytes[..written].to_vec()));
        turn
    }

    fn allocate(&self, from: u64, end: u64) -> io::Result<()> {
        let mut inner = self.0.inner();
        let turn = inner.turn();
        let reached = if turn.is_ok() { end } else { from + inner.random() % (end - from + 1) };
        let len = reached.max(inner.files[self.1].cached.len() as u64);
        inner.change(self.1, Change::Length(len));
        turn
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.0.inner();
        inner.turn()?;
        inner.change(self.1, Change::Length(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.0.inner();
        let turn = inner.turn();
        if inner.off {
            return turn; // power_cut decides, if there is one
        }
        for change in std::mem::take(&mut inner.files[self.1].unsynced) {
            if turn.is_ok() {
                apply(&mut inner.files[self.1].stored, &change);
            } else {
                inner.store_part(self.1, &change);
            }
        }
        turn
    }
}
