//! Questions to the events of a project.

mod answer;
mod body;
mod condition;
mod series;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_accounts::Project;
use belvedere_event_store::columns::Dimension;
use belvedere_event_store::kernel::path::Direction;
use belvedere_event_store::kernel::retention::{CohortBy, RetentionMode};
use belvedere_event_store::kernel::top::Rank;
use belvedere_event_store::query::{
    AskActive, AskFunnel, AskLifecycle, AskPath, AskPercentile, AskRetention, AskSession, AskTop, AskTrend,
    LIST_MAX, ListNames, ListValues,
};
use serde::Deserialize;
use utoipa::IntoParams;

use self::answer::{
    ActiveAnswer, FunnelAnswer, LifecycleAnswer, NameAnswer, PathAnswer, RetentionAnswer, SessionAnswer,
    TopAnswer, ValueAnswer,
};
use self::body::{
    ActiveBody, FunnelBody, LifecycleBody, PathBody, PercentileBody, RetentionBody, SessionBody, TopBody,
    TrendBody, milliseconds, word,
};
use self::series::{PercentileAnswer, TrendAnswer};
use super::answer::List;
use super::input::{InProject, JsonBody, Parameters, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// How many names or values are listed unless the request says otherwise.
const LIST: usize = 100;
/// How many edges of a path, or names of entries and exits, are answered unless the request says otherwise.
const RANKED: usize = 10;
/// Steps of a path unless the request says otherwise.
const PATH_STEPS: usize = 3;
/// The longest gap in a session or path unless the request says otherwise.
const GAP_SECONDS: u32 = 30 * 60;
/// The window of a funnel unless the request says otherwise.
const WINDOW_SECONDS: u32 = 7 * 86_400;

async fn asked(shared: &Shared, caller: &Caller, wanted: InProject) -> Result<Project, Problem> {
    project(shared, caller, wanted.project.as_deref()).await
}

/// Numbers over time
///
/// How many events, of how many subjects, with which values, in each bucket.
#[utoipa::path(post, path = "/api/v1/query/trend", tag = "query", params(InProject), request_body = TrendBody,
    responses((status = 200, description = "One series, or one per text of the breakdown", body = TrendAnswer)))]
pub(super) async fn trend(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<InProject>,
    JsonBody(body): JsonBody<TrendBody>,
) -> Result<Json<TrendAnswer>, Problem> {
    let project = asked(&shared, &caller, wanted).await?;
    let measures = body.measures()?;
    let ask = AskTrend {
        span: body.range.span(&project)?,
        unit: body::unit(&body.unit)?,
        filter: body.events.unwrap_or_default().filter()?,
        measures,
        breakdown: body.breakdown.map(|it| it.breakdown()).transpose()?,
    };
    Ok(Json(TrendAnswer::of(shared.queries.trend(ask).await?, measures)))
}

/// Active subjects
///
/// Exact daily, weekly and monthly active subjects for each day, and their stickiness.
#[utoipa::path(post, path = "/api/v1/query/active", tag = "query", params(InProject), request_body = ActiveBody,
    responses((status = 200, description = "One item per day", body = ActiveAnswer)))]
pub(super) async fn active(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<InProject>,
    JsonBody(body): JsonBody<ActiveBody>,
) -> Result<Json<ActiveAnswer>, Problem> {
    let project = asked(&shared, &caller, wanted).await?;
    let ask =
        AskActive { span: body.range.span(&project)?, filter: body.events.unwrap_or_default().filter()? };
    Ok(Json(shared.queries.active(ask).await?.into()))
}

/// A funnel
///
/// How many subjects get through ordered steps within a window from the first, and how long each step takes.
#[utoipa::path(post, path = "/api/v1/query/funnel", tag = "query", params(InProject), request_body = FunnelBody,
    responses((status = 200, description = "All subjects, then the groups of the breakdown", body = FunnelAnswer)))]
pub(super) async fn funnel(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<InProject>,
    JsonBody(body): JsonBody<FunnelBody>,
) -> Result<Json<FunnelAnswer>, Problem> {
    let project = asked(&shared, &caller, wanted).await?;
    let ask = AskFunnel {
        span: body.range.span(&project)?,
        steps: body.steps.into_iter().map(|step| step.filter()).collect::<Result<_, _>>()?,
        window_ms: milliseconds(body.window_seconds.unwrap_or(WINDOW_SECONDS)),
        breakdown: body.breakdown.map(|it| it.funnel()).transpose()?,
    };
    Ok(Json(shared.queries.funnel(ask).await?.into()))
}

/// Retention
///
/// Of the subjects that started in a period, how many returned in the periods after it.
#[utoipa::path(post, path = "/api/v1/query/retention", tag = "query", params(InProject), request_body = RetentionBody,
    responses((status = 200, description = "One cohort per period, and their average", body = RetentionAnswer)))]
pub(super) async fn retention(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<InProject>,
    JsonBody(body): JsonBody<RetentionBody>,
) -> Result<Json<RetentionAnswer>, Problem> {
    let project = asked(&shared, &caller, wanted).await?;
    let cohorts = [("first", CohortBy::FirstStart), ("any", CohortBy::AnyStart)];
    let modes = [
        ("classic", RetentionMode::Classic),
        ("rolling", RetentionMode::Rolling),
        ("unbounded", RetentionMode::Unbounded),
    ];
    let ask = AskRetention {
        span: body.range.span(&project)?,
        unit: body::unit(&body.unit)?,
        start: body.start.filter()?,
        returned: body.returned.unwrap_or_default().filter()?,
        cohort_by: word("cohort_by", body.cohort_by.as_deref().unwrap_or("first"), &cohorts)?,
        mode: word("mode", body.mode.as_deref().unwrap_or("classic"), &modes)?,
        complete_until: shared.clock.now(),
    };
    Ok(Json(shared.queries.retention(ask).await?.into()))
}

/// Lifecycle
///
/// New, returning, resurrecting and dormant subjects of each period.
#[utoipa::path(post, path = "/api/v1/query/lifecycle", tag = "query", params(InProject), request_body = LifecycleBody,
    responses((status = 200, description = "One item per period", body = LifecycleAnswer)))]
pub(super) async fn lifecycle(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<InProject>,
    JsonBody(body): JsonBody<LifecycleBody>,
) -> Result<Json<LifecycleAnswer>, Problem> {
    let project = asked(&shared, &caller, wanted).await?;
    let ask = AskLifecycle {
        span: body.range.span(&project)?,
        unit: body::unit(&body.unit)?,
        filter: body.events.unwrap_or_default().filter()?,
    };
    Ok(Json(shared.queries.lifecycle(ask).await?.into()))
}

/// Paths
///
/// What subjects do next, or did before, step by step from an anchor.
#[utoipa::path(post, path = "/api/v1/query/path", tag = "query", params(InProject), request_body = PathBody,
    responses((status = 200, description = "Edges from name to name", body = PathAnswer)))]
pub(super) async fn path(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<InProject>,
    JsonBody(body): JsonBody<PathBody>,
) -> Result<Json<PathAnswer>, Problem> {
    let project = asked(&shared, &caller, wanted).await?;
    let directions = [("next", Direction::Next), ("previous", Direction::Previous)];
    let ask = AskPath {
        span: body.range.span(&project)?,
        anchor: body.anchor.filter()?,
        events: body.events.unwrap_or_default().filter()?,
        direction: word("direction", body.direction.as_deref().unwrap_or("next"), &directions)?,
        steps: body.steps.unwrap_or(PATH_STEPS),
        gap_ms: milliseconds(body.gap_seconds.unwrap_or(GAP_SECONDS)),
        limit: body.limit.unwrap_or(RANKED),
    };
    Ok(Json(shared.queries.path(ask).await?.into()))
}

/// Sessions
///
/// How many sessions began in each bucket, how long they were, and where they began and ended.
#[utoipa::path(post, path = "/api/v1/query/session", tag = "query", params(InProject), request_body = SessionBody,
    responses((status = 200, description = "One item per bucket, and the commonest entries and exits", body = SessionAnswer)))]
pub(super) async fn session(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<InProject>,
    JsonBody(body): JsonBody<SessionBody>,
) -> Result<Json<SessionAnswer>, Problem> {
    let project = asked(&shared, &caller, wanted).await?;
    let ask = AskSession {
        span: body.range.span(&project)?,
        unit: body::unit(&body.unit)?,
        filter: body.events.unwrap_or_default().filter()?,
        gap_ms: milliseconds(body.gap_seconds.unwrap_or(GAP_SECONDS)),
        limit: body.limit.unwrap_or(RANKED),
    };
    Ok(Json(shared.queries.session(ask).await?.into()))
}

/// Percentiles
///
/// Exact percentiles of the values of events in each bucket, by nearest rank.
#[utoipa::path(post, path = "/api/v1/query/percentile", tag = "query", params(InProject), request_body = PercentileBody,
    responses((status = 200, description = "One series, or one per text of the breakdown", body = PercentileAnswer)))]
pub(super) async fn percentile(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<InProject>,
    JsonBody(body): JsonBody<PercentileBody>,
) -> Result<Json<PercentileAnswer>, Problem> {
    let project = asked(&shared, &caller, wanted).await?;
    let ask = AskPercentile {
        span: body.range.span(&project)?,
        unit: body::unit(&body.unit)?,
        filter: body.events.unwrap_or_default().filter()?,
        breakdown: body.breakdown.map(|it| it.breakdown()).transpose()?,
    };
    Ok(Json(shared.queries.percentile(ask).await?.into()))
}

/// Top texts
///
/// The texts of a property with the most events or subjects, and how many of these reach a goal with the same text.
#[utoipa::path(post, path = "/api/v1/query/top", tag = "query", params(InProject), request_body = TopBody,
    responses((status = 200, description = "The first texts", body = TopAnswer)))]
pub(super) async fn top(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<InProject>,
    JsonBody(body): JsonBody<TopBody>,
) -> Result<Json<TopAnswer>, Problem> {
    let project = asked(&shared, &caller, wanted).await?;
    let ranks = [("events", Rank::Events), ("subjects", Rank::Subjects)];
    let ask = AskTop {
        span: body.range.span(&project)?,
        filter: body.events.unwrap_or_default().filter()?,
        goal: body.goal.map(|goal| goal.filter()).transpose()?,
        field: body::field("by", &body.by)?,
        rank: word("rank", body.rank.as_deref().unwrap_or("events"), &ranks)?,
        limit: body.limit.unwrap_or(RANKED),
    };
    Ok(Json(shared.queries.top(ask).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct NamesWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// How many at most, 1 to 1,000; 100 if left out.
    limit: Option<usize>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ValuesWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Of events of this name only.
    name: Option<String>,
    /// `course`, `lesson`, `exercise`, `country`, `browser`, `os`, `device`, `referrer`, `utm_source` or `plan`.
    property: Option<String>,
    /// How many at most, 1 to 1,000; 100 if left out.
    limit: Option<usize>,
}

fn list_limit(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(LIST);
    if (1..=LIST_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::invalid("limit", format!("must be from 1 to {LIST_MAX}")))
}

/// List the names of events with their volumes over the last 30 days
#[utoipa::path(get, path = "/api/v1/events/names", tag = "query", params(NamesWanted),
    responses((status = 200, description = "The commonest first", body = List<NameAnswer>)))]
pub(super) async fn list_names(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<NamesWanted>,
) -> Result<Json<List<NameAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let limit = list_limit(wanted.limit)?;
    let list = ListNames { project: project.id, until: shared.clock.now(), limit };
    let names = shared.queries.list_names(list).await?;
    Ok(Json(List { items: names.into_iter().map(NameAnswer::from).collect(), next: None }))
}

/// List the values of a property with their volumes over the last 30 days
#[utoipa::path(get, path = "/api/v1/events/values", tag = "query", params(ValuesWanted),
    responses((status = 200, description = "The commonest first", body = List<ValueAnswer>)))]
pub(super) async fn list_values(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<ValuesWanted>,
) -> Result<Json<List<ValueAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let property = wanted.property.as_deref().unwrap_or_default();
    let list = ListValues {
        project: project.id,
        name: wanted.name,
        dimension: Dimension::find(property).ok_or_else(|| condition::unknown("property", property))?,
        until: shared.clock.now(),
        limit: list_limit(wanted.limit)?,
    };
    let values = shared.queries.list_values(list).await?;
    Ok(Json(List { items: values.into_iter().map(ValueAnswer::from).collect(), next: None }))
}
