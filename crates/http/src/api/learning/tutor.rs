//! How the tutor does.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_learning_analytics::tutor::{
    AskTutor, Comparison, Cost, Difference, Effect, HoldOut, Latency, Mean, Point, Quantile, RatioCheck,
    SOLVE_MINUTES, Share, Topic, TutorReport,
};
use belvedere_storage::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::input::{Parameters, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// The period of a report unless the request says otherwise.
const DAYS: u16 = 30;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct TutorWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Conversations that began in so many days, 1 to 90; 30 if left out.
    days: Option<u16>,
    /// Within how many minutes after the last message a problem is solved, 1 to 1,440; 30 if left out.
    solve_minutes: Option<u16>,
}

/// How many of how many, with the 95 % interval of the share.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ShareAnswer {
    /// Those that are meant.
    part: u64,
    /// All of them.
    whole: u64,
    /// Their learners.
    learners: u64,
    /// `part` of `whole`, 0 to 1; null of nothing.
    rate: Option<f64>,
    /// The lower end of the interval.
    low: Option<f64>,
    /// The upper end of it.
    high: Option<f64>,
}

impl From<Share> for ShareAnswer {
    fn from(model: Share) -> Self {
        let Share { part, whole, learners, rate, low, high } = model;
        Self { part, whole, learners, rate, low, high }
    }
}

/// A mean with its 95 % interval.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct MeanAnswer {
    /// The mean; null of nothing.
    value: Option<f64>,
    /// The lower end of the interval; null for fewer than 20 learners.
    low: Option<f64>,
    /// The upper end of it.
    high: Option<f64>,
    /// How many numbers it is the mean of.
    count: u64,
    /// Their learners.
    learners: u64,
}

impl From<Mean> for MeanAnswer {
    fn from(model: Mean) -> Self {
        let Mean { value, low, high, count, learners } = model;
        Self { value, low, high, count, learners }
    }
}

/// A number with its 95 % interval.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct BetweenAnswer {
    /// The number.
    value: f64,
    /// The lower end of the interval.
    low: f64,
    /// The upper end of it.
    high: f64,
}

impl From<Difference> for BetweenAnswer {
    fn from(model: Difference) -> Self {
        Self { value: model.value, low: model.low, high: model.high }
    }
}

impl From<Quantile> for BetweenAnswer {
    fn from(model: Quantile) -> Self {
        Self { value: model.value, low: model.low, high: model.high }
    }
}

/// How long answers took, in seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct LatencyAnswer {
    /// The median.
    p50: BetweenAnswer,
    /// The time below which nineteen of twenty are.
    p95: BetweenAnswer,
    /// Messages that say how long.
    count: u64,
}

impl From<Latency> for LatencyAnswer {
    fn from(model: Latency) -> Self {
        Self { p50: model.half.into(), p95: model.most.into(), count: model.count }
    }
}

/// What messages cost, in the currency in which they are sent.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct CostAnswer {
    /// All together.
    total: f64,
    /// Messages that say what they cost.
    messages: u64,
    /// What conversations cost whose resolution is known, by those that were resolved; `count` is how many these are.
    per_resolved: MeanAnswer,
}

impl From<Cost> for CostAnswer {
    fn from(model: Cost) -> Self {
        Self { total: model.total, messages: model.messages, per_resolved: model.per_resolved.into() }
    }
}

/// What was observed after help, and what was expected before it. It is no effect: who asks differs from who does not.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ComparisonAnswer {
    /// Of which attempt: `next_attempt` or `delayed`.
    outcome: &'static str,
    /// Right ones.
    observed: ShareAnswer,
    /// The mean of the chances before the help; null of nothing.
    expected: Option<f64>,
    /// What was observed less what was expected; null for fewer than 20 learners.
    observed_less_expected: Option<BetweenAnswer>,
    /// How many attempts without help the expectation is calibrated on; 0 if there are fewer than 50 or of fewer than 20
    /// learners, and the expectation is the estimate of mastery alone.
    reference: u64,
}

impl From<Comparison> for ComparisonAnswer {
    fn from(model: Comparison) -> Self {
        Self {
            outcome: model.outcome.as_str(),
            observed: model.observed.into(),
            expected: model.expected,
            observed_less_expected: model.difference.map(BetweenAnswer::from),
            reference: model.reference,
        }
    }
}

/// Whether a draw withheld as often as it should have.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RatioAnswer {
    /// How many should have been withheld.
    expected: f64,
    /// Chi-square of one degree of freedom, by learner.
    chi_square: f64,
    /// Whether chance alone does this less than once in a thousand times: then no effect can be trusted.
    is_off: bool,
}

impl From<RatioCheck> for RatioAnswer {
    fn from(model: RatioCheck) -> Self {
        Self { expected: model.expected, chi_square: model.chi_square, is_off: model.is_off }
    }
}

/// What help does to an outcome, as a draw decided who got it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct EffectAnswer {
    /// Which one: `next_attempt`, `solved` or `delayed`.
    outcome: &'static str,
    /// With help.
    given: ShareAnswer,
    /// Without.
    withheld: ShareAnswer,
    /// With help less without, what was predicted taken out; null for fewer than 20 learners on either side.
    effect: Option<BetweenAnswer>,
}

impl From<Effect> for EffectAnswer {
    fn from(model: Effect) -> Self {
        Self {
            outcome: model.outcome.as_str(),
            given: model.given.into(),
            withheld: model.withheld.into(),
            effect: model.effect.map(BetweenAnswer::from),
        }
    }
}

/// Help that a draw gave or withheld.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct HoldOutAnswer {
    /// Requests whose help was given.
    given: u64,
    /// Requests whose help was withheld.
    withheld: u64,
    /// Whether as many were withheld as should have been; null where events have no `withhold_share`.
    ratio: Option<RatioAnswer>,
    /// The effects on the next attempt, on solving in time, and on the delayed attempt.
    effects: Vec<EffectAnswer>,
}

impl From<HoldOut> for HoldOutAnswer {
    fn from(model: HoldOut) -> Self {
        Self {
            given: model.given,
            withheld: model.withheld,
            ratio: model.ratio.map(RatioAnswer::from),
            effects: model.effects.into_iter().map(EffectAnswer::from).collect(),
        }
    }
}

/// The resolution in a part of the period.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct TutorPointAnswer {
    /// Its begin.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Conversations that began in it.
    conversations: u64,
    /// Those that were resolved, of those of which it is known.
    resolution: ShareAnswer,
}

impl From<Point> for TutorPointAnswer {
    fn from(model: Point) -> Self {
        Self { at: model.at, conversations: model.conversations, resolution: model.resolution.into() }
    }
}

/// Conversations about a skill with a type of error, of five learners and more.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct TopicAnswer {
    /// The skill.
    skill: String,
    /// The type of error; empty where none is known.
    error_type: String,
    /// Conversations that were resolved, of those of which it is known.
    resolution: ShareAnswer,
    /// Whether fewer are resolved than of all: the interval lies below that rate.
    is_failing: bool,
}

impl From<Topic> for TopicAnswer {
    fn from(model: Topic) -> Self {
        Self {
            skill: model.skill,
            error_type: model.error_type,
            resolution: model.resolution.into(),
            is_failing: model.is_failing,
        }
    }
}

/// How the tutor does in a period.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct TutorAnswer {
    /// Conversations that began from here on.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// And before this.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// One learner of so many was looked at; 1 unless there are more than 1,000,000 attempts, errors and messages.
    one_of: u64,
    /// Conversations with help.
    conversations: u64,
    /// Messages in them.
    messages: u64,
    /// Conversations of a learner who has any.
    interactions_per_learner: MeanAnswer,
    /// Conversations whose problem was solved in time and did not come again within a day, of those that are a day old.
    resolution: ShareAnswer,
    /// Ratings of 4 and 5.
    satisfaction: ShareAnswer,
    /// Ratings, 1 to 5.
    rating: MeanAnswer,
    /// What learners said: whether the problem is solved.
    said_resolved: ShareAnswer,
    /// Conversations that went to a person, of those of which it is said either way.
    handed_over: ShareAnswer,
    /// Conversations in which the answer was given away, of those of which it is said either way.
    answer_leaked: ShareAnswer,
    /// Conversations in which the tutor was abused, of those of which it is said either way.
    abusive: ShareAnswer,
    /// How long answers took; null where events do not say.
    latency: Option<LatencyAnswer>,
    /// What messages cost; null where events do not say.
    cost: Option<CostAnswer>,
    /// The next and the delayed attempt after help.
    comparisons: Vec<ComparisonAnswer>,
    /// Help that a draw gave or withheld; null where no draw is sent.
    hold_out: Option<HoldOutAnswer>,
    /// The resolution by days, or by seven days where the period is longer than 14; the earliest first.
    series: Vec<TutorPointAnswer>,
    /// Skills with types of error, those that fail first; at most 50.
    topics: Vec<TopicAnswer>,
    /// Topics of fewer than five learners, of which nothing is shown.
    topics_withheld: u64,
}

impl From<TutorReport> for TutorAnswer {
    fn from(model: TutorReport) -> Self {
        Self {
            from: model.from,
            until: model.until,
            one_of: model.one_of,
            conversations: model.conversations,
            messages: model.messages,
            interactions_per_learner: model.per_learner.into(),
            resolution: model.resolution.into(),
            satisfaction: model.satisfaction.into(),
            rating: model.rating.into(),
            said_resolved: model.said_resolved.into(),
            handed_over: model.handed_over.into(),
            answer_leaked: model.answer_leaked.into(),
            abusive: model.abusive.into(),
            latency: model.latency.map(LatencyAnswer::from),
            cost: model.cost.map(CostAnswer::from),
            comparisons: model.comparisons.into_iter().map(ComparisonAnswer::from).collect(),
            hold_out: model.hold_out.map(HoldOutAnswer::from),
            series: model.series.into_iter().map(TutorPointAnswer::from).collect(),
            topics: model.topics.into_iter().map(TopicAnswer::from).collect(),
            topics_withheld: model.topics_withheld,
        }
    }
}

/// Find how the tutor does: resolution, satisfaction, what was observed against what was expected, effects under a draw
#[utoipa::path(get, path = "/api/v1/learning/tutor", tag = "learning", params(TutorWanted),
    responses((status = 200, description = "The figures, with 95 % intervals", body = TutorAnswer)))]
pub(in crate::api) async fn report_tutor(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<TutorWanted>,
) -> Result<Json<TutorAnswer>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let question = AskTutor {
        project: project.id,
        days: wanted.days.unwrap_or(DAYS),
        solve_minutes: wanted.solve_minutes.unwrap_or(SOLVE_MINUTES),
    };
    Ok(Json(shared.learning.report_tutor(question).await?.into()))
}
