//! A course before and after changes of its content.

use belvedere_learning_analytics::comparison::{Change, Comparison, Measure, Metric};

use crate::views::learning::{NONE, share_text, time_text};
use crate::wording::{At, Count};

fn name_of(metric: Metric) -> &'static str {
    match metric {
        Metric::CompletionRate => "Completed",
        Metric::ActiveSeconds => "Mean active time",
        Metric::FirstAttempts => "Right at first",
        Metric::NormalisedGain => "Normalised gain",
    }
}

/// A number with two digits and a sign that is easy to see.
fn signed(number: f64) -> String {
    format!("{number:+.2}").replace('-', "\u{2212}")
}

/// A gain with its interval: `0.46 (0.41 to 0.51)`.
pub(crate) fn gain_text(gain: &Measure) -> String {
    let text = format!("{:.2} ({:.2} to {:.2})", gain.mean, gain.low, gain.high);
    text.replace('-', "\u{2212}")
}

fn mean_text(metric: Metric, measure: &Measure) -> String {
    match metric {
        Metric::CompletionRate | Metric::FirstAttempts => share_text(Some(measure.mean)),
        Metric::ActiveSeconds => time_text(Some(measure.mean)),
        Metric::NormalisedGain => format!("{:.2}", measure.mean).replace('-', "\u{2212}"),
    }
}

/// A difference with its interval: `+6 points (+3 to +9)`.
fn change_text(change: &Change) -> String {
    let [difference, low, high] = match change.metric {
        Metric::CompletionRate | Metric::FirstAttempts => {
            let points = |share: f64| format!("{:+.0}", share * 100.0).replace('-', "\u{2212}");
            [format!("{} points", points(change.difference)), points(change.low), points(change.high)]
        }
        Metric::ActiveSeconds => {
            let minutes = |seconds: f64| format!("{:+.1}", seconds / 60.0).replace('-', "\u{2212}");
            [format!("{} min", minutes(change.difference)), minutes(change.low), minutes(change.high)]
        }
        Metric::NormalisedGain => [change.difference, change.low, change.high].map(signed),
    };
    format!("{difference} ({low} to {high})")
}

/// A metric of a cohort.
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) mean: String,
    /// Against the cohort before.
    pub(crate) change: Option<String>,
    pub(crate) is_significant: bool,
}

/// A cohort.
pub(crate) struct CohortRow {
    pub(crate) versions: String,
    pub(crate) since: Option<At>,
    pub(crate) learners: Count,
    pub(crate) cells: Vec<Cell>,
}

/// The table of cohorts.
pub(crate) struct ComparisonView {
    pub(crate) metrics: Vec<&'static str>,
    /// Empty where there is nothing to compare.
    pub(crate) rows: Vec<CohortRow>,
    /// Why there is nothing.
    pub(crate) empty: &'static str,
    pub(crate) recent: Option<Count>,
    /// Metrics that are not shown, as a list in words.
    pub(crate) hidden: String,
    pub(crate) is_cut: bool,
}

impl ComparisonView {
    pub(crate) fn new(comparison: Comparison) -> Self {
        let shown: Vec<Metric> =
            Metric::ALL.into_iter().filter(|metric| !comparison.hidden.contains(metric)).collect();
        let hidden: Vec<&str> = comparison.hidden.iter().copied().map(name_of).collect();
        let row = |(place, cohort): (usize, &belvedere_learning_analytics::comparison::Cohort)| CohortRow {
            versions: cohort.versions.join(", "),
            since: cohort.since.map(At),
            learners: Count(cohort.learners),
            cells: shown
                .iter()
                .map(|metric| {
                    let measure = cohort.measures.iter().find(|(of, _)| of == metric);
                    let change =
                        comparison.changes.iter().find(|it| it.cohort == place && it.metric == *metric);
                    Cell {
                        name: name_of(*metric),
                        mean: measure
                            .map_or_else(|| NONE.to_owned(), |(of, measure)| mean_text(*of, measure)),
                        change: change.map(change_text),
                        is_significant: change.is_some_and(|it| it.is_significant),
                    }
                })
                .collect(),
        };
        let is_declared = comparison.cohorts.iter().any(|cohort| !cohort.versions.is_empty());
        let rows = comparison.cohorts.iter().enumerate().filter(|_| is_declared).map(row).collect();
        Self {
            metrics: shown.iter().copied().map(name_of).collect(),
            rows,
            empty: if comparison.cohorts.is_empty() {
                "Too few learners have had 28 days in the course to be compared."
            } else {
                "No versions of the content are declared. The declared structure takes \"versions\": [{\"version\": .., \"since\": ..}]."
            },
            recent: comparison.recent.map(Count),
            hidden: hidden.join(", ").to_lowercase(),
            is_cut: comparison.is_cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_in_the_units_of_their_metrics() {
        let change = |metric, difference| Change {
            cohort: 1,
            metric,
            difference,
            low: difference - 0.02,
            high: difference + 0.02,
            p: 0.01,
            adjusted_p: 0.02,
            is_significant: true,
        };
        let words = [
            change(Metric::CompletionRate, -0.06),
            change(Metric::NormalisedGain, 0.1),
            Change { low: -60.0, high: 240.0, ..change(Metric::ActiveSeconds, 90.0) },
        ]
        .map(|it| change_text(&it));
        assert_eq!(words[0], "\u{2212}6 points (\u{2212}8 to \u{2212}4)");
        assert_eq!(words[1], "+0.10 (+0.08 to +0.12)");
        assert_eq!(words[2], "+1.5 min (\u{2212}1.0 to +4.0)");
    }
}
