//! From a file into the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use belvedere_event_store::{Embedded, Event, EventStore, EventStoreError};
use belvedere_kernel::{Admitted, ConsentGate, ProjectId, RawPerson};
use belvedere_storage::Database;

use crate::progress::{Progress, Rejected};
use crate::row::{Told, read};
use crate::source::Source;
use crate::{Format, TransferError};

/// Rows of one transaction.
const ROWS: usize = 10_000;
/// Bytes of the rows of one transaction.
const BYTES: usize = 16 << 20;

/// What to import, and where to.
pub struct Import<'a> {
    /// The file.
    pub path: &'a Path,
    /// How it is written.
    pub format: Format,
    /// The project that its events belong to.
    pub project: ProjectId,
    /// The database of the store.
    pub db: &'a Database,
    /// The store.
    pub store: &'a Embedded,
    /// Who says how people may be known.
    pub gate: Arc<dyn ConsentGate>,
}

/// What an import did, an interrupted one before it included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// Rows that were read.
    pub rows: u64,
    /// The part of the file that was read, in thousandths; of a Parquet file not known before its end.
    pub per_mille: u64,
    /// Events that are new.
    pub stored: u64,
    /// Events whose id was there before.
    pub duplicates: u64,
    /// Rows that are no events.
    pub rejected: u64,
    /// Where those are, with the numbers of their lines and why.
    pub rejected_to: Option<PathBuf>,
}

/// Imports a file, or goes on where an import of it was interrupted; tells after each transaction how far it is.
///
/// What is complete can be imported again: each event counts once.
///
/// # Errors
/// A file that cannot be read as what it should be, or the store's error; what was stored before stays.
pub async fn import(wanted: &Import<'_>, mut tell: impl FnMut(&Imported)) -> Result<Imported, TransferError> {
    let length =
        std::fs::metadata(wanted.path).map_err(|error| TransferError::file(wanted.path, error))?.len();
    let mut progress = Progress::load(wanted.path, length, wanted.project.0);
    let mut rejected = Rejected::open(wanted.path, progress.rejected_bytes)?;
    let mut source = Source::open(wanted.path, wanted.format, progress.place)?;
    loop {
        let (mut rows, mut bytes, mut is_end) = (Vec::new(), 0, false);
        while rows.len() < ROWS && bytes < BYTES {
            let Some(row) = source.next(wanted.path)? else {
                is_end = true;
                break;
            };
            bytes += row.content.len();
            match row.fields.and_then(|fields| read(fields, source.place.rows, &row.content)) {
                Ok(told) => rows.push(told),
                Err(why) => {
                    rejected.add(row.line, &why, &row.content)?;
                    progress.rejected += 1;
                }
            }
        }
        let appended = append(wanted, &rows).await?;
        progress.stored += appended.stored;
        progress.duplicates += appended.duplicates;
        progress.place = source.place;
        progress.rejected_bytes = rejected.length();
        let done = Imported {
            rows: progress.place.rows,
            per_mille: if is_end { 1_000 } else { progress.place.bytes * 1_000 / length.max(1) },
            stored: progress.stored,
            duplicates: progress.duplicates,
            rejected: progress.rejected,
            rejected_to: rejected.path(),
        };
        if is_end {
            Progress::remove(wanted.path);
            return Ok(done);
        }
        progress.save(wanted.path)?;
        tell(&done);
    }
}

/// Appends the events of rows in one transaction, and seals where the tail is full.
async fn append(
    wanted: &Import<'_>,
    rows: &[Told],
) -> Result<belvedere_event_store::Appended, TransferError> {
    if rows.is_empty() {
        return Ok(belvedere_event_store::Appended::default());
    }
    let people: Vec<RawPerson> = rows
        .iter()
        .filter_map(|told| told.user.clone())
        .map(|identity| RawPerson::new(wanted.project, identity))
        .collect();
    loop {
        let stored = wanted
            .db
            .write(async |tx| {
                let mut admitted = wanted.gate.admit(tx, &people).await?.into_iter();
                let events = rows.iter().map(|told| match &told.user {
                    Some(_) => admit(&told.event, admitted.next()),
                    None => told.event.clone(),
                });
                let events: Vec<Event> = events.collect();
                Ok::<_, TransferError>(wanted.store.append_in(tx, wanted.project, &events).await?)
            })
            .await;
        match stored {
            Err(TransferError::Store(EventStoreError::TailFull(_))) => {
                match wanted.store.seal(wanted.project).await {
                    Ok(_) | Err(EventStoreError::Changed(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            stored => return stored,
        }
    }
}

/// The event with what its person consented to.
fn admit(event: &Event, admitted: Option<Admitted>) -> Event {
    let mut event = event.clone();
    let Some(admitted) = admitted else { return event };
    event.subject = admitted.subject;
    if !admitted.analytics {
        (event.session, event.browser, event.os, event.device) = (None, None, None, None);
    }
    if !admitted.location {
        event.country = None;
    }
    event
}
