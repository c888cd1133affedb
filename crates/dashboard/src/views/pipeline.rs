//! What became of everything that arrived: counts per type, outcome, reason and day.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use belvedere_intake::{HourTally, Outcome};
use belvedere_storage::Timestamp;

use crate::wording::{Count, day};

/// The days of the table, today included.
pub(crate) const DAYS: usize = 7;

const DAY: Duration = Duration::from_secs(86_400);

/// One line of the table.
#[derive(Debug, PartialEq)]
pub(crate) struct TallyRow {
    pub(crate) item: String,
    pub(crate) outcome: &'static str,
    pub(crate) is_stored: bool,
    pub(crate) is_set_aside: bool,
    pub(crate) reason: String,
    /// What the reason means; said in the first row that has it.
    pub(crate) meaning: &'static str,
    /// Oldest day first.
    pub(crate) days: Vec<Count>,
    pub(crate) total: Count,
}

/// The table with the heads of its days.
#[derive(Debug, PartialEq)]
pub(crate) struct TallyTable {
    pub(crate) days: Vec<String>,
    pub(crate) rows: Vec<TallyRow>,
}

/// Sums over a period.
#[derive(Debug, PartialEq, Default, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) stored: u64,
    pub(crate) dropped: u64,
    pub(crate) set_aside: u64,
}

/// Where the table begins: midnight (UTC) before the first of its days.
pub(crate) fn table_start(now: Timestamp) -> Timestamp {
    now.start_of_day().minus(DAY * (DAYS as u32 - 1))
}

/// Hourly counts as a table of days, most frequent first within stored, dropped and set aside.
pub(crate) fn tally_table(tallies: &[HourTally], now: Timestamp) -> TallyTable {
    let start = table_start(now);
    let mut sums: BTreeMap<(Outcome, &str, &str), [u64; DAYS]> = BTreeMap::new();
    for tally in tallies {
        let index = tally.hour.since(start).as_secs() / DAY.as_secs();
        let Some(index) = usize::try_from(index).ok().filter(|index| *index < DAYS && tally.hour >= start)
        else {
            continue;
        };
        sums.entry((tally.outcome, &tally.item, &tally.reason)).or_default()[index] += tally.quantity;
    }
    let mut rows: Vec<(Outcome, u64, TallyRow)> = sums
        .into_iter()
        .map(|((outcome, item, reason), days)| {
            let total = days.iter().sum();
            let row = TallyRow {
                item: item.to_owned(),
                outcome: outcome_word(outcome),
                is_stored: outcome == Outcome::Stored,
                is_set_aside: outcome == Outcome::SetAside,
                reason: reason.replace('_', " "),
                meaning: meaning(outcome, reason),
                days: days.iter().map(|quantity| Count(*quantity)).collect(),
                total: Count(total),
            };
            (outcome, total, row)
        })
        .collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    // Once is enough.
    let mut said = HashSet::new();
    for (_, _, row) in &mut rows {
        if !said.insert(row.meaning) {
            row.meaning = "";
        }
    }
    let days = (0..DAYS).map(|index| day(start.plus(DAY * index as u32))).collect();
    TallyTable { days, rows: rows.into_iter().map(|(_, _, row)| row).collect() }
}

/// Sums of the hours from `from` on.
pub(crate) fn totals(tallies: &[HourTally], from: Timestamp) -> Totals {
    let mut totals = Totals::default();
    for tally in tallies.iter().filter(|tally| tally.hour >= from) {
        let sum = match tally.outcome {
            Outcome::Stored => &mut totals.stored,
            Outcome::Dropped => &mut totals.dropped,
            Outcome::SetAside => &mut totals.set_aside,
        };
        *sum += tally.quantity;
    }
    totals
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Stored => "Stored",
        Outcome::Dropped => "Dropped",
        Outcome::SetAside => "Set aside",
    }
}

fn meaning(outcome: Outcome, reason: &str) -> &'static str {
    match (outcome, reason) {
        (Outcome::SetAside, _) => "Could not be digested; listed below.",
        (Outcome::Dropped, "duplicate") => "The same event id had arrived before.",
        (Outcome::Dropped, "discarded") => "Its issue was deleted together with its future events.",
        (Outcome::Dropped, "not_yet_supported") => "A known type that has no page yet: counted, not kept.",
        (Outcome::Dropped, "unknown_type") => "A type that Belvedere does not know.",
        (Outcome::Dropped, "invalid") => "The item was not what its type says.",
        (Outcome::Dropped, "rate_limited") => {
            "Over the limit per minute of the ingest key or of the project."
        }
        (Outcome::Dropped, "quota") => {
            "Over the project's quota of the month, or over its storage for attachments."
        }
        (Outcome::Dropped, "spike_protection") => {
            "Past what is usual in an hour: most errors are dropped until it ends."
        }
        (Outcome::Dropped, "no_event") => "An attachment of which nothing says where it belongs.",
        (Outcome::Dropped, "too_large") => "Larger than items of its type may be.",
        (Outcome::Dropped, "no_release") => {
            "A session without a release, and sessions are counted for releases."
        }
        (Outcome::Dropped, "too_old") => "A session that started more than 5 days before it arrived.",
        (Outcome::Dropped, "too_many_items") => "More items of its type than one envelope may hold.",
        (Outcome::Dropped, "disabled" | "feature_off") => "This part is switched off in the configuration.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(hour: &str, item: &str, outcome: Outcome, reason: &str, quantity: u64) -> HourTally {
        HourTally {
            hour: hour.parse().unwrap(),
            item: item.to_owned(),
            outcome,
            reason: reason.to_owned(),
            quantity,
        }
    }

    #[test]
    fn hours_become_days_and_the_stored_come_first() {
        let now = "2026-11-23T09:30:00Z".parse().unwrap();
        let tallies = [
            tally("2026-11-16T23:00:00Z", "event", Outcome::Stored, "", 99),
            tally("2026-11-17T00:00:00Z", "event", Outcome::Stored, "", 1),
            tally("2026-11-23T08:00:00Z", "event", Outcome::Stored, "", 20),
            tally("2026-11-23T09:00:00Z", "event", Outcome::Stored, "", 4),
            tally("2026-11-23T09:00:00Z", "session", Outcome::Dropped, "not_yet_supported", 7),
            tally("2026-11-22T09:00:00Z", "event", Outcome::Dropped, "duplicate", 30),
            tally("2026-11-22T09:00:00Z", "check_in", Outcome::Dropped, "not_yet_supported", 2),
            tally("2026-11-22T09:00:00Z", "event", Outcome::SetAside, "invalid", 1),
        ];
        let table = tally_table(&tallies, now);
        assert_eq!(table.days, ["17 Nov", "18 Nov", "19 Nov", "20 Nov", "21 Nov", "22 Nov", "23 Nov"]);
        let rows: Vec<_> = table
            .rows
            .iter()
            .map(|row| (row.outcome, row.item.as_str(), row.reason.as_str(), row.total.0))
            .collect();
        assert_eq!(
            rows,
            [
                ("Stored", "event", "", 25),
                ("Dropped", "event", "duplicate", 30),
                ("Dropped", "session", "not yet supported", 7),
                ("Dropped", "check_in", "not yet supported", 2),
                ("Set aside", "event", "invalid", 1)
            ]
        );
        let said: Vec<_> = table.rows.iter().map(|row| !row.meaning.is_empty()).collect();
        assert_eq!(said, [false, true, true, false, true]);
        assert_eq!(table.rows[0].days, [1, 0, 0, 0, 0, 0, 24].map(Count));
        let today = totals(&tallies, "2026-11-23T00:00:00Z".parse().unwrap());
        assert_eq!(today, Totals { stored: 24, dropped: 7, set_aside: 0 });
    }
}
