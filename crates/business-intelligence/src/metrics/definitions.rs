//! What each number means, in the words that pages and answers show.

/// A number and its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// The name by which it is answered.
    pub key: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// How it is computed, in which unit.
    pub text: &'static str,
}

const fn of(key: &'static str, title: &'static str, text: &'static str) -> Definition {
    Definition { key, title, text }
}

/// All of them.
pub const DEFINITIONS: [Definition; 48] = [
    of(
        "total_users",
        "People",
        "People with at least one event of activity ever, up to the last day of the period. Activity is every event but those \
         that servers send about billing.",
    ),
    of("people_now", "People now", "People with an event of activity in the last 5 minutes."),
    of("new_users", "New people", "People whose first event of activity ever lies on a day of the period."),
    of(
        "new_users_today",
        "New today",
        "People whose first event of activity ever lies on the last day of the period; compared with the day before.",
    ),
    of(
        "new_users_this_week",
        "New this week",
        "People whose first activity ever lies in the ISO week, from Monday, of the last day of the period, up to that \
         day; compared with the whole week before.",
    ),
    of(
        "new_users_this_month",
        "New this month",
        "People whose first activity ever lies in the month of the last day of the period, up to that day; compared with \
         the whole month before.",
    ),
    of(
        "acquisition_channels",
        "Channels, first touch",
        "People with activity in the period by their first utm_source from its beginning to 30 days after it, else the \
         host of their first referrer, else direct. Conversion: those who reach the goal within 30 days of an event in the period / all of the channel.",
    ),
    of(
        "acquisition_channels_last_touch",
        "Channels, last touch",
        "The same by the last utm_source or referrer up to the goal, or to the event that the 30 days are counted from.",
    ),
    of(
        "campaigns",
        "Campaigns",
        "People with activity in the period by their first utm_campaign from its beginning on.",
    ),
    of(
        "landing_pages",
        "Landing pages",
        "People with a page view in the period by the path of the first one.",
    ),
    of("daily_active_users", "Daily active", "People with activity on the last day of the period."),
    of(
        "weekly_active_users",
        "Weekly active",
        "People with activity in the 7 days that end with the period.",
    ),
    of(
        "monthly_active_users",
        "Monthly active",
        "People with activity in the 30 days that end with the period.",
    ),
    of(
        "stickiness",
        "Stickiness",
        "Daily active / monthly active people: how much of a month's people come on a day.",
    ),
    of(
        "average_session_duration",
        "Session length",
        "Average seconds from the first to the last event of a session. A session is a person's events with no gap over \
         30 minutes; one of a single event lasts 0 seconds.",
    ),
    of(
        "course_completion_rate",
        "Course completion",
        "Of all pairs of a person and a course that they enrolled in or began a lesson of in the period, the share that \
         was completed in the period.",
    ),
    of(
        "feature_adoption",
        "Feature adoption",
        "People with a Feature Used event of the feature in the period / all with activity in it.",
    ),
    of(
        "time_to_adopt",
        "Time to adopt",
        "Median time from the first activity ever to the first use of a feature, of the people who came in the 8 weeks up to \
         the end of the period and used it in the period for the first time.",
    ),
    of(
        "adoption_by_cohort",
        "Adoption by cohort",
        "Of the people whose first activity ever lies in a week, those who have used a feature up to the end of the period.",
    ),
    of("lessons_completed", "Lessons completed", "Events lesson_complete in the period."),
    of(
        "average_time_to_complete",
        "Time to complete",
        "Average seconds that lessons took, as their lesson_complete events say by duration.",
    ),
    of(
        "popular_courses",
        "Popular courses",
        "Courses by people who enrolled in them or began a lesson of them in the period, with the share that completed \
         them in it.",
    ),
    of(
        "struggling_learners",
        "Struggling learners",
        "Learners who struggle with at least one skill at this moment. Skills of fewer than five learners are not named.",
    ),
    of(
        "tutor_interactions",
        "Conversations with the tutor",
        "Conversations with the tutor that began in the period, or in its last 90 days, of a learner who had any; with its \
         95 % interval, and none for fewer than five learners.",
    ),
    of(
        "tutor_resolution",
        "Solved with the tutor",
        "Of those conversations, where it is known: the share whose problem was solved within 30 minutes and did not come \
         again within a day.",
    ),
    of(
        "tutor_satisfaction",
        "Satisfaction with the tutor",
        "The share of ratings of the tutor that are 4 or 5.",
    ),
    of(
        "tutor_effect",
        "Effect of the tutor",
        "By how much help raises the share that is solved within 30 minutes: help that a draw gave less help that it \
         withheld, from 20 learners on either side. Without a draw there is none, as who asks differs from who does not.",
    ),
    of(
        "total_revenue",
        "Revenue",
        "Billed in the period for subscriptions and orders without tax, less refunds. A subscription is billed by its \
         start and each renewal; an interval without such an event counts as not billed.",
    ),
    of(
        "monthly_recurring_revenue",
        "MRR",
        "Monthly recurring revenue at the end of the period: prices of all paid subscriptions for a month (a year / 12, a \
         quarter / 3, a week x 52 / 12), without tax, trials, free plans and metered charges; a coupon for ever lowers it.",
    ),
    of("annual_recurring_revenue", "ARR", "12 x MRR at the end of the period."),
    of("average_revenue_per_user", "ARPU", "MRR / paying customers at the end of the period."),
    of(
        "customers",
        "Customers",
        "Customers whose subscriptions come to more than nothing at the end of the period.",
    ),
    of("new_mrr", "New", "MRR of customers who paid for the first time in the period."),
    of("expansion_mrr", "Expansion", "By how much customers paid more each month."),
    of("contraction_mrr", "Contraction", "By how much customers paid less each month and stayed."),
    of("churn_mrr", "Churned", "MRR of customers who stopped paying."),
    of("reactivation_mrr", "Reactivation", "MRR of customers who came back."),
    of("net_new_mrr", "Net new MRR", "New + reactivation + expansion - contraction - churned."),
    of(
        "fx_mrr",
        "Exchange rates",
        "What MRR changed by rates of exchange alone, where there are several currencies.",
    ),
    of(
        "net_revenue_retention",
        "NRR",
        "(MRR at the start + expansion + reactivation - contraction - churned) / MRR at the start of the period.",
    ),
    of("gross_revenue_retention", "GRR", "(MRR at the start - contraction - churned) / MRR at the start."),
    of(
        "customer_churn",
        "Customer churn",
        "Customers who stopped paying in the period / customers at its start.",
    ),
    of("revenue_churn", "Revenue churn", "(Contraction + churned) / MRR at the start of the period."),
    of(
        "lifetime_value",
        "LTV",
        "ARPU x gross margin (1 unless stated) / customer churn, brought to a month in proportion to the period's days.",
    ),
    of("quick_ratio", "Quick ratio", "(New + expansion + reactivation) / (contraction + churned)."),
    of("one_off_revenue", "Orders", "Orders of the period less refunds; no part of MRR."),
    of(
        "conversion_funnel",
        "Funnel",
        "People with a page_view in the period, then Signed Up, then Trial Started, then Subscription Started, in this \
         order and within 30 days of the page view; a subscription counts without a trial too.",
    ),
    of(
        "changes",
        "What changed",
        "The 7 days up to now against the 7 days before. A number of people is named if at least 20 are in one of the weeks, \
         and |a - b| / sqrt(a + b) is at least 3; MRR if it moved by at least 3 times the scatter of at least 20 movements. \
         Each person is in the first channel, country, plan and device of their week, so that segments add up to the change; \
         those of fewer than five people are put together.",
    ),
];

/// What a number means; empty if there is no such number.
#[must_use]
pub fn definition(key: &str) -> &'static str {
    DEFINITIONS.iter().find(|it| it.key == key).map_or("", |it| it.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_defined_once() {
        let mut keys: Vec<_> = DEFINITIONS.iter().map(|it| it.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), DEFINITIONS.len());
        assert!(definition("total_users").contains("ever"));
        assert_eq!(definition("no_such_number"), "");
    }
}
