//! What there is to ask about: names and values with their volumes.

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;
use belvedere_storage::{Page, Timestamp};

use super::check::{Need, ends, within};
use super::load::{Loaded, decode_all, pieces};
use super::rolled::{self, Ask, Rolled, by_of};
use super::service::select;
use super::work::Stop;
use super::{
    AskCohort, Explore, LIST_MAX, ListNames, ListProperties, ListSubjects, ListValues, NameVolume,
    PropertyVolume, QueriesError, QueryService, ReadTimeline, Span, SubjectPage, TimelineEvent, ValueVolume,
};
use crate::kernel::Cancel;
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::group::{Field, Group};
use crate::kernel::subject_set::SubjectSet;
use crate::kernel::top::{Rank, TopItem, TopQuery};
use crate::{Select, Snapshot, StoreVersion, TIME_END, TIME_MIN};

/// Over how long volumes are counted.
const MICROS: i64 = 30 * 86_400_000_000;

#[async_trait]
impl Explore for QueryService {
    async fn version(&self, project: ProjectId) -> Result<StoreVersion, QueriesError> {
        let nothing = Select { until: TIME_MIN, ..Select::all(project) };
        Ok(self.store.snapshot(nothing).await?.version)
    }

    async fn read_ahead(&self, span: &Span, fields: &[Field]) -> Result<(), QueriesError> {
        read_ahead(self, span, fields).await
    }

    async fn list_names(&self, list: ListNames) -> Result<Vec<NameVolume>, QueriesError> {
        list_names(self, list).await
    }

    async fn list_properties(&self, list: ListProperties) -> Result<Vec<PropertyVolume>, QueriesError> {
        super::properties::list_properties(self, list).await
    }

    async fn list_values(&self, list: ListValues) -> Result<Vec<ValueVolume>, QueriesError> {
        list_values(self, list).await
    }

    async fn cohort(&self, ask: AskCohort) -> Result<Arc<SubjectSet>, QueriesError> {
        Ok(Arc::new(super::subjects::cohort_of(self, ask).await?.set()))
    }

    async fn list_subjects(&self, list: ListSubjects) -> Result<SubjectPage, QueriesError> {
        super::subjects::list_subjects(self, list).await
    }

    async fn timeline(&self, read: ReadTimeline) -> Result<Page<TimelineEvent>, QueriesError> {
        super::timeline::timeline(self, read).await
    }
}

async fn read_ahead(service: &QueryService, span: &Span, fields: &[Field]) -> Result<(), QueriesError> {
    let (from, until) = ends(span)?;
    let mut need = Need::new(span.project, from.as_micros()..until.as_micros());
    for field in fields {
        need = need.field("fields", Some(field))?;
    }
    let (store, select, bytes_max) = (Arc::clone(&service.store), select(&need), service.limits.bytes_max);
    let (caches, threads) = (Arc::clone(&service.caches), service.threads);
    let first = async { Ok(store.snapshot(select).await?) };
    let then = move |snapshot: Snapshot, stop: &Stop| {
        let events: u64 = snapshot.parts.iter().map(|part| part.count).sum();
        if events.saturating_mul(need.event_bytes()) > bytes_max {
            return Ok(());
        }
        let pieces = pieces(snapshot, need.project);
        decode_all(&pieces.iter().collect::<Vec<_>>(), &need, &caches, threads, stop).map(drop)
    };
    service.desk.work(first, then).await
}

async fn list_names(service: &QueryService, list: ListNames) -> Result<Vec<NameVolume>, QueriesError> {
    let wanted = Wanted { filter: Filter::all(), field: Field::Name, until: list.until, limit: list.limit };
    let items = volumes(service, list.project, wanted).await?;
    let named = items.into_iter().filter_map(|item| match item.group {
        Group::Text(name) => Some(NameVolume { name, events: item.events, subjects: item.subjects }),
        _ => None,
    });
    Ok(named.collect())
}

async fn list_values(service: &QueryService, list: ListValues) -> Result<Vec<ValueVolume>, QueriesError> {
    let filter = list.name.map_or_else(Filter::all, Filter::name);
    let field = list.property;
    let wanted = Wanted { filter, field, until: list.until, limit: list.limit };
    let items = volumes(service, list.project, wanted).await?;
    let valued = items.into_iter().map(|item| {
        let value = match item.group {
            Group::Text(text) => Some(text),
            _ => None,
        };
        ValueVolume { value, events: item.events, subjects: item.subjects }
    });
    Ok(valued.collect())
}

struct Wanted {
    filter: Filter,
    field: Field,
    until: Timestamp,
    limit: usize,
}

async fn volumes(
    service: &QueryService,
    project: ProjectId,
    wanted: Wanted,
) -> Result<Vec<TopItem>, QueriesError> {
    within("limit", wanted.limit, 1, LIST_MAX)?;
    let end = wanted.until.as_millis() * 1000;
    if end <= TIME_MIN.as_micros() + MICROS || end > TIME_END.as_micros() {
        let why = format!("must be between 30 days after {TIME_MIN} and {TIME_END}");
        return Err(QueriesError::invalid("until", why));
    }
    let time_micros = end - MICROS..end;
    let need = Need::new(project, time_micros.clone())
        .filter("name", &wanted.filter)?
        .field("property", Some(&wanted.field))?;
    let query = TopQuery {
        filter: wanted.filter.clone(),
        goal: None,
        time_micros: time_micros.clone(),
        field: wanted.field,
        rank: Rank::Events,
        limit: wanted.limit,
    };
    let buckets = Buckets::try_new(vec![time_micros.start, time_micros.end])?;
    let ask = by_of(&[&wanted.filter], Some(&query.field));
    let ask = ask.map(|by| Ask { by, zone: "UTC".to_owned(), buckets, regions: 1..2 });
    let query = Arc::new(query);
    let rolled = ask.map(|ask| {
        let query = Arc::clone(&query);
        let compute = move |rolled: &Rolled, threads, cancel: Cancel<'_>| {
            Ok(rolled::top_of(&query, rolled, threads, cancel)?)
        };
        (ask, compute)
    });
    let compute = move |loaded: &Loaded, threads, cancel: Cancel<'_>| {
        super::trend::top_of(&query, loaded, threads, cancel)
    };
    service.answer_by(need, rolled, compute).await
}
