//! From events that products track to events of subscriptions, orders and refunds.

use belvedere_event_store::Event;
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::Timestamp;
use serde_json::{Map, Value};

use super::csv::read_percent;
use super::currency::Currency;
use super::metrics::ChargeKind;
use super::subscription::{
    Coupon, CouponDuration, Interval, IntervalUnit, Key, Off, SubscriptionEvent, SubscriptionKind, Terms,
};

/// What a tracked event means to revenue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracked {
    /// It tells of a subscription.
    Subscription(Box<SubscriptionEvent>),
    /// Something was paid once, or paid back.
    Charge(OneOff),
}

/// Something that was paid once, or paid back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneOff {
    /// What makes a repetition known.
    pub id: [u8; 16],
    /// Whose it is.
    pub customer: SubjectId,
    /// When it happened.
    pub at: Timestamp,
    /// An order or a refund.
    pub kind: ChargeKind,
    /// The currency.
    pub currency: Currency,
    /// How much in minor units, more than 0.
    pub amount_minor: i64,
}

/// Why an event that is about revenue cannot be read as such.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct ReadRevenueError {
    /// Which property.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl From<(&'static str, String)> for ReadRevenueError {
    fn from((field, why): (&'static str, String)) -> Self {
        Self { field, why }
    }
}

/// The names of the events that tell of revenue.
const NAMES: [&str; 9] = [
    "Trial Started",
    "Subscription Started",
    "Subscription Updated",
    "Subscription Renewed",
    "Subscription Cancelled",
    "Subscription Canceled",
    "Payment Failed",
    "Order Completed",
    "Order Refunded",
];

/// Whether [`read_event`] reads events of that name.
#[must_use]
pub fn tells_of_revenue(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Reads an event of the event store named `Trial Started`, `Subscription Started`, `Subscription Updated`, `Subscription
/// Renewed`, `Subscription Cancelled` (also with one l), `Payment Failed`, `Order Completed` or `Order Refunded`; none for
/// any other, and for those without a subject.
///
/// Properties: `subscription_id` (else the subject has one subscription), `plan`, `currency`, `price` or `amount` for one
/// unit or `revenue` for all of them (numbers in major units such as 29.90; `amount_minor` in minor units; else the event's
/// value), `interval` with `interval_count`, `quantity` or `seats`, `tax`, `coupon` (an object with `percent_off` or
/// `amount_off`, and `duration`), `trial`, `metered`, `ends_at`; of orders `total`, `revenue`, `value` or `amount`.
///
/// # Errors
/// Which property is wrong, and how.
pub fn read_event(project: ProjectId, event: &Event) -> Result<Option<Tracked>, ReadRevenueError> {
    use SubscriptionKind::{Cancelled, PaymentFailed, Renewed, Started, TrialStarted, Updated};
    let Some(customer) = event.subject else { return Ok(None) };
    let kind = match event.name.as_str() {
        "Trial Started" => TrialStarted,
        "Subscription Started" => Started,
        "Subscription Updated" => Updated,
        "Subscription Renewed" => Renewed,
        "Subscription Cancelled" | "Subscription Canceled" => Cancelled,
        "Payment Failed" => PaymentFailed,
        "Order Completed" => return one_off(event, customer, ChargeKind::Order),
        "Order Refunded" => return one_off(event, customer, ChargeKind::Refund),
        _ => return Ok(None),
    };
    let props = Props::of(event)?;
    let subscription = match props.text("subscription_id")? {
        Some(id) => Key::of(project, "subscription", &id),
        None => Key::of(project, "customer", &customer.to_string()),
    };
    let terms = props.terms(event)?;
    terms.check()?;
    let ends_at = props.text("ends_at")?.map(|text| text.parse::<Timestamp>());
    let ends_at = ends_at.transpose().map_err(|error| ("ends_at", error.to_string()))?;
    let (at, is_trial) = (event.at, props.truth("trial")?);
    let id = event.id;
    let read = SubscriptionEvent { id, customer, subscription, at, kind, terms, is_trial, ends_at };
    Ok(Some(Tracked::Subscription(Box::new(read))))
}

fn one_off(
    event: &Event,
    customer: SubjectId,
    kind: ChargeKind,
) -> Result<Option<Tracked>, ReadRevenueError> {
    let props = Props::of(event)?;
    let currency = props.currency()?.ok_or_else(|| ("currency", "is missing".to_owned()))?;
    let mut amount = None;
    for key in ["total", "revenue", "value", "amount"] {
        if amount.is_none() {
            amount = props.amount(key, Some(currency))?;
        }
    }
    if amount.is_none() {
        let of_event = event.value.map(|value| currency.round_amount(value.abs())).transpose();
        amount = of_event.map_err(|why| ("value", why))?;
    }
    let amount_minor = amount.ok_or_else(|| ("total", "is missing".to_owned()))?;
    if amount_minor == 0 {
        return Ok(None);
    }
    Ok(Some(Tracked::Charge(OneOff { id: event.id, customer, at: event.at, kind, currency, amount_minor })))
}

struct Props(Map<String, Value>);

type Wrong = (&'static str, String);

impl Props {
    fn of(event: &Event) -> Result<Self, Wrong> {
        if event.props.is_empty() {
            return Ok(Self(Map::new()));
        }
        serde_json::from_str(&event.props).map(Self).map_err(|error| ("props", error.to_string()))
    }

    fn find(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A text, or a number as one.
    fn text(&self, key: &'static str) -> Result<Option<String>, Wrong> {
        match self.find(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err((key, "must be a text".to_owned())),
        }
    }

    fn number(&self, key: &'static str) -> Result<Option<f64>, Wrong> {
        let number = |value: &Value| match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse::<f64>().ok().filter(|number| number.is_finite()),
            _ => None,
        };
        let read =
            self.find(key).map(|value| number(value).ok_or_else(|| (key, "must be a number".to_owned())));
        read.transpose()
    }

    fn whole(&self, key: &'static str) -> Result<Option<u32>, Wrong> {
        let whole = |number: f64| {
            let is_whole = (0.0..=f64::from(u32::MAX)).contains(&number) && number.fract() == 0.0;
            if is_whole { Ok(number as u32) } else { Err((key, "must be a whole number".to_owned())) }
        };
        self.number(key)?.map(whole).transpose()
    }

    fn truth(&self, key: &'static str) -> Result<Option<bool>, Wrong> {
        match self.find(key) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(_) => Err((key, "must be true or false".to_owned())),
        }
    }

    fn currency(&self) -> Result<Option<Currency>, Wrong> {
        let wrong = || ("currency", "must be an ISO 4217 code such as EUR".to_owned());
        self.text("currency")?.map(|code| Currency::find(&code).ok_or_else(wrong)).transpose()
    }

    fn amount(&self, key: &'static str, currency: Option<Currency>) -> Result<Option<i64>, Wrong> {
        let Some(amount) = self.number(key)? else { return Ok(None) };
        let currency = currency.ok_or_else(|| ("currency", format!("must be given with {key}")))?;
        currency.round_amount(amount).map(Some).map_err(|why| (key, why))
    }

    fn terms(&self, event: &Event) -> Result<Terms, Wrong> {
        let currency = self.currency()?;
        let mut quantity = self.whole("quantity")?.or(self.whole("seats")?);
        let minor = self.number("amount_minor")?.map(|minor| minor.round() as i64);
        let mut amount_minor = minor.or(self.amount("price", currency)?).or(self.amount("amount", currency)?);
        if amount_minor.is_none()
            && let Some(revenue) = self.amount("revenue", currency)?
        {
            // What all units come to.
            (amount_minor, quantity) = (Some(revenue), Some(1));
        }
        if let (None, Some(value), Some(currency)) = (amount_minor, event.value, currency) {
            amount_minor = Some(currency.round_amount(value).map_err(|why| ("value", why))?);
        }
        let unit = self.text("interval")?.map(|word| {
            IntervalUnit::find(&word)
                .ok_or_else(|| ("interval", "must be year, quarter, month or week".to_owned()))
        });
        let (unit, count) = (unit.transpose()?, self.whole("interval_count")?);
        let interval = (unit.is_some() || count.is_some())
            .then(|| Interval { unit: unit.unwrap_or_default(), count: count.unwrap_or(1) });
        let plan = self.text("plan")?.or_else(|| event.plan.clone());
        let tax_minor = self.amount("tax", currency)?;
        let coupon = self.coupon(currency)?;
        let is_metered = self.truth("metered")?;
        Ok(Terms { plan, amount_minor, currency, interval, quantity, tax_minor, coupon, is_metered })
    }

    fn coupon(&self, currency: Option<Currency>) -> Result<Option<Coupon>, Wrong> {
        // A code alone says nothing of what it takes off.
        let Some(Value::Object(coupon)) = self.find("coupon") else { return Ok(None) };
        let coupon = Self(coupon.clone());
        let wrong = |why: &str| ("coupon", why.to_owned());
        let percent = coupon.number("percent_off").map_err(|_| wrong("percent_off must be a number"))?;
        let off = match percent {
            Some(percent) => {
                let percent = read_percent(&percent.to_string());
                Some(Off::Percent(percent.ok_or_else(|| wrong("percent_off must be from 0 to 100"))?))
            }
            None => coupon.amount("amount_off", currency)?.map(Off::Amount),
        };
        let duration = coupon.text("duration").map_err(|_| wrong("duration must be a text"))?;
        let duration = duration.map(|word| {
            CouponDuration::find(&word).ok_or_else(|| wrong("duration must be once, repeating or forever"))
        });
        let duration = duration.transpose()?.unwrap_or(CouponDuration::Once);
        Ok(off.map(|off| Coupon { off, duration }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PROJECT: ProjectId = ProjectId(1);

    fn event(name: &str, props: &Value) -> Event {
        let at = "2026-11-29T00:00:00Z".parse().unwrap();
        let props = props.to_string();
        Event { subject: Some(SubjectId(7)), props, ..Event::new([3; 16], at, name) }
    }

    fn subscription(name: &str, props: &Value) -> SubscriptionEvent {
        match read_event(PROJECT, &event(name, props)).unwrap() {
            Some(Tracked::Subscription(read)) => *read,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_subscription_is_read_with_its_terms() {
        let props = json!({
            "subscription_id": "sub_1", "plan": "pro", "price": 29.9, "currency": "eur", "interval": "year",
            "quantity": 3, "coupon": {"percent_off": 12.5, "duration": "forever"}, "trial": false,
        });
        let read = subscription("Subscription Started", &props);
        assert_eq!(
            (read.customer, read.kind, read.is_trial),
            (SubjectId(7), SubscriptionKind::Started, Some(false))
        );
        assert_eq!(read.subscription, Key::of(PROJECT, "subscription", "sub_1"));
        let expected = Terms {
            plan: Some("pro".to_owned()),
            amount_minor: Some(2_990),
            currency: Currency::find("EUR"),
            interval: Some(Interval { unit: IntervalUnit::Year, count: 1 }),
            quantity: Some(3),
            coupon: Some(Coupon { off: Off::Percent(1_250), duration: CouponDuration::Forever }),
            ..Terms::default()
        };
        assert_eq!(read.terms, expected);
        let revenue =
            subscription("Subscription Renewed", &json!({"revenue": "90", "quantity": 3, "currency": "EUR"}));
        assert_eq!((revenue.terms.amount_minor, revenue.terms.quantity), (Some(9_000), Some(1)));
        let cancelled = subscription("Subscription Canceled", &json!({"ends_at": "2026-12-24T00:00:00Z"}));
        assert_eq!(cancelled.subscription, Key::of(PROJECT, "customer", "7"));
        assert_eq!(cancelled.ends_at.unwrap().to_string(), "2026-12-24T00:00:00Z");
    }

    #[test]
    fn orders_and_refunds_are_read_with_their_amounts() {
        for (name, kind) in [("Order Completed", ChargeKind::Order), ("Order Refunded", ChargeKind::Refund)] {
            let read =
                read_event(PROJECT, &event(name, &json!({"total": 12.34, "currency": "USD"}))).unwrap();
            let Some(Tracked::Charge(charge)) = read else { panic!("{read:?}") };
            assert_eq!((charge.kind, charge.amount_minor), (kind, 1_234));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong =
            |name: &str, props: Value| read_event(PROJECT, &event(name, &props)).unwrap_err().to_string();
        assert_eq!(wrong("Order Completed", json!({"total": 1})), "currency: is missing");
        assert_eq!(wrong("Order Completed", json!({"currency": "EUR"})), "total: is missing");
        assert_eq!(wrong("Subscription Started", json!({"price": 1})), "currency: must be given with price");
        assert_eq!(
            wrong("Subscription Started", json!({"interval": "fortnight"})),
            "interval: must be year, quarter, month or week"
        );
        assert_eq!(
            wrong("Subscription Started", json!({"quantity": 1.5})),
            "quantity: must be a whole number"
        );
    }

    #[test]
    fn other_events_mean_nothing_to_revenue() {
        assert_eq!(read_event(PROJECT, &event("Signed Up", &json!({}))).unwrap(), None);
        let nobody = Event { subject: None, ..event("Subscription Started", &json!({})) };
        assert_eq!(read_event(PROJECT, &nobody).unwrap(), None);
    }
}
