//! Counts of tags: per project, and per issue.
//!
//! A key is counted under the tag with the empty value: how many events have the key at all, and how many of its
//! values are counted one by one. The rest is known by difference and shown as others.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Timestamp, Tx};
use sea_orm::Value;

use super::sql::{Sql, bulk};
use crate::IssueId;
use crate::digest::DigestedEvent;

/// How many values of a key are counted one by one in an issue.
pub(crate) const VALUES_PER_ISSUE_MAX: i64 = 100;

/// How many values of a key a project knows.
const VALUES_PER_PROJECT_MAX: i64 = 10_000;

/// How many keys a project knows; tags with others are kept with their events and counted nowhere.
const KEYS_PER_PROJECT_MAX: i64 = 500;

/// A key and a value within a project; the value is empty for the key itself.
type Name<'a> = (ProjectId, &'a str, &'a str);

/// A tag within an issue.
type Place = (ProjectId, IssueId, i64);

/// How often and when.
#[derive(Debug, Clone, Copy)]
struct Tally {
    events: i64,
    first: Timestamp,
    last: Timestamp,
}

impl Tally {
    fn of(event: &DigestedEvent) -> Self {
        Self { events: 1, first: event.occurred_at, last: event.occurred_at }
    }

    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

fn add<K: Ord>(tallies: &mut BTreeMap<K, Tally>, key: K, tally: Tally) {
    tallies.entry(key).and_modify(|known| known.add(tally)).or_insert(tally);
}

/// Counts the keys and values of the events with an issue.
fn count<'a>(
    events: &'a [DigestedEvent],
    issues_of: &[Option<IssueId>],
) -> BTreeMap<(Name<'a>, IssueId), Tally> {
    let mut values: HashMap<(Name<'a>, IssueId), Tally> = HashMap::new();
    for (event, issue) in events.iter().zip(issues_of) {
        let Some(issue) = issue else { continue };
        for tag in &event.tags {
            let place = ((event.project, &*tag.key, &*tag.value), *issue);
            let tally = Tally::of(event);
            values.entry(place).and_modify(|known| known.add(tally)).or_insert(tally);
        }
    }
    let mut counted = BTreeMap::new();
    for (((project, key, _), issue), tally) in &values {
        add(&mut counted, ((*project, *key, ""), *issue), *tally);
    }
    counted.extend(values);
    counted
}

/// Adds the tags of the new events of a batch, those with an issue, to all counts.
pub(super) async fn add_tags(
    tx: &Tx,
    events: &[DigestedEvent],
    issues_of: &[Option<IssueId>],
) -> Result<(), StorageError> {
    let counted = count(events, issues_of);
    if counted.is_empty() {
        return Ok(());
    }
    let names: BTreeSet<Name<'_>> = counted.keys().map(|(name, _)| *name).collect();
    let mut ids = find_tags(tx, &names).await?;
    add_keys(tx, &names, &mut ids).await?;

    // The keys of issues first: they say how many values there is room for.
    let place = |ids: &HashMap<Name<'_>, i64>, name: &Name<'_>, issue: &IssueId| {
        ids.get(name).map(|id| (name.0, *issue, *id))
    };
    let mut of_keys: BTreeMap<Place, Tally> = BTreeMap::new();
    let mut of_values: BTreeMap<Place, Tally> = BTreeMap::new();
    for ((name, issue), tally) in &counted {
        if let Some(place) = place(&ids, name, issue) {
            add(if name.2.is_empty() { &mut of_keys } else { &mut of_values }, place, *tally);
        }
    }
    let taken = add_key_counts(tx, &of_keys).await?;
    let known = update_value_counts(tx, &of_values).await?;

    let mut wanted = Vec::new();
    let mut used: HashMap<Place, i64> = HashMap::new();
    for (name, issue) in counted.keys().filter(|((.., value), _)| !value.is_empty()) {
        let is_counted = place(&ids, name, issue).is_some_and(|place| known.contains(&place));
        let Some(key) = place(&ids, &(name.0, name.1, ""), issue).filter(|_| !is_counted) else { continue };
        let added = used.entry(key).or_default();
        if taken.get(&key).copied().unwrap_or(0) + *added < VALUES_PER_ISSUE_MAX {
            *added += 1;
            wanted.push((*name, *issue, key));
        }
    }
    let new_names: BTreeSet<Name<'_>> =
        wanted.iter().map(|(name, ..)| *name).filter(|name| !ids.contains_key(name)).collect();
    let made = add_values(tx, new_names, &mut ids).await?;

    let mut new_places: BTreeMap<Place, Tally> = BTreeMap::new();
    let mut added_values: BTreeMap<Place, i64> = BTreeMap::new();
    for (name, issue, key) in wanted {
        if let Some(place) = place(&ids, &name, &issue)
            && let Some(tally) = counted.get(&(name, issue))
        {
            add(&mut new_places, place, *tally);
            *added_values.entry(key).or_default() += 1;
        }
    }
    insert_value_counts(tx, &new_places, &added_values).await?;

    let mut of_project: BTreeMap<i64, Tally> = BTreeMap::new();
    let places = of_keys.iter().chain(of_values.iter().filter(|(place, _)| known.contains(*place)));
    for (place, tally) in places.chain(&new_places) {
        add(&mut of_project, place.2, *tally);
    }
    add_project_counts(tx, &of_project, &made).await
}

/// The ids of those of `names` that the project knows.
async fn find_tags<'a>(tx: &Tx, names: &BTreeSet<Name<'a>>) -> Result<HashMap<Name<'a>, i64>, StorageError> {
    let by_text: HashMap<(i64, String, String), Name<'a>> =
        names.iter().map(|name| ((name.0.0, name.1.to_owned(), name.2.to_owned()), *name)).collect();
    let rows = names.iter().map(|(project, key, value)| [project.0.into(), (*key).into(), (*value).into()]);
    let head = "SELECT t.project_id, t.key, t.value, t.id FROM (VALUES ";
    let tail =
        ") AS v JOIN error_tag t ON t.project_id = v.column1 AND t.key = v.column2 AND t.value = v.column3";
    let mut found = HashMap::with_capacity(names.len());
    for row in bulk(tx, head, rows.collect(), tail).await? {
        let name = (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        if let Some(name) = by_text.get(&name) {
            found.insert(*name, row.try_get_by_index(3)?);
        }
    }
    Ok(found)
}

/// Makes the keys among `names` that the project does not know yet, as far as it may have more.
async fn add_keys<'a>(
    tx: &Tx,
    names: &BTreeSet<Name<'a>>,
    ids: &mut HashMap<Name<'a>, i64>,
) -> Result<(), StorageError> {
    let new: BTreeSet<Name<'a>> =
        names.iter().filter(|name| name.2.is_empty() && !ids.contains_key(*name)).copied().collect();
    let projects: BTreeSet<ProjectId> = new.iter().map(|name| name.0).collect();
    let mut allowed = BTreeSet::new();
    for project in projects {
        let mut sql = Sql::new(tx, "SELECT COUNT(*) FROM error_tag WHERE value = '' AND project_id = ");
        sql.bind(project.0);
        let rows = sql.fetch(tx).await?;
        let known: i64 = rows.first().map_or(Ok(0), |row| row.try_get_by_index(0))?;
        let room = usize::try_from(KEYS_PER_PROJECT_MAX - known).unwrap_or(0);
        allowed.extend(new.iter().filter(|name| name.0 == project).take(room).copied());
    }
    insert_tags(tx, &allowed, ids).await.map(drop)
}

/// Makes tags with values, as far as their keys may have more in the project; how many each key has got. (Two workers
/// on PostgreSQL that do so at once can exceed the limit by a few.)
async fn add_values<'a>(
    tx: &Tx,
    new: BTreeSet<Name<'a>>,
    ids: &mut HashMap<Name<'a>, i64>,
) -> Result<BTreeMap<i64, i64>, StorageError> {
    if new.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut of_key: BTreeMap<i64, Vec<Name<'a>>> = BTreeMap::new();
    for name in new {
        if let Some(key) = ids.get(&(name.0, name.1, "")) {
            of_key.entry(*key).or_default().push(name);
        }
    }
    let rows = of_key.keys().map(|key| [(*key).into()]).collect();
    let head = "SELECT t.id, t.value_count FROM (VALUES ";
    let mut allowed = BTreeSet::new();
    for row in bulk(tx, head, rows, ") AS v JOIN error_tag t ON t.id = v.column1").await? {
        let (key, known): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let room = usize::try_from(VALUES_PER_PROJECT_MAX - known).unwrap_or(0);
        let names = of_key.remove(&key).unwrap_or_default();
        allowed.extend(names.into_iter().take(room));
    }
    insert_tags(tx, &allowed, ids).await
}

/// Makes those of `names` that do not exist; how many values each key has got through this.
async fn insert_tags<'a>(
    tx: &Tx,
    names: &BTreeSet<Name<'a>>,
    ids: &mut HashMap<Name<'a>, i64>,
) -> Result<BTreeMap<i64, i64>, StorageError> {
    let mut made = BTreeMap::new();
    if names.is_empty() {
        return Ok(made);
    }
    let rows = names.iter().map(|(project, key, value)| [project.0.into(), (*key).into(), (*value).into()]);
    // The counts and times are added with those of all tags of the batch.
    let head = "INSERT INTO error_tag (project_id, key, value, event_count, value_count, first_seen, last_seen) \
                SELECT v.column1, v.column2, v.column3, 0, 0, 9223372036854775807, 0 FROM (VALUES ";
    let tail = ") AS v WHERE true ON CONFLICT (project_id, key, value) DO NOTHING RETURNING id";
    let mut new = HashSet::new();
    for row in bulk(tx, head, rows.collect(), tail).await? {
        new.insert(row.try_get_by_index::<i64>(0)?);
    }
    let found = find_tags(tx, names).await?;
    for (name, id) in &found {
        if new.contains(id)
            && let Some(key) = ids.get(&(name.0, name.1, ""))
        {
            *made.entry(*key).or_default() += 1;
        }
    }
    ids.extend(found);
    Ok(made)
}

fn row(place: &Place, tally: &Tally) -> [Value; 6] {
    let (project, issue, tag) = *place;
    [project.0.into(), issue.into(), tag.into(), tally.events.into(), tally.first.into(), tally.last.into()]
}

/// Counts keys of issues; how many values of each are counted one by one.
async fn add_key_counts(
    tx: &Tx,
    tallies: &BTreeMap<Place, Tally>,
) -> Result<HashMap<Place, i64>, StorageError> {
    let rows = tallies.iter().map(|(place, tally)| row(place, tally)).collect();
    let head = "INSERT INTO error_issue_tag (project_id, issue_id, tag_id, event_count, first_seen, last_seen, \
                value_count) SELECT v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, 0 FROM (VALUES ";
    let tail = ") AS v WHERE true ON CONFLICT (project_id, issue_id, tag_id) DO UPDATE SET \
                event_count = error_issue_tag.event_count + excluded.event_count, \
                first_seen = CASE WHEN excluded.first_seen < error_issue_tag.first_seen THEN excluded.first_seen \
                ELSE error_issue_tag.first_seen END, \
                last_seen = CASE WHEN excluded.last_seen > error_issue_tag.last_seen THEN excluded.last_seen \
                ELSE error_issue_tag.last_seen END RETURNING project_id, issue_id, tag_id, value_count";
    let mut taken = HashMap::with_capacity(tallies.len());
    for row in bulk(tx, head, rows, tail).await? {
        let project = ProjectId(row.try_get_by_index(0)?);
        taken.insert((project, row.try_get_by_index(1)?, row.try_get_by_index(2)?), row.try_get_by_index(3)?);
    }
    Ok(taken)
}

/// Counts values that issues have already; which they are.
async fn update_value_counts(
    tx: &Tx,
    tallies: &BTreeMap<Place, Tally>,
) -> Result<HashSet<Place>, StorageError> {
    let rows = tallies.iter().map(|(place, tally)| row(place, tally)).collect();
    let head = "UPDATE error_issue_tag SET event_count = event_count + v.column4, \
                first_seen = CASE WHEN v.column5 < first_seen THEN v.column5 ELSE first_seen END, \
                last_seen = CASE WHEN v.column6 > last_seen THEN v.column6 ELSE last_seen END FROM (VALUES ";
    let tail = ") AS v WHERE error_issue_tag.project_id = v.column1 AND error_issue_tag.issue_id = v.column2 \
                AND error_issue_tag.tag_id = v.column3 RETURNING project_id, issue_id, tag_id";
    let mut known = HashSet::with_capacity(tallies.len());
    for row in bulk(tx, head, rows, tail).await? {
        known.insert((
            ProjectId(row.try_get_by_index(0)?),
            row.try_get_by_index(1)?,
            row.try_get_by_index(2)?,
        ));
    }
    Ok(known)
}

async fn insert_value_counts(
    tx: &Tx,
    tallies: &BTreeMap<Place, Tally>,
    added_values: &BTreeMap<Place, i64>,
) -> Result<(), StorageError> {
    if tallies.is_empty() {
        return Ok(());
    }
    let rows = tallies.iter().map(|(place, tally)| row(place, tally)).collect();
    let head = "INSERT INTO error_issue_tag (project_id, issue_id, tag_id, event_count, first_seen, last_seen, \
                value_count) SELECT v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, 0 FROM (VALUES ";
    bulk(tx, head, rows, ") AS v").await?;
    let rows = added_values
        .iter()
        .map(|((project, issue, tag), added)| {
            [project.0.into(), (*issue).into(), (*tag).into(), (*added).into()]
        })
        .collect();
    let head = "UPDATE error_issue_tag SET value_count = value_count + v.column4 FROM (VALUES ";
    let tail = ") AS v WHERE error_issue_tag.project_id = v.column1 AND error_issue_tag.issue_id = v.column2 \
                AND error_issue_tag.tag_id = v.column3";
    bulk(tx, head, rows, tail).await?;
    Ok(())
}

async fn add_project_counts(
    tx: &Tx,
    tallies: &BTreeMap<i64, Tally>,
    made: &BTreeMap<i64, i64>,
) -> Result<(), StorageError> {
    let rows = tallies
        .iter()
        .map(|(tag, tally)| {
            let values = made.get(tag).copied().unwrap_or(0);
            [(*tag).into(), tally.events.into(), tally.first.into(), tally.last.into(), values.into()]
        })
        .collect();
    let head = "UPDATE error_tag SET event_count = event_count + v.column2, value_count = value_count + v.column5, \
                first_seen = CASE WHEN v.column3 < first_seen THEN v.column3 ELSE first_seen END, \
                last_seen = CASE WHEN v.column4 > last_seen THEN v.column4 ELSE last_seen END FROM (VALUES ";
    bulk(tx, head, rows, ") AS v WHERE error_tag.id = v.column1").await?;
    Ok(())
}
