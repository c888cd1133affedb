//! What others are told when it becomes true: milestones that are reached, and learners who begin to struggle.

use belvedere_kernel::{Notice, NoticeKind};
use belvedere_storage::Timestamp;
use serde_json::{Value, json};

use crate::store::{NewFlag, StoredMilestone};
use crate::struggling::Struggle;

/// A milestone is told once, whatever takes it back and gives it again.
pub(crate) fn milestone_notice(milestone: &StoredMilestone) -> Notice {
    let StoredMilestone { subject, rule, course, reached_micros } = milestone;
    let reached_at = reached_micros.map(Timestamp::from_micros);
    Notice {
        kind: NoticeKind::MilestoneReached,
        key: json!([subject, rule, course]).to_string(),
        subject: Some(*subject),
        data: json!({ "subject": subject, "rule": rule, "course": course, "reached_at": reached_at }),
    }
}

/// Each flag of a learner and a skill is told, with the factors that set it.
pub(crate) fn struggling_notice(flag: &NewFlag, struggle: &Struggle, flagged_at: Timestamp) -> Notice {
    let NewFlag { subject, skill, onset_micros } = flag;
    let factors: Vec<Value> = struggle
        .factors
        .iter()
        .map(|it| {
            json!({ "area": it.area, "weight": it.weight, "reason": it.reason, "evidence": it.evidence })
        })
        .collect();
    Notice {
        kind: NoticeKind::LearnerStruggling,
        key: json!([subject, skill, flagged_at]).to_string(),
        subject: Some(*subject),
        data: json!({
            "subject": subject, "skill": skill, "onset_at": Timestamp::from_micros(*onset_micros),
            "flagged_at": flagged_at, "score": struggle.score, "factors": factors,
        }),
    }
}
