//! Whether one event is what a query asks for. No I/O.

use super::query::{Field, Filter, Pattern, Query, Term};
use super::words::{Phrase, words_of};
use crate::event_id::EventId;
use crate::tags::unpack_tags;
use crate::{ErrorTrackingError, Level};

/// What is known of an event without its payload.
#[derive(Debug, Clone)]
pub(crate) struct EventFacts<'a> {
    pub(crate) event_id: EventId,
    pub(crate) level: Level,
    pub(crate) title: &'a str,
    pub(crate) release: Option<&'a str>,
    pub(crate) environment: Option<&'a str>,
    pub(crate) trace: Option<[u8; 16]>,
    /// As they are packed with the event.
    pub(crate) tags: &'a str,
}

impl<'a> EventFacts<'a> {
    fn tag(&self, key: &str) -> Option<&'a str> {
        match key {
            "release" => self.release,
            "environment" => self.environment,
            _ => unpack_tags(self.tags).find(|(known, _)| *known == key).map(|(_, value)| value),
        }
    }
}

/// What events must be like.
#[derive(Debug)]
pub(crate) struct EventFilter {
    terms: Vec<Term>,
}

impl EventFilter {
    /// The filter of a query, and of an environment if one is chosen.
    ///
    /// # Errors
    /// [`ErrorTrackingError::InvalidQuery`] when it asks for something that only issues have.
    pub(crate) fn try_new(query: &Query, environment: Option<&str>) -> Result<Self, ErrorTrackingError> {
        for term in &query.terms {
            let what = match &term.filter {
                Filter::Is(_) => "is:",
                Filter::Assigned(_) => "assigned:",
                Filter::Between(..) => "first_seen:, last_seen:, times_seen: and subjects:",
                Filter::Text(Field::Culprit | Field::Message, _) => "culprit: and message:",
                _ => continue,
            };
            let why = format!("query: {what} can be asked of issues, not of their events");
            return Err(ErrorTrackingError::InvalidQuery(why));
        }
        let mut terms = query.terms.clone();
        if let Some(environment) = environment {
            let value = vec![Pattern::Exact(environment.to_owned())];
            let filter = Filter::Tag("environment".to_owned(), value);
            terms.push(Term { is_negated: false, filter });
        }
        Ok(Self { terms })
    }

    /// Whether every event passes.
    pub(crate) fn is_open(&self) -> bool {
        self.terms.is_empty()
    }

    /// What is in the packed tags of every event that passes, if that can be said: the database leaves the others out.
    pub(crate) fn needle(&self) -> Option<String> {
        self.terms.iter().filter(|term| !term.is_negated).find_map(|term| match &term.filter {
            // These two are columns of the event.
            Filter::Tag(key, _) if key == "release" || key == "environment" => None,
            Filter::Tag(key, patterns) => match patterns.as_slice() {
                [Pattern::Exact(value)] => Some(format!("{key}={value}\n")),
                _ => None,
            },
            _ => None,
        })
    }

    pub(crate) fn matches(&self, event: &EventFacts<'_>) -> bool {
        self.terms.iter().all(|term| holds(&term.filter, event) != term.is_negated)
    }
}

fn holds(filter: &Filter, event: &EventFacts<'_>) -> bool {
    match filter {
        Filter::Level(levels) => levels.contains(&event.level),
        Filter::Trace(traces) => event.trace.is_some_and(|trace| traces.contains(&trace)),
        Filter::Event(ids) => ids.contains(&event.event_id),
        Filter::Text(_, phrases) => {
            let words = words_of(event.title);
            phrases.iter().any(|phrase| occurs(phrase, &words))
        }
        Filter::Tag(key, patterns) => {
            event.tag(key).is_some_and(|value| patterns.iter().any(|pattern| pattern.matches(value)))
        }
        Filter::Has(key) => event.tag(key).is_some(),
        // Refused when the filter was made.
        Filter::Is(_) | Filter::Assigned(_) | Filter::Between(..) => false,
    }
}

fn occurs(phrase: &Phrase, words: &[String]) -> bool {
    let Some((last, before)) = phrase.words.split_last() else { return false };
    words.windows(phrase.words.len()).any(|window| {
        window.split_last().is_some_and(|(end, start)| {
            start == before && if phrase.is_open { end.starts_with(last.as_str()) } else { end == last }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{QueryContext, parse_query};

    fn matches(text: &str) -> bool {
        let query = parse_query(text, &QueryContext::default()).unwrap();
        let event = EventFacts {
            event_id: "3a60e31ab5474d65aaf86eedefe7d501".parse().unwrap(),
            level: Level::Error,
            title: "PaymentDeclined: card was declined",
            release: Some("shop@2"),
            environment: Some("production"),
            trace: Some([0xab; 16]),
            tags: "plan=pro\nserver_name=web-3\n",
        };
        EventFilter::try_new(&query, Some("production")).unwrap().matches(&event)
    }

    #[test]
    fn events_are_asked_for_tags_traces_ids_levels_and_words() {
        for yes in [
            "plan:pro release:shop@* level:error",
            "!plan:free has:server_name !has:os",
            "trace:abababababababababababababababab",
            "event:3a60e31ab5474d65aaf86eedefe7d501",
            "payment \"was decl\" title:card",
            "",
        ] {
            assert!(matches(yes), "{yes}");
        }
        for no in
            ["plan:p", "!plan:pro", "level:>error", "\"card declined\"", "environment:staging", "has:os"]
        {
            assert!(!matches(no), "{no}");
        }
    }

    #[test]
    fn what_every_match_contains_is_known_of_plain_tags() {
        let needle = |text: &str| {
            let query = parse_query(text, &QueryContext::default()).unwrap();
            EventFilter::try_new(&query, None).unwrap().needle()
        };
        assert_eq!(needle("release:shop@2 level:error plan:pro").as_deref(), Some("plan=pro\n"));
        for none in ["", "!plan:pro", "plan:p*", "plan:[free,pro]", "has:plan", "environment:production"] {
            assert_eq!(needle(none), None, "{none}");
        }
    }

    #[test]
    fn what_only_issues_have_is_refused() {
        for text in ["is:resolved", "times_seen:>1", "message:x", "first_seen:-1h"] {
            let query = parse_query(text, &QueryContext::default()).unwrap();
            let error = EventFilter::try_new(&query, None).unwrap_err();
            assert!(error.to_string().ends_with("can be asked of issues, not of their events"), "{error}");
        }
    }
}
