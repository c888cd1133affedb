//! How the tutor does: every figure with its interval and what it rests on.

use belvedere_learning_analytics::tutor::{
    Comparison, Cost, Difference, Effect, HoldOut, Latency, Mean, Outcome, Point, Share, Topic, TutorReport,
};

use crate::charts::{Interval, ShareChart, SharePoint};
use crate::views::learning::{NONE, share_text};
use crate::wording::{Count, counted, day};

/// A share as people read it.
pub(crate) struct ShareView {
    pub(crate) rate: String,
    /// `55 to 69 %`; a dash for none.
    pub(crate) range: String,
    /// What is counted, with how many there are: `210 conversations of 180 learners`.
    pub(crate) basis: String,
}

impl ShareView {
    fn new(share: &Share, (one, many): (&str, &str)) -> Self {
        Self { rate: share_text(share.rate), range: range_text(share), basis: basis(share, one, many) }
    }

    /// Whether there is anything that it is a share of.
    pub(crate) fn is_known(&self) -> bool {
        self.rate != NONE
    }

    /// Interval and basis.
    pub(crate) fn detail(&self) -> String {
        if self.is_known() { format!("{}; {}", self.range, self.basis) } else { self.basis.clone() }
    }
}

fn basis(share: &Share, one: &str, many: &str) -> String {
    if share.whole == 0 {
        return format!("no {one} says");
    }
    let learners = counted(number(share.learners), "learner", "learners");
    format!("{} of {learners}", counted(number(share.whole), one, many))
}

fn number(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn range_text(share: &Share) -> String {
    let ends = share.low.zip(share.high);
    ends.map_or_else(|| NONE.to_owned(), |(low, high)| format!("{:.0} to {:.0} %", low * 100.0, high * 100.0))
}

fn decimal(number: f64, digits: usize) -> String {
    format!("{number:.digits$}").replace('-', "\u{2212}")
}

/// A mean as people read it.
pub(crate) struct MeanView {
    pub(crate) value: String,
    pub(crate) range: String,
    pub(crate) count: Count,
    pub(crate) learners: Count,
}

impl MeanView {
    fn new(mean: &Mean, digits: usize) -> Self {
        let ends = mean.low.zip(mean.high);
        let range = |(low, high)| format!("{} to {}", decimal(low, digits), decimal(high, digits));
        Self {
            value: mean.value.map_or_else(|| NONE.to_owned(), |value| decimal(value, digits)),
            range: ends.map_or_else(|| "not enough learners".to_owned(), range),
            count: Count(mean.count),
            learners: Count(mean.learners),
        }
    }
}

/// A difference of shares in percentage points.
pub(crate) struct PointsView {
    pub(crate) value: String,
    pub(crate) range: String,
    /// The class that colours it; none where the interval has nought.
    pub(crate) tone: &'static str,
}

/// A share in percentage points with its sign: `+6`, `0`.
fn signed(share: f64) -> String {
    let points = (share * 100.0).round();
    let sign = if points > 0.0 { "+" } else { "" };
    // What is rounded to nought has no sign.
    let points = if points == 0.0 { 0.0 } else { points };
    format!("{sign}{}", decimal(points, 0))
}

impl PointsView {
    fn new(difference: Option<Difference>) -> Self {
        let Some(it) = difference else {
            return Self { value: NONE.to_owned(), range: "not enough learners".to_owned(), tone: "" };
        };
        let tone = match (it.low > 0.0, it.high < 0.0) {
            (true, _) => "up",
            (_, true) => "down",
            _ => "",
        };
        Self {
            value: format!("{} points", signed(it.value)),
            range: format!("{} to {}", signed(it.low), signed(it.high)),
            tone,
        }
    }
}

/// What was observed after help, against what was expected.
pub(crate) struct ComparisonRow {
    pub(crate) outcome: &'static str,
    pub(crate) observed: ShareView,
    pub(crate) expected: String,
    pub(crate) difference: PointsView,
    pub(crate) reference: String,
}

fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NextAttempt => "Next attempt right",
        Outcome::Solved => "Solved in time",
        Outcome::Delayed => "Right after a day, within seven",
    }
}

const ATTEMPTS: (&str, &str) = ("attempt", "attempts");
const CONVERSATIONS: (&str, &str) = ("conversation", "conversations");

fn comparison_row(comparison: &Comparison) -> ComparisonRow {
    let reference = match comparison.reference {
        0 => "mastery alone; too few attempts without help".to_owned(),
        count => format!("{} without help", counted(number(count), "attempt", "attempts")),
    };
    ComparisonRow {
        outcome: outcome_text(comparison.outcome),
        observed: ShareView::new(&comparison.observed, ATTEMPTS),
        expected: share_text(comparison.expected),
        difference: PointsView::new(comparison.difference),
        reference,
    }
}

/// What help does to an outcome.
pub(crate) struct EffectRow {
    pub(crate) outcome: &'static str,
    pub(crate) given: ShareView,
    pub(crate) withheld: ShareView,
    pub(crate) effect: PointsView,
}

fn effect_row(effect: &Effect) -> EffectRow {
    let what = if effect.outcome == Outcome::Solved { ("request", "requests") } else { ATTEMPTS };
    EffectRow {
        outcome: outcome_text(effect.outcome),
        given: ShareView::new(&effect.given, what),
        withheld: ShareView::new(&effect.withheld, what),
        effect: PointsView::new(effect.effect),
    }
}

/// Help that a draw gave or withheld.
pub(crate) struct HoldOutView {
    pub(crate) given: Count,
    pub(crate) withheld: Count,
    /// How the draw did, in words.
    pub(crate) ratio: String,
    pub(crate) is_off: bool,
    pub(crate) effects: Vec<EffectRow>,
}

impl HoldOutView {
    fn new(hold_out: &HoldOut) -> Self {
        let ratio = match hold_out.ratio {
            None => "Whether as many were withheld as should have been is not checked: the events have no withhold_share."
                .to_owned(),
            Some(ratio) => format!(
                "{} of {} withheld where {:.0} should have been (chi-square {}): {}.",
                Count(hold_out.withheld),
                Count(hold_out.given + hold_out.withheld),
                ratio.expected,
                decimal(ratio.chi_square, 1),
                if ratio.is_off { "chance does not do this, so no effect can be trusted" } else { "as chance has it" },
            ),
        };
        Self {
            given: Count(hold_out.given),
            withheld: Count(hold_out.withheld),
            ratio,
            is_off: hold_out.ratio.is_some_and(|ratio| ratio.is_off),
            effects: hold_out.effects.iter().map(effect_row).collect(),
        }
    }
}

/// A skill with a type of error.
pub(crate) struct TopicRow {
    pub(crate) skill: String,
    pub(crate) error_type: String,
    pub(crate) interval: Option<Interval>,
    pub(crate) resolution: ShareView,
    pub(crate) is_failing: bool,
}

fn topic_row(topic: &Topic) -> TopicRow {
    let Share { rate, low, high, .. } = topic.resolution;
    let interval = rate.zip(low.zip(high)).map(|(at, (low, high))| Interval {
        low,
        at,
        high,
        about: format!("Resolution, {}", topic.skill),
    });
    TopicRow {
        skill: topic.skill.clone(),
        error_type: topic.error_type.clone(),
        interval,
        resolution: ShareView::new(&topic.resolution, CONVERSATIONS),
        is_failing: topic.is_failing,
    }
}

/// How long answers took.
pub(crate) struct LatencyView {
    pub(crate) half: String,
    pub(crate) half_range: String,
    pub(crate) most: String,
    pub(crate) most_range: String,
    pub(crate) count: Count,
}

impl LatencyView {
    fn new(latency: &Latency) -> Self {
        let (half, most) = (latency.half, latency.most);
        Self {
            half: format!("{} s", decimal(half.value, 1)),
            half_range: format!("{} to {}", decimal(half.low, 1), decimal(half.high, 1)),
            most: format!("{} s", decimal(most.value, 1)),
            most_range: format!("{} to {}", decimal(most.low, 1), decimal(most.high, 1)),
            count: Count(latency.count),
        }
    }
}

/// What messages cost.
pub(crate) struct CostView {
    pub(crate) total: String,
    pub(crate) messages: Count,
    pub(crate) per_resolved: MeanView,
}

impl CostView {
    fn new(cost: &Cost) -> Self {
        Self {
            total: decimal(cost.total, 2),
            messages: Count(cost.messages),
            per_resolved: MeanView::new(&cost.per_resolved, 4),
        }
    }
}

/// How the tutor does in a period.
pub(crate) struct TutorView {
    pub(crate) is_empty: bool,
    /// One learner of so many was looked at, if not all were.
    pub(crate) one_of: Option<u64>,
    pub(crate) conversations: Count,
    pub(crate) messages: Count,
    pub(crate) per_learner: MeanView,
    pub(crate) resolution: ShareView,
    pub(crate) satisfaction: ShareView,
    pub(crate) rating: MeanView,
    pub(crate) said_resolved: ShareView,
    pub(crate) handed_over: ShareView,
    pub(crate) answer_leaked: ShareView,
    pub(crate) abusive: ShareView,
    pub(crate) latency: Option<LatencyView>,
    pub(crate) cost: Option<CostView>,
    pub(crate) comparisons: Vec<ComparisonRow>,
    pub(crate) hold_out: Option<HoldOutView>,
    pub(crate) chart: ShareChart,
    pub(crate) topics: Vec<TopicRow>,
    pub(crate) failing: usize,
    pub(crate) topics_withheld: u64,
}

impl TutorView {
    pub(crate) fn new(report: &TutorReport) -> Self {
        let ratings = ("rating", "ratings");
        let share = |share: &Share| ShareView::new(share, CONVERSATIONS);
        let point = |point: &Point| SharePoint {
            label: day(point.at),
            part: point.resolution.part,
            whole: point.resolution.whole,
        };
        let points = report.series.iter().map(point).collect();
        Self {
            is_empty: report.conversations == 0 && report.hold_out.is_none() && report.rating.count == 0,
            one_of: Some(report.one_of).filter(|one_of| *one_of > 1),
            conversations: Count(report.conversations),
            messages: Count(report.messages),
            per_learner: MeanView::new(&report.per_learner, 1),
            resolution: share(&report.resolution),
            satisfaction: ShareView::new(&report.satisfaction, ratings),
            rating: MeanView::new(&report.rating, 1),
            said_resolved: ShareView::new(&report.said_resolved, ("feedback", "feedbacks")),
            handed_over: share(&report.handed_over),
            answer_leaked: share(&report.answer_leaked),
            abusive: share(&report.abusive),
            latency: report.latency.as_ref().map(LatencyView::new),
            cost: report.cost.as_ref().map(CostView::new),
            comparisons: report.comparisons.iter().map(comparison_row).collect(),
            hold_out: report.hold_out.as_ref().map(HoldOutView::new),
            chart: ShareChart::new(points, "Resolution", "From (UTC)", "conversations"),
            failing: report.topics.iter().filter(|topic| topic.is_failing).count(),
            topics: report.topics.iter().map(topic_row).collect(),
            topics_withheld: report.topics_withheld,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_points_with_a_sign_and_a_tone_only_where_they_are_sure() {
        let view = |value, low, high| PointsView::new(Some(Difference { value, low, high }));
        let up = view(0.112, 0.061, 0.163);
        assert_eq!((up.value.as_str(), up.range.as_str(), up.tone), ("+11 points", "+6 to +16", "up"));
        let down = view(-0.2, -0.31, -0.094);
        assert_eq!((down.value.as_str(), down.tone), ("\u{2212}20 points", "down"));
        let none = view(-0.001, -0.05, 0.05);
        assert_eq!(
            (none.value.as_str(), none.range.as_str(), none.tone),
            ("0 points", "\u{2212}5 to +5", "")
        );
        assert_eq!(PointsView::new(None).range, "not enough learners");
    }

    #[test]
    fn a_share_of_nothing_says_so() {
        let nothing = ShareView::new(&Share::default(), CONVERSATIONS);
        assert_eq!((nothing.rate.as_str(), nothing.range.as_str()), (NONE, NONE));
        assert_eq!(nothing.basis, "no conversation says");
        assert_eq!(nothing.detail(), nothing.basis);
        let one = Share { part: 1, whole: 1, learners: 1, rate: Some(1.0), low: Some(0.21), high: Some(1.0) };
        let one = ShareView::new(&one, CONVERSATIONS);
        assert_eq!((one.basis.as_str(), one.range.as_str()), ("1 conversation of 1 learner", "21 to 100 %"));
    }
}
