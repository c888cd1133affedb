//! Reading blocks, the newest first, until a page is full.

use std::collections::BTreeMap;

use belvedere_kernel::ProjectId;
use belvedere_storage::{Cursor, Database, StorageError, Timestamp};
use serde_json::Value;

use super::block::{Attributes, Entry, Head};
use super::filter::LogFilter;
use super::model::{LogCounts, LogHour, LogPage, LogRecord, SearchLogs};
use super::store::{self, BlockId, Outline, Stored};
use crate::ErrorTrackingError;

/// How many blocks a search looks at before it says that there may be more.
const OUTLINES_MAX: usize = 4_000;

/// How many records of blocks that may match a search reads.
const RECORDS_READ_MAX: i64 = 2_000_000;

/// How many blocks are read together.
const BLOCKS_AT_ONCE: usize = 16;

/// A place among the records: instant and sequence.
type Place = (Timestamp, u64);

struct Hit {
    place: Place,
    block: BlockId,
    record: usize,
}

/// What was found in some blocks.
struct Found {
    hits: Vec<Hit>,
    hours: BTreeMap<i64, [u64; 6]>,
}

/// A page of records.
pub(super) async fn search(db: &Database, query: &SearchLogs) -> Result<LogPage, ErrorTrackingError> {
    let before = query.page.after.as_ref().map(parse_cursor).transpose()?;
    let limit = query.page.limit();
    let to = before.map_or(query.to, |(at, _)| query.to.min(next_instant(at)));
    let (outlines, is_cut) = outlines(db, query, to).await?;
    let needed = query.filter.needed();
    let mut hits: Vec<Hit> = Vec::new();
    let mut read = 0;
    let mut searched_to = None;
    let candidates: Vec<&Outline> =
        outlines.iter().filter(|outline| needed.may_be_in(&outline.filter)).collect();
    for chunk in candidates.chunks(BLOCKS_AT_ONCE) {
        // Blocks come by their newest record: once the page is full of newer ones, no other can matter.
        let newest = chunk.first().map(|outline| outline.last_at).unwrap_or_default();
        if hits.len() > limit && hits.get(limit).is_some_and(|last| last.place.0 > newest) {
            break;
        }
        if read > RECORDS_READ_MAX {
            searched_to = Some(newest);
            break;
        }
        read += chunk.iter().map(|outline| outline.records).sum::<i64>();
        let scope = Scope { from: query.from, to: query.to, before, keeps: limit + 1, counts: false };
        hits.extend(read_chunk(db, query.project, chunk, &query.filter, scope).await?.hits);
        hits.sort_by_key(|hit| std::cmp::Reverse(hit.place));
        hits.truncate(limit + 1);
    }
    if is_cut && searched_to.is_none() && hits.len() <= limit {
        searched_to = outlines.last().map(|outline| outline.last_at);
    }
    if let Some(searched_to) = searched_to {
        // What is older may have company in blocks that were not read.
        hits.retain(|hit| hit.place.0 >= next_instant(searched_to));
    }
    let is_more = hits.len() > limit;
    hits.truncate(limit);
    let last = hits.last().map(|hit| hit.place);
    let next = if is_more { last } else { searched_to.map(|at| (next_instant(at), 0)) };
    let records = records_of(db, query.project, &hits).await?;
    Ok(LogPage {
        records,
        next: next.map(|(at, sequence)| Cursor::of(&[&at.as_micros(), &sequence])),
        searched_to: searched_to.filter(|_| !is_more),
    })
}

/// How many records match, by hour and level.
pub(super) async fn count(db: &Database, query: &SearchLogs) -> Result<LogCounts, ErrorTrackingError> {
    let (outlines, is_cut) = outlines(db, query, query.to).await?;
    let needed = query.filter.needed();
    let mut hours: BTreeMap<i64, [u64; 6]> = BTreeMap::new();
    let mut read = 0;
    let mut counted_to = outlines.last().filter(|_| is_cut).map(|outline| outline.last_at);
    let candidates: Vec<&Outline> =
        outlines.iter().filter(|outline| needed.may_be_in(&outline.filter)).collect();
    for chunk in candidates.chunks(BLOCKS_AT_ONCE) {
        if read > RECORDS_READ_MAX {
            counted_to = chunk.first().map(|outline| outline.last_at);
            break;
        }
        read += chunk.iter().map(|outline| outline.records).sum::<i64>();
        let scope = Scope { from: query.from, to: query.to, before: None, keeps: 0, counts: true };
        for (hour, levels) in read_chunk(db, query.project, chunk, &query.filter, scope).await?.hours {
            let sums = hours.entry(hour).or_default();
            sums.iter_mut().zip(levels).for_each(|(sum, count)| *sum += count);
        }
    }
    let hour = |(hour, levels): (i64, [u64; 6])| LogHour {
        hour: Timestamp::from_micros(hour.saturating_mul(3_600_000_000)),
        levels,
    };
    Ok(LogCounts { hours: hours.into_iter().map(hour).collect(), counted_to })
}

async fn outlines(
    db: &Database,
    query: &SearchLogs,
    to: Timestamp,
) -> Result<(Vec<Outline>, bool), StorageError> {
    let limit = i64::try_from(OUTLINES_MAX).unwrap_or(i64::MAX) + 1;
    let mut outlines = store::list_outlines(db.read(), query.project, query.from, to, limit).await?;
    let is_cut = outlines.len() > OUTLINES_MAX;
    outlines.truncate(OUTLINES_MAX);
    // The first of the rest may begin where the last of these ends.
    Ok((outlines, is_cut))
}

fn next_instant(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(1))
}

fn parse_cursor(cursor: &Cursor) -> Result<Place, ErrorTrackingError> {
    let foreign = || ErrorTrackingError::InvalidQuery("the cursor does not belong to this list".to_owned());
    let [micros, sequence]: [&str; 2] = cursor.parts().ok_or_else(foreign)?;
    let micros: i64 = micros.parse().map_err(|_| foreign())?;
    Ok((Timestamp::from_micros(micros), sequence.parse().map_err(|_| foreign())?))
}

/// Which records of the blocks count, and what is wanted of them.
#[derive(Clone, Copy)]
struct Scope {
    from: Timestamp,
    to: Timestamp,
    /// Only older ones than this place.
    before: Option<Place>,
    /// So many hits, the newest.
    keeps: usize,
    counts: bool,
}

/// Reads some blocks on two threads that may block.
async fn read_chunk(
    db: &Database,
    project: ProjectId,
    chunk: &[&Outline],
    filter: &LogFilter,
    scope: Scope,
) -> Result<Found, ErrorTrackingError> {
    let ids: Vec<BlockId> = chunk.iter().map(|outline| outline.id).collect();
    let mut blocks = store::find_blocks(db.read(), project, &ids, !filter.attributes.is_empty()).await?;
    let other = blocks.split_off(blocks.len() / 2);
    let tasks = [blocks, other].map(|part| {
        let filter = filter.clone();
        tokio::task::spawn_blocking(move || read_blocks(&part, &filter, scope))
    });
    let mut found = Found { hits: Vec::new(), hours: BTreeMap::new() };
    for task in tasks {
        let part = task.await.map_err(|error| ErrorTrackingError::Internal(error.to_string()))??;
        found.hits.extend(part.hits);
        for (hour, levels) in part.hours {
            let sums = found.hours.entry(hour).or_insert([0; 6]);
            sums.iter_mut().zip(levels).for_each(|(sum, count)| *sum += count);
        }
    }
    Ok(found)
}

fn read_blocks(blocks: &[Stored], filter: &LogFilter, scope: Scope) -> Result<Found, StorageError> {
    let mut found = Found { hits: Vec::new(), hours: BTreeMap::new() };
    for block in blocks {
        let head = Head::unpack(&block.head)?;
        let attributes = match filter.attributes.is_empty() {
            true => None,
            false => Some(Attributes::unpack(&block.attributes, head.len())?),
        };
        let mut kept = 0;
        for record in 0..head.len() {
            let place = (head.at(record), head.sequence(record));
            if place.0 >= scope.to || scope.before.is_some_and(|before| place >= before) {
                continue;
            }
            // The newest come first.
            if place.0 < scope.from || (!scope.counts && kept == scope.keeps) {
                break;
            }
            let has = |attributes| filter.matches_attributes(attributes, record);
            if !filter.matches(&head, record) || !attributes.as_ref().is_none_or(has) {
                continue;
            }
            if scope.counts {
                let level = usize::from(head.level(record).to_number() - 1);
                let hour = found.hours.entry(place.0.as_seconds().div_euclid(3_600)).or_default();
                hour[level] += 1;
            } else {
                kept += 1;
                found.hits.push(Hit { place, block: block.id, record });
            }
        }
    }
    Ok(found)
}

/// The records of the hits, in their order.
async fn records_of(
    db: &Database,
    project: ProjectId,
    hits: &[Hit],
) -> Result<Vec<LogRecord>, ErrorTrackingError> {
    let mut ids: Vec<BlockId> = hits.iter().map(|hit| hit.block).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut records: Vec<(Place, LogRecord)> = Vec::with_capacity(hits.len());
    for ids in ids.chunks(BLOCKS_AT_ONCE) {
        for block in store::find_blocks(db.read(), project, ids, true).await? {
            let head = Head::unpack(&block.head)?;
            let attributes = Attributes::unpack(&block.attributes, head.len())?;
            for hit in hits.iter().filter(|hit| hit.block == block.id) {
                records.push((hit.place, record_of(head.entry(hit.record, &attributes), &block)));
            }
        }
    }
    // A block that was joined with others meanwhile is missing here; its records are on the next look.
    records.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
    Ok(records.into_iter().map(|(_, record)| record).collect())
}

fn record_of(entry: Entry, block: &Stored) -> LogRecord {
    LogRecord {
        at: entry.at,
        sequence: entry.sequence,
        level: entry.level,
        body: entry.body,
        trace_id: entry.trace.map(|trace| trace.iter().map(|byte| format!("{byte:02x}")).collect()),
        release: entry.release,
        environment: entry.environment,
        logger: entry.logger,
        subject: entry.person.and_then(|person| block.people.get(person).copied().flatten()),
        attributes: match serde_json::from_str(&entry.attributes) {
            Ok(Value::Object(attributes)) => attributes,
            _ => serde_json::Map::new(),
        },
    }
}
