//! What is answered about learning, as the slice of learning tells it.

use belvedere_business_intelligence::metrics::definitions::definition;
use belvedere_kernel::{Estimated, StrugglingNumbers, SubjectId, TutorNumbers};
use serde::Serialize;
use utoipa::ToSchema;

/// Who struggles.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct StrugglingNumbersAnswer {
    /// How many learners.
    learners: u64,
    /// Skills with at least five of them, at most 10.
    areas: Vec<AreaAnswer>,
    /// Those who were noticed last, at most 20.
    struggling_users: Vec<StrugglingUserAnswer>,
}

/// A skill with which learners struggle.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct AreaAnswer {
    /// The skill.
    area: String,
    /// How many.
    learners: u64,
}

/// A learner who struggles.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct StrugglingUserAnswer {
    /// The learner's number.
    #[schema(value_type = i64)]
    user_id: SubjectId,
    /// With which skills.
    struggling_areas: Vec<String>,
}

impl From<StrugglingNumbers> for StrugglingNumbersAnswer {
    fn from(numbers: StrugglingNumbers) -> Self {
        let area = |(area, learners): (String, u64)| AreaAnswer { area, learners };
        let user = |(user_id, struggling_areas)| StrugglingUserAnswer { user_id, struggling_areas };
        Self {
            learners: numbers.learners,
            areas: numbers.areas.into_iter().map(area).collect(),
            struggling_users: numbers.latest.into_iter().map(user).collect(),
        }
    }
}

/// A number with its 95 % interval.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct EstimatedAnswer {
    /// The number.
    value: f64,
    /// The lower end of the interval; null for too few learners.
    low: Option<f64>,
    /// The upper end of it.
    high: Option<f64>,
    /// Of how many observations.
    count: u64,
    /// Of how many learners, at least five.
    learners: u64,
    /// How it is computed.
    definition: &'static str,
}

fn estimated(key: &str, number: Option<Estimated>) -> Option<EstimatedAnswer> {
    number.map(|it| EstimatedAnswer {
        value: it.value,
        low: it.interval.map(|(low, _)| low),
        high: it.interval.map(|(_, high)| high),
        count: it.count,
        learners: it.learners,
        definition: definition(key),
    })
}

/// What a tutor does; a number of fewer than five learners is null.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct TutorNumbersAnswer {
    /// One learner of so many was looked at; all numbers are theirs.
    one_of: u64,
    /// Conversations that began in the period.
    conversations: u64,
    interactions_per_user: Option<EstimatedAnswer>,
    problem_resolution_rate: Option<EstimatedAnswer>,
    user_satisfaction: Option<EstimatedAnswer>,
    /// Null where no draw decided who is helped.
    effect: Option<EstimatedAnswer>,
}

impl From<TutorNumbers> for TutorNumbersAnswer {
    fn from(numbers: TutorNumbers) -> Self {
        Self {
            one_of: numbers.one_of,
            conversations: numbers.conversations,
            interactions_per_user: estimated("tutor_interactions", numbers.interactions_per_learner),
            problem_resolution_rate: estimated("tutor_resolution", numbers.resolution_rate),
            user_satisfaction: estimated("tutor_satisfaction", numbers.satisfaction),
            effect: estimated("tutor_effect", numbers.effect),
        }
    }
}
