//! What changed most within a week, in words, and who makes the change.

use belvedere_business_intelligence::{Change, ChangeBy, Changes, SegmentChange};

use crate::views::business::{money, share_text, signed_share};
use crate::wording::Count;

/// How many dimensions are named as reasons.
const REASONS: usize = 2;
/// How many segments of a dimension are in the table.
const SEGMENTS: usize = 8;

/// A number that changed.
pub(crate) struct ChangeRow {
    pub(crate) title: &'static str,
    /// `+12.0 %`, or that it is new.
    pub(crate) change: String,
    /// `up` is good, `down` bad.
    pub(crate) tone: &'static str,
    pub(crate) before: String,
    pub(crate) now: String,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) segments: Vec<SegmentRow>,
}

/// The segment of a dimension that makes most of a change.
pub(crate) struct Reason {
    pub(crate) dimension: &'static str,
    pub(crate) segment: String,
    /// What it adds, with its sign.
    pub(crate) delta: String,
    /// Its share of the change; empty where others make up for more than it.
    pub(crate) share: String,
}

/// A segment in the table of numbers.
pub(crate) struct SegmentRow {
    pub(crate) dimension: &'static str,
    pub(crate) segment: String,
    pub(crate) before: String,
    pub(crate) now: String,
    pub(crate) delta: String,
}

fn title(key: &str) -> &'static str {
    match key {
        "active_people" => "Active people",
        "visitors" => "Visitors",
        "signups" => "Sign-ups",
        "lesson_completers" => "People who completed lessons",
        "feature_users" => "People who used features",
        "free_trials" => "Trials",
        "subscribers" => "New subscriptions",
        "people_with_errors" => "People who met errors",
        "monthly_recurring_revenue" => "MRR",
        _ => "Other",
    }
}

/// How a quantity of a change is written: people, or money.
fn write(change: &Change, quantity: i64) -> String {
    match change.currency {
        Some(currency) => money(currency, quantity),
        None => Count(quantity.unsigned_abs()).to_string(),
    }
}

fn write_delta(change: &Change, delta: i64) -> String {
    let sign = if delta < 0 { "\u{2212}" } else { "+" };
    format!("{sign}{}", write(change, delta.saturating_abs()))
}

fn reason(change: &Change, by: &ChangeBy) -> Option<Reason> {
    let total = change.now - change.before;
    let first = by.segments.first().filter(|it| it.delta().signum() == total.signum())?;
    let share = first.delta() as f64 / total as f64;
    Some(Reason {
        dimension: by.dimension,
        segment: first.segment.clone(),
        delta: write_delta(change, first.delta()),
        share: if share <= 1.0 { share_text(share) } else { String::new() },
    })
}

fn rows<'a>(change: &'a Change, by: &'a ChangeBy) -> impl Iterator<Item = SegmentRow> + 'a {
    let row = |it: &SegmentChange| {
        // A movement of revenue is no level, and has no week before.
        let level =
            |quantity| if change.currency.is_some() { String::new() } else { write(change, quantity) };
        SegmentRow {
            dimension: by.dimension,
            segment: it.segment.clone(),
            before: level(it.before),
            now: level(it.now),
            delta: write_delta(change, it.delta()),
        }
    };
    by.segments.iter().take(SEGMENTS).map(row)
}

impl ChangeRow {
    pub(crate) fn list(changes: &Changes) -> Vec<Self> {
        changes.changes.iter().map(Self::of).collect()
    }

    fn of(change: &Change) -> Self {
        // More people who meet errors is worse.
        let is_better = (change.now > change.before) != (change.key == "people_with_errors");
        Self {
            title: title(change.key),
            change: change.change().map_or_else(|| "new".to_owned(), signed_share),
            tone: if is_better { "up" } else { "down" },
            before: write(change, change.before),
            now: write(change, change.now),
            reasons: change.by.iter().filter_map(|by| reason(change, by)).take(REASONS).collect(),
            segments: change.by.iter().flat_map(|by| rows(change, by)).collect(),
        }
    }
}
