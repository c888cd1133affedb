use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use belvedere_kernel::{Actor, ConsentGate, Identity, ProjectId, RawPerson, SubjectId};
use belvedere_storage::{Dialect, Id, Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::Value;
use serde_json::json;

use super::KEYS_MAX;
use super::adopt::adopt_issues_in;
use super::triage::{Asleep, NewActivity, guard_projects, insert_activities, own_in, wake_in};
use super::{tags, text};
use crate::digest::DigestedEvent;
use crate::event_id::{EventId, EventKey};
use crate::limits::{StorageChange, StoredKind};
use crate::releases::{Activity, record_activity_in};
use crate::source_maps::store::insert_unmapped;
use crate::tags::pack_tags;
use crate::trend::Heat;
use crate::triage::{ActivityKind, Owner};
use crate::{IssueId, IssueStatus, Level, Substatus};

/// What a batch did to one issue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TouchedIssue {
    pub(crate) project: ProjectId,
    pub(crate) id: IssueId,
    pub(crate) number: i64,
    pub(crate) title: String,
    pub(crate) is_new: bool,
    /// If the batch made it unresolved again, how.
    pub(crate) reopened: Option<Substatus>,
    /// How many events it has now.
    pub(crate) events: u64,
    pub(crate) last_seen: Timestamp,
    pub(crate) level: Level,
    /// How its text was when it was last indexed, and how often it has varied since.
    pub(crate) text_hash: i64,
    pub(crate) text_variants: i64,
}

/// What became of a batch of events.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// For each event the issue that it joined; `None` for a duplicate.
    pub(crate) issues_of: Vec<Option<IssueId>>,
    /// Which events are dropped because their issue was deleted together with its future.
    pub(crate) is_discarded: Vec<bool>,
    pub(crate) touched: Vec<TouchedIssue>,
}

impl Written {
    /// Counts the payloads of those `events` that were written.
    pub(crate) fn add_storage(&self, events: &[DigestedEvent], storage: &mut StorageChange) {
        for (event, issue) in events.iter().zip(&self.issues_of) {
            if issue.is_some() {
                let bytes = event.payload.len() as u64;
                storage.add(event.project, event.received_at, StoredKind::Event, 1, bytes);
            }
        }
    }
}

/// A hash within a project, under a version of the rules.
pub(crate) type HashKey = (ProjectId, u16, [u8; 16]);

/// The subject of each person, in their order. All of a transaction come at once, or two transactions could wait for
/// each other's projects in a circle.
pub(crate) async fn admit_in<'a>(
    tx: &Tx,
    gate: &dyn ConsentGate,
    identities: impl Iterator<Item = (ProjectId, &'a Identity)>,
) -> Result<Vec<Option<SubjectId>>, StorageError> {
    let mut places: HashMap<RawPerson, usize> = HashMap::new();
    let mut people = Vec::new();
    let mut place_of = Vec::new();
    for (project, identity) in identities {
        if identity.is_empty() {
            place_of.push(None);
            continue;
        }
        let person = RawPerson::new(project, identity.clone());
        let place = *places.entry(person).or_insert_with_key(|person| {
            people.push(person.clone());
            people.len() - 1
        });
        place_of.push(Some(place));
    }
    if people.is_empty() {
        return Ok(vec![None; place_of.len()]);
    }
    let admitted = gate.admit(tx, &people).await?;
    Ok(place_of.into_iter().map(|place| admitted.get(place?)?.subject).collect())
}

/// Writes events and everything that is counted of them. `subjects` are those of [`admit_in`].
///
/// Locks are taken in one order everywhere, so that workers on PostgreSQL wait for each other and never in a circle:
/// projects (shared here, alone by whoever moves events between issues), counters by project, events by id, issues by
/// id, then hours, subjects and environments by their keys, then what [`record_activity_in`] writes, then tags of the
/// project, tags of issues, and texts.
pub(crate) async fn store_events_in(
    tx: &Tx,
    events: &[DigestedEvent],
    subjects: &[Option<SubjectId>],
    now: Timestamp,
) -> Result<Written, StorageError> {
    store_events_with_in(tx, events, subjects, Activity::default(), now).await
}

/// As [`store_events_in`], and writes with it what else the batch says of releases, which has locked nothing that is
/// locked here.
pub(crate) async fn store_events_with_in(
    tx: &Tx,
    events: &[DigestedEvent],
    subjects: &[Option<SubjectId>],
    mut activity: Activity,
    now: Timestamp,
) -> Result<Written, StorageError> {
    let projects: BTreeSet<ProjectId> = events.iter().map(|event| event.project).collect();
    guard_projects(tx, &projects.into_iter().collect::<Vec<_>>()).await?;
    let mut issues = find_issues_of_hashes(tx, &keys_of(events, &HashMap::new())).await?;
    let unknown = keys_of(events, &issues);
    let mut created = HashSet::new();
    if !unknown.is_empty() {
        if Dialect::of(tx) == Dialect::Postgres {
            // Who makes issues of a project holds its counter; another worker may have made these meanwhile.
            let projects: BTreeSet<ProjectId> = unknown.iter().map(|(project, ..)| *project).collect();
            take_numbers(tx, projects.into_iter().map(|project| (project, 0)).collect()).await?;
            issues.extend(find_issues_of_hashes(tx, &unknown).await?);
        }
        adopt_issues_in(tx, events, &mut issues).await?;
        for key in keys_of(events, &issues) {
            let id = Id::generate(now);
            created.insert(id);
            issues.insert(key, id);
        }
    }
    let issue_of: Vec<IssueId> =
        events.iter().filter_map(|event| issues.get(&key_of(event)).copied()).collect();
    let is_discarded: Vec<bool> = issue_of.iter().map(|id| is_discard(*id)).collect();
    let is_new_event = insert_events(tx, events, subjects, &issue_of).await?;

    let mut written = Written { is_discarded, ..Written::default() };
    let mut changes: BTreeMap<IssueId, Change<'_>> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        written.issues_of.push(is_new_event[index].then_some(issue_of[index]));
        if is_new_event[index] {
            changes
                .entry(issue_of[index])
                .or_insert_with(|| Change::new(event, index))
                .add(event, subjects[index]);
            activity.add_event(event, issue_of[index]);
        }
    }
    if changes.is_empty() {
        record_activity_in(tx, &activity, now).await?;
        return Ok(written);
    }
    let (new, existing): (Vec<_>, Vec<_>) = changes.iter().partition(|(id, _)| created.contains(*id));
    let before = lock_issues(tx, &existing).await?;
    let subjects_added = insert_subjects(tx, &changes).await?;
    let added = |id: &IssueId| subjects_added.get(id).copied().unwrap_or(0);
    let (touched, asleep) = update_issues(tx, &existing, &before, added).await?;
    written.touched = touched;
    let owned = owned(&new);
    insert_issues(tx, new, added, &mut written.touched).await?;
    own_in(tx, &owned, now).await?;
    add_counts(tx, &changes).await?;
    let sighted = record_activity_in(tx, &activity, now).await?;
    tags::add_tags(tx, events, &written.issues_of, &before).await?;
    let text_of = |issue: &TouchedIssue| {
        changes.get(&issue.id).map(|change| if issue.is_new { change.first_accepted } else { change.latest })
    };
    text::index_texts(tx, &written.touched, text_of).await?;
    insert_unmapped(tx, events, |index| is_new_event[index]).await?;
    wake(tx, &asleep, events, subjects, &mut written, now).await?;
    let is_old = |(_, issue, _): &(ProjectId, IssueId, String)| !created.contains(issue);
    record_new_releases(tx, sighted.into_iter().filter(is_old), now).await?;
    Ok(written)
}

/// Which of the new issues have an owner by the rules of their project.
fn owned<'a>(new: &Changes<'_, 'a>) -> Vec<(ProjectId, IssueId, &'a Owner)> {
    let owned = new.iter().filter_map(|(id, change)| {
        let event = change.first_accepted;
        Some((event.project, **id, event.owner.as_deref()?))
    });
    owned.collect()
}

/// Wakes issues that were not unresolved, as far as the new events are what they wait for.
async fn wake(
    tx: &Tx,
    asleep: &[Asleep],
    events: &[DigestedEvent],
    subjects: &[Option<SubjectId>],
    written: &mut Written,
    now: Timestamp,
) -> Result<(), StorageError> {
    if asleep.is_empty() {
        return Ok(());
    }
    let mut arrived: HashMap<IssueId, Vec<_>> = asleep.iter().map(|issue| (issue.id, Vec::new())).collect();
    for (index, issue) in written.issues_of.iter().enumerate() {
        if let Some(of_issue) = issue.and_then(|issue| arrived.get_mut(&issue)) {
            of_issue.push((&events[index], subjects[index]));
        }
    }
    for reopened in wake_in(tx, asleep, &arrived, now).await? {
        if let Some(touched) = written.touched.iter_mut().find(|touched| touched.id == reopened.id) {
            touched.reopened = Some(reopened.substatus);
        }
    }
    Ok(())
}

/// Notes on the timelines of known issues from which releases their events come for the first time.
async fn record_new_releases(
    tx: &Tx,
    sighted: impl Iterator<Item = (ProjectId, IssueId, String)>,
    now: Timestamp,
) -> Result<(), StorageError> {
    let entries = sighted.map(|(project, issue, release)| {
        let actor = Actor::System("error-tracking");
        let entry = NewActivity::new(project, issue, ActivityKind::Release, actor);
        NewActivity { detail: json!({ "release": release }), ..entry }
    });
    insert_activities(tx, entries.collect(), now).await.map(drop)
}

/// The id under which an issue's future events are discarded: the hashes of a discard lead to an id with the highest
/// bit set, which the time in an issue's id does not reach before the year 6429.
pub(crate) fn discard_id(issue: IssueId) -> IssueId {
    let mut bytes = issue.to_bytes();
    bytes[0] |= 0x80;
    Id::from_bytes(bytes)
}

pub(crate) fn is_discard(id: IssueId) -> bool {
    id.to_bytes()[0] & 0x80 != 0
}

pub(super) fn key_of(event: &DigestedEvent) -> HashKey {
    (event.project, event.grouping.version, event.grouping.hash)
}

/// The hashes of `events` that are not `known`, each once, sorted.
fn keys_of(events: &[DigestedEvent], known: &HashMap<HashKey, IssueId>) -> Vec<HashKey> {
    let keys: BTreeSet<HashKey> = events.iter().map(key_of).filter(|key| !known.contains_key(key)).collect();
    keys.into_iter().collect()
}

/// The issues that hashes lead to; `keys` must be sorted.
pub(crate) async fn find_issues_of_hashes(
    tx: &Tx,
    keys: &[HashKey],
) -> Result<HashMap<HashKey, IssueId>, StorageError> {
    let mut found = HashMap::with_capacity(keys.len());
    for of_one in keys.chunk_by(|left, right| (left.0, left.1) == (right.0, right.1)) {
        let Some((project, version, _)) = of_one.first().copied() else { continue };
        let hashes: Vec<Id<()>> = of_one.iter().map(|(_, _, hash)| Id::from_bytes(*hash)).collect();
        let mut sql = Sql::new(tx, "SELECT hash, issue_id FROM error_issue_hash WHERE project_id = ");
        sql.bind(project.0).push(" AND version = ").bind(i64::from(version)).push(" AND hash");
        for row in sql.fetch_in(tx, &hashes).await? {
            let hash: Id<()> = row.try_get_by_index(0)?;
            found.insert((project, version, hash.to_bytes()), row.try_get_by_index(1)?);
        }
    }
    Ok(found)
}

/// Takes that many issue numbers of each project, which must be sorted; the last number of each.
pub(crate) async fn take_numbers(
    tx: &Tx,
    counts: Vec<(ProjectId, i64)>,
) -> Result<HashMap<ProjectId, i64>, StorageError> {
    let rows = counts.into_iter().map(|(project, count)| [project.0.into(), count.into()]).collect();
    let head = "INSERT INTO error_issue_counter (project_id, last_number) VALUES ";
    let tail = " ON CONFLICT (project_id) DO UPDATE SET last_number = error_issue_counter.last_number \
                + excluded.last_number RETURNING project_id, last_number";
    let mut last = HashMap::new();
    for row in bulk(tx, head, rows, tail).await? {
        last.insert(ProjectId(row.try_get_by_index(0)?), row.try_get_by_index(1)?);
    }
    Ok(last)
}

/// Inserts those events whose ids are new; says of each whether it was.
async fn insert_events(
    tx: &Tx,
    events: &[DigestedEvent],
    subjects: &[Option<SubjectId>],
    issue_of: &[IssueId],
) -> Result<Vec<bool>, StorageError> {
    // Sorted by id, and the first to come before its repetitions.
    let mut order: Vec<usize> = (0..events.len()).filter(|index| !is_discard(issue_of[*index])).collect();
    order.sort_by_key(|index| (events[*index].project, events[*index].event_id, *index));
    order.dedup_by_key(|index| (events[*index].project, events[*index].event_id));
    let rows = order
        .iter()
        .map(|index| {
            let event = &events[*index];
            [
                event.project.0.into(),
                event.event_id.to_key().into(),
                issue_of[*index].into(),
                event.occurred_at.into(),
                event.received_at.into(),
                event.level.to_number().into(),
                subjects[*index].map(|subject| subject.0).into(),
                event.release.clone().into(),
                event.environment.clone().into(),
                event.title.clone().into(),
                event.payload.clone().into(),
                event.trace_id.map(Id::<()>::from_bytes).into(),
                Some(pack_tags(&event.tags)).filter(|tags| !tags.is_empty()).into(),
                Id::<()>::from_bytes(event.grouping.hash).into(),
            ]
        })
        .collect();
    let head = "INSERT INTO error_event (project_id, event_id, issue_id, occurred_at, received_at, level, subject_id, \
                release, environment, title, payload, trace_id, tags, hash) VALUES ";
    let tail = " ON CONFLICT (project_id, event_id) DO NOTHING RETURNING project_id, event_id";
    let mut inserted = HashSet::with_capacity(order.len());
    for row in bulk(tx, head, rows, tail).await? {
        let id: Id<EventKey> = row.try_get_by_index(1)?;
        inserted.insert((ProjectId(row.try_get_by_index(0)?), EventId::from(id)));
    }
    let mut is_new = vec![false; events.len()];
    for index in order {
        is_new[index] = inserted.contains(&(events[index].project, events[index].event_id));
    }
    Ok(is_new)
}

/// What the new events of a batch amount to for one issue.
struct Change<'a> {
    /// Where in the batch the first one is.
    index: usize,
    first_accepted: &'a DigestedEvent,
    earliest: &'a DigestedEvent,
    latest: &'a DigestedEvent,
    events: i64,
    level: Level,
    subjects: BTreeSet<SubjectId>,
    hours: BTreeMap<(i64, &'a str), i64>,
}

impl<'a> Change<'a> {
    fn new(event: &'a DigestedEvent, index: usize) -> Self {
        Self {
            index,
            first_accepted: event,
            earliest: event,
            latest: event,
            events: 0,
            level: event.level,
            subjects: BTreeSet::new(),
            hours: BTreeMap::new(),
        }
    }

    fn add(&mut self, event: &'a DigestedEvent, subject: Option<SubjectId>) {
        self.events += 1;
        self.level = self.level.max(event.level);
        if event.occurred_at < self.earliest.occurred_at {
            self.earliest = event;
        }
        if event.occurred_at >= self.latest.occurred_at {
            self.latest = event;
        }
        self.subjects.extend(subject);
        let environment = event.environment.as_deref().unwrap_or_default();
        *self.hours.entry((hour_of(event.occurred_at), environment)).or_default() += 1;
    }

    /// The heat of the issue after this.
    fn heat(&self, mut heat: Heat) -> Heat {
        for ((hour, _), events) in &self.hours {
            heat.add(*hour, *events);
        }
        heat
    }
}

/// Whole hours since 1970, UTC.
pub(crate) fn hour_of(at: Timestamp) -> i64 {
    at.as_seconds().div_euclid(3_600)
}

type Changes<'c, 'a> = [(&'c IssueId, &'c Change<'a>)];

/// What must be known of an issue to add events to it.
#[derive(Debug)]
pub(super) struct IssueBefore {
    pub(super) events: i64,
    pub(super) first_seen: Timestamp,
    pub(super) last_seen: Timestamp,
    heat: Heat,
    /// The tags that all of its events have.
    pub(super) common_tags: tags::CommonTags,
}

/// Reads the issues, and locks them in the order of their ids. (SQLite has one writer.)
async fn lock_issues(
    tx: &Tx,
    issues: &Changes<'_, '_>,
) -> Result<HashMap<IssueId, IssueBefore>, StorageError> {
    let mut found = HashMap::with_capacity(issues.len());
    for chunk in issues.chunks(KEYS_MAX) {
        let ids: Vec<IssueId> = chunk.iter().map(|(id, _)| **id).collect();
        let text = "SELECT id, event_count, first_seen, last_seen, heat_day, heat_week, common_tags \
                    FROM error_issue WHERE id IN ";
        let mut sql = Sql::new(tx, text);
        sql.bind_set(&ids);
        if sql.dialect() == Dialect::Postgres {
            sql.push(" ORDER BY id FOR UPDATE");
        }
        for row in sql.fetch(tx).await? {
            let before = IssueBefore {
                events: row.try_get_by_index(1)?,
                first_seen: row.try_get_by_index(2)?,
                last_seen: row.try_get_by_index(3)?,
                heat: Heat { day: row.try_get_by_index(4)?, week: row.try_get_by_index(5)? },
                common_tags: tags::parse_common(&row.try_get_by_index::<String>(6)?),
            };
            found.insert(row.try_get_by_index(0)?, before);
        }
    }
    Ok(found)
}

/// Adds the subjects of each issue; how many of them it did not have yet.
async fn insert_subjects(
    tx: &Tx,
    changes: &BTreeMap<IssueId, Change<'_>>,
) -> Result<HashMap<IssueId, i64>, StorageError> {
    let mut keys: Vec<_> = changes
        .iter()
        .flat_map(|(id, change)| change.subjects.iter().map(|subject| (change.latest.project, *id, *subject)))
        .collect();
    keys.sort_unstable();
    let rows = keys
        .into_iter()
        .map(|(project, id, subject)| [project.0.into(), id.into(), subject.0.into()])
        .collect();
    let head = "INSERT INTO error_issue_subject (project_id, issue_id, subject_id) VALUES ";
    let tail = " ON CONFLICT (project_id, issue_id, subject_id) DO NOTHING RETURNING issue_id";
    let mut added = HashMap::new();
    for row in bulk(tx, head, rows, tail).await? {
        *added.entry(row.try_get_by_index(0)?).or_default() += 1;
    }
    Ok(added)
}

async fn update_issues(
    tx: &Tx,
    existing: &Changes<'_, '_>,
    before: &HashMap<IssueId, IssueBefore>,
    subjects_added: impl Fn(&IssueId) -> i64,
) -> Result<(Vec<TouchedIssue>, Vec<Asleep>), StorageError> {
    let rows = existing
        .iter()
        .map(|(id, change)| {
            let heat = change.heat(before.get(id).map_or(Heat::default(), |before| before.heat));
            let row: [Value; 13] = [
                (**id).into(),
                change.events.into(),
                subjects_added(id).into(),
                change.earliest.occurred_at.into(),
                change.latest.occurred_at.into(),
                change.level.to_number().into(),
                change.latest.event_id.to_key().into(),
                change.latest.platform.clone().into(),
                change.earliest.release.clone().into(),
                change.latest.release.clone().into(),
                heat.day.into(),
                heat.week.into(),
                heat.trend().into(),
            ];
            row
        })
        .collect();
    let head = "UPDATE error_issue SET event_count = event_count + v.column2, \
                subject_count = subject_count + v.column3, \
                first_seen = CASE WHEN v.column4 < first_seen THEN v.column4 ELSE first_seen END, \
                first_release = CASE WHEN v.column4 < first_seen THEN v.column9 ELSE first_release END, \
                last_seen = CASE WHEN v.column5 >= last_seen THEN v.column5 ELSE last_seen END, \
                latest_event_id = CASE WHEN v.column5 >= last_seen THEN v.column7 ELSE latest_event_id END, \
                platform = CASE WHEN v.column5 >= last_seen THEN v.column8 ELSE platform END, \
                last_release = CASE WHEN v.column5 >= last_seen THEN v.column10 ELSE last_release END, \
                level = CASE WHEN v.column6 > level THEN v.column6 ELSE level END, \
                heat_day = v.column11, heat_week = v.column12, trend = v.column13 \
                FROM (VALUES ";
    let tail = ") AS v WHERE error_issue.id = v.column1 RETURNING id, project_id, status, condition, until_at, \
                event_count, subject_count, title, last_seen, level, number, text_hash, text_variants";
    let mut touched = Vec::with_capacity(existing.len());
    let mut asleep = Vec::new();
    for row in bulk(tx, head, rows, tail).await? {
        let events: i64 = row.try_get_by_index(5)?;
        asleep.extend(Asleep::from_row(&row)?);
        touched.push(TouchedIssue {
            id: row.try_get_by_index(0)?,
            project: ProjectId(row.try_get_by_index(1)?),
            title: row.try_get_by_index(7)?,
            is_new: false,
            reopened: None,
            events: u64::try_from(events).unwrap_or(0),
            last_seen: row.try_get_by_index(8)?,
            level: level_of(row.try_get_by_index(9)?)?,
            number: row.try_get_by_index(10)?,
            text_hash: row.try_get_by_index(11)?,
            text_variants: row.try_get_by_index(12)?,
        });
    }
    Ok((touched, asleep))
}

pub(crate) fn level_of(number: i64) -> Result<Level, StorageError> {
    Level::from_number(number).ok_or_else(|| StorageError::corrupt(format!("level {number}")))
}

async fn insert_issues(
    tx: &Tx,
    mut new: Vec<(&IssueId, &Change<'_>)>,
    subjects_added: impl Fn(&IssueId) -> i64,
    touched: &mut Vec<TouchedIssue>,
) -> Result<(), StorageError> {
    if new.is_empty() {
        return Ok(());
    }
    // Numbers follow the order of acceptance.
    new.sort_by_key(|(_, change)| change.index);
    let mut counts: BTreeMap<ProjectId, i64> = BTreeMap::new();
    for (_, change) in &new {
        *counts.entry(change.latest.project).or_default() += 1;
    }
    let mut next: HashMap<ProjectId, i64> = take_numbers(tx, counts.clone().into_iter().collect())
        .await?
        .into_iter()
        .map(|(project, last)| (project, last - counts.get(&project).copied().unwrap_or(0)))
        .collect();
    let mut rows = Vec::with_capacity(new.len());
    let mut hashes = Vec::with_capacity(new.len());
    for (id, change) in new {
        let event = change.first_accepted;
        let number = next.entry(event.project).or_default();
        *number += 1;
        hashes.push((key_of(event), *id));
        let heat = change.heat(Heat::default());
        let row: [Value; 23] = [
            (*id).into(),
            event.project.0.into(),
            (*number).into(),
            IssueStatus::Unresolved.to_number().into(),
            change.level.to_number().into(),
            change.events.into(),
            subjects_added(id).into(),
            change.earliest.occurred_at.into(),
            change.latest.occurred_at.into(),
            change.latest.event_id.to_key().into(),
            event.title.clone().into(),
            event.culprit.clone().into(),
            change.latest.platform.clone().into(),
            change.earliest.release.clone().into(),
            change.latest.release.clone().into(),
            i64::from(event.grouping.version).into(),
            event.grouping.reason.clone().into(),
            event.grouping.values.join("\n").into(),
            event.text.hash.into(),
            event.grouping.explanation.to_json().into(),
            heat.day.into(),
            heat.week.into(),
            heat.trend().into(),
        ];
        rows.push(row);
        touched.push(TouchedIssue {
            project: event.project,
            id: *id,
            title: event.title.clone(),
            is_new: true,
            reopened: None,
            events: u64::try_from(change.events).unwrap_or(0),
            last_seen: change.latest.occurred_at,
            level: change.level,
            number: *number,
            text_hash: event.text.hash,
            text_variants: 0,
        });
    }
    let head = "INSERT INTO error_issue (id, project_id, number, status, level, event_count, subject_count, first_seen, \
                last_seen, latest_event_id, title, culprit, platform, first_release, last_release, \
                grouping_version, grouping_reason, grouping_values, text_hash, \
                grouping_explanation, heat_day, heat_week, trend) VALUES ";
    bulk(tx, head, rows, "").await?;
    let rows = hashes
        .into_iter()
        .map(|((project, version, hash), id)| {
            [project.0.into(), i64::from(version).into(), Id::<()>::from_bytes(hash).into(), id.into()]
        })
        .collect();
    bulk(tx, "INSERT INTO error_issue_hash (project_id, version, hash, issue_id) VALUES ", rows, "").await?;
    Ok(())
}

/// Adds to the counts per hour and per environment.
async fn add_counts(tx: &Tx, changes: &BTreeMap<IssueId, Change<'_>>) -> Result<(), StorageError> {
    let mut of_issue_hours: BTreeMap<(ProjectId, IssueId, i64, &str), i64> = BTreeMap::new();
    let mut of_environments: BTreeMap<(ProjectId, &str, IssueId), i64> = BTreeMap::new();
    let mut of_project_hours: BTreeMap<(ProjectId, i64), i64> = BTreeMap::new();
    for (id, change) in changes {
        let project = change.latest.project;
        for ((hour, environment), events) in &change.hours {
            *of_issue_hours.entry((project, *id, *hour, *environment)).or_default() += events;
            *of_project_hours.entry((project, *hour)).or_default() += events;
            if !environment.is_empty() {
                *of_environments.entry((project, *environment, *id)).or_default() += events;
            }
        }
    }
    let rows = of_issue_hours
        .into_iter()
        .map(|((project, id, hour, environment), events)| {
            [project.0.into(), id.into(), hour.into(), environment.into(), events.into()]
        })
        .collect();
    let head = "INSERT INTO error_issue_hour (project_id, issue_id, hour, environment, event_count) VALUES ";
    let tail = " ON CONFLICT (project_id, issue_id, hour, environment) DO UPDATE SET \
                event_count = error_issue_hour.event_count + excluded.event_count";
    bulk(tx, head, rows, tail).await?;
    let rows = of_environments
        .into_iter()
        .map(|((project, environment, id), events)| {
            [project.0.into(), environment.into(), id.into(), events.into()]
        })
        .collect();
    let head = "INSERT INTO error_issue_environment (project_id, environment, issue_id, event_count) VALUES ";
    let tail = " ON CONFLICT (project_id, environment, issue_id) DO UPDATE SET \
                event_count = error_issue_environment.event_count + excluded.event_count";
    bulk(tx, head, rows, tail).await?;
    let rows = of_project_hours
        .into_iter()
        .map(|((project, hour), events)| [project.0.into(), hour.into(), events.into()])
        .collect();
    let head = "INSERT INTO error_project_hour (project_id, hour, event_count) VALUES ";
    let tail = " ON CONFLICT (project_id, hour) DO UPDATE SET \
                event_count = error_project_hour.event_count + excluded.event_count";
    bulk(tx, head, rows, tail).await?;
    Ok(())
}
