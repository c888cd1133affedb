//! Which properties events have, and how many.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use belvedere_kernel::ProjectId;

use super::check::within;
use super::props::{Property, columns_of};
use super::work::Stop;
use super::{LIST_MAX, ListProperties, PropertyVolume, QueriesError, QueryService};
use crate::columns::{Dimension, PropName};
use crate::{Select, Snapshot, TIME_END, TIME_MIN};

/// In how many of the newest events a property is looked for that those asked for do not have.
const RECENT_EVENTS: u64 = 2_000_000;

const DAY: Duration = Duration::from_secs(86_400);

pub(crate) async fn list_properties(
    service: &QueryService,
    list: ListProperties,
) -> Result<Vec<PropertyVolume>, QueriesError> {
    within("limit", list.limit, 1, LIST_MAX)?;
    let until = list.until.start_of_day().plus(DAY);
    let from = until.minus(DAY * 31);
    if from < TIME_MIN || until > TIME_END {
        let why = format!("must be between 30 days after {TIME_MIN} and {TIME_END}");
        return Err(QueriesError::invalid("until", why));
    }
    let names = list.name.iter().cloned().collect();
    let select = Select { from, until, names, ..Select::all(list.project) };
    let (store, caches) = (Arc::clone(&service.store), Arc::clone(&service.caches));
    let snapshot = async move { Ok(store.snapshot(select).await?) };
    let time = from.as_micros()..until.as_micros();
    let wanted = list.name;
    let count = move |snapshot: Snapshot, stop: &Stop| {
        let mut volumes: HashMap<Property, u64> = HashMap::new();
        for part in &snapshot.parts {
            for (name, property, events) in caches.counts(part, &time, stop)?.iter() {
                if wanted.as_ref().is_none_or(|wanted| wanted == name) {
                    *volumes.entry(property.clone()).or_default() += events;
                }
            }
        }
        Ok(volumes)
    };
    let volumes = service.desk.work(snapshot, count).await?;
    let mut volumes: Vec<PropertyVolume> = volumes.into_iter().map(volume).collect();
    volumes.sort_by(|a, b| (Reverse(a.events), &a.property).cmp(&(Reverse(b.events), &b.property)));
    volumes.truncate(list.limit);
    Ok(volumes)
}

fn volume((property, events): (Property, u64)) -> PropertyVolume {
    let (property, is_column) = match property {
        Property::Column(column) => (column.to_owned(), true),
        // A column of the same name comes first where it is asked for.
        Property::Prop(name) if is_column(name.as_str()) => (format!("props.{}", name.as_str()), false),
        Property::Prop(name) => (name.as_str().to_owned(), false),
    };
    PropertyVolume { property, is_column, events }
}

/// Whether a name is that of a column, not of a property.
fn is_column(name: &str) -> bool {
    matches!(name, "name" | "value") || Dimension::find(name).is_some()
}

/// Whether one of the newest events has a property.
pub(crate) async fn has_prop(
    service: &QueryService,
    project: ProjectId,
    name: PropName,
) -> Result<bool, QueriesError> {
    let store = Arc::clone(&service.store);
    let snapshot = async move { Ok(store.snapshot(Select::all(project)).await?) };
    let look = move |snapshot: Snapshot, stop: &Stop| {
        let mut parts = snapshot.parts;
        parts.sort_by_key(|part| Reverse(part.last_micros));
        let mut seen = 0;
        for part in &parts {
            let columns = columns_of(std::slice::from_ref(part), std::slice::from_ref(&name), stop)?;
            if columns.iter().any(|column| !column.is_empty()) {
                return Ok(true);
            }
            seen += part.count;
            if seen > RECENT_EVENTS {
                break;
            }
        }
        Ok(false)
    };
    service.desk.work(snapshot, look).await
}
