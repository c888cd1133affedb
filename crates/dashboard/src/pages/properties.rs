//! Which properties events have, how many of them, and with which values.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_event_store::query::{ListNames, ListProperties, ListValues};

use crate::form::{Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::activity::{Choice, field_of};
use crate::pages::settings::with_status_of;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::{Count, shorten};

/// How many names, properties and values are listed.
const NAMES_MAX: usize = 100;
const PROPERTIES_MAX: usize = 200;
const VALUES_MAX: usize = 100;

/// The longest text of a value.
const VALUE_CHARS: usize = 120;

/// A property with how many events have it.
struct PropertyRow {
    name: String,
    href: String,
    kind: &'static str,
    is_chosen: bool,
    events: Count,
}

/// A value with how many events have it.
struct ValueRow {
    /// None for events without the property.
    value: Option<String>,
    href: String,
    events: Count,
    subjects: Count,
}

#[derive(Template)]
#[template(path = "properties.html")]
struct PropertiesPage {
    layout: Layout,
    base: String,
    error: Option<String>,
    names: Vec<Choice>,
    properties: Vec<PropertyRow>,
    /// The property that is chosen; empty for none.
    property: String,
    values: Vec<ValueRow>,
}

/// `GET /projects/{project}/events/properties`
pub(crate) async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let (name, mut property) = (pairs.text("name").to_owned(), pairs.text("property").to_owned());
    let only = Some(name.clone()).filter(|name| !name.is_empty());
    let queries = &scene.state.queries;
    let names = ListNames { project: scene.id(), until: scene.now, limit: NAMES_MAX };
    let properties =
        ListProperties { project: scene.id(), name: only.clone(), until: scene.now, limit: PROPERTIES_MAX };
    let (names, properties) = tokio::join!(queries.list_names(names), queries.list_properties(properties));
    let (names, properties) = (names?, properties?);
    let mut error = None;
    let values = match values(&scene, only, &property).await {
        Ok(values) => values,
        Err(Refusal::Invalid(why)) => {
            error = Some(why);
            property = String::new();
            Vec::new()
        }
        Err(refusal) => return Err(refusal),
    };
    let path = format!("{}/events/properties", scene.base());
    let rows = properties.into_iter().map(|it| PropertyRow {
        href: address(&path, &[("name", name.as_str()), ("property", it.property.as_str())]),
        kind: if it.is_column { "column" } else { "JSON" },
        is_chosen: it.property == property,
        events: Count(it.events),
        name: it.property,
    });
    let all = Choice { value: String::new(), name: "All events".to_owned(), is_chosen: name.is_empty() };
    let known = names.into_iter().map(|it| it.name);
    let is_known = known.clone().any(|known| known == name);
    let unknown = Some(name.clone()).filter(|name| !name.is_empty() && !is_known);
    let choice = |known: String| Choice { is_chosen: known == name, value: known.clone(), name: known };
    let has_error = error.is_some();
    let page = PropertiesPage {
        layout: scene.layout(Section::Events, &pairs).await?,
        base: scene.base(),
        error,
        names: std::iter::once(all).chain(unknown.into_iter().chain(known).map(choice)).collect(),
        properties: rows.collect(),
        property,
        values,
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

async fn values(scene: &Scene, name: Option<String>, property: &str) -> Result<Vec<ValueRow>, Refusal> {
    if property.is_empty() {
        return Ok(Vec::new());
    }
    let list = ListValues {
        project: scene.id(),
        name: name.clone(),
        property: field_of(property).map_err(Refusal::Invalid)?,
        until: scene.now,
        limit: VALUES_MAX,
    };
    let path = format!("{}/events", scene.base());
    let row = |value: Option<String>, events, subjects| {
        let text = value.as_deref().unwrap_or_default();
        let pairs = [
            ("name", name.as_deref().unwrap_or_default()),
            ("dimension", property),
            ("value", text),
            ("span", "30d"),
        ];
        ValueRow {
            href: address(&path, &pairs),
            value: value.as_deref().map(|text| shorten(text, VALUE_CHARS)),
            events: Count(events),
            subjects: Count(subjects),
        }
    };
    let found = scene.state.queries.list_values(list).await?;
    Ok(found.into_iter().map(|it| row(it.value, it.events, it.subjects)).collect())
}
