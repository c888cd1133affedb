//! What there is to ask about: names, properties and values.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_event_store::query::{LIST_MAX, ListNames, ListProperties, ListValues};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::answer::List;
use super::super::input::{Parameters, project};
use super::answer::{NameAnswer, PropertyAnswer, ValueAnswer};
use super::condition;
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// How many are listed unless the request says otherwise.
const LIST: usize = 100;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NamesWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// How many at most, 1 to 1,000; 100 if left out.
    limit: Option<usize>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ValuesWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Of events of this name only.
    name: Option<String>,
    /// `course`, `lesson`, `exercise`, `country`, `browser`, `os`, `device`, `referrer`, `utm_source`, `plan`, or a
    /// property in `props`.
    property: Option<String>,
    /// How many at most, 1 to 1,000; 100 if left out.
    limit: Option<usize>,
}

pub(super) fn list_limit(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(LIST);
    if (1..=LIST_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::invalid("limit", format!("must be from 1 to {LIST_MAX}")))
}

/// List the names of events with their volumes over the last 30 days
#[utoipa::path(get, path = "/api/v1/events/names", tag = "query", params(NamesWanted),
    responses((status = 200, description = "The commonest first", body = List<NameAnswer>)))]
pub(crate) async fn list_names(
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
pub(crate) async fn list_values(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<ValuesWanted>,
) -> Result<Json<List<ValueAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let property = wanted.property.as_deref().unwrap_or_default();
    let list = ListValues {
        project: project.id,
        name: wanted.name,
        property: condition::field("property", property)?,
        until: shared.clock.now(),
        limit: list_limit(wanted.limit)?,
    };
    let values = shared.queries.list_values(list).await?;
    Ok(Json(List { items: values.into_iter().map(ValueAnswer::from).collect(), next: None }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PropertiesWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Of events of this name only.
    name: Option<String>,
    /// How many at most, 1 to 1,000; 100 if left out.
    limit: Option<usize>,
}

/// List the properties of events with their volumes over the last 30 days and today
#[utoipa::path(get, path = "/api/v1/events/properties", tag = "query", params(PropertiesWanted),
    responses((status = 200, description = "The commonest first", body = List<PropertyAnswer>)))]
pub(crate) async fn list_properties(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<PropertiesWanted>,
) -> Result<Json<List<PropertyAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let list = ListProperties {
        project: project.id,
        name: wanted.name,
        until: shared.clock.now(),
        limit: list_limit(wanted.limit)?,
    };
    let properties = shared.queries.list_properties(list).await?;
    Ok(Json(List { items: properties.into_iter().map(PropertyAnswer::from).collect(), next: None }))
}
