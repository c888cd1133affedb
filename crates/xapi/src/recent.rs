//! What the last statements are found by: a row for each commit, until those of many commits are merged into
//! [`crate::posting`], sorted by their keys.
//!
//! A posting that is written by itself changes a page somewhere in an index that grows with the store. Those of a commit are
//! written in one piece, and thousands of statements that are merged share pages and blocks. Readers remember
//! the rows of a project by their keys, and ask for those that came since.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use belvedere_kernel::ProjectId;
use belvedere_storage::{Database, StorageError, Tx, execute_sql, query_sql};
use sea_orm::ConnectionTrait;

use crate::commit::{lock_project, update_project};
use crate::packing::{put_varint, varints};
use crate::posting;

/// From how many statements on their postings are merged, and of how many at once.
pub(crate) const MERGED_FROM: i64 = if cfg!(test) { 8 } else { 16_384 };
const MERGED_MAX: i64 = 4 * MERGED_FROM;

/// The most rows of one transaction of a merge: others write in between. A large merge has at most this many transactions.
const ROWS: usize = if cfg!(test) { 5 } else { 2_000 };
const TRANSACTIONS_MAX: usize = 16;

/// The most projects of which rows are remembered.
const PROJECTS_MAX: usize = 64;

/// A key under which a statement is found, and when that was stored.
pub(crate) type Posting = (i64, i64);

/// Sorted ones as variable-length integers: for each key how much it is more than the one before, how many instants it has,
/// and how much each is more than the one before, the first more than `first`.
fn pack(postings: &[Posting], first: i64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(12 * postings.len());
    let mut last_key = 0_i64;
    for of_key in postings.chunk_by(|one, other| one.0 == other.0) {
        let key = of_key[0].0;
        put_varint(key.wrapping_sub(last_key).cast_unsigned(), &mut bytes);
        last_key = key;
        put_varint(of_key.len() as u64, &mut bytes);
        let mut last = first;
        for (_, at) in of_key {
            put_varint(at.abs_diff(last), &mut bytes);
            last = *at;
        }
    }
    bytes
}

/// Gives each key and instant of a row to `take`, in the order of keys.
fn unpack(bytes: &[u8], first: i64, mut take: impl FnMut(i64, i64)) -> Result<(), StorageError> {
    let corrupt = || StorageError::corrupt("xapi_recent.postings");
    let mut numbers = varints(bytes).ok_or_else(corrupt)?.into_iter();
    let mut key = 0_i64;
    while let Some(more) = numbers.next() {
        key = key.wrapping_add(more.cast_signed());
        let (count, mut at) = (numbers.next().ok_or_else(corrupt)?, first);
        for _ in 0..count {
            at = at.saturating_add_unsigned(numbers.next().ok_or_else(corrupt)?);
            take(key, at);
        }
    }
    Ok(())
}

/// Writes what the statements of a commit are found by; `first` is when the first of them was stored.
pub(crate) async fn insert(
    tx: &Tx,
    project: ProjectId,
    (first, statements): (i64, usize),
    mut postings: Vec<Posting>,
) -> Result<(), StorageError> {
    postings.sort_unstable();
    let sql =
        "INSERT INTO xapi_recent (project_id, first_stored, statements, postings) VALUES ($1, $2, $3, $4)";
    let statements = i64::try_from(statements).unwrap_or(i64::MAX);
    let values = [project.0.into(), first.into(), statements.into(), pack(&postings, first).into()];
    execute_sql(tx, sql, values).await.map(drop)
}

/// What is remembered of the rows of projects, and which projects have enough of them to be merged.
#[derive(Default)]
pub(crate) struct Recents(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    of_projects: HashMap<ProjectId, Recent>,
    due: BTreeSet<ProjectId>,
}

struct Recent {
    /// The first row that is there, and the last one that is remembered.
    oldest: i64,
    through: i64,
    postings: HashMap<i64, Vec<i64>>,
}

impl Recent {
    fn new() -> Self {
        Self { oldest: i64::MIN, through: i64::MIN, postings: HashMap::new() }
    }

    /// Forgets rows that are merged.
    fn forget_before(&mut self, oldest: i64) {
        if oldest > self.oldest {
            self.oldest = oldest;
            self.postings.retain(|_, instants| {
                instants.drain(..instants.partition_point(|at| *at < oldest));
                !instants.is_empty()
            });
        }
    }
}

impl Recents {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a project has enough rows to be merged.
    pub(crate) fn mark_due(&self, project: ProjectId) {
        self.lock().due.insert(project);
    }

    /// Learns what was committed until now. Whoever then reads [`crate::posting`] misses nothing: rows leave here
    /// with the transaction that brings them there.
    pub(crate) async fn renew(
        &self,
        connection: &impl ConnectionTrait,
        project: ProjectId,
    ) -> Result<(), StorageError> {
        loop {
            let through = self.through(project);
            let sql = "SELECT first_stored, postings FROM xapi_recent \
                       WHERE project_id = $1 AND first_stored > $2 ORDER BY first_stored";
            let rows = query_sql(connection, sql, [project.0.into(), through.into()]).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let oldest = find_oldest(connection, project).await?.unwrap_or(i64::MAX);
            let mut remembered = self.lock();
            if !remembered.of_projects.contains_key(&project) && remembered.of_projects.len() >= PROJECTS_MAX
            {
                remembered.of_projects.clear();
            }
            let recent = remembered.of_projects.entry(project).or_insert_with(Recent::new);
            if recent.through < through {
                // Everything was forgotten meanwhile.
                continue;
            }
            recent.forget_before(oldest);
            for row in rows {
                let first: i64 = row.try_get_by_index(0)?;
                // Somebody else may have learnt it meanwhile.
                if first > recent.through {
                    let bytes: Vec<u8> = row.try_get_by_index(1)?;
                    unpack(&bytes, first, |key, at| recent.postings.entry(key).or_default().push(at))?;
                    recent.through = first;
                }
            }
            return Ok(());
        }
    }

    fn through(&self, project: ProjectId) -> i64 {
        self.lock().of_projects.get(&project).map_or(i64::MIN, |recent| recent.through)
    }

    /// The instants under a key that are remembered, in rising order.
    pub(crate) fn instants(&self, project: ProjectId, key: i64) -> Vec<i64> {
        let remembered = self.lock();
        let postings = remembered.of_projects.get(&project).map(|recent| &recent.postings);
        postings.and_then(|postings| postings.get(&key)).cloned().unwrap_or_default()
    }
}

async fn find_oldest(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Option<i64>, StorageError> {
    let sql = "SELECT MIN(first_stored) FROM xapi_recent WHERE project_id = $1";
    let rows = query_sql(connection, sql, [project.0.into()]).await?;
    Ok(rows.first().map(|row| row.try_get_by_index(0)).transpose()?.flatten())
}

/// The rows of a project on their way into blocks. Nothing is lost or told twice if it ends anywhere: what is written is
/// written again with the same first instants, and the rows go with the last block.
pub(crate) struct Merge {
    project: ProjectId,
    oldest: i64,
    through: i64,
    statements: i64,
    blocks: std::vec::IntoIter<(i64, Vec<i64>)>,
    blocks_at_once: usize,
}

impl Merge {
    /// Begins to merge the rows of a project that has enough of them.
    pub(crate) async fn begin(db: &Database, recents: &Recents) -> Result<Option<Self>, StorageError> {
        let Some(project) = recents.lock().due.pop_first() else { return Ok(None) };
        // A row has at least one statement.
        let sql = "SELECT first_stored, statements, postings FROM xapi_recent \
                   WHERE project_id = $1 ORDER BY first_stored LIMIT $2";
        let (mut range, mut count, mut postings) = (None, 0, BTreeMap::<i64, Vec<i64>>::new());
        for row in query_sql(db.read(), sql, [project.0.into(), MERGED_MAX.into()]).await? {
            let (first, statements): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let bytes: Vec<u8> = row.try_get_by_index(2)?;
            unpack(&bytes, first, |key, at| postings.entry(key).or_default().push(at))?;
            let (oldest, _) = range.unwrap_or((first, first));
            range = Some((oldest, first));
            count += statements;
            if count >= MERGED_MAX {
                break;
            }
        }
        let Some((oldest, through)) = range else { return Ok(None) };
        let blocks: Vec<(i64, Vec<i64>)> = postings.into_iter().collect();
        let blocks_at_once = blocks.len().div_ceil(TRANSACTIONS_MAX).max(ROWS);
        let blocks = blocks.into_iter();
        Ok(Some(Self { project, oldest, through, statements: count, blocks, blocks_at_once }))
    }

    /// Writes some blocks, and with the last ones takes the rows away; whether that was the end.
    pub(crate) async fn go_on(&mut self, db: &Database) -> Result<bool, StorageError> {
        let blocks: Vec<(i64, Vec<i64>)> = self.blocks.by_ref().take(self.blocks_at_once).collect();
        let is_last = self.blocks.len() == 0;
        db.write(async |tx| {
            let mut row = lock_project(tx, self.project).await?;
            if find_oldest(tx, self.project).await? != Some(self.oldest) {
                // Somebody else has merged them.
                return Ok(true);
            }
            posting::insert(tx, self.project, &blocks).await?;
            if is_last {
                let sql = "DELETE FROM xapi_recent WHERE project_id = $1 AND first_stored <= $2";
                execute_sql(tx, sql, [self.project.0.into(), self.through.into()]).await?;
                row.recent -= self.statements;
                update_project(tx, self.project, row).await?;
            }
            Ok(is_last)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use belvedere_storage::testing::TestDatabase;

    use super::*;
    use crate::posting::{Range, Union, next_common};

    belvedere_storage::database_tests!(everything_is_found_once_wherever_a_merge_ends);

    const PROJECT: ProjectId = ProjectId(1);

    #[test]
    fn rows_are_read_as_they_were_written() {
        let postings = [(i64::MIN, 100), (-1, 101), (-1, 105), (i64::MAX, 100), (i64::MAX, 1 << 40)];
        let bytes = pack(&postings, 100);
        let mut read = Vec::new();
        unpack(&bytes, 100, |key, at| read.push((key, at))).unwrap();
        assert_eq!(read, postings);
        assert!(unpack(&bytes[..bytes.len() - 1], 100, |_, _| ()).is_err());
    }

    /// The instants under a key, in both directions.
    async fn found(db: &Database, recents: &Recents, key: i64) -> Vec<i64> {
        let mut both = Vec::new();
        for ascending in [true, false] {
            let range = Range { project: PROJECT, ascending };
            let (mut found, mut from) = (Vec::new(), if ascending { i64::MIN } else { i64::MAX });
            recents.renew(db.read(), PROJECT).await.unwrap();
            let mut conditions = [Union::new(range, &[key], from, recents)];
            while let Some(at) = next_common(db.read(), range, &mut conditions, from).await.unwrap() {
                found.push(at);
                from = if ascending { at + 1 } else { at - 1 };
            }
            both.push(found);
        }
        both[1].reverse();
        assert_eq!(both[0], both[1]);
        both.remove(0)
    }

    async fn everything_is_found_once_wherever_a_merge_ends(db: TestDatabase) {
        // One knows everything from the first row on, one begins anew each time, as another process.
        let recents = Recents::default();
        let mut next = 1_000;
        for round in 0..40_i64 {
            let mut postings = Vec::new();
            let first = next;
            for _ in 0..4 {
                for key in [0, next % 3, 100 + next % 7, next] {
                    postings.push((key, next));
                }
                next += 1;
            }
            db.write(async |tx| {
                let mut row = lock_project(tx, PROJECT).await?;
                row.recent += 4;
                update_project(tx, PROJECT, row).await?;
                insert(tx, PROJECT, (first, 4), postings).await
            })
            .await
            .unwrap();
            recents.mark_due(PROJECT);
            // Of a merge of any size one, two, three transactions, or all.
            let mut merge = if round % 3 == 0 { Merge::begin(&db, &recents).await.unwrap() } else { None };
            for _ in 0..[1, 2, 3, 100][(round % 4) as usize] {
                let Some(some) = &mut merge else { break };
                if some.go_on(&db).await.unwrap() {
                    merge = None;
                }
                for key in [0, 2, 103, next - 1, next - 9] {
                    let is_of = |at: &i64| key == 0 || at % 3 == key || 100 + at % 7 == key || *at == key;
                    let right: Vec<i64> = (1_000..next).filter(is_of).collect();
                    assert_eq!(found(&db, &recents, key).await, right, "{round} {key}");
                    assert_eq!(found(&db, &Recents::default(), key).await, right, "{round} {key}");
                }
            }
        }
        let count =
            query_sql(db.read(), "SELECT CAST(COALESCE(SUM(statements), 0) AS BIGINT) FROM xapi_recent", [])
                .await
                .unwrap();
        let row = db.write(async |tx| lock_project(tx, PROJECT).await).await.unwrap();
        assert_eq!(count[0].try_get_by_index::<i64>(0).unwrap(), row.recent);
    }
}
