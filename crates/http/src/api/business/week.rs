//! What changed within a week, and who is there now.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use belvedere_business_intelligence::metrics::definitions::definition;
use belvedere_business_intelligence::{Change, ChangeBy, Changes, PRESENT_MINUTES, SegmentChange};
use belvedere_storage::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::revenue::PlansWanted;
use super::table::Format;
use super::{currency, wanted_project};
use crate::api::input::Parameters;
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// A part of a change.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct SegmentAnswer {
    /// Which people; `others` for segments that were put together, `not known` for those without a text.
    segment: String,
    /// In the week.
    now: i64,
    /// In the week before.
    before: i64,
    /// What it adds to the change.
    delta: i64,
}

/// A change by segments that add up to it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ChangeByAnswer {
    /// `channel`, `country`, `plan` or `device`; `movement` of revenue.
    dimension: &'static str,
    /// Those that make most of the change first.
    segments: Vec<SegmentAnswer>,
}

/// A number that changed by more than noise.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ChangeAnswer {
    /// Which one, such as `signups`.
    number: &'static str,
    /// People in the week; revenue at its end, in minor units.
    value: i64,
    /// In the week before.
    before: i64,
    /// The relative change: 0.1 is a tenth more; null from nothing.
    change: Option<f64>,
    /// By how many standard deviations, at least 3.
    z: f64,
    /// ISO 4217; null for people.
    currency: Option<String>,
    /// The dimension in which segments changed least alike first.
    by: Vec<ChangeByAnswer>,
}

/// What changed most.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ChangesAnswer {
    /// The week, from here on.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Before this.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// What counts as a change.
    definition: &'static str,
    /// The greatest relative change first, at most 5.
    changes: Vec<ChangeAnswer>,
}

impl From<Changes> for ChangesAnswer {
    fn from(changes: Changes) -> Self {
        let segment = |it: SegmentChange| SegmentAnswer {
            now: it.now,
            before: it.before,
            delta: it.delta(),
            segment: it.segment,
        };
        let by = |it: ChangeBy| ChangeByAnswer {
            dimension: it.dimension,
            segments: it.segments.into_iter().map(segment).collect(),
        };
        let change = |it: Change| ChangeAnswer {
            number: it.key,
            value: it.now,
            before: it.before,
            change: it.change(),
            z: it.z,
            currency: it.currency.map(|currency| currency.to_string()),
            by: it.by.into_iter().map(by).collect(),
        };
        Self {
            from: changes.from,
            until: changes.until,
            definition: definition("changes"),
            changes: changes.changes.into_iter().map(change).collect(),
        }
    }
}

/// Find what changed most in the last 7 days, and which people make the change
#[utoipa::path(get, path = "/api/v1/business/changes", tag = "business", params(PlansWanted),
    responses((status = 200, description = "The changes; as text/csv one line for each segment", body = ChangesAnswer)))]
pub(in crate::api) async fn find_changes(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<PlansWanted>,
) -> Result<Response, Problem> {
    let (format, currency) = (Format::find(wanted.format.as_deref())?, currency(wanted.currency.as_deref())?);
    let project = wanted_project(&shared, &caller, wanted.project.as_deref()).await?;
    let changes = shared.business.find_changes(project.id, currency).await?;
    let table = changes.table();
    let answer = ChangesAnswer::from(changes);
    Ok(format.answer(&answer, &table, "business-changes"))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct PresentWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
}

/// Who is there now.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct PresentAnswer {
    /// People with activity in the last minutes.
    people: u64,
    /// How many minutes.
    minutes: u32,
}

/// Count the people who are there now
#[utoipa::path(get, path = "/api/v1/business/now", tag = "business", params(PresentWanted),
    responses((status = 200, description = "How many people were active in the last minutes", body = PresentAnswer)))]
pub(in crate::api) async fn count_present(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<PresentWanted>,
) -> Result<Json<PresentAnswer>, Problem> {
    let project = wanted_project(&shared, &caller, wanted.project.as_deref()).await?;
    let people = shared.business.count_present(project.id).await?;
    Ok(Json(PresentAnswer { people, minutes: PRESENT_MINUTES }))
}
