use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use belvedere_storage::Timestamp;

use super::calendar::Calendar;
use super::check::{Need, duration_ms, ends, within};
use super::load::{Caches, Loaded, load};
use super::rolled::{
    self, Ask, PERIODS_MAX, Rolled, RollupUse, active_of, by_of, lifecycle_of, retention_of,
};
use super::trend::{texts_of, top_of, trend_of};
use super::warm::Lately;
use super::work::{Desk, Stop};
use super::{
    AskActive, AskAdoption, AskFormula, AskFunnel, AskInterval, AskLifecycle, AskPath, AskPercentile,
    AskRetention, AskSession, AskTop, AskTrend, BREAKDOWN_MAX, EDGES_MAX, FormulaAnswer, FunnelAnswer,
    GAP_MAX, LIST_MAX, LifecycleAnswer, Queries, QueriesError, RetentionTable, STEPS_MAX, SessionTable, Span,
    TrendAnswer, Unit, WINDOW_MAX,
};
use crate::columns::PropName;
use crate::kernel::Cancel;
use crate::kernel::active::{ActiveAnswer, ActiveQuery, active};
use crate::kernel::adoption::AdoptionAnswer;
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::{Filter, PropTest, ValueTest};
use crate::kernel::funnel::{FunnelQuery, funnel};
use crate::kernel::group::Field;
use crate::kernel::interval::{IntervalAnswer, IntervalQuery, interval};
use crate::kernel::lifecycle::{LifecycleQuery, lifecycle};
use crate::kernel::path::{PathAnswer, PathQuery, path};
use crate::kernel::retention::{CohortBy, RetentionMode, RetentionQuery, retention};
use crate::kernel::session::{SessionQuery, session};
use crate::kernel::top::{TopItem, TopQuery};
use crate::kernel::trend::{Breakdown, Measures, TrendQuery};
use crate::rollup::By;
use crate::{EventStore, Select, Snapshot, TIME_END, TIME_MIN};

/// Days before the first answered one that fill the longest window of active subjects.
const LEAD_DAYS: usize = 29;

/// How long a session that is going on at the end of a span is followed, in microseconds.
const FOLLOW_MICROS: i64 = 86_400_000_000;

/// What bounds the time and memory of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// How long one may take, the wait for its turn included.
    pub time_max: Duration,
    /// How many are computed at once; others wait.
    pub at_once_max: usize,
    /// The most bytes of decoded events that one may need.
    pub bytes_max: u64,
    /// When it is answered from rollups.
    pub rollups: RollupUse,
}

impl Default for QueryLimits {
    /// 10 s, two at once, 1 GiB, from rollups where that reads less.
    fn default() -> Self {
        Self {
            time_max: Duration::from_secs(10),
            at_once_max: 2,
            bytes_max: 1 << 30,
            rollups: RollupUse::WhenCheaper,
        }
    }
}

/// Answers [`Queries`] from an [`EventStore`]: from rollups, or by reading the events.
pub struct QueryService {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) caches: Arc<Caches>,
    pub(crate) desk: Desk,
    pub(crate) lately: Arc<Lately>,
    pub(crate) threads: usize,
    pub(crate) limits: QueryLimits,
}

impl QueryService {
    /// Keeps at most `cache_bytes_max` of decoded events, and reads them with that many threads for each question.
    pub fn new(
        store: Arc<dyn EventStore>,
        cache_bytes_max: usize,
        threads: usize,
        limits: QueryLimits,
    ) -> Self {
        let caches = Arc::new(Caches::new(cache_bytes_max));
        let watcher: Weak<Caches> = Arc::downgrade(&caches);
        store.watch(watcher);
        Self {
            store,
            caches,
            desk: Desk::new(limits.at_once_max, limits.time_max),
            lately: Arc::default(),
            threads: threads.max(1),
            limits,
        }
    }

    #[cfg(test)]
    pub(crate) fn cached_bytes(&self) -> usize {
        self.caches.bytes()
    }

    #[cfg(test)]
    pub(crate) fn cached_columns(&self) -> usize {
        self.caches.columns()
    }

    /// Loads what an answer needs, and computes it.
    pub(crate) async fn answer<T: Send + 'static>(
        &self,
        need: Need,
        compute: impl FnOnce(&Loaded, usize, Cancel<'_>) -> Result<T, QueriesError> + Send + 'static,
    ) -> Result<T, QueriesError> {
        type Never<T> = fn(&Rolled, usize, Cancel<'_>) -> Result<T, QueriesError>;
        self.answer_by(need, None::<(Ask, Never<T>)>, compute).await
    }

    /// Computes an answer from rollups as far as they hold what it asks for, else from the events.
    pub(crate) async fn answer_by<T: Send + 'static>(
        &self,
        need: Need,
        rolled: Option<(
            Ask,
            impl FnOnce(&Rolled, usize, Cancel<'_>) -> Result<T, QueriesError> + Send + 'static,
        )>,
        compute: impl FnOnce(&Loaded, usize, Cancel<'_>) -> Result<T, QueriesError> + Send + 'static,
    ) -> Result<T, QueriesError> {
        let (store, bytes_max, usage) = (Arc::clone(&self.store), self.limits.bytes_max, self.limits.rollups);
        let (caches, lately, threads) = (Arc::clone(&self.caches), Arc::clone(&self.lately), self.threads);
        let (names, props) = (need.names.clone(), need.props.clone());
        let (select, event_bytes, project) = (select(&need), need.event_bytes(), need.project);
        let first = async { Ok(store.snapshot(select).await?) };
        let then = move |snapshot: Snapshot, stop: &Stop| {
            if let Some((ask, compute)) = rolled
                && let Some(rolled) = rolled::find(&snapshot, &need, &ask, &caches, usage, stop)?
            {
                let missing: Vec<_> = names.into_iter().filter(|(_, name)| !rolled.has_name(name)).collect();
                return Ok((compute(&rolled, threads, &|| stop.is_due())?, missing, Vec::new()));
            }
            let events: u64 = snapshot.parts.iter().map(|part| part.count).sum();
            if events.saturating_mul(event_bytes) > bytes_max {
                let why = format!("is too long ago: {events} events are more than one question may read");
                return Err(QueriesError::invalid("from", why));
            }
            lately.note(&need);
            let loaded = load(snapshot, &need, &caches, threads, stop)?;
            let names: Vec<_> = names.into_iter().filter(|(_, name)| !loaded.has_name(name)).collect();
            let props: Vec<_> = props.into_iter().filter(|(_, name)| !loaded.has_prop(name)).collect();
            let answer = compute(&loaded, threads, &|| stop.is_due())?;
            Ok((answer, names, props))
        };
        let (answer, names, props) = self.desk.work(first, then).await?;
        for (field, name) in names {
            let select = Select { names: vec![name.clone()], ..Select::all(project) };
            if self.store.snapshot(select).await?.parts.is_empty() {
                return Err(QueriesError::invalid(field, format!("no event is named {name:?}")));
            }
        }
        for (field, name) in props {
            if !super::properties::has_prop(self, project, name.clone()).await? {
                let why = format!("no recent event has a property {:?}", name.as_str());
                return Err(QueriesError::invalid(field, why));
            }
        }
        Ok(answer)
    }

    async fn trend_of(&self, span: &Span, unit: Unit, ask: Counted) -> Result<TrendAnswer, QueriesError> {
        let (from, until) = ends(span)?;
        if let Some(breakdown) = &ask.breakdown {
            within("breakdown", breakdown.limit, 1, BREAKDOWN_MAX)?;
        }
        let buckets = Calendar::find(&span.time_zone)?.clipped(unit, from, until)?;
        let need = Need::new(span.project, micros(from, until)).filter("events", &ask.filter)?;
        let need = need.field("breakdown", ask.breakdown.as_ref().map(|breakdown| &breakdown.field))?;
        let reads_values = ask.measures.values || ask.measures.percentiles;
        let need = if reads_values { need.values_of("values_of", ask.values_of.as_ref())? } else { need };
        let starts = starts(&buckets);
        let filter = match (ask.with_value, &ask.values_of) {
            (false, _) => ask.filter,
            (true, None) => Filter::And(vec![ask.filter, Filter::Value(ValueTest::Set)]),
            (true, Some(name)) => {
                let is_number = Filter::Prop(name.clone(), PropTest::Number(ValueTest::Set));
                Filter::And(vec![ask.filter, is_number])
            }
        };
        let by = by_of(&[&filter], ask.breakdown.as_ref().map(|breakdown| &breakdown.field));
        // Hours cut every day.
        let by = by.filter(|_| !reads_values && unit != Unit::Hour);
        let asked = by.map(|by| asked(by, span, &buckets, 1..buckets.len() as u32 + 1));
        let query = TrendQuery {
            filter,
            buckets,
            measures: ask.measures,
            values_of: ask.values_of,
            breakdown: ask.breakdown,
        };
        let query = Arc::new(query);
        let rolled = asked.map(|ask| {
            let query = Arc::clone(&query);
            let compute = move |rolled: &Rolled, threads, cancel: Cancel<'_>| {
                Ok(rolled::trend_of(&query, rolled, threads, cancel)?)
            };
            (ask, compute)
        });
        let compute =
            move |loaded: &Loaded, threads, cancel: Cancel<'_>| trend_of(&query, loaded, threads, cancel);
        Ok(TrendAnswer { starts, series: self.answer_by(need, rolled, compute).await? })
    }
}

/// What is asked of rollups.
fn asked(by: By, span: &Span, buckets: &Buckets, regions: Range<u32>) -> Ask {
    Ask { by, zone: span.time_zone.clone(), buckets: buckets.clone(), regions }
}

/// What a trend counts.
struct Counted {
    filter: Filter,
    /// Whether events without a value do not count.
    with_value: bool,
    measures: Measures,
    values_of: Option<PropName>,
    breakdown: Option<Breakdown>,
}

pub(crate) fn select(need: &Need) -> Select {
    Select {
        from: Timestamp::from_micros(need.time.start),
        until: Timestamp::from_micros(need.time.end),
        ..Select::all(need.project)
    }
}

pub(crate) fn micros(from: Timestamp, until: Timestamp) -> Range<i64> {
    from.as_micros()..until.as_micros()
}

/// The time that buckets hold.
fn held(buckets: &Buckets) -> Range<i64> {
    let starts = buckets.starts_micros();
    starts.first().copied().unwrap_or(0)..starts.last().copied().unwrap_or(0)
}

pub(crate) fn starts(buckets: &Buckets) -> Vec<Timestamp> {
    let starts = buckets.starts_micros().iter().take(buckets.len());
    starts.map(|micros| Timestamp::from_micros(*micros)).collect()
}

#[async_trait]
impl Queries for QueryService {
    async fn trend(&self, ask: AskTrend) -> Result<TrendAnswer, QueriesError> {
        let counted = Counted {
            filter: ask.filter,
            with_value: false,
            measures: ask.measures,
            values_of: ask.values_of,
            breakdown: ask.breakdown,
        };
        self.trend_of(&ask.span, ask.unit, counted).await
    }

    async fn percentile(&self, ask: AskPercentile) -> Result<TrendAnswer, QueriesError> {
        let measures = Measures { subjects: false, values: true, percentiles: true };
        let counted = Counted {
            filter: ask.filter,
            with_value: true,
            measures,
            values_of: ask.values_of,
            breakdown: ask.breakdown,
        };
        self.trend_of(&ask.span, ask.unit, counted).await
    }

    async fn active(&self, ask: AskActive) -> Result<ActiveAnswer, QueriesError> {
        let (from, until) = ends(&ask.span)?;
        let days = Calendar::find(&ask.span.time_zone)?.whole(Unit::Day, from, until, LEAD_DAYS)?;
        let need = Need::new(ask.span.project, held(&days)).filter("events", &ask.filter)?;
        let regions = 1..days.len() as u32 + 1;
        let asked = by_of(&[&ask.filter], None).map(|by| asked(by, &ask.span, &days, regions));
        let query = Arc::new(ActiveQuery { filter: ask.filter, days, lead_days: LEAD_DAYS });
        let rolled = asked.map(|ask| {
            let query = Arc::clone(&query);
            let compute = move |rolled: &Rolled, threads, cancel: Cancel<'_>| {
                Ok(active_of(&query, rolled, threads, cancel)?)
            };
            (ask, compute)
        });
        self.answer_by(need, rolled, move |loaded, threads, cancel| {
            Ok(active(&query, &loaded.known(), threads, cancel)?)
        })
        .await
    }

    async fn funnel(&self, ask: AskFunnel) -> Result<FunnelAnswer, QueriesError> {
        let (from, until) = ends(&ask.span)?;
        Calendar::find(&ask.span.time_zone)?;
        within("steps", ask.steps.len(), 1, STEPS_MAX)?;
        let window_ms = duration_ms("window", ask.window_ms, 0, WINDOW_MAX)?;
        let entries_micros = micros(from, until);
        let end = entries_micros.end.saturating_add(window_ms * 1000).min(TIME_END.as_micros());
        let mut need = Need::new(ask.span.project, entries_micros.start..end);
        for step in &ask.steps {
            need = need.filter("steps", step)?;
        }
        ask.rules.check(ask.steps.len()).map_err(|(field, why)| QueriesError::invalid(field, why))?;
        for exclusion in &ask.rules.exclusions {
            need = need.filter("exclusions", &exclusion.events)?;
        }
        if let Some(breakdown) = &ask.breakdown {
            within("breakdown", breakdown.limit, 1, BREAKDOWN_MAX)?;
            if breakdown.field == Field::Name {
                return Err(QueriesError::invalid("breakdown", "must be a property, not the name"));
            }
            // Which text is the first or the last must not depend on what else a segment has.
            need = need.field("breakdown", Some(&breakdown.field))?.keep(entries_micros.start..end);
        }
        let query = FunnelQuery {
            steps: ask.steps,
            window_ms,
            entries_micros,
            rules: ask.rules,
            breakdown: ask.breakdown,
        };
        let compute = move |loaded: &Loaded, threads, cancel: Cancel<'_>| {
            Ok(funnel(&query, &loaded.known(), threads, cancel)?)
        };
        Ok(FunnelAnswer { groups: self.answer(need, compute).await? })
    }

    async fn retention(&self, ask: AskRetention) -> Result<RetentionTable, QueriesError> {
        let (from, until) = ends(&ask.span)?;
        let periods = Calendar::find(&ask.span.time_zone)?.whole(ask.unit, from, until, 0)?;
        let mut time = held(&periods);
        if ask.cohort_by == CohortBy::FirstStart {
            time.start = TIME_MIN.as_micros();
        }
        if ask.mode == RetentionMode::Unbounded {
            time.end = TIME_END.as_micros();
        }
        let need = Need::new(ask.span.project, time);
        let need = need.filter("start", &ask.start)?.filter("returned", &ask.returned)?;
        let by = by_of(&[&ask.start, &ask.returned], None).filter(|_| periods.len() <= PERIODS_MAX);
        let asked = by.map(|by| asked(by, &ask.span, &periods, 0..periods.len() as u32 + 2));
        let query = Arc::new(RetentionQuery {
            start: ask.start,
            returned: ask.returned,
            periods,
            cohort_by: ask.cohort_by,
            mode: ask.mode,
            complete_until_micros: ask.complete_until.as_micros(),
        });
        let rolled = asked.map(|ask| {
            let query = Arc::clone(&query);
            let compute = move |rolled: &Rolled, threads, cancel: Cancel<'_>| {
                Ok(retention_of(&query, rolled, threads, cancel)?)
            };
            (ask, compute)
        });
        self.answer_by(need, rolled, move |loaded, threads, cancel| {
            Ok(retention(&query, &loaded.known(), threads, cancel)?)
        })
        .await
    }

    async fn lifecycle(&self, ask: AskLifecycle) -> Result<LifecycleAnswer, QueriesError> {
        let (from, until) = ends(&ask.span)?;
        let periods = Calendar::find(&ask.span.time_zone)?.whole(ask.unit, from, until, 1)?;
        let time = TIME_MIN.as_micros()..held(&periods).end;
        let need = Need::new(ask.span.project, time).filter("events", &ask.filter)?;
        let regions = 0..periods.len() as u32 + 1;
        let asked = by_of(&[&ask.filter], None).map(|by| asked(by, &ask.span, &periods, regions));
        let query = Arc::new(LifecycleQuery { filter: ask.filter, periods, known: None });
        let rolled = asked.map(|ask| {
            let query = Arc::clone(&query);
            let compute = move |rolled: &Rolled, threads, cancel: Cancel<'_>| {
                Ok(lifecycle_of(&query, rolled, threads, cancel)?)
            };
            (ask, compute)
        });
        let compute = move |loaded: &Loaded, threads, cancel: Cancel<'_>| {
            Ok(lifecycle(&query, &loaded.known(), threads, cancel)?)
        };
        Ok(LifecycleAnswer { periods: self.answer_by(need, rolled, compute).await? })
    }

    async fn path(&self, ask: AskPath) -> Result<PathAnswer, QueriesError> {
        let (from, until) = ends(&ask.span)?;
        Calendar::find(&ask.span.time_zone)?;
        within("steps", ask.steps, 1, STEPS_MAX)?;
        within("limit", ask.limit, 1, EDGES_MAX)?;
        let gap_ms = duration_ms("gap", ask.gap_ms, 0, GAP_MAX)?;
        let anchors_micros = micros(from, until);
        // A path ends at a longer gap, so what lies farther away is on none.
        let reach = gap_ms * 1000 * i64::try_from(ask.steps).unwrap_or(0) + 1000;
        let time = anchors_micros.start.saturating_sub(reach)..anchors_micros.end.saturating_add(reach);
        let need = Need::new(ask.span.project, time);
        let need = need.filter("anchor", &ask.anchor)?.filter("events", &ask.events)?;
        let query = PathQuery {
            anchor: ask.anchor,
            events: ask.events,
            anchors_micros,
            direction: ask.direction,
            steps: ask.steps,
            gap_ms: Some(gap_ms),
            limit: ask.limit,
        };
        self.answer(need, move |loaded, threads, cancel| Ok(path(&query, &loaded.known(), threads, cancel)?))
            .await
    }

    async fn session(&self, ask: AskSession) -> Result<SessionTable, QueriesError> {
        let (from, until) = ends(&ask.span)?;
        within("limit", ask.limit, 1, LIST_MAX)?;
        let gap_ms = duration_ms("gap", ask.gap_ms, 0, GAP_MAX)?;
        let buckets = Calendar::find(&ask.span.time_zone)?.clipped(ask.unit, from, until)?;
        // What begins before is recognised by one event within the gap.
        let time = from.as_micros() - gap_ms * 1000..until.as_micros() + FOLLOW_MICROS;
        let keep = i64::MIN..time.end;
        let need = Need::new(ask.span.project, time).filter("events", &ask.filter)?.keep(keep);
        let starts = starts(&buckets);
        let query = SessionQuery { filter: ask.filter, buckets, gap_ms, limit: ask.limit };
        let compute = move |loaded: &Loaded, threads, cancel: Cancel<'_>| {
            Ok(session(&query, &loaded.known(), threads, cancel)?)
        };
        Ok(SessionTable { starts, sessions: self.answer(need, compute).await? })
    }

    async fn top(&self, ask: AskTop) -> Result<Vec<TopItem>, QueriesError> {
        let (from, until) = ends(&ask.span)?;
        within("limit", ask.limit, 1, LIST_MAX)?;
        let time_micros = micros(from, until);
        let mut need = Need::new(ask.span.project, time_micros.clone()).filter("events", &ask.filter)?;
        if let Some(goal) = &ask.goal {
            need = need.filter("goal", goal)?;
        }
        let need = need.field("by", Some(&ask.field))?;
        let buckets = Buckets::try_new(vec![time_micros.start, time_micros.end])?;
        let filters: Vec<_> = std::iter::once(&ask.filter).chain(&ask.goal).collect();
        let asked = by_of(&filters, Some(&ask.field)).map(|by| asked(by, &ask.span, &buckets, 1..2));
        let query = Arc::new(TopQuery {
            filter: ask.filter,
            goal: ask.goal,
            time_micros,
            field: ask.field,
            rank: ask.rank,
            limit: ask.limit,
        });
        let rolled = asked.map(|ask| {
            let query = Arc::clone(&query);
            let compute = move |rolled: &Rolled, threads, cancel: Cancel<'_>| {
                Ok(texts_of(&query, |query| rolled::top_of(query, rolled, threads, cancel))?)
            };
            (ask, compute)
        });
        self.answer_by(need, rolled, move |loaded, threads, cancel| {
            texts_of(&query, |query| top_of(query, loaded, threads, cancel))
        })
        .await
    }

    async fn formula(&self, ask: AskFormula) -> Result<FormulaAnswer, QueriesError> {
        super::formula::formula(self, ask).await
    }

    async fn interval(&self, ask: AskInterval) -> Result<IntervalAnswer, QueriesError> {
        let (from, until) = ends(&ask.span)?;
        let window_ms = duration_ms("window", ask.window_ms, 0, WINDOW_MAX)?;
        let starts_micros = micros(from, until);
        let end = starts_micros.end.saturating_add(window_ms * 1000 + 1000).min(TIME_END.as_micros());
        let need = Need::new(ask.span.project, starts_micros.start..end);
        let need = need.filter("start", &ask.start)?.filter("end", &ask.end)?;
        let query = IntervalQuery { start: ask.start, end: ask.end, starts_micros, window_ms };
        self.answer(need, move |loaded, threads, cancel| {
            Ok(interval(&query, &loaded.known(), threads, cancel)?)
        })
        .await
    }

    async fn adoption(&self, ask: AskAdoption) -> Result<AdoptionAnswer, QueriesError> {
        super::adoption::adoption(self, ask).await
    }
}

impl std::fmt::Debug for QueryService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryService").field("limits", &self.limits).finish_non_exhaustive()
    }
}
