//! Subjects that did something, or did not.

use super::check::{Need, ends, within};
use super::service::micros;
use super::{AskCohort, LIST_MAX, ListSubjects, QueriesError, QueryService, SubjectPage, SubjectVolume};
use crate::kernel::cohort::{Cohort, CohortQuery, Did, cohort};

/// The greatest number of events that a cohort can ask for.
const TIMES_MAX: u64 = 1_000_000;

pub(crate) async fn cohort_of(service: &QueryService, ask: AskCohort) -> Result<Cohort, QueriesError> {
    let (from, until) = ends(&ask.span)?;
    let times = match ask.did {
        Did::AtLeast(times) | Did::LessThan(times) => times,
    };
    within("times", usize::try_from(times).unwrap_or(usize::MAX), 1, TIMES_MAX as usize)?;
    let time_micros = micros(from, until);
    let need = Need::new(ask.span.project, time_micros.clone()).filter("events", &ask.filter)?;
    let query = CohortQuery { filter: ask.filter, time_micros, did: ask.did };
    let compute = move |loaded: &super::load::Loaded, threads, cancel: crate::kernel::Cancel<'_>| {
        Ok(cohort(&query, &loaded.known(), threads, cancel)?)
    };
    service.answer(need, compute).await
}

pub(crate) async fn list_subjects(
    service: &QueryService,
    list: ListSubjects,
) -> Result<SubjectPage, QueriesError> {
    within("limit", list.limit, 1, LIST_MAX)?;
    let project = list.cohort.span.project;
    let Cohort(found) = cohort_of(service, list.cohort).await?;
    let start = list.after.map_or(0, |after| found.partition_point(|(number, _)| *number <= after));
    let rest = found.get(start..).unwrap_or_default();
    let page = rest.get(..list.limit.min(rest.len())).unwrap_or_default();
    let numbers: Vec<u32> = page.iter().map(|(number, _)| *number).collect();
    let known = service.store.find_subjects(project, &numbers).await?;
    let subjects = page.iter().map(|(number, events)| SubjectVolume {
        number: *number,
        subject: known.get(number).copied(),
        events: *events,
    });
    Ok(SubjectPage {
        total: found.len() as u64,
        subjects: subjects.collect(),
        next: numbers.last().copied().filter(|_| rest.len() > page.len()),
    })
}
