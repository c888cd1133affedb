//! The tables of the business, as files have them.

use belvedere_storage::Timestamp;

use crate::model::{
    BusinessMetrics, Changes, Channel, CohortTable, ConversionFunnel, PlanTable, RevenueSeries,
};
use crate::table::{Cell, Table};

/// The tables of [`BusinessMetrics`] beside the numbers, by what they are called.
pub const METRICS_TABLES: [&str; 10] = [
    "channels",
    "channels_last_touch",
    "campaigns",
    "landing_pages",
    "active",
    "funnel",
    "courses",
    "features",
    "features_by_cohort",
    "retention",
];

fn instant(micros: i64) -> Cell {
    Timestamp::from_micros(micros).to_string().into()
}

fn channels(of: &str, channels: &[Channel]) -> Table {
    let mut table = Table::new([of, "people", "converted", "conversion_rate"]);
    for it in channels {
        table.row([
            it.source.as_str().into(),
            it.count.into(),
            it.converted.into(),
            it.conversion_rate().into(),
        ]);
    }
    table
}

impl BusinessMetrics {
    /// One of [`METRICS_TABLES`]; none for another word.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<Table> {
        let (acquisition, engagement) = (&self.acquisition, &self.engagement);
        Some(match name {
            "channels" => channels("channel", &acquisition.channels),
            "channels_last_touch" => channels("channel", &acquisition.channels_last_touch),
            "campaigns" => channels("campaign", &acquisition.campaigns),
            "landing_pages" => channels("path", &acquisition.landing_pages),
            "active" => {
                let mut table = Table::new(["day", "daily", "monthly", "new"]);
                for it in &self.active {
                    table.row([
                        it.from.to_string().into(),
                        it.daily.into(),
                        it.monthly.into(),
                        it.new.into(),
                    ]);
                }
                table
            }
            "funnel" => {
                let mut table = Table::new(["step", "people", "people_before"]);
                let steps =
                    |of: &ConversionFunnel| [of.visitors, of.signups, of.free_trials, of.paid_subscriptions];
                let names = ["visitors", "signups", "free_trials", "paid_subscriptions"];
                let people = steps(&self.funnel).into_iter().zip(steps(&self.funnel_before));
                for (name, (people, before)) in names.into_iter().zip(people) {
                    table.row([name.into(), people.into(), before.into()]);
                }
                table
            }
            "courses" => {
                let mut table = Table::new(["course", "people", "completed", "completion_rate"]);
                for it in &self.learning.popular_courses {
                    let rate = it.completion_rate().into();
                    table.row([it.course.as_str().into(), it.enrolments.into(), it.completed.into(), rate]);
                }
                table
            }
            "features" => {
                let columns = ["feature", "people", "adoption_rate", "adopters", "seconds_to_adopt"];
                let mut table = Table::new(columns);
                for it in &engagement.feature_adoption {
                    table.row([
                        it.feature.as_str().into(),
                        it.users.into(),
                        it.adoption_rate.into(),
                        it.adopters.into(),
                        it.seconds_to_adopt.into(),
                    ]);
                }
                table
            }
            "features_by_cohort" => {
                let mut table = Table::new(["week", "people", "feature", "adopted"]);
                for cohort in &engagement.adoption_by_cohort {
                    for (feature, adopted) in engagement.feature_adoption.iter().zip(&cohort.adopted) {
                        let week = cohort.from.to_string().into();
                        let feature = feature.feature.as_str().into();
                        table.row([week, cohort.people.into(), feature, (*adopted).into()]);
                    }
                }
                table
            }
            "retention" => {
                let mut table = Table::new(["week", "people", "weeks_later", "returned"]);
                for cohort in &self.retention.cohorts {
                    for (later, returned) in (0_i64..).zip(&cohort.returned) {
                        let week = instant(cohort.start_micros);
                        table.row([week, cohort.subjects.into(), later.into(), (*returned).into()]);
                    }
                }
                table
            }
            _ => return None,
        })
    }
}

impl Changes {
    /// A line for each segment of each change; one for a change that nobody makes more than others.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::new(["number", "dimension", "segment", "value", "before", "delta"]);
        for change in &self.changes {
            let delta = change.now - change.before;
            let (now, before) = (change.now.into(), change.before.into());
            table.row([change.key.into(), Cell::Empty, Cell::Empty, now, before, delta.into()]);
            for by in &change.by {
                for it in &by.segments {
                    table.row([
                        change.key.into(),
                        by.dimension.into(),
                        it.segment.as_str().into(),
                        it.now.into(),
                        it.before.into(),
                        it.delta().into(),
                    ]);
                }
            }
        }
        table
    }
}

impl RevenueSeries {
    /// A line for each period.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::new([
            "from",
            "until",
            "currency",
            "start_mrr_minor",
            "new_minor",
            "expansion_minor",
            "contraction_minor",
            "churn_minor",
            "reactivation_minor",
            "fx_minor",
            "end_mrr_minor",
            "customers",
            "total_minor",
        ]);
        let currency = self.currency.map(|currency| currency.to_string()).unwrap_or_default();
        for it in &self.periods {
            let texts = [it.from.to_string(), it.until.to_string(), currency.clone()];
            let numbers = [
                it.start.mrr_minor,
                it.new.amount_minor,
                it.expansion.amount_minor,
                it.contraction.amount_minor,
                it.churn.amount_minor,
                it.reactivation.amount_minor,
                it.fx_minor,
                it.end.mrr_minor,
                it.end.customers,
                it.total_minor(),
            ];
            table.row(texts.map(Cell::from).into_iter().chain(numbers.map(Cell::from)));
        }
        table
    }
}

impl PlanTable {
    /// A line for each plan.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::new(["plan", "currency", "mrr_minor", "subscribers"]);
        let currency = self.currency.map(|currency| currency.to_string());
        for it in &self.plans {
            let currency = currency.as_deref().into();
            table.row([it.plan.as_str().into(), currency, it.mrr_minor.into(), it.subscribers.into()]);
        }
        table
    }
}

impl CohortTable {
    /// A line for each cohort and period.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::new(["cohort", "periods_later", "currency", "mrr_minor", "customers"]);
        let currency = self.currency.map(|currency| currency.to_string());
        for cohort in &self.cohorts {
            let from = cohort.from.to_string();
            for (later, (minor, customers)) in (0_i64..).zip(cohort.mrr_minor.iter().zip(&cohort.customers)) {
                let currency = currency.as_deref().into();
                table.row([
                    from.as_str().into(),
                    later.into(),
                    currency,
                    (*minor).into(),
                    (*customers).into(),
                ]);
            }
        }
        table
    }
}
