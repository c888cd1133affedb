//! Questions out of addresses, and back into addresses.

use belvedere_business_intelligence::insight::{
    Beginning, CohortId, Counted, DAYS, Every, FunnelQuestion, PathQuestion, Question, RetentionQuestion,
    Return, SERIES_MAX, STEPS_MAX, SeriesQuestion, TrendQuestion, WINDOWS_DAYS, Way,
};

use crate::form::{Pairs, address};
use crate::refusal::Refusal;

/// A page of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pages) enum Kind {
    Trends,
    Funnels,
    Retention,
    Paths,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Trends, Self::Funnels, Self::Retention, Self::Paths];

    pub(in crate::pages) fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    pub(in crate::pages) fn of(question: &Question) -> Self {
        match question {
            Question::Trend(_) => Self::Trends,
            Question::Funnel(_) => Self::Funnels,
            Question::Retention(_) => Self::Retention,
            Question::Path(_) => Self::Paths,
        }
    }

    /// The last part of its address.
    pub(in crate::pages) fn word(self) -> &'static str {
        match self {
            Self::Trends => "trends",
            Self::Funnels => "funnels",
            Self::Retention => "retention",
            Self::Paths => "paths",
        }
    }

    pub(in crate::pages) fn title(self) -> &'static str {
        match self {
            Self::Trends => "Trends",
            Self::Funnels => "Funnels",
            Self::Retention => "Retention",
            Self::Paths => "Paths",
        }
    }
}

/// One of the numbers that a form offers; the usual one for any other.
fn number(pairs: &Pairs, name: &str, all: &[u16], usual: u16) -> u16 {
    let wanted = pairs.text(name).parse().ok();
    wanted.filter(|number| all.contains(number)).unwrap_or(usual)
}

fn days(pairs: &Pairs) -> u16 {
    number(pairs, "days", &DAYS, DAYS[0])
}

fn cohort(pairs: &Pairs) -> Result<Option<CohortId>, Refusal> {
    let id = pairs.some("people").map(|id| id.parse()).transpose();
    id.map_err(|_| Refusal::Invalid("People: there is no such cohort".to_owned()))
}

/// What an address asks.
pub(in crate::pages) fn read(kind: Kind, pairs: &Pairs) -> Result<Question, Refusal> {
    Ok(match kind {
        Kind::Trends => Question::Trend(trend(pairs)?),
        Kind::Funnels => Question::Funnel(funnel(pairs)?),
        Kind::Retention => Question::Retention(retention(pairs)?),
        Kind::Paths => Question::Path(path(pairs)?),
    })
}

/// What a series counts, of the fields whose names end with its number; a form sends the property also where it is of no
/// use.
fn series(pairs: &Pairs, number: &str) -> SeriesQuestion {
    let text = |name: &str| pairs.text(&format!("{name}{number}"));
    let measure = Counted::find(text("measure")).unwrap_or(Counted::Events);
    let of = Some(text("of")).filter(|of| measure.reads_values() && !of.is_empty());
    SeriesQuestion { event: text("event").to_owned(), measure, of: of.map(str::to_owned) }
}

/// How many series a formula speaks of.
fn series_of(formula: &str) -> usize {
    let letters = formula.chars().filter(char::is_ascii_alphabetic);
    let places = letters.map(|letter| letter.to_ascii_uppercase() as usize - 'A' as usize + 1);
    places.max().unwrap_or(1).min(SERIES_MAX)
}

pub(super) fn trend(pairs: &Pairs) -> Result<TrendQuestion, Refusal> {
    let formula = pairs.some("formula");
    let count = formula.as_deref().map_or(1, series_of);
    let SeriesQuestion { event, measure, of } = series(pairs, "");
    Ok(TrendQuestion {
        event,
        measure,
        of,
        more: (2..=count).map(|number| series(pairs, &number.to_string())).collect(),
        formula,
        unit: Every::find(pairs.text("unit")).unwrap_or(Every::Day),
        days: days(pairs),
        by: pairs.some("by"),
        cohort: cohort(pairs)?,
    })
}

pub(super) fn funnel(pairs: &Pairs) -> Result<FunnelQuestion, Refusal> {
    Ok(FunnelQuestion {
        steps: pairs.all("step").into_iter().take(STEPS_MAX).map(str::to_owned).collect(),
        window_days: number(pairs, "window", &WINDOWS_DAYS, WINDOWS_DAYS[1]),
        days: days(pairs),
        by: pairs.some("by"),
        cohort: cohort(pairs)?,
    })
}

pub(super) fn retention(pairs: &Pairs) -> Result<RetentionQuestion, Refusal> {
    Ok(RetentionQuestion {
        start: pairs.text("start").to_owned(),
        beginning: Beginning::find(pairs.text("cohort")).unwrap_or(Beginning::First),
        returned: pairs.text("return").to_owned(),
        mode: Return::find(pairs.text("mode")).unwrap_or(Return::Classic),
        unit: Every::find(pairs.text("unit")).unwrap_or(Every::Week),
        cohort: cohort(pairs)?,
    })
}

pub(super) fn path(pairs: &Pairs) -> Result<PathQuestion, Refusal> {
    Ok(PathQuestion {
        event: pairs.text("event").to_owned(),
        direction: Way::find(pairs.text("direction")).unwrap_or(Way::Next),
        days: days(pairs),
        cohort: cohort(pairs)?,
    })
}

/// The names of the fields of the series behind the first one.
const MORE: [(&str, &str, &str); SERIES_MAX - 1] = [
    ("event2", "measure2", "of2"),
    ("event3", "measure3", "of3"),
    ("event4", "measure4", "of4"),
    ("event5", "measure5", "of5"),
];

/// The query string that asks a question, without a question mark; `more` follows it.
pub(in crate::pages) fn query(question: &Question, more: &[(&str, &str)]) -> String {
    let text = |number: u16| number.to_string();
    let people = question.cohort().map(|id| id.to_string()).unwrap_or_default();
    let mut pairs: Vec<(&str, String)> = match question {
        Question::Trend(question) => {
            let names = [("event", "measure", "of")].into_iter().chain(MORE);
            let series = names.zip(question.series()).flat_map(|((event, measure, of), series)| {
                let word = series.measure.as_str().to_owned();
                [(event, series.event), (measure, word), (of, series.of.unwrap_or_default())]
            });
            let rest = [
                ("formula", question.formula.clone().unwrap_or_default()),
                ("unit", question.unit.as_str().to_owned()),
                ("days", text(question.days)),
                ("by", question.by.clone().unwrap_or_default()),
            ];
            series.chain(rest).collect()
        }
        Question::Funnel(question) => {
            let steps = question.steps.iter().map(|step| ("step", step.clone()));
            let rest = [
                ("window", text(question.window_days)),
                ("days", text(question.days)),
                ("by", question.by.clone().unwrap_or_default()),
            ];
            steps.chain(rest).collect()
        }
        Question::Retention(question) => vec![
            ("start", question.start.clone()),
            ("cohort", question.beginning.as_str().to_owned()),
            ("return", question.returned.clone()),
            ("mode", question.mode.as_str().to_owned()),
            ("unit", question.unit.as_str().to_owned()),
        ],
        Question::Path(question) => vec![
            ("event", question.event.clone()),
            ("direction", question.direction.as_str().to_owned()),
            ("days", text(question.days)),
        ],
    };
    pairs.push(("people", people));
    pairs.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    address("", &pairs).trim_start_matches('?').to_owned()
}

/// The address of the page that asks a question.
pub(in crate::pages) fn href(base: &str, question: &Question, more: &[(&str, &str)]) -> String {
    format!("{base}/insights/{}?{}", Kind::of(question).word(), query(question, more))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_survives_its_address() {
        let cohort = Some(CohortId::from_bytes([7; 16]));
        let by = Some("utm_source & more".to_owned());
        let questions = [
            Question::Trend(TrendQuestion {
                event: "Signed Up".to_owned(),
                measure: Counted::People,
                unit: Every::Month,
                days: 90,
                by: by.clone(),
                cohort,
                ..TrendQuestion::default()
            }),
            Question::Trend(TrendQuestion {
                measure: Counted::P95,
                of: Some("amount".to_owned()),
                more: vec![
                    SeriesQuestion::default(),
                    SeriesQuestion {
                        event: "Order & more".to_owned(),
                        measure: Counted::Sum,
                        of: Some("tax".to_owned()),
                    },
                ],
                formula: Some("(a + C) / B * 100".to_owned()),
                ..TrendQuestion::default()
            }),
            Question::Funnel(FunnelQuestion {
                steps: vec!["a=b".to_owned(), "a=b".to_owned(), "größer".to_owned()],
                window_days: 30,
                days: 180,
                by,
                cohort: None,
            }),
            Question::Retention(RetentionQuestion {
                start: "a".to_owned(),
                beginning: Beginning::Any,
                returned: "b".to_owned(),
                mode: Return::Unbounded,
                unit: Every::Day,
                cohort,
            }),
            Question::Path(PathQuestion {
                event: "error".to_owned(),
                direction: Way::Previous,
                days: 7,
                cohort: None,
            }),
        ];
        for question in questions {
            let pairs = Pairs::of_query(&query(&question, &[("insight", "x")])).unwrap();
            assert_eq!(pairs.text("insight"), "x");
            assert_eq!(read(Kind::of(&question), &pairs).unwrap(), question);
        }
        let odd = Pairs::of_query("days=31&unit=hour&people=").unwrap();
        assert_eq!(read(Kind::Trends, &odd).unwrap(), Question::Trend(TrendQuestion::default()));
        let without_values = Pairs::of_query("measure=people&of=amount&measure2=sum&of2=x").unwrap();
        let expected = TrendQuestion { measure: Counted::People, ..TrendQuestion::default() };
        assert_eq!(read(Kind::Trends, &without_values).unwrap(), Question::Trend(expected));
        let wrong = Pairs::of_query("people=nobody").unwrap();
        assert!(matches!(read(Kind::Paths, &wrong), Err(Refusal::Invalid(_))));
    }
}
