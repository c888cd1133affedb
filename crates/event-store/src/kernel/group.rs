//! Texts that several segments code differently, under common numbers.

use std::collections::HashMap;

use crate::columns::{Columns, Dimension, PropColumn, PropName};

/// A text column of an event that an answer can be broken down by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The name of the event.
    Name,
    /// A text column.
    Dimension(Dimension),
    /// A property.
    Prop(PropName),
}

impl Field {
    /// The field that a question means: `name`, a dimension, or else a property; one that is called like a column is
    /// meant by `props.` and its name. None where it is no name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        match Dimension::find(name) {
            Some(dimension) => Some(Self::Dimension(dimension)),
            None if name == "name" => Some(Self::Name),
            None => PropName::try_new(name.strip_prefix("props.").unwrap_or(name)).map(Self::Prop),
        }
    }
}

/// Which events a row of a breakdown holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// All of them.
    All,
    /// Those without a text.
    NotSet,
    /// Those with this text.
    Text(String),
    /// Those with none of the texts that have a row of their own.
    Other,
}

/// One number for each text of a field in any segment; 0 stands for no text.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    field: Field,
    texts: Vec<Group>,
    /// Number by segment and code.
    numbers: Vec<Vec<u32>>,
    /// The column of a property, by segment; empty for other fields.
    props: Vec<Option<PropColumn>>,
}

impl Groups {
    pub(crate) fn new(field: Field, segments: &[&Columns]) -> Self {
        let mut texts = vec![Group::NotSet];
        let mut known: HashMap<&str, u32> = HashMap::new();
        let numbers = segments
            .iter()
            .map(|columns| {
                let (dictionary, unset): (&[String], _) = match &field {
                    Field::Name => (&columns.name_dictionary, None),
                    Field::Dimension(dimension) => (&columns.text(*dimension).dictionary, Some(0)),
                    Field::Prop(name) => (columns.prop(name).map_or(&[], PropColumn::dictionary), Some(0)),
                };
                let set = dictionary.iter().skip(usize::from(unset.is_some())).map(|text| {
                    *known.entry(text).or_insert_with(|| {
                        texts.push(Group::Text(text.clone()));
                        texts.len() as u32 - 1
                    })
                });
                unset.into_iter().chain(set).collect()
            })
            .collect();
        let props = match &field {
            Field::Prop(name) => segments.iter().map(|columns| columns.prop(name).cloned()).collect(),
            Field::Name | Field::Dimension(_) => Vec::new(),
        };
        Self { field, texts, numbers, props }
    }

    /// How many numbers there are.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// The numbers of a segment's texts, by code.
    pub(crate) fn numbers(&self, segment: usize) -> &[u32] {
        &self.numbers[segment]
    }

    /// The field that the texts are of.
    pub(crate) fn field(&self) -> &Field {
        &self.field
    }

    /// The number of an event's text.
    #[inline]
    pub(crate) fn of(&self, segment: usize, columns: &Columns, row: usize) -> u32 {
        let code = match &self.field {
            Field::Name => usize::from(columns.names[row]),
            Field::Dimension(dimension) => usize::from(columns.text(*dimension).code(row)),
            Field::Prop(_) => self.props[segment].as_ref().map_or(0, |column| column.code(row) as usize),
        };
        self.numbers[segment][code]
    }

    pub(crate) fn group(&self, number: usize) -> Group {
        self.texts[number].clone()
    }

    /// The text of a name's number.
    pub(crate) fn text(&self, number: u32) -> String {
        match &self.texts[number as usize] {
            Group::Text(text) => text.clone(),
            _ => String::new(),
        }
    }

    /// Gives the listed groups numbers from 0 and all others the one after.
    pub(crate) fn keep(&mut self, kept: &[Group]) {
        let place = |group: &Group| kept.iter().position(|it| it == group).unwrap_or(kept.len()) as u32;
        let places: Vec<u32> = self.texts.iter().map(place).collect();
        for number in self.numbers.iter_mut().flatten() {
            *number = places[*number as usize];
        }
        self.texts = kept.iter().cloned().chain([Group::Other]).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Row;

    fn columns(courses: &[&'static str]) -> Columns {
        Columns::from_rows(courses.iter().map(|course| {
            let mut row = Row::new(0, 0, "a");
            row.dimensions[Dimension::Course.index()] = Some(course);
            row
        }))
        .unwrap()
    }

    #[test]
    fn a_text_has_the_same_number_in_every_segment() {
        let (first, second, third) = (columns(&["x", "y"]), columns(&["", "y", "z"]), columns(&[""]));
        let segments = [&first, &second, &third];
        let mut groups = Groups::new(Field::Dimension(Dimension::Course), &segments);
        let read = |groups: &Groups| -> Vec<u32> {
            let rows = |it: usize| (0..segments[it].len()).map(move |row| groups.of(it, segments[it], row));
            (0..3).flat_map(rows).collect()
        };
        assert_eq!(read(&groups), [1, 2, 0, 2, 3, 0]);
        groups.keep(&[Group::Text("y".into()), Group::NotSet]);
        assert_eq!(read(&groups), [2, 0, 1, 0, 2, 1]);
        assert_eq!(groups.group(2), Group::Other);
    }
}
