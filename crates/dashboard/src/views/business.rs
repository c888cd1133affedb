//! How the business does: numbers with their change, charts, and tables with shades.

use belvedere_business_intelligence::revenue::currency::Currency;
use belvedere_business_intelligence::revenue::metrics::RevenuePeriod;
use belvedere_business_intelligence::{
    Acquisition, BusinessMetrics, Channel, CohortTable, CourseMetrics, Number, PlanTable, RevenueReport,
    RevenueSeries,
};
use belvedere_event_store::query::RetentionTable;
use belvedere_storage::Timestamp;

use crate::charts::{FlowBar, FlowCaption, FlowChart, Part, Svg, spark};
use crate::views::uptake::{FeatureRow, LearningView, by_cohort};
use crate::wording::{Count, day};

/// A number on a card.
pub(crate) struct Kpi {
    pub(crate) title: &'static str,
    /// The name of its definition.
    pub(crate) key: &'static str,
    /// Unit and period.
    pub(crate) basis: String,
    pub(crate) value: String,
    /// The change against the period before; empty where there is none.
    pub(crate) change: String,
    /// `up` is good, `down` bad.
    pub(crate) tone: &'static str,
    pub(crate) spark: Option<Svg>,
}

/// Rows of a table of channels, campaigns or pages.
const ROWS: usize = 8;

/// How a number is written.
#[derive(Clone, Copy)]
enum Form {
    Count,
    Money(Currency),
    Share,
    Seconds,
    Ratio,
}

impl Form {
    fn write(self, number: Option<f64>) -> String {
        let Some(number) = number else { return "none".to_owned() };
        match self {
            Self::Count => Count(number.max(0.0).round() as u64).to_string(),
            Self::Money(currency) => money(currency, number.round() as i64),
            Self::Share => format!("{:.1} %", number * 100.0),
            Self::Ratio => format!("{number:.2}"),
            Self::Seconds if number >= 3_600.0 => format!("{:.1} h", number / 3_600.0),
            Self::Seconds if number >= 60.0 => format!("{:.1} min", number / 60.0),
            Self::Seconds => format!("{number:.0} s"),
        }
    }
}

/// `31.2 %`.
pub(crate) fn share_text(share: f64) -> String {
    Form::Share.write(Some(share))
}

/// `+31.2 %`.
pub(crate) fn signed_share(share: f64) -> String {
    match share {
        share if share.abs() < 0.0005 => "±0 %".to_owned(),
        share if share < 0.0 => format!("\u{2212}{:.1} %", -share * 100.0),
        share => format!("+{:.1} %", share * 100.0),
    }
}

/// `3.2 days`.
pub(crate) fn duration_text(seconds: f64) -> String {
    match seconds {
        seconds if seconds >= 172_800.0 => format!("{:.1} days", seconds / 86_400.0),
        seconds => Form::Seconds.write(Some(seconds)),
    }
}

/// `1,234.50 EUR`.
pub(crate) fn money(currency: Currency, minor: i64) -> String {
    format!("{} {currency}", amount(currency, minor))
}

/// `1,234.50`.
fn amount(currency: Currency, minor: i64) -> String {
    let text = currency.show(minor.saturating_abs());
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let sign = if minor < 0 { "\u{2212}" } else { "" };
    let whole = Count(whole.parse().unwrap_or(0));
    let dot = if part.is_empty() { "" } else { "." };
    format!("{sign}{whole}{dot}{part}")
}

fn change_of(number: Number) -> String {
    number.change().map(signed_share).unwrap_or_default()
}

fn kpi(
    (title, key): (&'static str, &'static str),
    basis: impl Into<String>,
    number: Number,
    form: Form,
) -> Kpi {
    // More of these is worse.
    let is_loss = ["customer_churn", "revenue_churn"].contains(&key);
    let change = number.change().unwrap_or(0.0);
    let tone = match change {
        _ if change.abs() < 0.0005 => "",
        _ if (change > 0.0) == is_loss => "down",
        _ => "up",
    };
    let (value, change) = (form.write(number.now), change_of(number));
    Kpi { title, key, basis: basis.into(), value, change, tone, spark: None }
}

impl Kpi {
    fn with(self, quantities: &[u64], about: &str) -> Self {
        let peak = quantities.iter().copied().max().unwrap_or(0);
        let text = format!("{about}: at most {}", Count(peak));
        Self { spark: (!quantities.is_empty()).then(|| spark(quantities, &text)), ..self }
    }
}

fn of(report: &RevenueReport, read: impl Fn(&RevenuePeriod) -> Option<f64>) -> Number {
    Number { now: read(&report.now), before: read(&report.before) }
}

fn whole(minor: i64) -> u64 {
    u64::try_from(minor).unwrap_or(0)
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Nov 2026`: the month that begins at about this instant, in any time zone.
fn month(from: Timestamp) -> String {
    let middle = from.plus(std::time::Duration::from_secs(15 * 86_400)).to_datetime();
    let name =
        MONTHS.get(usize::from(u8::from(middle.month())).saturating_sub(1)).copied().unwrap_or_default();
    format!("{name} {}", middle.year())
}

/// `23 Nov`: the day that begins at about this instant.
pub(crate) fn local_day(from: Timestamp) -> String {
    day(from.plus(std::time::Duration::from_secs(12 * 3_600)))
}

/// A level of each period as bars.
pub(crate) fn levels(
    about: &str,
    unit: &str,
    column: &str,
    points: impl Iterator<Item = (String, u64, String)>,
) -> FlowChart {
    const PART: [Part; 1] = [Part { name: "", class: "level" }];
    let bars: Vec<FlowBar> =
        points.map(|(label, level, text)| FlowBar { label, parts: vec![level], texts: vec![text] }).collect();
    let most = bars.iter().max_by_key(|bar| bar.parts.first().copied());
    let peak = most.and_then(|bar| bar.texts.first()).cloned().unwrap_or_default();
    let caption =
        FlowCaption { about: about.to_owned(), peak, columns: vec![column.to_owned(), unit.to_owned()] };
    FlowChart::new(bars, &PART, 1, caption)
}

fn mrr_chart(currency: Currency, series: &RevenueSeries) -> FlowChart {
    let points = series.periods.iter().map(|period| {
        let mrr = period.end.mrr_minor;
        (month(period.from), whole(mrr), money(currency, mrr))
    });
    levels("Monthly recurring revenue at the end of each month", "MRR", "Month", points)
}

/// What made it change, month by month.
fn movement_chart(currency: Currency, series: &RevenueSeries) -> FlowChart {
    const PARTS: [Part; 5] = [
        Part { name: "new", class: "level" },
        Part { name: "reactivation", class: "abnormal" },
        Part { name: "expansion", class: "gain" },
        Part { name: "contraction", class: "errored" },
        Part { name: "churned", class: "crashed" },
    ];
    let bars = series.periods.iter().map(|period| {
        let moved = [period.new, period.reactivation, period.expansion, period.contraction, period.churn];
        let mut texts: Vec<String> = moved.iter().map(|it| money(currency, it.amount_minor)).collect();
        texts.push(money(currency, period.fx_minor));
        texts.push(money(currency, period.net_new_minor()));
        FlowBar {
            label: month(period.from),
            parts: moved.iter().map(|it| whole(it.amount_minor)).collect(),
            texts,
        }
    });
    let heads =
        ["Month", "New", "Reactivation", "Expansion", "Contraction", "Churned", "Exchange rates", "Net new"];
    let most = series.periods.iter().map(RevenuePeriod::gained_minor).max().unwrap_or(0);
    let caption = FlowCaption {
        about: "Movements of monthly recurring revenue by month: gains above the line, losses below"
            .to_owned(),
        peak: money(currency, most),
        columns: heads.map(str::to_owned).to_vec(),
    };
    FlowChart::new(bars.collect(), &PARTS, 3, caption)
}

/// A step of the way to a subscription.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) people: Count,
    pub(crate) share: String,
    /// Hundredths of the width.
    pub(crate) width: u64,
    pub(crate) change: String,
}

/// A row of a table of channels, campaigns or pages.
pub(crate) struct SourceRow {
    pub(crate) source: String,
    pub(crate) people: Count,
    pub(crate) converted: String,
}

impl SourceRow {
    fn of(channel: &Channel) -> Self {
        Self {
            source: channel.source.clone(),
            people: Count(channel.count),
            converted: Form::Share.write(channel.conversion_rate()),
        }
    }
}

/// A table of them.
pub(crate) struct SourceList {
    pub(crate) title: &'static str,
    pub(crate) basis: &'static str,
    pub(crate) head: &'static str,
    pub(crate) empty: &'static str,
    pub(crate) rows: Vec<SourceRow>,
}

impl SourceList {
    fn of(acquisition: &Acquisition) -> [Self; 2] {
        let rows = |of: &[Channel]| of.iter().take(ROWS).map(SourceRow::of).collect();
        [
            Self {
                title: "Campaigns",
                basis: "people of the period by their first one; signed up in 30 days",
                head: "Campaign",
                empty: "Nobody came by a campaign in this period: events with utm_campaign make this table.",
                rows: rows(&acquisition.campaigns),
            },
            Self {
                title: "Landing pages",
                basis: "people of the period by the first page; signed up in 30 days",
                head: "Page",
                empty: "Nobody saw a page in this period: page_view with a path makes this table.",
                rows: rows(&acquisition.landing_pages),
            },
        ]
    }
}

/// A channel by first and by last touch.
pub(crate) struct ChannelRow {
    pub(crate) source: String,
    pub(crate) people: Count,
    pub(crate) converted: String,
    pub(crate) last_people: Count,
    pub(crate) last_converted: String,
}

impl ChannelRow {
    fn list(acquisition: &Acquisition) -> Vec<Self> {
        let row = |first: &Channel| {
            let last = acquisition.channels_last_touch.iter().find(|last| last.source == first.source);
            let SourceRow { source, people, converted } = SourceRow::of(first);
            Self {
                source,
                people,
                converted,
                last_people: Count(last.map_or(0, |last| last.count)),
                last_converted: last.map(|last| SourceRow::of(last).converted).unwrap_or_default(),
            }
        };
        acquisition.channels.iter().take(ROWS).map(row).collect()
    }
}

/// A row of the table of courses.
pub(crate) struct CourseRow {
    pub(crate) course: String,
    pub(crate) enrolments: Count,
    pub(crate) completion: String,
}

/// A cell with its shade from 0 to 9.
pub(crate) struct Heat {
    pub(crate) text: String,
    pub(crate) shade: usize,
}

/// Rows of cells with shades.
#[derive(Default)]
pub(crate) struct HeatTable {
    pub(crate) heads: Vec<String>,
    pub(crate) rows: Vec<(String, String, Vec<Heat>)>,
}

fn heat(part: f64, whole: f64, text: String) -> Heat {
    let share = if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 };
    Heat { text, shade: (share * 9.0).ceil() as usize }
}

impl HeatTable {
    /// Who came again, by units of time; those without anybody new are left out.
    pub(crate) fn retention(table: &RetentionTable, unit: &str) -> Self {
        let mut heat_table = Self::default();
        let most = table.cohorts.iter().map(|cohort| cohort.returned.len()).max().unwrap_or(0);
        heat_table.heads = (0..most).map(|place| format!("{unit} {place}")).collect();
        for cohort in table.cohorts.iter().filter(|cohort| cohort.subjects > 0) {
            let label = local_day(Timestamp::from_micros(cohort.start_micros));
            let cells = Self::shares(cohort.returned.iter().copied(), cohort.subjects);
            heat_table.rows.push((label, Count(cohort.subjects).to_string(), cells));
        }
        heat_table
    }

    /// Cells with the shares of a whole that is not nothing.
    pub(crate) fn shares(parts: impl Iterator<Item = u64>, whole: u64) -> Vec<Heat> {
        let whole = whole as f64;
        parts.map(|part| heat(part as f64, whole, share_text(part as f64 / whole))).collect()
    }

    /// What cohorts pay later, against what they paid at the end of their first month.
    fn revenue(currency: Currency, table: &CohortTable) -> Self {
        let rows = table.cohorts.iter().filter(|cohort| cohort.mrr_minor.iter().any(|minor| *minor != 0));
        let rows = rows.map(|cohort| {
            let first = cohort.mrr_minor.first().copied().unwrap_or(0) as f64;
            let cells =
                cohort.mrr_minor.iter().map(|minor| heat(*minor as f64, first, amount(currency, *minor)));
            let customers = Count(whole(cohort.customers.first().copied().unwrap_or(0)));
            (month(cohort.from), customers.to_string(), cells.collect())
        });
        let rows: Vec<(String, String, Vec<Heat>)> = rows.collect();
        let months = rows.iter().map(|(.., cells)| cells.len()).max().unwrap_or(0);
        Self { heads: (0..months).map(|month| format!("month {month}")).collect(), rows }
    }
}

/// The page for all.
pub(crate) struct ExecutiveView {
    pub(crate) is_empty: bool,
    pub(crate) kpis: Vec<Kpi>,
    pub(crate) mrr: Option<FlowChart>,
    pub(crate) active: FlowChart,
    pub(crate) funnel: Vec<Way>,
    pub(crate) courses: Vec<CourseRow>,
    pub(crate) channels: Vec<ChannelRow>,
    pub(crate) sources: [SourceList; 2],
    pub(crate) retention: HeatTable,
    pub(crate) features: Vec<FeatureRow>,
    pub(crate) adoption: HeatTable,
    pub(crate) learning: Option<LearningView>,
}

impl ExecutiveView {
    pub(crate) fn new(metrics: &BusinessMetrics, series: Option<&RevenueSeries>) -> Self {
        let (acquisition, engagement) = (&metrics.acquisition, &metrics.engagement);
        let by_day = |read: fn(&belvedere_business_intelligence::ActivePoint) -> u64| -> Vec<u64> {
            metrics.active.iter().map(read).collect()
        };
        let mut kpis = Vec::new();
        if let Some(report) = &metrics.revenue {
            let money = Form::Money(report.currency);
            let periods = series.map_or(&[][..], |series| &series.periods);
            let by_month = |read: fn(&RevenuePeriod) -> i64| -> Vec<u64> {
                periods.iter().map(|period| whole(read(period))).collect()
            };
            let minor = |read: fn(&RevenuePeriod) -> i64| of(report, |period| Some(read(period) as f64));
            let mrr = kpi(("MRR", "monthly_recurring_revenue"), "now", minor(|it| it.end.mrr_minor), money);
            kpis.push(mrr.with(&by_month(|it| it.end.mrr_minor), "MRR by month"));
            let total = kpi(("Revenue", "total_revenue"), "billed", minor(RevenuePeriod::total_minor), money);
            kpis.push(total.with(&by_month(RevenuePeriod::total_minor), "Revenue by month"));
            let customers =
                kpi(("Customers", "customers"), "who pay now", minor(|it| it.end.customers), Form::Count);
            kpis.push(customers.with(&by_month(|it| it.end.customers), "Customers by month"));
            let churn = of(report, RevenuePeriod::customer_churn);
            let churn = kpi(("Customer churn", "customer_churn"), "of the period", churn, Form::Share);
            kpis.push(churn.with(&by_month(|it| it.churned_customers), "Customers who left by month"));
        }
        let new = kpi(("New people", "new_users"), "of the period", acquisition.new_users, Form::Count);
        kpis.push(new.with(&by_day(|it| it.new), "New people by day"));
        let daily =
            kpi(("Daily active", "daily_active_users"), "today", engagement.daily_active_users, Form::Count);
        kpis.push(daily.with(&by_day(|it| it.daily), "Active people by day"));
        let monthly = engagement.monthly_active_users;
        let monthly = kpi(("Monthly active", "monthly_active_users"), "30 days", monthly, Form::Count);
        kpis.push(monthly.with(&by_day(|it| it.monthly), "Active people of 30 days by day"));
        let completion = engagement.course_completion_rate;
        let title = ("Course completion", "course_completion_rate");
        kpis.push(kpi(title, "begun in the period", completion, Form::Share));
        if kpis.len() < 8 {
            let seconds = engagement.average_session_duration;
            let title = ("Session length", "average_session_duration");
            kpis.push(kpi(title, "average", seconds, Form::Seconds));
            kpis.push(kpi(
                ("Stickiness", "stickiness"),
                "daily of monthly",
                engagement.stickiness,
                Form::Share,
            ));
            let lessons = metrics.learning.lessons_completed;
            kpis.push(kpi(("Lessons completed", "lessons_completed"), "of the period", lessons, Form::Count));
            kpis.push(kpi(("People", "total_users"), "ever", acquisition.total_users, Form::Count));
        }
        let points = metrics
            .active
            .iter()
            .map(|point| (local_day(point.from), point.daily, Count(point.daily).to_string()));
        let currency = metrics.revenue.map(|report| report.currency);
        Self {
            is_empty: acquisition.total_users.now == Some(0.0) && metrics.revenue.is_none(),
            kpis,
            mrr: currency.zip(series).map(|(currency, series)| mrr_chart(currency, series)),
            active: levels("People with activity on each of 30 days", "People", "Day", points),
            funnel: ways(metrics),
            courses: metrics.learning.popular_courses.iter().map(course).collect(),
            channels: ChannelRow::list(acquisition),
            sources: SourceList::of(acquisition),
            retention: HeatTable::retention(&metrics.retention, "week"),
            features: FeatureRow::list(engagement),
            adoption: by_cohort(engagement),
            learning: LearningView::of(&metrics.learning),
        }
    }
}

fn course(course: &CourseMetrics) -> CourseRow {
    CourseRow {
        course: course.course.clone(),
        enrolments: Count(course.enrolments),
        completion: Form::Share.write(course.completion_rate()),
    }
}

fn ways(metrics: &BusinessMetrics) -> Vec<Way> {
    let (now, before) = (metrics.funnel, metrics.funnel_before);
    let steps = [
        ("Visited", now.visitors, before.visitors),
        ("Signed up", now.signups, before.signups),
        ("Began a trial", now.free_trials, before.free_trials),
        ("Subscribed", now.paid_subscriptions, before.paid_subscriptions),
    ];
    let way = |(name, people, earlier): (&'static str, u64, u64)| Way {
        name,
        people: Count(people),
        share: Form::Share.write((now.visitors > 0).then(|| people as f64 / now.visitors as f64)),
        width: (people * 100).checked_div(now.visitors).unwrap_or(0),
        change: change_of(Number { now: Some(people as f64), before: Some(earlier as f64) }),
    };
    steps.map(way).into_iter().collect()
}

/// A row of the table of plans.
pub(crate) struct PlanRow {
    pub(crate) plan: String,
    pub(crate) mrr: String,
    pub(crate) share: String,
    pub(crate) subscribers: Count,
}

/// The page of revenue.
pub(crate) struct RevenueView {
    pub(crate) currency: String,
    pub(crate) kpis: Vec<Kpi>,
    pub(crate) mrr: FlowChart,
    pub(crate) movements: FlowChart,
    pub(crate) plans: Vec<PlanRow>,
    pub(crate) cohorts: HeatTable,
    pub(crate) bridge: Vec<(&'static str, String)>,
}

impl RevenueView {
    pub(crate) fn new(
        report: &RevenueReport,
        series: &RevenueSeries,
        plans: &PlanTable,
        cohorts: &CohortTable,
    ) -> Self {
        let currency = report.currency;
        let amount = Form::Money(currency);
        let minor = |read: fn(&RevenuePeriod) -> i64| of(report, |period| Some(read(period) as f64));
        let kpis = vec![
            kpi(("MRR", "monthly_recurring_revenue"), "now", minor(|it| it.end.mrr_minor), amount),
            kpi(("ARR", "annual_recurring_revenue"), "12 MRR", minor(RevenuePeriod::arr_minor), amount),
            kpi(
                ("ARPU", "average_revenue_per_user"),
                "a month",
                of(report, RevenuePeriod::arpu_minor),
                amount,
            ),
            kpi(("LTV", "lifetime_value"), "margin 1", of(report, |it| it.ltv_minor(1.0)), amount),
            kpi(
                ("NRR", "net_revenue_retention"),
                "of the period",
                of(report, RevenuePeriod::net_retention),
                Form::Share,
            ),
            kpi(
                ("GRR", "gross_revenue_retention"),
                "of the period",
                of(report, RevenuePeriod::gross_retention),
                Form::Share,
            ),
            kpi(
                ("Customer churn", "customer_churn"),
                "of the period",
                of(report, RevenuePeriod::customer_churn),
                Form::Share,
            ),
            kpi(
                ("Quick ratio", "quick_ratio"),
                "of the period",
                of(report, RevenuePeriod::quick_ratio),
                Form::Ratio,
            ),
        ];
        let now = &report.now;
        let total: i64 = plans.plans.iter().map(|plan| plan.mrr_minor).sum();
        let plan = |plan: &belvedere_business_intelligence::PlanRevenue| PlanRow {
            plan: if plan.plan.is_empty() { "without a plan".to_owned() } else { plan.plan.clone() },
            mrr: money(currency, plan.mrr_minor),
            share: Form::Share.write((total > 0).then(|| plan.mrr_minor as f64 / total as f64)),
            subscribers: Count(whole(plan.subscribers)),
        };
        Self {
            currency: currency.to_string(),
            kpis,
            mrr: mrr_chart(currency, series),
            movements: movement_chart(currency, series),
            plans: plans.plans.iter().map(plan).collect(),
            cohorts: HeatTable::revenue(currency, cohorts),
            bridge: vec![
                ("At the start", money(currency, now.start.mrr_minor)),
                ("New", money(currency, now.new.amount_minor)),
                ("Reactivation", money(currency, now.reactivation.amount_minor)),
                ("Expansion", money(currency, now.expansion.amount_minor)),
                ("Contraction", money(currency, -now.contraction.amount_minor)),
                ("Churned", money(currency, -now.churn.amount_minor)),
                ("Exchange rates", money(currency, now.fx_minor)),
                ("At the end", money(currency, now.end.mrr_minor)),
                ("Orders less refunds", money(currency, now.orders.amount_minor - now.refunds.amount_minor)),
                ("Billed in all", money(currency, now.total_minor())),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_changes_and_months_are_written_for_people() {
        let euro = Currency::find("EUR").unwrap();
        assert_eq!(money(euro, 123_456_789), "1,234,567.89 EUR");
        assert_eq!(money(euro, -5), "\u{2212}0.05 EUR");
        assert_eq!(money(Currency::find("JPY").unwrap(), 12_000), "12,000 JPY");
        let number = |now: f64, before: f64| Number { now: Some(now), before: Some(before) };
        assert_eq!(change_of(number(110.0, 100.0)), "+10.0 %");
        assert_eq!(change_of(number(90.0, 100.0)), "\u{2212}10.0 %");
        assert_eq!(
            (change_of(number(1.0, 1.0)), change_of(number(1.0, 0.0))),
            ("±0 %".to_owned(), String::new())
        );
        assert_eq!(month("2026-10-31T23:00:00Z".parse().unwrap()), "Nov 2026");
        assert_eq!(local_day("2026-11-28T23:00:00Z".parse().unwrap()), "29 Nov");
        assert_eq!(
            [0.0, 0.01, 0.5, 1.0, 3.0].map(|part| heat(part, 1.0, String::new()).shade),
            [0, 1, 5, 9, 9]
        );
    }
}
