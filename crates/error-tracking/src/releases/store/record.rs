//! What arrives, written down: the way of every batch, so one statement a table and none for what is known already.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Dialect, Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::Value;

use crate::IssueId;
use crate::releases::Activity;
use crate::releases::activity::{ReleaseKey, Sighting};
use crate::sessions::SessionState;

/// The most releases of a project. Beyond it the one seen longest ago makes room for each new one, unless the API has
/// spoken of it; where it has spoken of all, a new one is only a word on its events.
pub(crate) const RELEASES_MAX: usize = 10_000;

/// The width of rows of users, in hours.
pub(crate) const HOUR_WIDTH: i64 = 1;
pub(crate) const DAY_WIDTH: i64 = 24;

/// How much later a release must have been seen for that to be written down.
const SEEN_STEP: Duration = Duration::from_secs(60);

/// Writes down what a batch says about releases; which issues have events of which releases for the first time.
///
/// Locks: releases by project and version, then their hours, then the issues of releases, then their
/// users, each by its key.
pub(crate) async fn record_activity_in(
    tx: &Tx,
    activity: &Activity,
    now: Timestamp,
) -> Result<Vec<(ProjectId, IssueId, String)>, StorageError> {
    if activity.releases.is_empty() {
        return Ok(Vec::new());
    }
    let left_out = record_releases(tx, &activity.releases, now).await?;
    let rows = activity
        .hours
        .iter()
        .filter(|((key, ..), _)| !left_out.contains(key))
        .map(|((key, environment, hour), counts)| {
            let row: [Value; 10] = [
                key.0.0.into(),
                key.1.as_str().into(),
                environment.as_str().into(),
                (*hour).into(),
                counts.events.into(),
                counts.sessions.into(),
                counts.errored.into(),
                counts.unhandled.into(),
                counts.abnormal.into(),
                counts.crashed.into(),
            ];
            row
        })
        .collect();
    let head = "INSERT INTO error_release_hour (project_id, version, environment, hour, event_count, session_count, \
                errored_count, unhandled_count, abnormal_count, crashed_count) VALUES ";
    let tail = " ON CONFLICT (project_id, version, environment, hour) DO UPDATE SET \
                event_count = error_release_hour.event_count + excluded.event_count, \
                session_count = error_release_hour.session_count + excluded.session_count, \
                errored_count = error_release_hour.errored_count + excluded.errored_count, \
                unhandled_count = error_release_hour.unhandled_count + excluded.unhandled_count, \
                abnormal_count = error_release_hour.abnormal_count + excluded.abnormal_count, \
                crashed_count = error_release_hour.crashed_count + excluded.crashed_count";
    bulk(tx, head, rows, tail).await?;
    let rows = activity
        .issues
        .iter()
        .filter(|((key, _), _)| !left_out.contains(key))
        .map(|((key, issue), events)| {
            [key.0.0.into(), key.1.as_str().into(), (*issue).into(), (*events).into()]
        })
        .collect();
    let head = "INSERT INTO error_issue_release (project_id, version, issue_id, event_count) VALUES ";
    let tail = " ON CONFLICT (project_id, version, issue_id) DO UPDATE SET \
                event_count = error_issue_release.event_count + excluded.event_count \
                RETURNING project_id, version, issue_id, event_count";
    let mut sighted = Vec::new();
    for row in bulk(tx, head, rows, tail).await? {
        let key = ((ProjectId(row.try_get_by_index(0)?), row.try_get_by_index(1)?), row.try_get_by_index(2)?);
        // All there is was added just now.
        if activity.issues.get(&key) == Some(&row.try_get_by_index(3)?) {
            let ((project, version), issue) = key;
            sighted.push((project, issue, version));
        }
    }
    record_users(tx, activity, &left_out).await?;
    Ok(sighted)
}

/// Writes down who used releases, by hour and by day.
async fn record_users(
    tx: &Tx,
    activity: &Activity,
    left_out: &HashSet<ReleaseKey>,
) -> Result<(), StorageError> {
    let mut worst: BTreeMap<(&ReleaseKey, &str, i64, i64, SubjectId), SessionState> = BTreeMap::new();
    for ((key, environment, hour, subject), state) in &activity.users {
        if left_out.contains(key) {
            continue;
        }
        for width in [HOUR_WIDTH, DAY_WIDTH] {
            let start = hour.div_euclid(width) * width;
            let known = worst.entry((key, environment, width, start, *subject)).or_insert(*state);
            *known = (*known).max(*state);
        }
    }
    let rows = worst
        .into_iter()
        .map(|((key, environment, width, hour, subject), state)| {
            let row: [Value; 7] = [
                key.0.0.into(),
                key.1.as_str().into(),
                environment.into(),
                width.into(),
                hour.into(),
                subject.0.into(),
                state.to_number().into(),
            ];
            row
        })
        .collect();
    let head = "INSERT INTO error_release_user (project_id, version, environment, width_hours, hour, subject_id, state) \
                VALUES ";
    let tail = " ON CONFLICT (project_id, version, environment, width_hours, hour, subject_id) DO UPDATE SET \
                state = excluded.state WHERE excluded.state > error_release_user.state";
    bulk(tx, head, rows, tail).await?;
    Ok(())
}

/// Adds new releases and moves the times of known ones; which found no room.
async fn record_releases(
    tx: &Tx,
    seen: &BTreeMap<ReleaseKey, Sighting>,
    now: Timestamp,
) -> Result<HashSet<ReleaseKey>, StorageError> {
    let known = find_sightings(tx, seen).await?;
    let mut written: BTreeMap<&ReleaseKey, &Sighting> = seen
        .iter()
        .filter(|(key, sighting)| known.get(*key).is_none_or(|known| is_news(known, sighting)))
        .collect();
    let mut new: BTreeMap<ProjectId, Vec<&ReleaseKey>> = BTreeMap::new();
    for key in written.keys().filter(|key| !known.contains_key(**key)) {
        new.entry(key.0).or_default().push(key);
    }
    let mut left_out = HashSet::new();
    for (project, mut keys) in new {
        let room = make_room(tx, project, keys.len(), &known).await?;
        for key in keys.drain(room.min(keys.len())..) {
            written.remove(key);
            left_out.insert(key.clone());
        }
    }
    let rows = written
        .into_iter()
        .map(|((project, version), sighting)| {
            let row: [Value; 8] = [
                project.0.into(),
                version.as_str().into(),
                now.into(),
                sighting.first.into(),
                sighting.last.into(),
                sighting.events.map(|(first, _)| first).into(),
                sighting.events.map(|(_, last)| last).into(),
                false.into(),
            ];
            row
        })
        .collect();
    let head = "INSERT INTO error_release (project_id, version, created_at, first_seen, last_seen, first_event_at, \
                last_event_at, is_declared) VALUES ";
    let earlier = |column: &str| {
        format!(
            "{column} = CASE WHEN error_release.{column} IS NULL OR excluded.{column} < error_release.{column} \
             THEN COALESCE(excluded.{column}, error_release.{column}) ELSE error_release.{column} END"
        )
    };
    let tail = format!(
        " ON CONFLICT (project_id, version) DO UPDATE SET {}, {}, {}, {}",
        earlier("first_seen"),
        earlier("last_seen").replace(" < ", " > "),
        earlier("first_event_at"),
        earlier("last_event_at").replace(" < ", " > "),
    );
    bulk(tx, head, rows, &tail).await?;
    Ok(left_out)
}

fn is_news(known: &Sighting, now: &Sighting) -> bool {
    let later = |known: Timestamp, now: Timestamp| now >= known.plus(SEEN_STEP);
    now.first < known.first
        || later(known.last, now.last)
        || match (known.events, now.events) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(known), Some(now)) => now.0 < known.0 || later(known.1, now.1),
        }
}

/// How many keys one look-up asks for; a look-up is filled up to one of these, so that each is prepared once.
const KEYS: [usize; 4] = [256, 64, 8, 1];

async fn find_sightings(
    tx: &Tx,
    seen: &BTreeMap<ReleaseKey, Sighting>,
) -> Result<HashMap<ReleaseKey, Sighting>, StorageError> {
    let keys: Vec<&ReleaseKey> = seen.keys().collect();
    let mut found = HashMap::with_capacity(keys.len());
    for chunk in keys.chunks(KEYS[0]) {
        let length = KEYS.into_iter().rev().find(|length| *length >= chunk.len()).unwrap_or(chunk.len());
        let mut sql = Sql::new(tx, "WITH wanted (project, name) AS (VALUES ");
        for index in 0..length {
            let (project, version) = chunk[index.min(chunk.len() - 1)];
            let row: [Value; 2] = [project.0.into(), version.as_str().into()];
            sql.push(if index == 0 { "" } else { "," }).bind_row(row);
        }
        sql.push(
            ") SELECT r.project_id, r.version, r.first_seen, r.last_seen, r.first_event_at, r.last_event_at \
             FROM wanted CROSS JOIN error_release r WHERE r.project_id = wanted.project AND r.version = wanted.name",
        );
        for row in sql.fetch(tx).await? {
            let first_event: Option<Timestamp> = row.try_get_by_index(4)?;
            let last_event: Option<Timestamp> = row.try_get_by_index(5)?;
            let sighting = Sighting {
                first: row.try_get_by_index(2)?,
                last: row.try_get_by_index(3)?,
                events: first_event.zip(last_event),
            };
            found.insert((ProjectId(row.try_get_by_index(0)?), row.try_get_by_index(1)?), sighting);
        }
    }
    Ok(found)
}

/// How many of `wanted` new releases a project has room for, after those seen longest ago have made room.
/// Those that `spared` names stay.
async fn make_room(
    tx: &Tx,
    project: ProjectId,
    wanted: usize,
    spared: &HashMap<ReleaseKey, Sighting>,
) -> Result<usize, StorageError> {
    let limit = i64::try_from(RELEASES_MAX).unwrap_or(i64::MAX);
    let mut sql = Sql::new(tx, "SELECT COUNT(*) FROM (SELECT 1 FROM error_release WHERE project_id = ");
    sql.bind(project.0).push(" LIMIT ").bind(limit).push(") AS counted");
    let count: i64 = match sql.fetch(tx).await?.first() {
        Some(row) => row.try_get_by_index(0)?,
        None => 0,
    };
    let free = RELEASES_MAX.saturating_sub(usize::try_from(count).unwrap_or(0));
    let lacking = wanted.saturating_sub(free);
    if lacking == 0 {
        return Ok(wanted);
    }
    let of_project = spared.keys().filter(|key| key.0 == project).count();
    let mut sql = Sql::new(tx, "SELECT version FROM error_release WHERE project_id = ");
    sql.bind(project.0).push(" AND is_declared = ").bind(false);
    sql.push(" ORDER BY last_seen, version LIMIT ");
    sql.bind(i64::try_from(lacking + of_project).unwrap_or(i64::MAX));
    sql.push(Dialect::of(tx).skip_locked());
    let mut fallen: Vec<String> = Vec::with_capacity(lacking);
    for row in sql.fetch(tx).await? {
        let version: String = row.try_get_by_index(0)?;
        if fallen.len() < lacking && !spared.contains_key(&(project, version.clone())) {
            fallen.push(version);
        }
    }
    delete_releases_in(tx, project, &fallen).await?;
    Ok(wanted - lacking + fallen.len())
}

/// The tables that hold rows of a release, the release itself last.
const TABLES: [&str; 6] = [
    "error_issue_release",
    "error_release_hour",
    "error_release_user",
    "error_deploy",
    "error_release_commit",
    "error_release",
];

/// Deletes releases with all that is counted of them. Issues and events keep their words.
pub(crate) async fn delete_releases_in(
    tx: &Tx,
    project: ProjectId,
    versions: &[String],
) -> Result<(), StorageError> {
    for table in TABLES {
        let mut sql = Sql::new(tx, "DELETE FROM ");
        sql.push(table).push(" WHERE project_id = ").bind(project.0).push(" AND version");
        sql.execute_in(tx, versions).await?;
    }
    Ok(())
}
