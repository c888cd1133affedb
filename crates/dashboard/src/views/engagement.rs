//! How learners work in a course, and who is away from it.

use belvedere_learning_analytics::at_risk::{Away, STAGES};
use belvedere_learning_analytics::engagement::{Engagement, WEEKS};

use crate::views::learners::learner_href;
use crate::views::learning::{NONE, share_text};
use crate::wording::{Count, counted};

/// How a learner works in a course, as a sentence.
pub(crate) fn engagement_text(engagement: &Engagement) -> String {
    let Some(actions) = engagement.actions_per_session else {
        return format!("Nothing was done in the last {WEEKS} weeks.");
    };
    let sessions = counted(usize::try_from(engagement.sessions).unwrap_or(usize::MAX), "session", "sessions");
    let days = counted(usize::try_from(engagement.active_days).unwrap_or(usize::MAX), "day", "days");
    let regular = engagement.regularity.map_or_else(String::new, |regularity| {
        format!("; regularity of the days of the week {regularity:.2} of 1")
    });
    format!(
        "In the last {WEEKS} weeks {sessions}, {:.1} a week, with {actions:.1} actions each, on {days}, at most {} in a \
         row{regular}.",
        engagement.sessions_per_week, engagement.longest_streak_days
    )
}

/// A learner who is away.
pub(crate) struct AwayRow {
    pub(crate) subject: String,
    pub(crate) href: String,
    pub(crate) days: String,
    pub(crate) stage: String,
    /// The share of those who did not come back, with its interval.
    pub(crate) lost: String,
    pub(crate) compared: Count,
    pub(crate) verdict: &'static str,
    /// The class of its tag.
    pub(crate) tone: &'static str,
}

impl AwayRow {
    pub(crate) fn new(base: &str, away: &Away) -> Self {
        let (verdict, tone) = match away.is_at_risk() {
            Some(true) => ("at risk", "warn"),
            Some(false) => ("not at risk", "on"),
            None => ("not clear yet", ""),
        };
        let subject = away.learner.to_string();
        let lost = away.hazard.interval().map(|(low, high)| {
            let share = share_text(away.hazard.share());
            format!("{share} ({:.0} to {:.0} %)", low * 100.0, high * 100.0)
        });
        Self {
            href: learner_href(base, &subject),
            subject,
            days: counted(usize::try_from(away.days).unwrap_or(0), "day", "days"),
            stage: format!("{} of {STAGES}", away.stage + 1),
            lost: lost.unwrap_or_else(|| NONE.to_owned()),
            compared: Count(away.hazard.learners),
            verdict,
            tone,
        }
    }
}
