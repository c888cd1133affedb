//! Revenue from a CSV file (RFC 4180) with a header. A line that is wrong is named with its number and field, and the
//! others are read.
//!
//! Columns, in any order: `id`, `customer`, `kind` and `at` in every line (`kind` is `trial_started`, `started`, `updated`,
//! `renewed`, `payment_failed`, `cancelled`, `order` or `refund`), `subscription` in all but orders and refunds; `plan`,
//! `amount` (such as `29.90`, of one unit), `currency`, `interval` (`year`, `quarter`, `month`, `week`), `interval_count`,
//! `quantity`, `tax`, `coupon_percent_off`, `coupon_amount_off`, `coupon_duration` (`once`, `repeating`, `forever`), `trial`,
//! `metered` (`true`, `false`), `ends_at`. An empty cell says nothing.

use std::collections::HashMap;

use super::currency::Currency;
use super::entry::{ENTRIES_MAX, Entry, What};
use super::subscription::{Coupon, CouponDuration, Interval, IntervalUnit, Off, SubscriptionKind, Terms};

const COLUMNS: [&str; 18] = [
    "id",
    "customer",
    "subscription",
    "kind",
    "at",
    "plan",
    "amount",
    "currency",
    "interval",
    "interval_count",
    "quantity",
    "tax",
    "coupon_percent_off",
    "coupon_amount_off",
    "coupon_duration",
    "trial",
    "metered",
    "ends_at",
];

/// A line that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its number in the file, from 1.
    pub line: usize,
    /// Which column.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

/// What a file has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct File {
    /// What can be taken, each with the number of its line.
    pub entries: Vec<(usize, Entry)>,
    /// What cannot.
    pub refused: Vec<Refused>,
}

/// Reads a file.
///
/// # Errors
/// What is wrong with the file as a whole: no header, an unknown column, a column that is missing, or more than
/// [`ENTRIES_MAX`] lines.
pub fn read(text: &str) -> Result<File, String> {
    let mut records = Records { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let (_, header) = records.next().ok_or("the file is empty; its first line must name the columns")?;
    let header = header.map_err(|why| format!("the first line {why}"))?;
    let mut places = HashMap::new();
    for (place, name) in header.iter().enumerate() {
        let column = COLUMNS.into_iter().find(|column| *column == name.trim().to_ascii_lowercase());
        let column = column.ok_or_else(|| {
            let name: String = name.chars().take(50).collect();
            format!("there is no column {name:?}; there are {}", COLUMNS.join(", "))
        })?;
        if places.insert(column, place).is_some() {
            return Err(format!("the column {column} is there twice"));
        }
    }
    if let Some(missing) = ["id", "customer", "kind", "at"].into_iter().find(|it| !places.contains_key(it)) {
        return Err(format!("the column {missing} is missing"));
    }
    let mut file = File::default();
    for (line, cells) in records {
        let read = cells.map_err(|why| ("line", why)).and_then(|cells| {
            if cells.len() != header.len() {
                return Err(("line", format!("has {} cells, the header {}", cells.len(), header.len())));
            }
            entry(&Cells { places: &places, cells: &cells })
        });
        match read {
            Ok(entry) => file.entries.push((line, entry)),
            Err((field, why)) => file.refused.push(Refused { line, field, why }),
        }
        if file.entries.len() + file.refused.len() > ENTRIES_MAX {
            return Err(format!("the file has more than {ENTRIES_MAX} lines; send it in pieces"));
        }
    }
    Ok(file)
}

struct Cells<'a> {
    places: &'a HashMap<&'static str, usize>,
    cells: &'a [String],
}

type Wrong = (&'static str, String);

impl Cells<'_> {
    fn find(&self, column: &'static str) -> Option<&str> {
        let cell = self.places.get(column).and_then(|place| self.cells.get(*place))?.trim();
        (!cell.is_empty()).then_some(cell)
    }

    fn read<T>(
        &self,
        column: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
        must: &str,
    ) -> Result<Option<T>, Wrong> {
        match self.find(column) {
            None => Ok(None),
            Some(cell) => read(cell).map(Some).ok_or_else(|| (column, format!("must be {must}"))),
        }
    }

    fn amount(&self, column: &'static str, currency: Option<Currency>) -> Result<Option<i64>, Wrong> {
        match (self.find(column), currency) {
            (None, _) => Ok(None),
            (Some(_), None) => Err(("currency", format!("must be given with {column}"))),
            (Some(cell), Some(currency)) => currency.read_amount(cell).map(Some).map_err(|why| (column, why)),
        }
    }

    fn truth(&self, column: &'static str) -> Result<Option<bool>, Wrong> {
        self.read(column, |cell| cell.to_ascii_lowercase().parse().ok(), "true or false")
    }

    fn whole(&self, column: &'static str) -> Result<Option<u32>, Wrong> {
        self.read(column, |cell| cell.parse().ok(), "a whole number")
    }
}

fn entry(cells: &Cells<'_>) -> Result<Entry, Wrong> {
    let text = |column| cells.find(column).map(str::to_owned);
    let needed = |column: &'static str| text(column).ok_or_else(|| (column, "is empty".to_owned()));
    let instant = "an instant such as 2026-11-29T10:00:00Z";
    let at = cells.read("at", |cell| cell.parse().ok(), instant)?;
    let currency = cells.read("currency", Currency::find, "an ISO 4217 code such as EUR")?;
    let kind = needed("kind")?;
    let what = match kind.as_str() {
        "order" | "refund" => {
            let currency = currency.ok_or_else(|| ("currency", "is empty".to_owned()))?;
            let amount_minor =
                cells.amount("amount", Some(currency))?.ok_or_else(|| ("amount", "is empty".to_owned()))?;
            if kind == "order" {
                What::Order { amount_minor, currency }
            } else {
                What::Refund { amount_minor, currency }
            }
        }
        word => What::Subscription {
            subscription: needed("subscription")?,
            kind: SubscriptionKind::find(word).ok_or_else(|| {
                let words = SubscriptionKind::ALL.map(SubscriptionKind::as_str).join(", ");
                ("kind", format!("must be one of {words}, order, refund"))
            })?,
            terms: terms(cells, currency)?,
            is_trial: cells.truth("trial")?,
            ends_at: cells.read("ends_at", |cell| cell.parse().ok(), instant)?,
        },
    };
    let at = at.ok_or_else(|| ("at", "is empty".to_owned()))?;
    let entry = Entry { id: needed("id")?, customer: needed("customer")?, at, what };
    entry.check().map(|()| entry)
}

fn terms(cells: &Cells<'_>, currency: Option<Currency>) -> Result<Terms, Wrong> {
    let unit = cells.read("interval", IntervalUnit::find, "year, quarter, month or week")?;
    let count = cells.whole("interval_count")?;
    let interval = match (unit, count) {
        (None, None) => None,
        _ => Some(Interval { unit: unit.unwrap_or_default(), count: count.unwrap_or(1) }),
    };
    let percent = cells.read("coupon_percent_off", read_percent, "a percentage such as 12.5")?;
    let off = percent.map(Off::Percent).or(cells.amount("coupon_amount_off", currency)?.map(Off::Amount));
    let duration = cells.read("coupon_duration", CouponDuration::find, "once, repeating or forever")?;
    Ok(Terms {
        plan: cells.find("plan").map(str::to_owned),
        amount_minor: cells.amount("amount", currency)?,
        currency,
        interval,
        quantity: cells.whole("quantity")?,
        tax_minor: cells.amount("tax", currency)?,
        coupon: off.map(|off| Coupon { off, duration: duration.unwrap_or(CouponDuration::Once) }),
        is_metered: cells.truth("metered")?,
    })
}

/// Hundredths of a percent.
pub(super) fn read_percent(text: &str) -> Option<u32> {
    let percent = text.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent))?;
    Some((percent * 100.0).round() as u32)
}

/// The records of a file, each with the number of its first line; empty lines are none.
struct Records<'a> {
    rest: &'a str,
    line: usize,
}

impl Iterator for Records<'_> {
    type Item = (usize, Result<Vec<String>, String>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let line = self.line;
            let record = self.record();
            if record.as_ref().is_ok_and(|cells| cells.len() == 1 && cells[0].trim().is_empty()) {
                continue;
            }
            return Some((line, record));
        }
    }
}

impl Records<'_> {
    fn record(&mut self) -> Result<Vec<String>, String> {
        let mut cells = Vec::new();
        loop {
            let (cell, is_last) = if self.rest.starts_with('"') { self.quoted()? } else { self.plain() };
            cells.push(cell);
            if is_last {
                return Ok(cells);
            }
        }
    }

    /// A cell up to a comma or the end of the line, and whether it is the last one.
    fn plain(&mut self) -> (String, bool) {
        let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
        let cell = self.rest.get(..end).unwrap_or_default();
        let cell = cell.strip_suffix('\r').unwrap_or(cell).to_owned();
        (cell, self.pass(end))
    }

    /// Goes on behind what ends a cell; whether the line is over.
    fn pass(&mut self, end: usize) -> bool {
        let is_last = self.rest.as_bytes().get(end) != Some(&b',');
        self.line += usize::from(self.rest.as_bytes().get(end) == Some(&b'\n'));
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        is_last
    }

    fn quoted(&mut self) -> Result<(String, bool), String> {
        let mut cell = String::new();
        let mut from = 1;
        loop {
            let Some(length) = self.rest.get(from..).and_then(|rest| rest.find('"')) else {
                self.rest = "";
                return Err("has a quote that is not closed".to_owned());
            };
            let quote = from + length;
            let part = self.rest.get(from..quote).unwrap_or_default();
            cell.push_str(part);
            self.line += part.matches('\n').count();
            match self.rest.as_bytes().get(quote + 1) {
                Some(b'"') => {
                    cell.push('"');
                    from = quote + 2;
                }
                None | Some(b',' | b'\n') => return Ok((cell, self.pass(quote + 1))),
                Some(b'\r') if matches!(self.rest.as_bytes().get(quote + 2), None | Some(b'\n')) => {
                    return Ok((cell, self.pass(quote + 2)));
                }
                Some(_) => {
                    let end = self.rest.get(quote..).and_then(|rest| rest.find('\n'));
                    self.pass(end.map_or(self.rest.len(), |end| quote + end));
                    return Err("has text behind a closing quote".to_owned());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_wrong_ones_named() {
        let text = "\u{feff}id,customer,subscription,kind,at,plan,amount,currency,interval,quantity\r\n\
            e1,c1,s1,started,2026-01-01T00:00:00Z,\"Pro, \"\"big\"\"\",29.90,eur,month,2\r\n\
            e2,c1,s1,cancelled,2026-02-01T00:00:00Z,,,,,\r\n\
            \r\n\
            e3,c2,s2,started,yesterday,Pro,1,EUR,month,1\r\n\
            e4,c2,s2,started,2026-01-01T00:00:00Z,Pro,1.999,EUR,month,1\r\n\
            e5,c2,s2,began,2026-01-01T00:00:00Z,Pro,1,EUR,month,1\r\n\
            e6,c2,s2\r\n\
            e7,c2,,order,2026-01-01T00:00:00Z,,12,EUR,,\r\n\
            e8,,s2,updated,2026-01-01T00:00:00Z,,,,,\r\n\
            e9,c2,s2,started,2026-01-01T00:00:00Z,Pro,1,,month,1\r\n\
            \"e10\"x,c2,s2,started,2026-01-01T00:00:00Z,Pro,1,,month,1\r\n\
            e11,c3,,refund,2026-01-01T00:00:00Z,,12,JPY,,";
        let file = read(text).unwrap();
        let taken: Vec<_> = file.entries.iter().map(|(line, entry)| (*line, entry.id.as_str())).collect();
        assert_eq!(taken, [(2, "e1"), (3, "e2"), (9, "e7"), (13, "e11")]);
        let What::Subscription { terms, .. } = &file.entries[0].1.what else { panic!() };
        assert_eq!(terms.plan.as_deref(), Some("Pro, \"big\""));
        assert_eq!((terms.amount_minor, terms.quantity), (Some(2_990), Some(2)));
        assert_eq!(
            file.entries[3].1.what,
            What::Refund { amount_minor: 12, currency: Currency::find("JPY").unwrap() }
        );
        let refused: Vec<_> = file.refused.iter().map(|it| (it.line, it.field)).collect();
        let expected = [
            (5, "at"),
            (6, "amount"),
            (7, "kind"),
            (8, "line"),
            (10, "customer"),
            (11, "currency"),
            (12, "line"),
        ];
        assert_eq!(refused, expected);
    }

    #[test]
    fn a_file_that_is_wrong_as_a_whole_is_refused() {
        for (text, word) in [
            ("", "empty"),
            ("id,customer,kind\n", "at is missing"),
            ("id,customer,kind,at,at\n", "twice"),
            ("id,customer,kind,at,colour\n", "colour"),
        ] {
            assert!(read(text).unwrap_err().contains(word), "{text}");
        }
        let many = format!("id,customer,kind,at\n{}", "x,y,order,z\n".repeat(ENTRIES_MAX + 1));
        assert!(read(&many).unwrap_err().contains("more than 10000 lines"));
    }

    #[test]
    fn quotes_may_span_lines_and_be_left_open() {
        let text = "id,customer,kind,at,plan\na,b,started,x,\"one\ntwo\"\nc,d,\"started";
        let file = read(text).unwrap();
        let refused: Vec<_> = file.refused.iter().map(|it| (it.line, it.field)).collect();
        assert_eq!(refused, [(2, "at"), (4, "line")]);
    }
}
