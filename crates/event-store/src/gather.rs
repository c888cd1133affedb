//! Events of several batches put into the order of a segment, column by column.

use std::collections::HashMap;

use crate::batch::{Batch, Strings, Texts};
use crate::{Fields, NO_SUBJECT};

/// A batch by its place in a list, and a row of it.
pub(crate) type Place = (u32, u32);

/// All rows in the order of a segment: by subject, then time, then id.
pub(crate) fn places_in_order(batches: &[&Batch]) -> Vec<Place> {
    // Subject, time and row fit one number; ids, which are long, matter only where subject and time are the same.
    let mut keys: Vec<u128> = Vec::with_capacity(batches.iter().map(|batch| batch.count).sum());
    let mut starts = Vec::with_capacity(batches.len());
    for batch in batches {
        starts.push(keys.len() as u32);
        for row in 0..batch.count {
            let subject = batch.subjects.get(row).copied().unwrap_or(NO_SUBJECT);
            let time = batch.times.get(row).copied().unwrap_or(0).cast_unsigned() ^ 1 << 63;
            keys.push(u128::from(subject) << 96 | u128::from(time) << 32 | keys.len() as u128);
        }
    }
    keys.sort_unstable();
    let place_of = |key: &u128| {
        let row = *key as u32;
        let batch = starts.partition_point(|start| *start <= row).saturating_sub(1);
        (batch as u32, row - starts.get(batch).copied().unwrap_or(0))
    };
    let mut places: Vec<Place> = keys.iter().map(place_of).collect();
    let id = |(batch, row): &Place| {
        let batch = batches.get(*batch as usize);
        batch.and_then(|batch| batch.ids.get(*row as usize)).copied().unwrap_or_default()
    };
    let mut start = 0;
    for equal in keys.chunk_by(|a, b| a >> 32 == b >> 32) {
        if equal.len() > 1
            && let Some(equal) = places.get_mut(start..start + equal.len())
        {
            equal.sort_by_key(id);
        }
        start += equal.len();
    }
    places
}

/// Those rows in their order, with each text once in its dictionary; the batches have the same fields.
pub(crate) fn gather(fields: Fields, batches: &[&Batch], places: &[Place]) -> Batch {
    let mut gathered = Batch { count: places.len(), fields, ..Batch::default() };
    gathered.ids = column(batches, places, |batch| &batch.ids);
    gathered.times = column(batches, places, |batch| &batch.times);
    gathered.subjects = column(batches, places, |batch| &batch.subjects);
    gathered.values = column(batches, places, |batch| &batch.values);
    if fields.contains(Fields::PROPS) {
        let mut props = Strings::default();
        for (batch, row) in places {
            props.push(batches.get(*batch as usize).map_or("", |batch| batch.props.get(*row as usize)));
        }
        gathered.props = props;
    }
    for (index, into) in gathered.texts.iter_mut().enumerate() {
        let sources: Vec<&Texts> = batches.iter().filter_map(|batch| batch.texts.get(index)).collect();
        *into = texts(&sources, places);
    }
    gathered
}

/// A column of those rows; empty if it is empty in the batches.
fn column<'a, T: Copy + 'a>(
    batches: &[&'a Batch],
    places: &[Place],
    of: impl Fn(&'a Batch) -> &'a Vec<T>,
) -> Vec<T> {
    let columns: Vec<&[T]> = batches.iter().map(|batch| of(batch).as_slice()).collect();
    let row =
        |(batch, row): &Place| columns.get(*batch as usize).and_then(|column| column.get(*row as usize));
    places.iter().filter_map(row).copied().collect()
}

fn texts(sources: &[&Texts], places: &[Place]) -> Texts {
    let mut gathered = Texts { codes: Vec::new(), dictionary: vec![String::new()] };
    if sources.iter().all(|texts| texts.codes.is_empty()) {
        return gathered;
    }
    // By batch and code, the code here; 0 for not known yet.
    let mut known: Vec<Vec<u32>> = sources.iter().map(|texts| vec![0; texts.dictionary.len()]).collect();
    let mut by_text: HashMap<&str, u32> = HashMap::new();
    gathered.codes.reserve_exact(places.len());
    for (batch, row) in places {
        let (batch, row) = (*batch as usize, *row as usize);
        let code = sources.get(batch).and_then(|texts| texts.codes.get(row)).copied().unwrap_or(0);
        let place = known.get_mut(batch).and_then(|known| known.get_mut(code as usize)).filter(|_| code != 0);
        let Some(place) = place else {
            gathered.codes.push(0);
            continue;
        };
        if *place == 0 {
            let text = sources.get(batch).and_then(|texts| texts.dictionary.get(code as usize));
            let text = text.map_or("", String::as_str);
            if !text.is_empty() {
                *place = *by_text.entry(text).or_insert_with(|| {
                    gathered.dictionary.push(text.to_owned());
                    gathered.dictionary.len() as u32 - 1
                });
            }
        }
        gathered.codes.push(*place);
    }
    if gathered.dictionary.len() == 1 {
        gathered.codes.clear();
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, Recoding};
    use crate::kernel::testing::Random;
    use crate::{Event, TIME_MIN};
    use belvedere_storage::Timestamp;

    fn batch(random: &mut Random) -> Batch {
        let mut builder = BatchBuilder::new(Fields::ALL);
        for _ in 0..random.range(0, 40) {
            let mut id = [0; 16];
            id[15] = random.range(0, 250);
            let at = random.pick(&[TIME_MIN.as_micros(), -1, 0, 1, 1_795_000_000_000_000]);
            let mut event = Event::new(id, Timestamp::from_micros(at), random.pick(&["a", "b", "c"]));
            event.course = random.pick(&[None, Some("algebra"), Some("biology")]).map(str::to_owned);
            event.value = random.pick(&[None, Some(1.5)]);
            event.props = random.pick(&["", "{}", "{\"n\":1}"]).to_owned();
            builder.push(&event, random.pick(&[NO_SUBJECT, 1, 2, u32::MAX - 1]));
        }
        builder.finish()
    }

    #[test]
    fn gathered_rows_are_those_of_a_plain_sort_one_by_one() {
        let mut random = Random::new(77);
        for _ in 0..2_000 {
            let batches: Vec<Batch> = (0..random.range(0, 5)).map(|_| batch(&mut random)).collect();
            let batches: Vec<&Batch> = batches.iter().collect();
            let mut keyed: Vec<_> = (0_u32..)
                .zip(&batches)
                .flat_map(|(place, batch)| {
                    (0..batch.count)
                        .map(move |row| ((batch.sort_key(row), place, row as u32), (place, row as u32)))
                })
                .collect();
            keyed.sort_unstable();
            let expected: Vec<Place> = keyed.into_iter().map(|(_, place)| place).collect();
            let places = places_in_order(&batches);
            assert_eq!(places, expected);
            let mut builder = BatchBuilder::new(Fields::ALL);
            let mut codes: Vec<Recoding> = batches.iter().map(|_| Recoding::default()).collect();
            for (batch, row) in expected {
                builder.push_row(batches[batch as usize], row as usize, &mut codes[batch as usize]);
            }
            let (plain, gathered) = (builder.finish(), gather(Fields::ALL, &batches, &places));
            let values = |batch: &Batch| batch.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(values(&gathered), values(&plain));
            let without = |batch: Batch| Batch { values: Vec::new(), ..batch };
            assert_eq!(without(gathered), without(plain));
        }
    }
}
