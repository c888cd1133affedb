use std::collections::{BTreeMap, HashSet};

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Dialect, Id, Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::Value;

use super::parse::{SessionCounts, SessionKey, SessionUpdate};
use super::row::{SessionRow, SessionState};
use crate::releases::Activity;

/// How many keys one look-up asks for.
const KEYS_MAX: usize = 256;

type Key = (ProjectId, Id<SessionKey>);

/// Remembers the sessions of a batch and adds what is new of them to `activity`. The subjects are those of the
/// updates and of the counts, in their orders.
///
/// Locks sessions in the order of project and id.
pub(crate) async fn record_sessions_in(
    tx: &Tx,
    (updates, subjects_of_updates): (&[SessionUpdate], &[Option<SubjectId>]),
    (counts, subjects_of_counts): (&[SessionCounts], &[Option<SubjectId>]),
    activity: &mut Activity,
) -> Result<(), StorageError> {
    for (counted, subject) in counts.iter().zip(subjects_of_counts) {
        activity.add_session_counts(counted, *subject);
    }
    let rows = fold(updates, subjects_of_updates);
    let inserted = insert(tx, &rows).await?;
    let known: Vec<(&Key, &SessionRow)> = rows.iter().filter(|(key, _)| !inserted.contains(*key)).collect();
    for key in &inserted {
        if let Some(row) = rows.get(key) {
            activity.add_session(key.0, None, row);
        }
    }
    let mut changed = Vec::new();
    for (key, before) in find(tx, &known).await? {
        let Some(news) = rows.get(&key) else { continue };
        let mut after = before.clone();
        if after.merge(news) {
            activity.add_session(key.0, Some(&before), &after);
            changed.push((key, after));
        }
    }
    update(tx, changed).await
}

/// The updates of each session as one.
fn fold(updates: &[SessionUpdate], subjects: &[Option<SubjectId>]) -> BTreeMap<Key, SessionRow> {
    let mut rows: BTreeMap<Key, SessionRow> = BTreeMap::new();
    for (update, subject) in updates.iter().zip(subjects) {
        let row = SessionRow {
            version: update.version.clone(),
            environment: update.environment.clone(),
            hour: update.started.as_seconds().div_euclid(3_600),
            started: update.started,
            state: update.state,
            subject: *subject,
        };
        rows.entry((update.project, update.session))
            .and_modify(|known| {
                known.merge(&row);
            })
            .or_insert(row);
    }
    rows
}

/// Inserts those that are not remembered; which those are.
async fn insert(tx: &Tx, rows: &BTreeMap<Key, SessionRow>) -> Result<HashSet<Key>, StorageError> {
    let values = rows
        .iter()
        .map(|((project, session), row)| {
            let values: [Value; 7] = [
                project.0.into(),
                (*session).into(),
                row.version.as_str().into(),
                row.environment.as_str().into(),
                row.hour.into(),
                row.state.to_number().into(),
                row.subject.map(|subject| subject.0).into(),
            ];
            values
        })
        .collect();
    let head = "INSERT INTO error_session (project_id, session_id, version, environment, hour, state, subject_id) VALUES ";
    let tail = " ON CONFLICT (project_id, session_id) DO NOTHING RETURNING project_id, session_id";
    let mut inserted = HashSet::with_capacity(rows.len());
    for row in bulk(tx, head, values, tail).await? {
        inserted.insert((ProjectId(row.try_get_by_index(0)?), row.try_get_by_index(1)?));
    }
    Ok(inserted)
}

async fn find(tx: &Tx, known: &[(&Key, &SessionRow)]) -> Result<Vec<(Key, SessionRow)>, StorageError> {
    let lock = if Dialect::of(tx) == Dialect::Postgres { " FOR UPDATE" } else { "" };
    let mut found = Vec::with_capacity(known.len());
    for of_project in known.chunk_by(|left, right| left.0.0 == right.0.0) {
        for chunk in of_project.chunks(KEYS_MAX) {
            let project = chunk[0].0.0;
            let ids: Vec<Id<SessionKey>> = chunk.iter().map(|(key, _)| key.1).collect();
            let mut sql = Sql::new(
                tx,
                "SELECT session_id, version, environment, hour, state, subject_id FROM error_session WHERE project_id = ",
            );
            sql.bind(project.0).push(" AND session_id IN ").bind_set(&ids);
            sql.push(" ORDER BY session_id").push(lock);
            for row in sql.fetch(tx).await? {
                let number: i64 = row.try_get_by_index(4)?;
                let state = SessionState::from_number(number)
                    .ok_or_else(|| StorageError::corrupt(format!("state {number} of a session")))?;
                let hour: i64 = row.try_get_by_index(3)?;
                let session = SessionRow {
                    version: row.try_get_by_index(1)?,
                    environment: row.try_get_by_index(2)?,
                    hour,
                    started: Timestamp::from_micros(hour * 3_600_000_000),
                    state,
                    subject: row.try_get_by_index::<Option<i64>>(5)?.map(SubjectId),
                };
                found.push(((project, row.try_get_by_index(0)?), session));
            }
        }
    }
    Ok(found)
}

async fn update(tx: &Tx, changed: Vec<(Key, SessionRow)>) -> Result<(), StorageError> {
    let rows = changed
        .into_iter()
        .map(|((project, session), row)| {
            let values: [Value; 4] = [
                project.0.into(),
                session.into(),
                row.state.to_number().into(),
                // A subject's number is never negative.
                row.subject.map_or(-1, |subject| subject.0).into(),
            ];
            values
        })
        .collect();
    let head = "UPDATE error_session SET state = v.column3, subject_id = CASE WHEN v.column4 < 0 THEN NULL ELSE \
                v.column4 END FROM (VALUES ";
    let tail = ") AS v WHERE error_session.project_id = v.column1 AND error_session.session_id = v.column2";
    bulk(tx, head, rows, tail).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use belvedere_kernel::Identity;
    use proptest::prelude::*;

    use super::*;

    /// What the database does, in memory: remembers rows, and adds up what changes.
    #[derive(Default)]
    struct Memory {
        rows: BTreeMap<Key, SessionRow>,
        counts: BTreeMap<(String, String, i64), [i64; 5]>,
        users: BTreeMap<(String, i64), SessionState>,
    }

    impl Memory {
        fn take(&mut self, updates: &[SessionUpdate], subjects: &[Option<SubjectId>]) {
            let mut activity = Activity::default();
            for (key, news) in fold(updates, subjects) {
                match self.rows.get_mut(&key) {
                    None => activity.add_session(key.0, None, self.rows.entry(key).or_insert(news)),
                    Some(row) => {
                        let before = row.clone();
                        if row.merge(&news) {
                            activity.add_session(key.0, Some(&before), row);
                        }
                    }
                }
            }
            for ((release, environment, hour), counts) in activity.hours {
                let sum = self.counts.entry((release.1, environment, hour)).or_default();
                let parts =
                    [counts.sessions, counts.errored, counts.abnormal, counts.unhandled, counts.crashed];
                sum.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
            }
            for ((release, _, _, subject), state) in activity.users {
                let worst = self.users.entry((release.1, subject.0)).or_insert(state);
                *worst = (*worst).max(state);
            }
        }
    }

    fn update_of(session: u8, state: usize) -> SessionUpdate {
        SessionUpdate {
            project: ProjectId(1),
            session: Id::from_bytes([session; 16]),
            // What belongs to a session is the same in each of its updates.
            version: format!("r{}", session % 2),
            environment: "production".to_owned(),
            started: Timestamp::from_micros(i64::from(session % 3) * 3_600_000_000),
            state: SessionState::ALL[state],
            identity: Identity::default(),
        }
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_plain_model_whatever_order_batches_and_repetitions(
            told in proptest::collection::vec((0..8_u8, 0..5_usize, any::<bool>()), 1..60),
            again in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
            order in any::<u64>(), size in 1..9_usize,
        ) {
            let mut sent = told.clone();
            sent.extend(again.iter().map(|index| told[index.index(told.len())]));
            // A shuffle that the seed decides.
            sent.sort_by_cached_key(|entry| (order ^ (u64::from(entry.0) * 31 + entry.1 as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let updates: Vec<_> = sent.iter().map(|(session, state, _)| update_of(*session, *state)).collect();
            let subjects: Vec<_> =
                sent.iter().map(|(session, _, knows)| knows.then(|| SubjectId(i64::from(*session / 2)))).collect();
            let mut memory = Memory::default();
            for (updates, subjects) in updates.chunks(size).zip(subjects.chunks(size)) {
                memory.take(updates, subjects);
            }

            let mut worst: BTreeMap<u8, SessionState> = BTreeMap::new();
            let mut known: BTreeSet<u8> = BTreeSet::new();
            for (session, state, knows) in &told {
                let state = SessionState::ALL[*state];
                worst.entry(*session).and_modify(|worst| *worst = (*worst).max(state)).or_insert(state);
                if *knows {
                    known.insert(*session);
                }
            }
            let mut counts: BTreeMap<(String, String, i64), [i64; 5]> = BTreeMap::new();
            let mut users: BTreeMap<(String, i64), SessionState> = BTreeMap::new();
            for (session, state) in &worst {
                let key = (format!("r{}", session % 2), "production".to_owned(), i64::from(session % 3));
                let sum = counts.entry(key).or_default();
                sum[0] += 1;
                if *state != SessionState::Healthy {
                    sum[*state as usize] += 1;
                }
                if known.contains(session) {
                    let user = users.entry((format!("r{}", session % 2), i64::from(session / 2))).or_insert(*state);
                    *user = (*user).max(*state);
                }
            }
            prop_assert_eq!(memory.counts, counts);
            prop_assert_eq!(memory.users, users);
        }
    }
}
