//! What statements are found by: for each key the instants at which statements were stored, in blocks, one for each key
//! of a merge. What was not merged yet is in [`crate::recent`].
//!
//! Blocks of one key do not overlap, because instants rise from commit to commit. What a statement is found by later,
//! through a statement that it refers to, stands under a second key in blocks of one.

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{StorageError, Tx, bulk, query_sql};
use sea_orm::ConnectionTrait;
use sha2::{Digest, Sha256};

use crate::packing::{put_varint, varints};
use crate::recent::Recents;

/// Turns a key into that of what is found by it later.
const LATE: i64 = 0x5a5a_0f0f_3c3c_6996;

/// Blocks that are read at once.
const BLOCKS: i64 = 64;

const HEAD: &str = "INSERT INTO xapi_posting (project_id, posting_key, first_stored, others) VALUES ";

/// What a statement can be found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Term<'a> {
    Agent(SubjectId),
    RelatedAgent(SubjectId),
    Verb(&'a str),
    AgentVerb(SubjectId, &'a str),
    Activity(&'a str),
    RelatedActivity(&'a str),
    Registration([u8; 16]),
}

impl Term<'_> {
    /// 64 bits of SHA-256 of the kind and the value.
    pub(crate) fn key(self) -> i64 {
        let mut hash = Sha256::new();
        match self {
            Self::Agent(subject) => hash.update([&[1_u8][..], &subject.0.to_be_bytes()].concat()),
            Self::RelatedAgent(subject) => hash.update([&[2_u8][..], &subject.0.to_be_bytes()].concat()),
            Self::Verb(verb) => hash.update([&[3_u8][..], verb.as_bytes()].concat()),
            Self::AgentVerb(subject, verb) => {
                hash.update([&[4_u8][..], &subject.0.to_be_bytes(), verb.as_bytes()].concat());
            }
            Self::Activity(id) => hash.update([&[5_u8][..], id.as_bytes()].concat()),
            Self::RelatedActivity(id) => hash.update([&[6_u8][..], id.as_bytes()].concat()),
            Self::Registration(id) => hash.update([&[7_u8][..], &id].concat()),
        }
        let digest = hash.finalize();
        digest.first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes))
    }
}

/// The key under which later findings of a key stand.
pub(crate) fn late(key: i64) -> i64 {
    key ^ LATE
}

/// Adds one block for each key, which come in the order of the index, so that neighbours are written together. Where one of the same
/// first instant is there already, it has no others than this one.
pub(crate) async fn insert(
    tx: &Tx,
    project: ProjectId,
    blocks: &[(i64, Vec<i64>)],
) -> Result<(), StorageError> {
    let mut rows = Vec::with_capacity(blocks.len());
    for (key, instants) in blocks {
        let Some(first) = instants.first() else { continue };
        let mut others = Vec::with_capacity(instants.len() - 1);
        for pair in instants.windows(2) {
            put_varint(pair[1].abs_diff(pair[0]), &mut others);
        }
        rows.push([project.0.into(), (*key).into(), (*first).into(), others.into()]);
    }
    let end = " ON CONFLICT (project_id, posting_key, first_stored) DO UPDATE SET others = excluded.others";
    bulk(tx, HEAD, rows, end).await.map(drop)
}

/// Adds blocks of one, of keys and instants; those that are there stay.
pub(crate) async fn insert_ones(
    tx: &Tx,
    project: ProjectId,
    ones: impl IntoIterator<Item = (i64, i64)>,
) -> Result<(), StorageError> {
    let row = |(key, at): (i64, i64)| [project.0.into(), key.into(), at.into(), Vec::<u8>::new().into()];
    bulk(tx, HEAD, ones.into_iter().map(row).collect(), " ON CONFLICT DO NOTHING").await.map(drop)
}

/// The instants under one key, in one direction, read as far as they are asked for.
struct Stream {
    key: i64,
    /// In the order in which they are given; the next one last.
    read: Vec<i64>,
    /// Where reading goes on; none at the end.
    next: Option<i64>,
}

/// One condition: the instants under any of its keys.
pub(crate) struct Union {
    streams: Vec<Stream>,
}

/// Where and in which direction instants are looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) project: ProjectId,
    pub(crate) ascending: bool,
}

impl Range {
    /// Whether `one` comes before `other`.
    fn is_before(self, one: i64, other: i64) -> bool {
        if self.ascending { one < other } else { one > other }
    }
}

impl Stream {
    /// The first instant at `from` or behind it; later calls ask for the same or what lies behind.
    async fn seek(
        &mut self,
        connection: &impl ConnectionTrait,
        range: Range,
        from: i64,
    ) -> Result<Option<i64>, StorageError> {
        loop {
            while let Some(last) = self.read.last() {
                if range.is_before(*last, from) {
                    self.read.pop();
                } else {
                    return Ok(Some(*last));
                }
            }
            let Some(next) = self.next else { return Ok(None) };
            let start = if range.is_before(next, from) { from } else { next };
            self.load(connection, range, start).await?;
        }
    }

    async fn load(
        &mut self,
        connection: &impl ConnectionTrait,
        range: Range,
        start: i64,
    ) -> Result<(), StorageError> {
        let head = "SELECT first_stored, others FROM xapi_posting \
                    WHERE project_id = $1 AND posting_key = $2 AND first_stored";
        let bound = |at: i64, limit: i64| [range.project.0.into(), self.key.into(), at.into(), limit.into()];
        let mut rows = Vec::new();
        if range.ascending {
            // The block in which `start` may lie began before it.
            let sql = format!("{head} < $3 ORDER BY first_stored DESC LIMIT $4");
            rows.extend(query_sql(connection, &sql, bound(start, 1)).await?);
            let sql = format!("{head} >= $3 ORDER BY first_stored LIMIT $4");
            rows.extend(query_sql(connection, &sql, bound(start, BLOCKS)).await?);
        } else {
            let sql = format!("{head} <= $3 ORDER BY first_stored DESC LIMIT $4");
            rows = query_sql(connection, &sql, bound(start, BLOCKS)).await?;
        }
        let full = usize::try_from(BLOCKS).unwrap_or(usize::MAX);
        let is_end = rows.len() < full;
        let mut last_first = start;
        let mut instants = Vec::new();
        for row in rows {
            let first: i64 = row.try_get_by_index(0)?;
            let others: Vec<u8> = row.try_get_by_index(1)?;
            let others = varints(&others).ok_or_else(|| StorageError::corrupt("xapi_posting.others"))?;
            last_first = first;
            instants.push(first);
            let mut at = first;
            for difference in others {
                at = at.saturating_add_unsigned(difference);
                instants.push(at);
            }
        }
        instants.retain(|at| !range.is_before(*at, start));
        // The next one last.
        if range.ascending {
            instants.sort_unstable_by(|one, other| other.cmp(one));
        } else {
            instants.sort_unstable();
        }
        self.next = if is_end {
            None
        } else if range.ascending {
            instants.first().map(|last| last + 1).or(Some(last_first + 1))
        } else {
            Some(last_first - 1)
        };
        self.read = instants;
        Ok(())
    }
}

impl Union {
    /// Whatever is under the keys from `from` on: what `recents` remember, which must have been renewed, and what is merged.
    pub(crate) fn new(range: Range, keys: &[i64], from: i64, recents: &Recents) -> Self {
        let mut streams = Vec::with_capacity(2 * keys.len());
        for key in keys {
            let mut read = recents.instants(range.project, *key);
            if range.ascending {
                read.reverse();
            }
            streams.push(Stream { key: *key, read, next: None });
            streams.push(Stream { key: *key, read: Vec::new(), next: Some(from) });
        }
        Self { streams }
    }

    async fn seek(
        &mut self,
        connection: &impl ConnectionTrait,
        range: Range,
        from: i64,
    ) -> Result<Option<i64>, StorageError> {
        let mut first = None;
        for stream in &mut self.streams {
            let found = stream.seek(connection, range, from).await?;
            first = match (first, found) {
                (Some(first), Some(found)) if range.is_before(found, first) => Some(found),
                (None, found) => found,
                (first, _) => first,
            };
        }
        Ok(first)
    }
}

/// The next instant at `from` or behind it that is under every condition.
pub(crate) async fn next_common(
    connection: &impl ConnectionTrait,
    range: Range,
    conditions: &mut [Union],
    from: i64,
) -> Result<Option<i64>, StorageError> {
    let mut candidate = from;
    loop {
        let start = candidate;
        for condition in conditions.iter_mut() {
            match condition.seek(connection, range, candidate).await? {
                Some(found) => candidate = found,
                None => return Ok(None),
            }
        }
        // Nobody moved it any more: all have it. A single condition always has what it found.
        if candidate == start || conditions.len() == 1 {
            return Ok(Some(candidate));
        }
    }
}
