//! Events as they came, newest first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use belvedere_kernel::SubjectId;
use belvedere_storage::{Cursor, Page, Timestamp};

use super::check::Need;
use super::load::Caches;
use super::props::Extractor;
use super::service::{micros, select};
use super::work::Stop;
use super::{QueriesError, QueryService, ReadTimeline, TimelineEvent};
use crate::batch::concat;
use crate::kernel::filter::{Filter, TextTest};
use crate::{Batch, Fields, NO_SUBJECT, Part, Select, Snapshot, TextField};

/// A page of events, each with its subject.
pub(crate) async fn timeline(
    service: &QueryService,
    read: ReadTimeline,
) -> Result<Page<TimelineEvent>, QueriesError> {
    let need = Need::new(read.project, micros(read.from, read.until)).filter("events", &read.filter)?;
    let wanted = Wanted {
        filter: read.filter,
        from_micros: read.from.as_micros(),
        until_micros: read.until.as_micros(),
        after: read.page.after.as_ref().map(key_of).transpose()?,
        limit: read.page.limit(),
        subject: read.subject,
    };
    let mut select = select(&need);
    let store = Arc::clone(&service.store);
    if read.subject.is_some() {
        select = Select { subject: read.subject, fields: Fields::ALL, ..select };
        let load = async move { Ok(store.load(select).await?) };
        return service.desk.work(load, move |batches, _| Ok(page_of_batches(&batches, &wanted))).await;
    }
    let fields = if need.props.is_empty() { need.fields() } else { need.fields().and(Fields::PROPS) };
    let snapshot = async move { Ok(store.snapshot(select).await?) };
    let caches = Arc::clone(&service.caches);
    let look = move |snapshot: Snapshot, stop: &Stop| {
        page_of_parts(snapshot.parts, &wanted, fields, (&caches, stop))
    };
    let mut page = service.desk.work(snapshot, look).await?;
    let numbers: BTreeSet<u32> = page.items.iter().filter_map(|event| event.subject_number).collect();
    let numbers: Vec<u32> = numbers.into_iter().collect();
    let subjects = service.store.find_subjects(read.project, &numbers).await?;
    for event in &mut page.items {
        event.subject = event.subject_number.and_then(|number| subjects.get(&number).copied());
    }
    Ok(page)
}

/// How many of the newest events of a segment are kept as they are: what a page shows that is opened again and again.
const NEWEST: usize = 256;

/// The newest events of a part; reads all of it, a piece at a time.
fn newest_of(part: &Part, stop: &Stop) -> Result<Batch, QueriesError> {
    let mut newest = Newest::new(NEWEST);
    part.read_by_group(Fields::ID.and(Fields::TIME), |batch| {
        stop.check()?;
        for (time, id) in batch.times.iter().zip(&batch.ids) {
            if newest.oldest().is_none_or(|oldest| (*time, *id) > oldest) {
                newest.offer((*time, *id), 0, 0);
            }
        }
        Ok::<_, QueriesError>(())
    })?;
    let mut found = Vec::new();
    part.read_by_group(Fields::ALL, |batch| {
        stop.check()?;
        let key = |batch: &Batch, row: usize| Some((*batch.times.get(row)?, *batch.ids.get(row)?));
        let is_kept = |batch: &Batch, row| key(batch, row).is_some_and(|key| newest.found.contains_key(&key));
        found.push(batch.filter(is_kept));
        Ok::<_, QueriesError>(())
    })?;
    Ok(concat(Fields::ALL, &found))
}

/// The sort key of an event.
type Key = (i64, [u8; 16]);

/// Which events of the batches are wanted.
pub(crate) struct Wanted {
    pub(crate) filter: Filter,
    pub(crate) from_micros: i64,
    pub(crate) until_micros: i64,
    /// Only what is older than this.
    pub(crate) after: Option<Key>,
    pub(crate) limit: usize,
    pub(crate) subject: Option<SubjectId>,
}

impl Wanted {
    /// Whether the newest events of a part are all that is wanted of it.
    fn is_within(&self, newest: &Batch, part: &Part) -> bool {
        let is_older = |(time, id): &(&i64, &[u8; 16])| {
            **time < self.until_micros && self.after.is_none_or(|after| (**time, **id) < after)
        };
        newest.count as u64 == part.count
            || newest.times.iter().zip(&newest.ids).filter(is_older).count() > self.limit
    }
}

/// The place that a cursor names.
pub(crate) fn key_of(cursor: &Cursor) -> Result<Key, QueriesError> {
    let parsed = cursor.parts::<2>().and_then(|[micros, id]| {
        let id = u128::from_str_radix(id, 16).ok().filter(|_| id.len() == 32)?;
        Some((micros.parse().ok()?, id.to_be_bytes()))
    });
    parsed.ok_or_else(|| QueriesError::invalid("cursor", "is not one that a page gave"))
}

fn cursor_of(event: &TimelineEvent) -> Cursor {
    let id = format!("{:032x}", u128::from_be_bytes(event.id));
    Cursor::of(&[&event.at.as_micros(), &id])
}

/// A page of batches that were read whole.
pub(crate) fn page_of_batches(batches: &[Arc<Batch>], wanted: &Wanted) -> Page<TimelineEvent> {
    let mut newest = Newest::new(wanted.limit + 1);
    for (place, batch) in batches.iter().enumerate() {
        add(&mut newest, place, batch, wanted);
    }
    page(newest, wanted, |place| batches.get(place).map(Arc::clone))
}

/// A page of parts: the newest are looked at first, and what is too old for the page is not read.
pub(crate) fn page_of_parts(
    mut parts: Vec<Part>,
    wanted: &Wanted,
    fields: Fields,
    (caches, stop): (&Caches, &Stop),
) -> Result<Page<TimelineEvent>, QueriesError> {
    parts.sort_by_key(|part| Reverse(part.last_micros));
    let mut newest = Newest::new(wanted.limit + 1);
    let mut whole: BTreeMap<usize, Arc<Batch>> = BTreeMap::new();
    let is_all = matches!(&wanted.filter, Filter::And(filters) if filters.is_empty());
    for (place, part) in parts.iter().enumerate() {
        stop.check()?;
        if newest.oldest().is_some_and(|(micros, _)| part.last_micros < micros) {
            break;
        }
        if is_all && part.is_sealed() && wanted.limit < NEWEST {
            let kept = caches.newest(part, || newest_of(part, stop))?;
            if wanted.is_within(&kept, part) {
                add(&mut newest, place, &kept, wanted);
                whole.insert(place, kept);
                continue;
            }
        }
        if wanted.after.is_none_or(|(micros, _)| part.first_micros <= micros) {
            add(&mut newest, place, &*part.read(fields.and(Fields::ID).and(Fields::TIME))?, wanted);
        }
    }
    for (place, _) in newest.found.values() {
        stop.check()?;
        if let (false, Some(part)) = (whole.contains_key(place), parts.get(*place)) {
            whole.insert(*place, part.read(Fields::ALL)?);
        }
    }
    Ok(page(newest, wanted, |place| whole.get(&place).map(Arc::clone)))
}

/// The greatest keys of all that were offered, with the place of their batch and their row.
struct Newest {
    most: usize,
    found: BTreeMap<Key, (usize, usize)>,
}

impl Newest {
    const fn new(most: usize) -> Self {
        Self { most, found: BTreeMap::new() }
    }

    /// The key that the next one must exceed; none while there is room.
    fn oldest(&self) -> Option<Key> {
        let is_full = self.found.len() >= self.most;
        self.found.keys().next().copied().filter(|_| is_full)
    }

    fn offer(&mut self, key: Key, place: usize, row: usize) {
        self.found.insert(key, (place, row));
        if self.found.len() > self.most {
            self.found.pop_first();
        }
    }
}

fn add(newest: &mut Newest, place: usize, batch: &Batch, wanted: &Wanted) {
    for row in 0..batch.count {
        let (Some(time), Some(id)) = (batch.times.get(row), batch.ids.get(row)) else { return };
        let key = (*time, *id);
        let is_candidate = (wanted.from_micros..wanted.until_micros).contains(time)
            && wanted.after.is_none_or(|after| key < after)
            && newest.oldest().is_none_or(|oldest| key > oldest);
        if is_candidate && holds(&wanted.filter, batch, row) {
            newest.offer(key, place, row);
        }
    }
}

/// Whether an event matches; cohorts hold by the number of the subject.
fn holds(filter: &Filter, batch: &Batch, row: usize) -> bool {
    let text = |field, test: &TextTest| test.holds(batch.text(field, row));
    match filter {
        Filter::And(filters) => filters.iter().all(|it| holds(it, batch, row)),
        Filter::Or(filters) => filters.iter().any(|it| holds(it, batch, row)),
        Filter::Not(filter) => !holds(filter, batch, row),
        Filter::Name(test) => text(TextField::Name, test),
        Filter::Dimension(dimension, test) => text(super::decode::text_field(*dimension), test),
        Filter::Value(test) => test.holds(batch.values.get(row).copied().unwrap_or(f64::NAN)),
        Filter::Prop(name, test) => {
            let mut found = [None];
            Extractor::new(std::slice::from_ref(name)).read(batch.props.get(row), &mut found);
            let [text] = found;
            test.holds(text.as_deref())
        }
        Filter::Subjects(set) => batch.subjects.get(row).is_some_and(|subject| set.contains(*subject)),
    }
}

fn page(newest: Newest, wanted: &Wanted, batch: impl Fn(usize) -> Option<Arc<Batch>>) -> Page<TimelineEvent> {
    let found = newest.found.into_iter().rev();
    let rows = found.filter_map(|((micros, id), (place, row))| {
        let batch = batch(place)?;
        let texts = TextField::ALL.into_iter().filter(|field| *field != TextField::Name);
        Some(TimelineEvent {
            id,
            at: Timestamp::from_micros(micros),
            name: batch.name(row).to_owned(),
            subject: wanted.subject,
            subject_number: batch.subjects.get(row).copied().filter(|number| *number != NO_SUBJECT),
            value: batch.values.get(row).copied().filter(|value| !value.is_nan()),
            texts: texts
                .filter_map(|field| Some((field.as_str(), batch.text(field, row)?.to_owned())))
                .collect(),
            props: batch.props.get(row).to_owned(),
        })
    });
    Page::from_rows(rows.collect(), wanted.limit, cursor_of)
}
