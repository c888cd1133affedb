//! Formulas between series, bucket by bucket.

use super::calendar::Calendar;
use super::check::{Need, ends, within};
use super::load::Loaded;
use super::service::{micros, starts};
use super::trend::trend_of;
use super::{AskFormula, FormulaAnswer, Measure, QueriesError, QueryService};
use crate::kernel::Cancel;
use crate::kernel::formula::{Formula, SERIES_MAX};
use crate::kernel::trend::TrendQuery;

pub(crate) async fn formula(service: &QueryService, ask: AskFormula) -> Result<FormulaAnswer, QueriesError> {
    let (from, until) = ends(&ask.span)?;
    within("series", ask.series.len(), 1, SERIES_MAX)?;
    let formula = Formula::parse(&ask.formula, ask.series.len());
    let formula = formula.map_err(|error| QueriesError::invalid("formula", error.to_string()))?;
    let buckets = Calendar::find(&ask.span.time_zone)?.clipped(ask.unit, from, until)?;
    let mut need = Need::new(ask.span.project, micros(from, until));
    for series in &ask.series {
        need = need.filter("series", &series.filter)?;
        if series.measure.measures().values {
            need = need.values_of("values_of", series.values_of.as_ref())?;
        }
    }
    let starts = starts(&buckets);
    let queries = ask.series.into_iter().map(|series| {
        let query = TrendQuery {
            filter: series.filter,
            buckets: buckets.clone(),
            measures: series.measure.measures(),
            values_of: series.values_of,
            breakdown: None,
        };
        (series.measure, query)
    });
    let queries: Vec<(Measure, TrendQuery)> = queries.collect();
    let compute = move |loaded: &Loaded, threads, cancel: Cancel<'_>| {
        let numbers = queries.iter().map(|(measure, query)| {
            let found = trend_of(query, loaded, threads, cancel)?;
            let points = found.iter().flat_map(|series| &series.points);
            Ok(points.map(|point| measure.of(point)).collect())
        });
        numbers.collect::<Result<Vec<Vec<Option<f64>>>, QueriesError>>()
    };
    let series = service.answer(need, compute).await?;
    let points = (0..starts.len()).map(|bucket| {
        let values: Vec<Option<f64>> =
            series.iter().map(|numbers| numbers.get(bucket).copied().flatten()).collect();
        formula.value(&values)
    });
    Ok(FormulaAnswer { points: points.collect(), starts, series })
}
