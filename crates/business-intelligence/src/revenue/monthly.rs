//! What a subscription comes to in a month, and what is billed for one interval.

use serde::{Deserialize, Serialize};

use super::subscription::{Coupon, CouponDuration, Interval, IntervalUnit, Off, Terms};

/// Which coupons lower the monthly recurring revenue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CouponPolicy {
    /// Those that last for ever; what ends after some payments does not recur.
    #[default]
    Forever,
    /// All.
    All,
    /// None.
    Never,
}

/// Rounds to the nearest integer, halves away from zero.
pub(crate) fn divide(numerator: i128, denominator: i128) -> i128 {
    let half = denominator / 2;
    if numerator < 0 { (numerator - half) / denominator } else { (numerator + half) / denominator }
}

/// What one interval costs without tax, less the coupon if it counts, times `numerator / denominator`; rounded once.
fn scaled(terms: &Terms, coupon: Option<Coupon>, (numerator, denominator): (i128, i128)) -> i64 {
    let amount = i128::from(terms.amount_minor.unwrap_or(0)) * i128::from(terms.quantity.unwrap_or(1));
    let net = (amount - i128::from(terms.tax_minor.unwrap_or(0))).max(0);
    let scaled = match coupon.map(|coupon| coupon.off) {
        None => divide(net * numerator, denominator),
        Some(Off::Amount(off)) => divide((net - i128::from(off)).max(0) * numerator, denominator),
        Some(Off::Percent(basis_points)) => {
            let rest = i128::from(10_000_u32.saturating_sub(basis_points));
            divide(net * rest * numerator, 10_000 * denominator)
        }
    };
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

/// The months of an interval as a fraction: an amount for the interval times `.0 / .1` is one for a month.
fn to_month(interval: Interval) -> (i128, i128) {
    let count = i128::from(interval.count.max(1));
    match interval.unit {
        IntervalUnit::Year => (1, 12 * count),
        IntervalUnit::Quarter => (1, 3 * count),
        IntervalUnit::Month => (1, count),
        IntervalUnit::Week => (52, 12 * count),
    }
}

/// Monthly recurring revenue of a subscription in minor units: a year is 12 months, a quarter 3, a week 12/52.
///
/// `(amount x quantity - tax - coupon) x months`, computed exactly and rounded once to the nearest minor unit, halves away
/// from zero. Metered charges come to 0, and so does what has no amount.
#[must_use]
pub fn monthly_minor(terms: &Terms, policy: CouponPolicy) -> i64 {
    if terms.is_metered == Some(true) {
        return 0;
    }
    let counts = |coupon: &Coupon| match policy {
        CouponPolicy::Forever => coupon.duration == CouponDuration::Forever,
        CouponPolicy::All => true,
        CouponPolicy::Never => false,
    };
    scaled(terms, terms.coupon.filter(counts), to_month(terms.interval.unwrap_or_default()))
}

/// What is billed for one interval in minor units, without tax; a coupon that counts once lowers the first payment only.
#[must_use]
pub fn billed_minor(terms: &Terms, is_first: bool) -> i64 {
    let counts = |coupon: &Coupon| is_first || coupon.duration != CouponDuration::Once;
    scaled(terms, terms.coupon.filter(counts), (1, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revenue::currency::Currency;

    fn terms(amount: i64, unit: IntervalUnit, count: u32) -> Terms {
        Terms {
            amount_minor: Some(amount),
            currency: Currency::find("EUR"),
            interval: Some(Interval { unit, count }),
            ..Terms::default()
        }
    }

    fn with_coupon(off: Off, duration: CouponDuration) -> Terms {
        Terms { coupon: Some(Coupon { off, duration }), ..terms(10_000, IntervalUnit::Month, 1) }
    }

    fn monthly(terms: &Terms) -> i64 {
        monthly_minor(terms, CouponPolicy::Forever)
    }

    #[test]
    fn intervals_are_months() {
        assert_eq!(monthly(&terms(12_000, IntervalUnit::Year, 1)), 1_000);
        assert_eq!(monthly(&terms(24_000, IntervalUnit::Year, 2)), 1_000);
        assert_eq!(monthly(&terms(3_000, IntervalUnit::Quarter, 1)), 1_000);
        assert_eq!(monthly(&terms(6_000, IntervalUnit::Month, 6)), 1_000);
        assert_eq!(monthly(&terms(300, IntervalUnit::Week, 1)), 1_300);
        assert_eq!(monthly(&terms(600, IntervalUnit::Week, 2)), 1_300);
        assert_eq!(monthly(&Terms::default()), 0);
    }

    #[test]
    fn halves_are_rounded_away_from_zero_and_once() {
        // 99.90 a year are 832.5 a month.
        assert_eq!(monthly(&terms(9_990, IntervalUnit::Year, 1)), 833);
        assert_eq!(monthly(&terms(10_000, IntervalUnit::Year, 1)), 833);
        assert_eq!((divide(5, 2), divide(-5, 2), divide(4, 3), divide(-4, 3)), (3, -3, 1, -1));
        // Three seats of a third of a cent less than a cent: rounding each would lose.
        let seats = Terms { quantity: Some(3), ..terms(4, IntervalUnit::Quarter, 1) };
        assert_eq!(monthly(&seats), 4);
    }

    #[test]
    fn tax_and_metered_charges_are_left_out() {
        let taxed = Terms { tax_minor: Some(1_900), ..terms(11_900, IntervalUnit::Month, 1) };
        assert_eq!(monthly(&taxed), 10_000);
        assert_eq!(monthly(&Terms { is_metered: Some(true), ..taxed }), 0);
    }

    #[test]
    fn a_coupon_for_ever_lowers_what_recurs() {
        use CouponDuration::{Forever, Once, Repeating};
        let percent = Off::Percent(2_550);
        assert_eq!(monthly(&with_coupon(percent, Forever)), 7_450);
        assert_eq!(monthly(&with_coupon(Off::Amount(1), Forever)), 9_999);
        assert_eq!(monthly(&with_coupon(Off::Amount(20_000), Forever)), 0);
        assert_eq!(monthly(&with_coupon(percent, Once)), 10_000);
        assert_eq!(monthly(&with_coupon(percent, Repeating)), 10_000);
        assert_eq!(monthly_minor(&with_coupon(percent, Once), CouponPolicy::All), 7_450);
        assert_eq!(monthly_minor(&with_coupon(percent, Forever), CouponPolicy::Never), 10_000);
        let once = with_coupon(percent, Once);
        assert_eq!((billed_minor(&once, true), billed_minor(&once, false)), (7_450, 10_000));
        let repeating = with_coupon(percent, Repeating);
        assert_eq!((billed_minor(&repeating, true), billed_minor(&repeating, false)), (7_450, 7_450));
    }
}
