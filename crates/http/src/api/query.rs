//! Questions to the events of a project.

mod answer;
mod asked;
mod body;
mod condition;
mod explore;
mod more;
mod series;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_event_store::kernel::funnel::{EXCLUSIONS_MAX, Exclusion, FunnelMode, FunnelRules, STEPS_MAX};
use belvedere_event_store::kernel::path::Direction;
use belvedere_event_store::kernel::retention::{CohortBy, RetentionMode};
use belvedere_event_store::kernel::top::Rank;
use belvedere_event_store::query::{
    AskActive, AskFunnel, AskLifecycle, AskPath, AskPercentile, AskRetention, AskSession, AskTop, AskTrend,
};

use self::answer::{
    ActiveAnswer, FunnelAnswer, LifecycleAnswer, PathAnswer, RetentionAnswer, SessionAnswer, TopAnswer,
};
use self::asked::{Asked, Asking};
use self::body::{
    ActiveBody, FunnelBody, LifecycleBody, PathBody, PercentileBody, RetentionBody, SessionBody, TopBody,
    TrendBody, milliseconds, word,
};
pub(super) use self::explore::*;
pub(super) use self::more::*;
use self::series::{PercentileAnswer, TrendAnswer};
use super::input::InProject;
use crate::problem::Problem;
use crate::state::Shared;

/// How many edges of a path, or names of entries and exits, are answered unless the request says otherwise.
const RANKED: usize = 10;
/// Steps of a path unless the request says otherwise.
const PATH_STEPS: usize = 3;
/// The longest gap in a session or path unless the request says otherwise.
const GAP_SECONDS: u32 = 30 * 60;
/// The window of a funnel unless the request says otherwise.
const WINDOW_SECONDS: u32 = 7 * 86_400;

/// Numbers over time
///
/// How many events, of how many subjects, with which values, in each bucket.
#[utoipa::path(post, path = "/api/v1/query/trend", tag = "query", params(InProject), request_body = TrendBody,
    responses((status = 200, description = "One series, or one per text of the breakdown", body = TrendAnswer)))]
pub(super) async fn trend(
    State(shared): State<Arc<Shared>>,
    Asked { project, body }: Asked<TrendBody>,
) -> Result<Json<TrendAnswer>, Problem> {
    let asking = Asking::new(&shared, &project);
    let measures = body.measures()?;
    let ask = AskTrend {
        span: body.range.span(&project)?,
        unit: body::unit(&body.unit)?,
        filter: asking.filter(body.events).await?,
        measures,
        values_of: body::values_of(body.values_of.as_deref())?,
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
    Asked { project, body }: Asked<ActiveBody>,
) -> Result<Json<ActiveAnswer>, Problem> {
    let asking = Asking::new(&shared, &project);
    let ask = AskActive { span: body.range.span(&project)?, filter: asking.filter(body.events).await? };
    Ok(Json(shared.queries.active(ask).await?.into()))
}

/// A funnel
///
/// How many subjects get through ordered steps within a window from the first, and how long each step takes.
#[utoipa::path(post, path = "/api/v1/query/funnel", tag = "query", params(InProject), request_body = FunnelBody,
    responses((status = 200, description = "All subjects, then the groups of the breakdown", body = FunnelAnswer)))]
pub(super) async fn funnel(
    State(shared): State<Arc<Shared>>,
    Asked { project, body }: Asked<FunnelBody>,
) -> Result<Json<FunnelAnswer>, Problem> {
    let asking = Asking::new(&shared, &project);
    let modes = [
        ("ordered", FunnelMode::Ordered),
        ("strict", FunnelMode::Strict),
        ("unordered", FunnelMode::Unordered),
    ];
    let mut rules = FunnelRules {
        mode: word("mode", body.mode.as_deref().unwrap_or("ordered"), &modes)?,
        optional: (0..).zip(&body.steps).filter(|(_, step)| step.optional).map(|(at, _)| at).collect(),
        exclusions: Vec::new(),
    };
    count_of("steps", body.steps.len(), STEPS_MAX)?;
    count_of("exclusions", body.exclusions.len(), EXCLUSIONS_MAX)?;
    let mut steps = Vec::new();
    for step in body.steps {
        steps.push(step.events().found(&asking).await?);
    }
    for exclusion in body.exclusions {
        let place = |step: usize| {
            step.checked_sub(1).ok_or_else(|| Problem::invalid("exclusions", "steps are counted from 1"))
        };
        rules.exclusions.push(Exclusion {
            after: place(exclusion.after)?,
            before: place(exclusion.before)?,
            events: exclusion.events().found(&asking).await?,
        });
    }
    let ask = AskFunnel {
        span: body.range.span(&project)?,
        steps,
        window_ms: milliseconds(body.window_seconds.unwrap_or(WINDOW_SECONDS)),
        rules,
        breakdown: body.breakdown.map(|it| it.breakdown()).transpose()?,
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
    Asked { project, body }: Asked<RetentionBody>,
) -> Result<Json<RetentionAnswer>, Problem> {
    let asking = Asking::new(&shared, &project);
    let cohorts = [("first", CohortBy::FirstStart), ("any", CohortBy::AnyStart)];
    let modes = [
        ("classic", RetentionMode::Classic),
        ("rolling", RetentionMode::Rolling),
        ("unbounded", RetentionMode::Unbounded),
    ];
    let ask = AskRetention {
        span: body.range.span(&project)?,
        unit: body::unit(&body.unit)?,
        start: body.start.found(&asking).await?,
        returned: asking.filter(body.returned).await?,
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
    Asked { project, body }: Asked<LifecycleBody>,
) -> Result<Json<LifecycleAnswer>, Problem> {
    let asking = Asking::new(&shared, &project);
    let ask = AskLifecycle {
        span: body.range.span(&project)?,
        unit: body::unit(&body.unit)?,
        filter: asking.filter(body.events).await?,
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
    Asked { project, body }: Asked<PathBody>,
) -> Result<Json<PathAnswer>, Problem> {
    let asking = Asking::new(&shared, &project);
    let directions = [("next", Direction::Next), ("previous", Direction::Previous)];
    let ask = AskPath {
        span: body.range.span(&project)?,
        anchor: body.anchor.found(&asking).await?,
        events: asking.filter(body.events).await?,
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
    Asked { project, body }: Asked<SessionBody>,
) -> Result<Json<SessionAnswer>, Problem> {
    let asking = Asking::new(&shared, &project);
    let ask = AskSession {
        span: body.range.span(&project)?,
        unit: body::unit(&body.unit)?,
        filter: asking.filter(body.events).await?,
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
    Asked { project, body }: Asked<PercentileBody>,
) -> Result<Json<PercentileAnswer>, Problem> {
    let asking = Asking::new(&shared, &project);
    let ask = AskPercentile {
        span: body.range.span(&project)?,
        unit: body::unit(&body.unit)?,
        filter: asking.filter(body.events).await?,
        values_of: body::values_of(body.values_of.as_deref())?,
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
    Asked { project, body }: Asked<TopBody>,
) -> Result<Json<TopAnswer>, Problem> {
    let asking = Asking::new(&shared, &project);
    let ranks = [("events", Rank::Events), ("subjects", Rank::Subjects)];
    let goal = match body.goal {
        Some(goal) => Some(goal.found(&asking).await?),
        None => None,
    };
    let ask = AskTop {
        span: body.range.span(&project)?,
        filter: asking.filter(body.events).await?,
        goal,
        field: condition::field("by", &body.by)?,
        rank: word("rank", body.rank.as_deref().unwrap_or("events"), &ranks)?,
        limit: body.limit.unwrap_or(RANKED),
    };
    Ok(Json(shared.queries.top(ask).await?.into()))
}

/// Refuses more of something than there may be, before each is looked at.
fn count_of(field: &'static str, count: usize, most: usize) -> Result<(), Problem> {
    if count <= most {
        return Ok(());
    }
    Err(Problem::invalid(field, format!("must be at most {most}")))
}
