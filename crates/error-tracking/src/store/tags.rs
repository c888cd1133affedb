//! Counts of tags: per project, and per issue.
//!
//! Most tags of an issue are the same in all of its events. Such a tag has no count of its own: it is NULL and stands for
//! all events of the issue, which says which tags these are. The first event without one of them makes it a count.
//!
//! The values of a key are counted one by one up to a limit; under the key's own number stands in how many events it had
//! others.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use belvedere_kernel::ProjectId;
use belvedere_storage::{Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::Value;

use super::write::IssueBefore;
use crate::IssueId;
use crate::digest::DigestedEvent;

/// How many values of a key are counted one by one in an issue.
pub(crate) const VALUES_PER_ISSUE_MAX: usize = 100;

/// How many values of a key a project knows.
const VALUES_PER_PROJECT_MAX: i64 = 10_000;

/// How many keys a project knows; tags with others are kept with their events and counted nowhere.
const KEYS_PER_PROJECT_MAX: i64 = 500;

/// How many events of an issue have a tag, or another value of a key. Without NULL, which stands for all of them, for
/// rows of `error_issue_tag c` and `error_issue i`.
pub(super) const EVENT_COUNT: &str = "COALESCE(c.event_count, i.event_count)";

/// As [`EVENT_COUNT`], when the first of them was and when the last.
pub(super) const SEEN: &str =
    "COALESCE(c.first_seen, i.first_seen) AS first_seen, COALESCE(c.last_seen, i.last_seen) AS last_seen";

/// A key and a value within a project; the value is empty for the key itself.
type Name<'a> = (ProjectId, &'a str, &'a str);

/// A tag within an issue: the numbers of its key and of itself, which are the same for other values of the key.
pub(super) type Place = (ProjectId, IssueId, i64, i64);

/// How often and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    pub(super) events: i64,
    first: Timestamp,
    last: Timestamp,
}

impl Tally {
    /// One event.
    pub(super) fn at(at: Timestamp) -> Self {
        Self { events: 1, first: at, last: at }
    }

    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

pub(super) fn add<K: Ord>(tallies: &mut BTreeMap<K, Tally>, key: K, tally: Tally) {
    tallies.entry(key).and_modify(|known| known.add(tally)).or_insert(tally);
}

/// The new events of an issue, and how often each key has which value in them.
#[derive(Debug)]
struct NewEvents<'a> {
    project: ProjectId,
    events: i64,
    tags: HashMap<(&'a str, &'a str), Tally>,
}

/// The tags that all events of an issue have: their numbers, each with that of its key.
pub(super) type CommonTags = BTreeMap<i64, i64>;

/// Reads [`CommonTags`] as they are kept with an issue: `tag:key`, divided by spaces.
pub(super) fn parse_common(text: &str) -> CommonTags {
    let pair = |pair: &str| {
        let (tag, key) = pair.split_once(':')?;
        Some((tag.parse().ok()?, key.parse().ok()?))
    };
    text.split(' ').filter_map(pair).collect()
}

fn common_text(tags: &CommonTags) -> String {
    tags.iter().map(|(tag, key)| format!("{tag}:{key}")).collect::<Vec<_>>().join(" ")
}

fn count<'a>(events: &'a [DigestedEvent], issues_of: &[Option<IssueId>]) -> BTreeMap<IssueId, NewEvents<'a>> {
    let mut counted: BTreeMap<IssueId, NewEvents<'a>> = BTreeMap::new();
    for (event, issue) in events.iter().zip(issues_of) {
        let Some(issue) = issue else { continue };
        let of_issue = counted.entry(*issue).or_insert_with(|| NewEvents {
            project: event.project,
            events: 0,
            tags: HashMap::with_capacity(event.tags.len()),
        });
        of_issue.events += 1;
        let tally = Tally::at(event.occurred_at);
        for tag in &event.tags {
            let known = of_issue.tags.entry((&*tag.key, &*tag.value));
            known.and_modify(|known| known.add(tally)).or_insert(tally);
        }
    }
    counted
}

/// A tag that its issue does not count yet.
#[derive(Debug)]
struct Wanted<'a> {
    issue: IssueId,
    name: Name<'a>,
    key: i64,
    tally: Tally,
    /// Whether all events of the issue have it.
    is_common: bool,
}

/// What a batch changes.
#[derive(Debug, Default)]
struct Changes<'a> {
    /// Tags that their issues may count already.
    counted: BTreeMap<Place, (Name<'a>, Tally)>,
    wanted: Vec<Wanted<'a>>,
    /// Tags that not all events of their issues have any longer, with everything that is counted of them.
    parted: BTreeMap<Place, Tally>,
    /// The common tags of issues, where they are others than before.
    common: BTreeMap<IssueId, CommonTags>,
    of_project: BTreeMap<i64, Tally>,
}

impl<'a> Changes<'a> {
    /// Adds the new events of an issue, which is new if nothing was before.
    fn add(
        &mut self,
        (issue, new): (IssueId, &NewEvents<'a>),
        before: Option<&IssueBefore>,
        ids: &HashMap<Name<'a>, i64>,
    ) {
        let project = new.project;
        let mut common = CommonTags::new();
        for ((key, value), tally) in &new.tags {
            let (name, tally) = ((project, *key, *value), *tally);
            let Some(key) = ids.get(&(project, *key, "")).copied() else { continue };
            add(&mut self.of_project, key, tally);
            match (before, ids.get(&name)) {
                (Some(before), Some(id)) if before.common_tags.contains_key(id) => {
                    add(&mut self.of_project, *id, tally);
                    if tally.events == new.events {
                        common.insert(*id, key);
                    } else {
                        self.parted.insert((project, issue, key, *id), tally);
                    }
                }
                (Some(_), Some(id)) => {
                    self.counted.insert((project, issue, key, *id), (name, tally));
                }
                (None, _) | (_, None) => {
                    let is_common = before.is_none() && tally.events == new.events;
                    self.wanted.push(Wanted { issue, name, key, tally, is_common });
                }
            }
        }
        let Some(before) = before.filter(|before| common.len() < before.common_tags.len()) else { return };
        let until_now = Tally { events: before.events, first: before.first_seen, last: before.last_seen };
        for (tag, key) in before.common_tags.iter().filter(|(tag, _)| !common.contains_key(*tag)) {
            add(&mut self.parted, (project, issue, *key, *tag), until_now);
        }
        self.common.insert(issue, common);
    }
}

/// Adds the tags of the new events of a batch, those with an issue, to all counts; `before` are the issues that are not
/// new.
pub(super) async fn add_tags(
    tx: &Tx,
    events: &[DigestedEvent],
    issues_of: &[Option<IssueId>],
    before: &HashMap<IssueId, IssueBefore>,
) -> Result<(), StorageError> {
    let counted = count(events, issues_of);
    let mut names: BTreeSet<Name<'_>> = BTreeSet::new();
    for of_issue in counted.values() {
        for (key, value) in of_issue.tags.keys() {
            names.extend([(of_issue.project, *key, ""), (of_issue.project, *key, *value)]);
        }
    }
    if names.is_empty() && before.values().all(|issue| issue.common_tags.is_empty()) {
        return Ok(());
    }
    let mut ids = find_tags(tx, &names).await?;
    add_keys(tx, &names, &mut ids).await?;

    let mut changes = Changes::default();
    for (issue, new) in &counted {
        changes.add((*issue, new), before.get(issue), &ids);
    }
    part(tx, &changes.parted).await?;
    let known = update_counts(tx, &changes.counted).await?;
    for (place, (name, tally)) in std::mem::take(&mut changes.counted) {
        let (_, issue, key, id) = place;
        if known.contains(&place) {
            add(&mut changes.of_project, id, tally);
        } else {
            changes.wanted.push(Wanted { issue, name, key, tally, is_common: false });
        }
    }

    let wanted = std::mem::take(&mut changes.wanted);
    let (wanted, rest) = admit(tx, wanted, before).await?;
    let is_new = |wanted: &Wanted<'_>| !ids.contains_key(&wanted.name);
    let new_names = wanted.iter().filter(|wanted| is_new(wanted)).map(|wanted| wanted.name).collect();
    let made = add_values(tx, new_names, &mut ids).await?;
    let mut rows: BTreeMap<Place, Option<Tally>> = BTreeMap::new();
    let mut others: BTreeMap<Place, Tally> = BTreeMap::new();
    for Wanted { issue, name, key, tally, .. } in rest {
        add(&mut others, (name.0, issue, key, key), tally);
    }
    for Wanted { issue, name, key, tally, is_common } in wanted {
        let Some(id) = ids.get(&name).copied() else {
            add(&mut others, (name.0, issue, key, key), tally);
            continue;
        };
        if is_common {
            changes.common.entry(issue).or_default().insert(id, key);
        }
        rows.insert((name.0, issue, key, id), Some(tally).filter(|_| !is_common));
        add(&mut changes.of_project, id, tally);
    }
    insert_counts(tx, &rows).await?;
    add_counts(tx, &others).await?;
    set_common(tx, &changes.common).await?;
    add_project_counts(tx, &changes.of_project, &made).await
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

/// Divides the tags into those that their issues have room for, and the rest.
async fn admit<'a>(
    tx: &Tx,
    mut wanted: Vec<Wanted<'a>>,
    before: &HashMap<IssueId, IssueBefore>,
) -> Result<(Vec<Wanted<'a>>, Vec<Wanted<'a>>), StorageError> {
    wanted.sort_unstable_by_key(|wanted| (wanted.issue, wanted.name));
    let known = wanted.iter().filter(|wanted| before.contains_key(&wanted.issue));
    let keys: BTreeSet<(ProjectId, IssueId, i64)> =
        known.map(|wanted| (wanted.name.0, wanted.issue, wanted.key)).collect();
    let rows =
        keys.into_iter().map(|(project, issue, key)| [project.0.into(), issue.into(), key.into()]).collect();
    let head = "SELECT c.issue_id, c.key_id, COUNT(*) FROM (VALUES ";
    let tail = ") AS v JOIN error_issue_tag c ON c.project_id = v.column1 AND c.issue_id = v.column2 \
                AND c.key_id = v.column3 AND c.tag_id <> c.key_id GROUP BY c.issue_id, c.key_id";
    let mut taken: HashMap<(IssueId, i64), i64> = HashMap::new();
    for row in bulk(tx, head, rows, tail).await? {
        taken.insert((row.try_get_by_index(0)?, row.try_get_by_index(1)?), row.try_get_by_index(2)?);
    }
    Ok(wanted.into_iter().partition(|wanted| {
        let taken = taken.entry((wanted.issue, wanted.key)).or_default();
        *taken += 1;
        *taken <= VALUES_PER_ISSUE_MAX as i64
    }))
}

fn row(place: &Place, tally: Option<&Tally>) -> [Value; 7] {
    let (project, issue, key, tag) = *place;
    let [events, first, last] = [
        tally.map(|tally| tally.events),
        tally.map(|tally| tally.first.as_micros()),
        tally.map(|tally| tally.last.as_micros()),
    ];
    [project.0.into(), issue.into(), key.into(), tag.into(), events.into(), first.into(), last.into()]
}

/// Counts the tags that had no count because all events had them.
async fn part(tx: &Tx, tallies: &BTreeMap<Place, Tally>) -> Result<(), StorageError> {
    let rows = tallies.iter().map(|(place, tally)| row(place, Some(tally))).collect();
    let head = "UPDATE error_issue_tag SET event_count = v.column5, first_seen = v.column6, last_seen = v.column7 \
                FROM (VALUES ";
    let tail = ") AS v WHERE error_issue_tag.project_id = v.column1 AND error_issue_tag.issue_id = v.column2 \
                AND error_issue_tag.key_id = v.column3 AND error_issue_tag.tag_id = v.column4";
    bulk(tx, head, rows, tail).await.map(drop)
}

/// Adds to counts that there are already; which they are.
async fn update_counts(
    tx: &Tx,
    tallies: &BTreeMap<Place, (Name<'_>, Tally)>,
) -> Result<HashSet<Place>, StorageError> {
    let rows = tallies.iter().map(|(place, (_, tally))| row(place, Some(tally))).collect();
    let head = "UPDATE error_issue_tag SET event_count = event_count + v.column5, \
                first_seen = CASE WHEN v.column6 < first_seen THEN v.column6 ELSE first_seen END, \
                last_seen = CASE WHEN v.column7 > last_seen THEN v.column7 ELSE last_seen END FROM (VALUES ";
    let tail = ") AS v WHERE error_issue_tag.project_id = v.column1 AND error_issue_tag.issue_id = v.column2 \
                AND error_issue_tag.key_id = v.column3 AND error_issue_tag.tag_id = v.column4 \
                RETURNING project_id, issue_id, key_id, tag_id";
    let mut known = HashSet::with_capacity(tallies.len());
    for row in bulk(tx, head, rows, tail).await? {
        let project = ProjectId(row.try_get_by_index(0)?);
        known.insert((project, row.try_get_by_index(1)?, row.try_get_by_index(2)?, row.try_get_by_index(3)?));
    }
    Ok(known)
}

const INSERT: &str = "INSERT INTO error_issue_tag (project_id, issue_id, key_id, tag_id, event_count, first_seen, last_seen) VALUES ";

/// Inserts tags with their counts, and without those that all events of their issues have.
async fn insert_counts(tx: &Tx, tallies: &BTreeMap<Place, Option<Tally>>) -> Result<(), StorageError> {
    let rows = tallies.iter().map(|(place, tally)| row(place, tally.as_ref())).collect();
    bulk(tx, INSERT, rows, "").await.map(drop)
}

/// Adds to counts, and inserts those that there are not.
pub(super) async fn add_counts(tx: &Tx, tallies: &BTreeMap<Place, Tally>) -> Result<(), StorageError> {
    let rows = tallies.iter().map(|(place, tally)| row(place, Some(tally))).collect();
    let tail = " ON CONFLICT (project_id, issue_id, key_id, tag_id) DO UPDATE SET \
                event_count = error_issue_tag.event_count + excluded.event_count, \
                first_seen = CASE WHEN excluded.first_seen < error_issue_tag.first_seen THEN excluded.first_seen \
                ELSE error_issue_tag.first_seen END, \
                last_seen = CASE WHEN excluded.last_seen > error_issue_tag.last_seen THEN excluded.last_seen \
                ELSE error_issue_tag.last_seen END";
    bulk(tx, INSERT, rows, tail).await.map(drop)
}

async fn set_common(tx: &Tx, common: &BTreeMap<IssueId, CommonTags>) -> Result<(), StorageError> {
    let rows = common.iter().map(|(issue, tags)| [(*issue).into(), common_text(tags).into()]).collect();
    let head = "UPDATE error_issue SET common_tags = v.column2 FROM (VALUES ";
    bulk(tx, head, rows, ") AS v WHERE error_issue.id = v.column1").await.map(drop)
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
