//! A made-up report on the tutor.

use std::time::Duration;

use belvedere_learning_analytics::tutor::{
    Comparison, Cost, Difference, Effect, HoldOut, Latency, Mean, Outcome, Point, Quantile, RatioCheck,
    Share, Topic, TutorReport,
};
use belvedere_storage::Timestamp;

fn share(part: u64, whole: u64, low: f64, high: f64) -> Share {
    let rate = Some(part as f64 / whole as f64);
    Share { part, whole, learners: whole / 2, rate, low: Some(low), high: Some(high) }
}

fn mean(value: f64, low: f64, high: f64, count: u64) -> Mean {
    Mean { value: Some(value), low: Some(low), high: Some(high), count, learners: 255 }
}

/// A report of nothing.
pub(super) fn nothing(now: Timestamp, days: u16) -> TutorReport {
    TutorReport {
        from: now.minus(Duration::from_secs(u64::from(days) * 86_400)),
        until: now,
        one_of: 1,
        conversations: 0,
        messages: 0,
        per_learner: Mean::default(),
        resolution: Share::default(),
        satisfaction: Share::default(),
        rating: Mean::default(),
        said_resolved: Share::default(),
        handed_over: Share::default(),
        answer_leaked: Share::default(),
        abusive: Share::default(),
        latency: None,
        cost: None,
        comparisons: Vec::new(),
        hold_out: None,
        series: Vec::new(),
        topics: Vec::new(),
        topics_withheld: 0,
    }
}

/// A report whose texts all end in `suffix`; 90 days have a hold-out, and more than fits into one answer.
pub(super) fn report(now: Timestamp, days: u16, suffix: &str) -> TutorReport {
    let difference = |value, low, high| Some(Difference { value, low, high });
    let topic = |skill: &str, error: &str, resolution, is_failing| Topic {
        skill: format!("{skill}{suffix}"),
        error_type: format!("{error}{suffix}"),
        resolution,
        is_failing,
    };
    let point = |weeks: u64, part, whole| Point {
        at: now.minus(Duration::from_secs(weeks * 7 * 86_400)),
        conversations: whole,
        resolution: share(part, whole, 0.4, 0.8),
    };
    let effect = |outcome, effect| Effect {
        outcome,
        given: share(130, 200, 0.58, 0.71),
        withheld: share(54, 100, 0.44, 0.64),
        effect,
    };
    let hold_out = HoldOut {
        given: 214,
        withheld: 103,
        ratio: Some(RatioCheck { expected: 158.5, chi_square: 38.9, is_off: true }),
        effects: vec![
            effect(Outcome::NextAttempt, difference(0.112, 0.061, 0.163)),
            effect(Outcome::Solved, difference(0.02, -0.04, 0.08)),
            effect(Outcome::Delayed, None),
        ],
    };
    let quantile = |value| Quantile { value, low: value - 0.5, high: value + 0.5 };
    TutorReport {
        one_of: if days == 90 { 4 } else { 1 },
        conversations: 612,
        messages: 1_430,
        per_learner: mean(2.4, 2.1, 2.7, 255),
        resolution: share(340, 540, 0.585, 0.672),
        satisfaction: share(99, 140, 0.627, 0.776),
        rating: mean(3.9, 3.7, 4.1, 140),
        said_resolved: share(80, 120, 0.58, 0.744),
        handed_over: share(18, 600, 0.019, 0.047),
        answer_leaked: share(6, 600, 0.004, 0.022),
        abusive: share(3, 600, 0.002, 0.015),
        latency: Some(Latency { half: quantile(2.1), most: quantile(9.4), count: 1_402 }),
        cost: Some(Cost { total: 18.204, messages: 1_402, per_resolved: mean(0.0498, 0.0431, 0.0565, 340) }),
        comparisons: vec![
            Comparison {
                outcome: Outcome::NextAttempt,
                observed: share(310, 500, 0.576, 0.661),
                expected: Some(0.57),
                difference: difference(0.05, 0.007, 0.093),
                reference: 2_310,
            },
            Comparison {
                outcome: Outcome::Delayed,
                observed: share(20, 31, 0.469, 0.789),
                expected: Some(0.61),
                difference: None,
                reference: 0,
            },
        ],
        hold_out: (days == 90).then_some(hold_out),
        series: vec![point(2, 100, 180), point(1, 140, 200), point(0, 100, 160)],
        topics: vec![
            topic("SQL joins", "AmbiguousColumn", share(12, 40, 0.181, 0.454), true),
            topic("loops", "", share(60, 80, 0.645, 0.832), false),
        ],
        topics_withheld: 7,
        ..nothing(now, days)
    }
}
