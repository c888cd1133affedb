//! What is told of revenue: subscriptions, orders, rates of exchange, and the rules of the ledger.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use belvedere_business_intelligence::Recorded;
use belvedere_business_intelligence::revenue::csv::Refused;
use belvedere_business_intelligence::revenue::currency::Currency;
use belvedere_business_intelligence::revenue::entry::{Entry, What};
use belvedere_business_intelligence::revenue::ledger::{ChurnAt, LedgerRules};
use belvedere_business_intelligence::revenue::monthly::CouponPolicy;
use belvedere_business_intelligence::revenue::rates::{Rate, read_day, read_rate};
use belvedere_business_intelligence::revenue::subscription::{
    Coupon, CouponDuration, Interval, IntervalUnit, Off, SubscriptionKind, Terms,
};
use belvedere_storage::Timestamp;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::changed_by;
use crate::api::input::{InProject, JsonBody};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// The largest file.
const FILE_BYTES_MAX: usize = 4 << 20;

/// The most lines of an answer that are named; all are counted.
const REFUSED_MAX: usize = 1_000;

/// A reduction of a price.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct CouponBody {
    /// Percent off, 0 to 100; or `amount_off_minor`.
    percent_off: Option<f64>,
    /// Minor units off an interval's bill.
    amount_off_minor: Option<i64>,
    /// `once` (if left out), `repeating` or `forever`.
    duration: Option<String>,
}

/// An event of a subscription, an order or a refund.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct EntryBody {
    /// Yours, 1 to 200 bytes; an entry with a known one changes nothing.
    id: String,
    /// Your id of whoever pays, 1 to 200 bytes.
    customer: String,
    /// Your id of the subscription; not for orders and refunds.
    subscription: Option<String>,
    /// `trial_started`, `started`, `updated`, `renewed`, `payment_failed`, `cancelled`, `order` or `refund`.
    kind: String,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// At most 100 bytes.
    plan: Option<String>,
    /// The price of one unit for one interval, in minor units, tax included; of an order without it.
    amount_minor: Option<i64>,
    /// ISO 4217; needed with an amount.
    currency: Option<String>,
    /// `year`, `quarter`, `month` or `week`; a month if nothing ever says so.
    interval: Option<String>,
    /// 1 to 120 of them.
    interval_count: Option<u32>,
    /// At most 1,000,000.
    quantity: Option<u32>,
    /// How much of the price of all units is tax, in minor units.
    tax_minor: Option<i64>,
    coupon: Option<CouponBody>,
    /// Whether it is a trial from here on.
    trial: Option<bool>,
    /// Whether the price depends on use.
    metered: Option<bool>,
    /// When a cancelled subscription ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Timestamp>,
}

/// Entries of revenue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct EntriesBody {
    /// As many as fit 256 KiB.
    entries: Vec<EntryBody>,
}

/// An entry that was not taken.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RefusedAnswer {
    /// Its line in the file, or its place in the list from 1.
    line: usize,
    /// What of it.
    field: &'static str,
    /// What is wrong with it.
    why: String,
}

/// What was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RecordedAnswer {
    /// New entries.
    taken: u64,
    /// Known entries, which changed nothing.
    repeated: u64,
    /// How many were refused.
    refused: usize,
    /// Which, at most 1,000.
    errors: Vec<RefusedAnswer>,
}

impl From<Recorded> for RecordedAnswer {
    fn from(recorded: Recorded) -> Self {
        let refused = recorded.refused.len();
        let errors = recorded.refused.into_iter().take(REFUSED_MAX);
        let errors = errors.map(|it| RefusedAnswer { line: it.line, field: it.field, why: it.why });
        Self { taken: recorded.taken, repeated: recorded.repeated, refused, errors: errors.collect() }
    }
}

type Wrong = (&'static str, String);

fn found<T>(
    field: &'static str,
    word: Option<&str>,
    find: impl Fn(&str) -> Option<T>,
    must: &str,
) -> Result<Option<T>, Wrong> {
    word.map(|word| find(word).ok_or_else(|| (field, format!("must be {must}")))).transpose()
}

fn entry(body: EntryBody) -> Result<Entry, Wrong> {
    let currency =
        found("currency", body.currency.as_deref(), Currency::find, "an ISO 4217 code such as EUR")?;
    let what = match body.kind.as_str() {
        "order" | "refund" => {
            let currency = currency.ok_or_else(|| ("currency", "is missing".to_owned()))?;
            let amount_minor = body.amount_minor.ok_or_else(|| ("amount_minor", "is missing".to_owned()))?;
            if body.kind == "order" {
                What::Order { amount_minor, currency }
            } else {
                What::Refund { amount_minor, currency }
            }
        }
        word => What::Subscription {
            kind: SubscriptionKind::find(word).ok_or_else(|| {
                let words = SubscriptionKind::ALL.map(SubscriptionKind::as_str).join(", ");
                ("kind", format!("must be one of {words}, order, refund"))
            })?,
            is_trial: body.trial,
            ends_at: body.ends_at,
            terms: terms(&body, currency)?,
            subscription: body.subscription.ok_or_else(|| ("subscription", "is missing".to_owned()))?,
        },
    };
    Ok(Entry { id: body.id, customer: body.customer, at: body.at, what })
}

fn terms(body: &EntryBody, currency: Option<Currency>) -> Result<Terms, Wrong> {
    let unit =
        found("interval", body.interval.as_deref(), IntervalUnit::find, "year, quarter, month or week")?;
    let interval = (unit.is_some() || body.interval_count.is_some())
        .then(|| Interval { unit: unit.unwrap_or_default(), count: body.interval_count.unwrap_or(1) });
    let coupon = body.coupon.as_ref().map(coupon).transpose()?;
    Ok(Terms {
        plan: body.plan.clone(),
        amount_minor: body.amount_minor,
        currency,
        interval,
        quantity: body.quantity,
        tax_minor: body.tax_minor,
        coupon,
        is_metered: body.metered,
    })
}

fn coupon(body: &CouponBody) -> Result<Coupon, Wrong> {
    let wrong = |why: &str| ("coupon", why.to_owned());
    let off = match (body.percent_off, body.amount_off_minor) {
        (Some(percent), None) if (0.0..=100.0).contains(&percent) => {
            Off::Percent((percent * 100.0).round() as u32)
        }
        (Some(_), None) => return Err(wrong("percent_off must be from 0 to 100")),
        (None, Some(minor)) => Off::Amount(minor),
        _ => return Err(wrong("must have either percent_off or amount_off_minor")),
    };
    let words = "once, repeating or forever";
    let duration = found("coupon", body.duration.as_deref(), CouponDuration::find, words)?;
    Ok(Coupon { off, duration: duration.unwrap_or(CouponDuration::Once) })
}

/// Record events of subscriptions, orders and refunds
///
/// Those that are wrong are named, and the others taken.
#[utoipa::path(post, path = "/api/v1/business/subscriptions", tag = "business", params(InProject),
    request_body = EntriesBody,
    responses((status = 200, description = "What was taken and what was not", body = RecordedAnswer)))]
pub(in crate::api) async fn record_subscriptions(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    InProject(project): InProject,
    JsonBody(body): JsonBody<EntriesBody>,
) -> Result<Json<RecordedAnswer>, Problem> {
    let (mut entries, mut places, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (line, body) in (1..).zip(body.entries) {
        match entry(body) {
            Ok(entry) => {
                entries.push(entry);
                places.push(line);
            }
            Err((field, why)) => refused.push(Refused { line, field, why }),
        }
    }
    let mut recorded =
        shared.revenue_records.record_entries(project.id, entries, &changed_by(&caller)).await?;
    for refused in &mut recorded.refused {
        // They were counted without those that could not be read.
        refused.line = places.get(refused.line.saturating_sub(1)).copied().unwrap_or(refused.line);
    }
    recorded.refused.append(&mut refused);
    recorded.refused.sort_by_key(|refused| refused.line);
    Ok(Json(recorded.into()))
}

/// Import events of subscriptions, orders and refunds from a CSV file
///
/// The first line names the columns: id, customer, subscription, kind, at, plan, amount, currency, interval,
/// interval_count, quantity, tax, coupon_percent_off, coupon_amount_off, coupon_duration, trial, metered, ends_at. Amounts
/// are decimals such as 29.90. Lines that are wrong are named with their numbers, and the others taken. At most 4 MiB and
/// 10,000 lines.
#[utoipa::path(post, path = "/api/v1/business/subscriptions/import", tag = "business", params(InProject),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 200, description = "What was taken and what was not", body = RecordedAnswer)))]
pub(in crate::api) async fn import_subscriptions(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    InProject(project): InProject,
    request: Request,
) -> Result<Json<RecordedAnswer>, Problem> {
    let body = shared.bodies.read(request.into_body(), FILE_BYTES_MAX).await?;
    let text = std::str::from_utf8(&body.bytes).map_err(|_| Problem::invalid("file", "is not UTF-8"))?;
    let recorded = shared.revenue_records.import_csv(project.id, text, &changed_by(&caller)).await?;
    Ok(Json(recorded.into()))
}

/// A rate of exchange.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct RateBody {
    /// The day in UTC, such as `2026-11-29`.
    day: String,
    /// One unit of this currency,
    from: String,
    /// in this one.
    to: String,
    /// A decimal as a text, such as `1.0832`; at most nine decimals.
    rate: String,
}

/// Rates of exchange.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct RatesBody {
    /// As many as fit 256 KiB.
    rates: Vec<RateBody>,
}

/// How many rates were taken.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RatesAnswer {
    /// Days and pairs.
    taken: u64,
}

/// Import rates of exchange
///
/// An amount is converted by the rate of its day. Where there is none, the answer is an error that names day and pair.
#[utoipa::path(post, path = "/api/v1/business/rates", tag = "business", params(InProject), request_body = RatesBody,
    responses((status = 200, description = "They are in force", body = RatesAnswer)))]
pub(in crate::api) async fn set_rates(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    InProject(project): InProject,
    JsonBody(body): JsonBody<RatesBody>,
) -> Result<Json<RatesAnswer>, Problem> {
    let mut rates = Vec::with_capacity(body.rates.len());
    for (line, rate) in (1..).zip(&body.rates) {
        let wrong = |field: &'static str, why: &str| Problem::invalid(field, format!("of rate {line} {why}"));
        let code = "must be an ISO 4217 code such as EUR";
        rates.push(Rate {
            day: read_day(&rate.day).ok_or_else(|| wrong("day", "must be a day such as 2026-11-29"))?,
            from: Currency::find(&rate.from).ok_or_else(|| wrong("from", code))?,
            to: Currency::find(&rate.to).ok_or_else(|| wrong("to", code))?,
            billionths: read_rate(&rate.rate).map_err(|why| wrong("rate", &why))?,
        });
    }
    let taken = shared.revenue_records.set_rates(project.id, rates, &changed_by(&caller)).await?;
    Ok(Json(RatesAnswer { taken }))
}

/// The rules of the ledger.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct LedgerRulesBody {
    /// When a cancelled subscription stops counting: `cancellation` or `period_end`.
    churn_at: String,
    /// How many days after a failed payment a subscription stops counting, at most 3,650; null for never.
    delinquency_days: Option<u32>,
    /// Which coupons lower MRR: `forever`, `all` or `never`.
    coupons: String,
    /// Who comes back within so many days is reactivated, later new, at most 3,650; null for always reactivated.
    reactivation_days: Option<u32>,
    /// Changes within so many minutes of the first are one movement, at most 1,440.
    group_minutes: u32,
}

impl From<LedgerRules> for LedgerRulesBody {
    fn from(rules: LedgerRules) -> Self {
        let churn_at = match rules.churn_at {
            ChurnAt::Cancellation => "cancellation",
            ChurnAt::PeriodEnd => "period_end",
        };
        let coupons = match rules.coupons {
            CouponPolicy::Forever => "forever",
            CouponPolicy::All => "all",
            CouponPolicy::Never => "never",
        };
        Self {
            churn_at: churn_at.to_owned(),
            delinquency_days: rules.delinquency_days,
            coupons: coupons.to_owned(),
            reactivation_days: rules.reactivation_days,
            group_minutes: rules.group_minutes,
        }
    }
}

impl TryFrom<LedgerRulesBody> for LedgerRules {
    type Error = Problem;

    fn try_from(body: LedgerRulesBody) -> Result<Self, Problem> {
        Ok(Self {
            churn_at: match body.churn_at.as_str() {
                "cancellation" => ChurnAt::Cancellation,
                "period_end" => ChurnAt::PeriodEnd,
                _ => return Err(Problem::invalid("churn_at", "must be cancellation or period_end")),
            },
            delinquency_days: body.delinquency_days,
            coupons: match body.coupons.as_str() {
                "forever" => CouponPolicy::Forever,
                "all" => CouponPolicy::All,
                "never" => CouponPolicy::Never,
                _ => return Err(Problem::invalid("coupons", "must be forever, all or never")),
            },
            reactivation_days: body.reactivation_days,
            group_minutes: body.group_minutes,
        })
    }
}

/// Find the rules of the ledger of revenue
#[utoipa::path(get, path = "/api/v1/business/rules", tag = "business", params(InProject),
    responses((status = 200, description = "The usual ones where none are set", body = LedgerRulesBody)))]
pub(in crate::api) async fn find_rules(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
) -> Result<Json<LedgerRulesBody>, Problem> {
    Ok(Json(shared.revenue_records.find_rules(project.id).await?.into()))
}

/// Set the rules of the ledger of revenue, which is written anew by them
#[utoipa::path(put, path = "/api/v1/business/rules", tag = "business", params(InProject),
    request_body = LedgerRulesBody,
    responses((status = 204, description = "The ledger is written anew")))]
pub(in crate::api) async fn set_rules(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    InProject(project): InProject,
    JsonBody(body): JsonBody<LedgerRulesBody>,
) -> Result<StatusCode, Problem> {
    shared.revenue_records.set_rules(project.id, body.try_into()?, &changed_by(&caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}
