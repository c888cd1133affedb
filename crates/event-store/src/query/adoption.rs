//! Who takes up what: the field is read of the time of cohorts alone, and from before only who was there.

use std::sync::Arc;

use super::calendar::Calendar;
use super::check::{Need, ends, within};
use super::load::Loaded;
use super::service::micros;
use super::{AskAdoption, LIST_MAX, QueriesError, QueryService, Span};
use crate::TIME_MIN;
use crate::kernel::Cancel;
use crate::kernel::adoption::{AdoptionAnswer, AdoptionQuery, adoption as adopted};
use crate::kernel::cohort::{CohortQuery, Did, cohort};

pub(crate) async fn adoption(
    service: &QueryService,
    ask: AskAdoption,
) -> Result<AdoptionAnswer, QueriesError> {
    let (from, until) = ends(&ask.span)?;
    within("limit", ask.limit, 1, LIST_MAX)?;
    let of_cohorts = Span { from: ask.cohorts_from, ..ask.span.clone() };
    let (cohorts_from, _) = ends(&of_cohorts)?;
    let cohorts = Calendar::find(&ask.span.time_zone)?.whole(ask.unit, cohorts_from, until, 0)?;
    let start = cohorts.starts_micros().first().copied().unwrap_or(0).max(TIME_MIN.as_micros());
    let before = TIME_MIN.as_micros()..start;
    let mut known = None;
    if !before.is_empty() {
        let need = Need::new(ask.span.project, before.clone()).filter("seen", &ask.seen)?;
        let query = CohortQuery { filter: ask.seen.clone(), time_micros: before, did: Did::AtLeast(1) };
        let compute = move |loaded: &Loaded, threads, cancel: Cancel<'_>| {
            Ok(cohort(&query, &loaded.known(), threads, cancel)?.set())
        };
        known = Some(Arc::new(service.answer(need, compute).await?));
    }
    let time = start..until.as_micros();
    let need = Need::new(ask.span.project, time.clone()).keep(time);
    let need = need.filter("seen", &ask.seen)?.filter("used", &ask.used)?;
    let need = need.field("field", Some(&ask.field))?;
    let query = AdoptionQuery {
        seen: ask.seen,
        used: ask.used,
        field: ask.field,
        uses_micros: micros(from, until),
        cohorts,
        known,
        limit: ask.limit,
    };
    let compute = move |loaded: &Loaded, threads, cancel: Cancel<'_>| {
        Ok(adopted(&query, &loaded.known(), threads, cancel)?)
    };
    service.answer(need, compute).await
}
