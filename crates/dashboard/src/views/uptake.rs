//! Features that are taken up, and learners as numbers.

use belvedere_business_intelligence::{EngagementMetrics, LearningMetrics};
use belvedere_kernel::{Estimated, StrugglingNumbers, TutorNumbers};

use crate::views::business::{HeatTable, duration_text, local_day, share_text, signed_share};
use crate::wording::Count;

/// Features in the tables.
const FEATURES: usize = 6;
/// Skills that are named.
const AREAS: usize = 4;

/// A feature.
pub(crate) struct FeatureRow {
    pub(crate) feature: String,
    pub(crate) users: Count,
    pub(crate) rate: String,
    pub(crate) adopters: Count,
    pub(crate) took: String,
}

impl FeatureRow {
    pub(crate) fn list(engagement: &EngagementMetrics) -> Vec<Self> {
        let row = |feature: &belvedere_business_intelligence::Feature| Self {
            feature: feature.feature.clone(),
            users: Count(feature.users),
            rate: feature.adoption_rate.map_or_else(|| "none".to_owned(), share_text),
            adopters: Count(feature.adopters),
            took: feature.seconds_to_adopt.map_or_else(|| "none".to_owned(), duration_text),
        };
        engagement.feature_adoption.iter().take(FEATURES).map(row).collect()
    }
}

/// Which share of those who came in a week has used each feature.
pub(crate) fn by_cohort(engagement: &EngagementMetrics) -> HeatTable {
    let heads = engagement.feature_adoption.iter().take(FEATURES).map(|it| it.feature.clone());
    let cohorts = engagement.adoption_by_cohort.iter().filter(|cohort| cohort.people > 0);
    let rows = cohorts.map(|cohort| {
        let adopted = cohort.adopted.iter().take(FEATURES);
        let cells = HeatTable::shares(adopted.copied(), cohort.people);
        (local_day(cohort.from), Count(cohort.people).to_string(), cells)
    });
    HeatTable { heads: heads.collect(), rows: rows.collect() }
}

/// A number of learners, its interval and what it is made of.
pub(crate) struct EstimatedRow {
    pub(crate) title: &'static str,
    /// The name of its definition.
    pub(crate) key: &'static str,
    pub(crate) value: String,
    /// `31.0 % to 45.2 %; 120 of 40 learners`.
    pub(crate) basis: String,
}

/// Learners as numbers.
pub(crate) struct LearningView {
    pub(crate) struggling: Count,
    /// Skills with how many struggle with them.
    pub(crate) areas: Vec<(String, Count)>,
    pub(crate) tutor: Vec<EstimatedRow>,
    /// One learner of so many was looked at.
    pub(crate) one_of: u64,
}

impl LearningView {
    /// None where there is no learning.
    pub(crate) fn of(learning: &LearningMetrics) -> Option<Self> {
        let StrugglingNumbers { learners, areas, .. } = learning.struggling.as_ref()?;
        let areas = areas.iter().take(AREAS).map(|(area, learners)| (area.clone(), Count(*learners)));
        Some(Self {
            struggling: Count(*learners),
            areas: areas.collect(),
            tutor: learning.tutor.as_ref().map(tutor_rows).unwrap_or_default(),
            one_of: learning.tutor.map_or(1, |tutor| tutor.one_of),
        })
    }
}

fn tutor_rows(tutor: &TutorNumbers) -> Vec<EstimatedRow> {
    let plain = |value: f64| format!("{value:.2}");
    [
        estimated(("Solved with the tutor", "tutor_resolution"), tutor.resolution_rate, share_text),
        estimated(("Satisfaction", "tutor_satisfaction"), tutor.satisfaction, share_text),
        estimated(
            ("Conversations of a learner", "tutor_interactions"),
            tutor.interactions_per_learner,
            plain,
        ),
        estimated(("Effect of help", "tutor_effect"), tutor.effect, signed_share),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn estimated(
    (title, key): (&'static str, &'static str),
    number: Option<Estimated>,
    write: fn(f64) -> String,
) -> Option<EstimatedRow> {
    let number = number?;
    let of = format!("{} of {} learners", Count(number.count), Count(number.learners));
    let basis = match number.interval {
        Some((low, high)) => format!("{} to {}; {of}", write(low), write(high)),
        None => of,
    };
    Some(EstimatedRow { title, key, value: write(number.value), basis })
}
