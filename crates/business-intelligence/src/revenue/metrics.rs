//! Numbers about revenue, from sums of movements. Formulas are those that subscription analytics agree on; where they
//! differ, the doc says which one it is.

use std::collections::BTreeMap;

use belvedere_storage::Timestamp;

use super::currency::Currency;
use super::ledger::MovementKind;
use super::rates::{MissingRate, Rates, rate_day};

/// Days of a month on average: a twelfth of 365.25.
const MONTH_DAYS: f64 = 30.4375;

/// What was billed once or again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChargeKind {
    /// For an interval of a subscription.
    Subscription,
    /// For an order.
    Order,
    /// Paid back.
    Refund,
}

impl ChargeKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Subscription, Self::Order, Self::Refund];

    /// The kind as the number that is stored.
    #[must_use]
    pub fn code(self) -> i64 {
        Self::ALL.iter().position(|kind| *kind == self).map_or(0, |place| place as i64)
    }

    /// The kind of a stored number.
    #[must_use]
    pub fn of_code(code: i64) -> Option<Self> {
        usize::try_from(code).ok().and_then(|place| Self::ALL.get(place)).copied()
    }
}

/// Movements of a period that are alike, added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovementSum {
    /// Which period; they are numbered from 0.
    pub period: usize,
    /// What the movements are.
    pub kind: MovementKind,
    /// In this currency.
    pub currency: Currency,
    /// Of this day, see [`rate_day`]; not looked at where nothing is converted.
    pub day: i64,
    /// By how much what is paid each month changed, in minor units.
    pub delta_minor: i64,
    /// By how much the number of customers changed.
    pub customers: i64,
    /// How many movements.
    pub movements: i64,
}

/// Charges of a period that are alike, added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChargeSum {
    /// Which period.
    pub period: usize,
    /// What was charged.
    pub kind: ChargeKind,
    /// In this currency.
    pub currency: Currency,
    /// Of this day.
    pub day: i64,
    /// How much in minor units.
    pub amount_minor: i64,
    /// How many.
    pub charges: i64,
}

/// How much is paid each month, and by how many, at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Monthly recurring revenue in minor units.
    pub mrr_minor: i64,
    /// Customers who pay.
    pub customers: i64,
}

/// Movements of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// By how much, in minor units; never negative.
    pub amount_minor: i64,
    /// How many movements.
    pub movements: i64,
}

/// Charges of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Charged {
    /// How much, in minor units.
    pub amount_minor: i64,
    /// How many.
    pub charges: i64,
}

/// What revenue did in a period, in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RevenuePeriod {
    /// From here on.
    pub from: Timestamp,
    /// Before this.
    pub until: Timestamp,
    /// Before the period.
    pub start: Standing,
    /// At its end.
    pub end: Standing,
    /// Customers who pay for the first time.
    pub new: Moved,
    /// Customers who pay more.
    pub expansion: Moved,
    /// Customers who pay less.
    pub contraction: Moved,
    /// Customers who left.
    pub churn: Moved,
    /// Customers who came back.
    pub reactivation: Moved,
    /// What rates of exchange did, in minor units: the end is the start and all movements and this.
    pub fx_minor: i64,
    /// Customers who left: those of whom nothing is paid any more.
    pub churned_customers: i64,
    /// Billed for subscriptions.
    pub subscriptions: Charged,
    /// Billed for orders.
    pub orders: Charged,
    /// Paid back.
    pub refunds: Charged,
}

fn ratio(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl RevenuePeriod {
    /// New + reactivation + expansion - contraction - churn, in minor units.
    #[must_use]
    pub fn net_new_minor(&self) -> i64 {
        self.gained_minor() - self.lost_minor()
    }

    /// New + reactivation + expansion, in minor units.
    #[must_use]
    pub fn gained_minor(&self) -> i64 {
        self.new.amount_minor + self.reactivation.amount_minor + self.expansion.amount_minor
    }

    /// Contraction + churn, in minor units.
    #[must_use]
    pub fn lost_minor(&self) -> i64 {
        self.contraction.amount_minor + self.churn.amount_minor
    }

    /// Annual recurring revenue: 12 MRR at the end, in minor units.
    #[must_use]
    pub fn arr_minor(&self) -> i64 {
        self.end.mrr_minor.saturating_mul(12)
    }

    /// Average revenue per user: MRR / paying customers at the end, in minor units; none without customers.
    #[must_use]
    pub fn arpu_minor(&self) -> Option<f64> {
        ratio(self.end.mrr_minor, self.end.customers)
    }

    /// Net revenue retention: (start + expansion + reactivation - contraction - churn) / start; none without a start.
    #[must_use]
    pub fn net_retention(&self) -> Option<f64> {
        let kept = self.start.mrr_minor + self.expansion.amount_minor + self.reactivation.amount_minor;
        ratio(kept - self.lost_minor(), self.start.mrr_minor)
    }

    /// Gross revenue retention: (start - contraction - churn) / start; none without a start.
    #[must_use]
    pub fn gross_retention(&self) -> Option<f64> {
        ratio(self.start.mrr_minor - self.lost_minor(), self.start.mrr_minor)
    }

    /// Customers who left in the period / customers before it; none without any.
    #[must_use]
    pub fn customer_churn(&self) -> Option<f64> {
        ratio(self.churned_customers, self.start.customers)
    }

    /// Revenue churn, gross: (contraction + churn) / start; none without a start.
    #[must_use]
    pub fn revenue_churn(&self) -> Option<f64> {
        ratio(self.lost_minor(), self.start.mrr_minor)
    }

    /// (new + expansion + reactivation) / (contraction + churn); none where nothing was lost.
    #[must_use]
    pub fn quick_ratio(&self) -> Option<f64> {
        ratio(self.gained_minor(), self.lost_minor())
    }

    /// Lifetime value: ARPU x gross margin / customer churn of a month, in minor units; none without churn.
    ///
    /// The churn of the period is brought to that of a month in proportion to its days.
    #[must_use]
    pub fn ltv_minor(&self, gross_margin: f64) -> Option<f64> {
        let days = self.until.since(self.from).as_secs_f64() / 86_400.0;
        let monthly = self.customer_churn()? * MONTH_DAYS / days;
        (monthly > 0.0 && monthly.is_finite()).then_some(self.arpu_minor()? * gross_margin / monthly)
    }

    /// Billed for subscriptions and orders, less what was paid back, in minor units.
    #[must_use]
    pub fn total_minor(&self) -> i64 {
        self.subscriptions.amount_minor + self.orders.amount_minor - self.refunds.amount_minor
    }
}

/// What is paid each month in each currency, and by how many: a sum of movements up to an instant.
pub type Levels = BTreeMap<Currency, Standing>;

/// Levels in one currency, at the rates of the last day before an instant.
///
/// # Errors
/// [`MissingRate`]
pub fn standing(levels: &Levels, rates: &Rates, until: Timestamp) -> Result<Standing, MissingRate> {
    let day = rate_day(until.as_micros().saturating_sub(1));
    let mut sum = Standing::default();
    for (currency, level) in levels {
        sum.mrr_minor = sum.mrr_minor.saturating_add(rates.convert(level.mrr_minor, *currency, day)?);
        sum.customers += level.customers;
    }
    Ok(sum)
}

/// What revenue did in periods that follow each other, from the levels before the first and the sums of all.
///
/// `cuts` are the instants between which the periods lie: one more than there are periods. Levels are converted at the rates
/// of the last day of a period, movements and charges at those of their own day; the difference is [`RevenuePeriod::fx_minor`].
///
/// # Errors
/// [`MissingRate`]
pub fn periods(
    cuts: &[Timestamp],
    mut levels: Levels,
    movements: &[MovementSum],
    charges: &[ChargeSum],
    rates: &Rates,
) -> Result<Vec<RevenuePeriod>, MissingRate> {
    let mut periods = Vec::with_capacity(cuts.len().saturating_sub(1));
    for (number, cut) in cuts.windows(2).enumerate() {
        let [from, until] = cut else { continue };
        let mut period = RevenuePeriod { from: *from, until: *until, ..RevenuePeriod::default() };
        period.start = standing(&levels, rates, *from)?;
        let mut net_minor = 0_i64;
        for sum in movements.iter().filter(|sum| sum.period == number) {
            let delta = rates.convert(sum.delta_minor, sum.currency, sum.day)?;
            net_minor = net_minor.saturating_add(delta);
            let moved = match sum.kind {
                MovementKind::New => Some(&mut period.new),
                MovementKind::Expansion => Some(&mut period.expansion),
                MovementKind::Contraction => Some(&mut period.contraction),
                MovementKind::Churn => Some(&mut period.churn),
                MovementKind::Reactivation => Some(&mut period.reactivation),
                MovementKind::Transfer => None,
            };
            if let Some(moved) = moved {
                moved.amount_minor = moved.amount_minor.saturating_add(delta.saturating_abs());
                moved.movements += sum.movements;
            }
            if sum.kind == MovementKind::Churn {
                period.churned_customers -= sum.customers;
            }
            let level = levels.entry(sum.currency).or_default();
            level.mrr_minor = level.mrr_minor.saturating_add(sum.delta_minor);
            level.customers += sum.customers;
        }
        for sum in charges.iter().filter(|sum| sum.period == number) {
            let charged = match sum.kind {
                ChargeKind::Subscription => &mut period.subscriptions,
                ChargeKind::Order => &mut period.orders,
                ChargeKind::Refund => &mut period.refunds,
            };
            let amount = rates.convert(sum.amount_minor, sum.currency, sum.day)?;
            charged.amount_minor = charged.amount_minor.saturating_add(amount);
            charged.charges += sum.charges;
        }
        period.end = standing(&levels, rates, *until)?;
        period.fx_minor = period.end.mrr_minor - period.start.mrr_minor - net_minor;
        periods.push(period);
    }
    Ok(periods)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revenue::rates::{RATE_ONE, Rate};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn of(code: &str) -> Currency {
        Currency::find(code).unwrap()
    }

    fn sum(kind: MovementKind, delta_minor: i64, customers: i64, movements: i64) -> MovementSum {
        MovementSum { period: 0, kind, currency: of("EUR"), day: 0, delta_minor, customers, movements }
    }

    #[test]
    fn the_numbers_of_a_month_are_those_of_their_formulas() {
        use MovementKind::{Churn, Contraction, Expansion, New, Reactivation, Transfer};
        let start = Standing { mrr_minor: 100_000, customers: 50 };
        let movements = [
            sum(New, 20_000, 10, 10),
            sum(Expansion, 10_000, 0, 5),
            sum(Contraction, -4_000, 0, 2),
            sum(Churn, -8_000, -4, 4),
            sum(Reactivation, 2_000, 1, 1),
            sum(Transfer, 0, 0, 3),
        ];
        let charge = |kind, amount_minor| ChargeSum {
            period: 0,
            kind,
            currency: of("EUR"),
            day: 0,
            amount_minor,
            charges: 1,
        };
        let charges = [
            charge(ChargeKind::Subscription, 90_000),
            charge(ChargeKind::Order, 5_000),
            charge(ChargeKind::Refund, 1_000),
        ];
        let cuts = [at("2026-06-01T00:00:00Z"), at("2026-07-01T00:00:00Z")];
        let rates = Rates::new(of("EUR"), []);
        let levels = Levels::from([(of("EUR"), start)]);
        let [june] = periods(&cuts, levels, &movements, &charges, &rates).unwrap()[..] else { panic!() };
        assert_eq!((june.start, june.end), (start, Standing { mrr_minor: 120_000, customers: 57 }));
        assert_eq!((june.net_new_minor(), june.fx_minor, june.arr_minor()), (20_000, 0, 1_440_000));
        assert_eq!(june.arpu_minor(), Some(120_000.0 / 57.0));
        assert_eq!((june.net_retention(), june.gross_retention()), (Some(1.0), Some(0.88)));
        assert_eq!((june.customer_churn(), june.revenue_churn()), (Some(0.08), Some(0.12)));
        assert_eq!((june.quick_ratio(), june.total_minor()), (Some(32.0 / 12.0), 94_000));
        // 21.05 a month, 80 percent of it, for the 12.5 months that 8 percent a month leave; June has 30 days.
        let ltv = june.ltv_minor(0.8).unwrap();
        assert!((ltv - 120_000.0 / 57.0 * 0.8 / (0.08 * 30.4375 / 30.0)).abs() < 1e-6, "{ltv}");
    }

    #[test]
    fn nothing_has_no_ratios() {
        let nothing = RevenuePeriod { until: at("2026-07-01T00:00:00Z"), ..RevenuePeriod::default() };
        assert_eq!(
            (nothing.arpu_minor(), nothing.net_retention(), nothing.gross_retention()),
            (None, None, None)
        );
        assert_eq!(
            (nothing.customer_churn(), nothing.quick_ratio(), nothing.ltv_minor(1.0)),
            (None, None, None)
        );
    }

    #[test]
    fn what_rates_do_is_a_line_of_its_own() {
        let cuts = [at("2026-06-01T00:00:00Z"), at("2026-06-03T00:00:00Z")];
        let first = rate_day(cuts[0].as_micros());
        let rate = |day, billionths| Rate { day, from: of("USD"), to: of("EUR"), billionths };
        let rates = [rate(first - 1, RATE_ONE), rate(first, RATE_ONE / 2), rate(first + 1, RATE_ONE * 2)];
        let rates = Rates::new(of("EUR"), rates);
        let levels = Levels::from([(of("USD"), Standing { mrr_minor: 1_000, customers: 1 })]);
        let movement = MovementSum { currency: of("USD"), day: first, ..sum(MovementKind::New, 500, 1, 1) };
        let [period] = periods(&cuts, levels.clone(), &[movement], &[], &rates).unwrap()[..] else {
            panic!()
        };
        assert_eq!((period.start.mrr_minor, period.end.mrr_minor), (1_000, 3_000));
        assert_eq!((period.new.amount_minor, period.fx_minor), (250, 1_750));
        let away = MovementSum { day: first + 9, ..movement };
        let missing = periods(&cuts, levels, &[away], &[], &rates).unwrap_err();
        assert_eq!((missing.day, missing.from, missing.to), (first + 9, of("USD"), of("EUR")));
    }
}
