//! The events of one name apart from all others.

use std::sync::OnceLock;

use super::Columns;

/// The events of names, each name by itself.
#[derive(Clone, Debug, Default)]
pub struct ByName {
    /// Those of some names, in the order of the segment.
    some: OnceLock<Box<[OnceLock<EventsOfName>]>>,
    /// When those of each name happened, in the order of time.
    times: OnceLock<TimesByName>,
}

/// Milliseconds after the segment's base of all events, name by name, ascending within each.
#[derive(Clone, Debug, Default)]
struct TimesByName {
    /// First time of each name, and the number of times at the end.
    starts: Vec<usize>,
    times: Vec<u32>,
}

/// Who did what the name says, and when: ordered by subject and time.
#[derive(Clone, Debug, Default)]
pub struct EventsOfName {
    /// The subject of each event.
    pub subjects: Vec<u32>,
    /// Milliseconds after the segment's base.
    pub times: Vec<u32>,
}

impl ByName {
    /// How many bytes of memory that takes which was asked for.
    pub(crate) fn weight(&self) -> usize {
        let names = self.some.get().into_iter().flatten();
        let some: usize = names.filter_map(OnceLock::get).map(|events| events.times.len() * 8).sum();
        some + self.times.get().map_or(0, |times| times.times.len() * 4)
    }
}

/// Follows from the other columns.
impl PartialEq for ByName {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Columns {
    /// The events of a name by its code; found when they are asked for first, and kept.
    #[must_use]
    pub fn events_of_name(&self, name: u16) -> &EventsOfName {
        let names =
            self.by_name.some.get_or_init(|| self.name_dictionary.iter().map(|_| OnceLock::new()).collect());
        names[usize::from(name)].get_or_init(|| self.find_events_of(&[name]).pop().unwrap_or_default())
    }

    /// Finds the events of names by their codes in one pass, as far as nobody has asked for them before.
    pub fn find_events_of_names(&self, names: impl Iterator<Item = u16>) {
        let known =
            self.by_name.some.get_or_init(|| self.name_dictionary.iter().map(|_| OnceLock::new()).collect());
        let missing: Vec<u16> = names.filter(|name| known[usize::from(*name)].get().is_none()).collect();
        if missing.is_empty() {
            return;
        }
        for (name, events) in missing.iter().zip(self.find_events_of(&missing)) {
            // Somebody else may have been faster.
            let _ = known[usize::from(*name)].set(events);
        }
    }

    /// When the events of a name happened, in milliseconds after the segment's base, ascending; sorted for all names when they
    /// are asked for first, and kept.
    #[must_use]
    pub fn times_of_name(&self, name: u16) -> &[u32] {
        let all = self.by_name.times.get_or_init(|| self.sort_times());
        let name = usize::from(name);
        &all.times[all.starts[name]..all.starts[name + 1]]
    }

    fn sort_times(&self) -> TimesByName {
        let mut starts = vec![0; self.name_dictionary.len() + 1];
        self.names.iter().for_each(|&name| starts[usize::from(name) + 1] += 1);
        for name in 1..starts.len() {
            starts[name] += starts[name - 1];
        }
        let (mut next, mut times) = (starts.clone(), vec![0; self.times.len()]);
        for (&name, &time) in self.names.iter().zip(&*self.times) {
            let place = &mut next[usize::from(name)];
            times[*place] = time;
            *place += 1;
        }
        for bounds in starts.windows(2) {
            times[bounds[0]..bounds[1]].sort_unstable();
        }
        TimesByName { starts, times }
    }

    fn find_events_of(&self, names: &[u16]) -> Vec<EventsOfName> {
        let mut places = vec![usize::MAX; self.name_dictionary.len()];
        let mut counts = vec![0; self.name_dictionary.len()];
        self.names.iter().for_each(|&name| counts[usize::from(name)] += 1);
        let mut found: Vec<EventsOfName> = Vec::with_capacity(names.len());
        for (place, &name) in names.iter().enumerate() {
            let count = counts[usize::from(name)];
            places[usize::from(name)] = place;
            found
                .push(EventsOfName { subjects: Vec::with_capacity(count), times: Vec::with_capacity(count) });
        }
        for (&subject, bounds) in self.subjects.iter().zip(self.offsets.windows(2)) {
            let rows = bounds[0] as usize..bounds[1] as usize;
            for (&name, &time) in self.names[rows.clone()].iter().zip(&self.times[rows]) {
                if let Some(events) = found.get_mut(places[usize::from(name)]) {
                    events.subjects.push(subject);
                    events.times.push(time);
                }
            }
        }
        found
    }
}
