//! What became of everything that arrived.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use belvedere_intake::Requester;
use belvedere_storage::Timestamp;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{List, SetAsideAnswer, TallyAnswer};
use super::input::{InProject, Parameters, PathText, instant, page, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// The span of time that is shown unless the request says otherwise.
const SPAN: Duration = Duration::from_secs(24 * 3_600);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PipelineWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// From this instant; 24 hours before `to` if left out.
    from: Option<String>,
    /// To this instant; now if left out.
    to: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SetAsideWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Counts of a project's items, and what waits.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pipeline {
    /// How many items of which type had which outcome, hour by hour.
    tallies: Vec<TallyAnswer>,
    /// Deliveries of the project that are set aside and not replayed.
    set_aside: u64,
    /// The queue of this process, of all projects together.
    spool: SpoolAnswer,
}

/// What waits to be digested.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SpoolAnswer {
    /// Accepted deliveries.
    records: u64,
    /// Their bytes.
    bytes: u64,
    /// Bytes at which nothing more is accepted.
    bytes_max: u64,
    /// Whether digestion fails at the moment and is being retried.
    is_stalled: bool,
}

/// Read what became of a project's items
#[utoipa::path(get, path = "/api/v1/pipeline", tag = "pipeline", params(PipelineWanted),
    responses((status = 200, description = "Counts per hour, and what waits", body = Pipeline)))]
pub(super) async fn find_pipeline(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<PipelineWanted>,
) -> Result<Json<Pipeline>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    // The hour that has begun is part of what is shown.
    let to = instant("to", wanted.to.as_deref())?
        .unwrap_or_else(|| shared.clock.now().plus(Duration::from_micros(1)));
    let from = instant("from", wanted.from.as_deref())?.unwrap_or_else(|| hour_before(to));
    let tallies = shared.intake_log.list_tallies(project.id, from, to).await?;
    let depth = shared.intake.depth();
    Ok(Json(Pipeline {
        tallies: tallies.into_iter().map(TallyAnswer::from).collect(),
        set_aside: shared.intake_log.count_set_aside(project.id).await?,
        spool: SpoolAnswer {
            records: depth.records,
            bytes: depth.bytes,
            bytes_max: depth.bytes_max,
            is_stalled: shared.intake_stats.is_stalled(),
        },
    }))
}

/// The start of the hour a day before.
fn hour_before(to: Timestamp) -> Timestamp {
    to.minus(SPAN).start_of_hour()
}

/// List deliveries that could not be digested, newest first
#[utoipa::path(get, path = "/api/v1/pipeline/set_aside", tag = "pipeline", params(SetAsideWanted),
    responses((status = 200, description = "A page of deliveries without their content", body = List<SetAsideAnswer>)))]
pub(super) async fn list_set_aside(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<SetAsideWanted>,
) -> Result<Json<List<SetAsideAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    Ok(List::of(shared.intake_log.list_set_aside(project.id, page).await?, SetAsideAnswer::from))
}

/// Hand a delivery to digestion once more
#[utoipa::path(post, path = "/api/v1/pipeline/set_aside/{id}/replay", tag = "pipeline",
    params(("id" = String, Path, description = "The delivery's id"), InProject),
    responses((status = 202, description = "It will be digested")))]
pub(super) async fn replay_set_aside(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    let id = path.id("set-aside delivery")?;
    shared.intake_log.replay_set_aside(requester(&caller), project.id, id).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Forget a delivery
#[utoipa::path(delete, path = "/api/v1/pipeline/set_aside/{id}", tag = "pipeline",
    params(("id" = String, Path, description = "The delivery's id"), InProject),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn discard_set_aside(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    let id = path.id("set-aside delivery")?;
    shared.intake_log.discard_set_aside(requester(&caller), project.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn requester(caller: &Caller) -> Requester {
    Requester {
        actor: caller.principal.actor,
        organisation: Some(caller.principal.organisation),
        request_id: caller.client.request_id.clone(),
    }
}
