//! Whether what was counted of events beforehand is what the events say.

use belvedere_event_store::{RollupCheck, RollupDifference};
use belvedere_storage::Timestamp;

use crate::wording::{At, Count};

/// The last comparison of rollups with events.
#[derive(Debug, PartialEq)]
pub(crate) struct RollupsView {
    pub(crate) checked_at: At,
    /// Whether every count was right.
    pub(crate) agrees: bool,
    pub(crate) days: Count,
    pub(crate) events: Count,
    pub(crate) differences: Count,
    /// Anything else worth knowing; empty if there is nothing.
    pub(crate) note: String,
    pub(crate) rows: Vec<DifferenceRow>,
}

/// A count that was not that of the events.
#[derive(Debug, PartialEq)]
pub(crate) struct DifferenceRow {
    pub(crate) day: Option<At>,
    pub(crate) name: String,
    /// The dimension and its text; empty without one.
    pub(crate) text: String,
    pub(crate) what: String,
}

pub(crate) fn rollups_view(check: &RollupCheck) -> RollupsView {
    let mut notes = Vec::new();
    if check.rebuilt > 0 {
        notes.push(format!("{} made anew from the events.", segments(check.rebuilt)));
    }
    if check.without > 0 {
        notes.push(format!("{} without counts; questions read the events instead.", segments(check.without)));
    }
    if !check.is_complete {
        notes.push("Time ran out; the next check goes on from there.".to_owned());
    }
    RollupsView {
        checked_at: At(check.checked_at),
        agrees: check.difference_count == 0,
        days: Count(check.days),
        events: Count(check.events),
        differences: Count(check.difference_count),
        note: notes.join(" "),
        rows: check.differences.iter().map(row).collect(),
    }
}

fn segments(count: u64) -> String {
    format!("{} segment{}", Count(count), if count == 1 { "" } else { "s" })
}

fn row(difference: &RollupDifference) -> DifferenceRow {
    let text = difference.dimension.as_ref().map(|dimension| {
        let text = difference.text.as_deref().filter(|text| !text.is_empty());
        format!("{dimension}: {}", text.unwrap_or("not set"))
    });
    DifferenceRow {
        day: difference.day_micros.map(|micros| At(Timestamp::from_micros(micros))),
        name: difference.name.clone().unwrap_or_else(|| "all names".to_owned()),
        text: text.unwrap_or_default(),
        what: difference.what.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_says_what_it_found_and_what_became_of_it() {
        let difference = RollupDifference {
            segment: "01SEGMENT".to_owned(),
            day_micros: Some(1_795_816_800_000_000),
            name: Some("signup".to_owned()),
            dimension: Some("plan".to_owned()),
            text: Some(String::new()),
            what: "2 events of 1 subjects instead of 3 of 2".to_owned(),
        };
        let check = RollupCheck {
            checked_at: "2026-11-28T03:20:00Z".parse().unwrap(),
            is_complete: false,
            segments: 6,
            without: 1,
            days: 180,
            events: 10_000_000,
            difference_count: 1,
            differences: vec![difference],
            rebuilt: 2,
        };
        let view = rollups_view(&check);
        assert_eq!(
            view.note,
            "2 segments made anew from the events. 1 segment without counts; questions read the events instead. \
             Time ran out; the next check goes on from there."
        );
        assert!(!view.agrees);
        let row = &view.rows[0];
        assert_eq!((row.name.as_str(), row.text.as_str()), ("signup", "plan: not set"));
        let calm = RollupCheck { rebuilt: 0, without: 0, is_complete: true, difference_count: 0, ..check };
        let view = rollups_view(&calm);
        assert!(view.agrees && view.note.is_empty());
    }
}
