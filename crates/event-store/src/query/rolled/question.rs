//! Which questions rollups answer.

use crate::columns::Dimension;
use crate::kernel::filter::Filter;
use crate::kernel::group::{Field, Group};
use crate::rollup::By;

/// The section that answers a question with these conditions and groups; none if no section does.
pub(crate) fn by_of(filters: &[&Filter], field: Option<&Field>) -> Option<By> {
    let mut by = match field {
        Some(Field::Dimension(dimension)) => Some(*dimension),
        Some(Field::Prop(_)) => return None,
        Some(Field::Name) | None => None,
    };
    filters.iter().all(|filter| reads_only(filter, &mut by)).then_some(by)
}

/// Whether a condition is one on names and the texts of one dimension.
fn reads_only(filter: &Filter, by: &mut Option<Dimension>) -> bool {
    match filter {
        Filter::And(filters) | Filter::Or(filters) => filters.iter().all(|filter| reads_only(filter, by)),
        Filter::Not(filter) => reads_only(filter, by),
        Filter::Name(_) => true,
        Filter::Dimension(dimension, _) => *by.get_or_insert(*dimension) == *dimension,
        _ => false,
    }
}

/// Whether a condition that [`by_of`] finds an answer for holds for a name and a text.
pub(crate) fn holds(filter: &Filter, name: &str, text: Option<&str>) -> bool {
    match filter {
        Filter::And(filters) => filters.iter().all(|filter| holds(filter, name, text)),
        Filter::Or(filters) => filters.iter().any(|filter| holds(filter, name, text)),
        Filter::Not(filter) => !holds(filter, name, text),
        Filter::Name(test) => test.holds(Some(name)),
        Filter::Dimension(_, test) => test.holds(text),
        _ => false,
    }
}

/// Whether a condition looks at the name.
pub(crate) fn reads_name(filter: &Filter) -> bool {
    match filter {
        Filter::And(filters) | Filter::Or(filters) => filters.iter().any(reads_name),
        Filter::Not(filter) => reads_name(filter),
        Filter::Name(_) => true,
        _ => false,
    }
}

/// The group of a name and a text.
pub(crate) fn group_of(field: &Field, name: &str, text: Option<&str>) -> Group {
    let text = match field {
        Field::Name => Some(name),
        // There is no section by a property.
        Field::Dimension(_) | Field::Prop(_) => text,
    };
    text.map_or(Group::NotSet, |text| Group::Text(text.to_owned()))
}
