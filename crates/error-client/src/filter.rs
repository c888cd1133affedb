//! What happens to an event before it is sent: known errors are left out, context is added, secrets are taken out.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use sentry::protocol::{Context, Event, Value};

use crate::limiter::Limiter;
use crate::panics::PANIC;
use crate::scrub::scrub_event;
use crate::{ClientConfig, EventFilter, glob};

/// Errors that are known and not worth an event. What is `None` matches anything; patterns have `*` for any characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownError {
    /// The type's name, such as `ConnectionReset` or `*Timeout`.
    pub kind: Option<String>,
    /// The message, such as `*broken pipe*`.
    pub message: Option<String>,
}

impl KnownError {
    /// All errors of a type.
    #[must_use]
    pub fn kind(pattern: impl Into<String>) -> Self {
        Self { kind: Some(pattern.into()), message: None }
    }

    /// All errors and messages with such a text.
    #[must_use]
    pub fn message(pattern: impl Into<String>) -> Self {
        Self { kind: None, message: Some(pattern.into()) }
    }

    fn matches(&self, kind: &str, message: &str) -> bool {
        (self.kind.is_some() || self.message.is_some())
            && self.kind.as_deref().is_none_or(|pattern| glob::matches(pattern, kind))
            && self.message.as_deref().is_none_or(|pattern| glob::matches(pattern, message))
    }

    /// Whether any error of the event's chain, or its message, is this one.
    fn is_in(&self, event: &Event<'_>) -> bool {
        let message =
            event.message.as_deref().or(event.logentry.as_ref().map(|entry| entry.message.as_str()));
        let mut exceptions = event.exception.values.iter();
        exceptions.any(|it| self.matches(&it.ty, it.value.as_deref().unwrap_or_default()))
            || message.is_some_and(|message| self.matches("", message))
    }
}

/// The client's `before_send`.
pub(crate) struct Filter {
    known: Vec<KnownError>,
    service: Option<String>,
    region: Option<String>,
    context: BTreeMap<String, Value>,
    is_production: bool,
    limiter: Option<Mutex<Limiter>>,
    hook: Option<EventFilter>,
}

impl Filter {
    pub(crate) fn new(config: &ClientConfig) -> Self {
        Self {
            known: config.known_errors.clone(),
            service: config.service.clone(),
            region: config.region.clone(),
            context: config.context.clone(),
            is_production: config.is_production(),
            limiter: config.per_minute_max.map(|max| Mutex::new(Limiter::new(max))),
            hook: config.event_filter.clone(),
        }
    }

    /// The event as it is sent; `None` if it is not.
    pub(crate) fn apply(&self, event: Event<'static>) -> Option<Event<'static>> {
        if self.known.iter().any(|known| known.is_in(&event)) {
            return None;
        }
        let kind = kind_of(&event).to_owned();
        let mut event = match &self.hook {
            Some(hook) => hook(event)?,
            None => event,
        };
        if !self.is_within_limit(&kind) {
            return None;
        }
        for (name, value) in [("service", &self.service), ("region", &self.region)] {
            if let Some(value) = value {
                event.tags.entry(name.to_owned()).or_insert_with(|| value.clone());
            }
        }
        if !self.context.is_empty() {
            let context = self.context.clone().into_iter().collect();
            event.contexts.entry("service".to_owned()).or_insert(Context::Other(context));
        }
        scrub_event(&mut event, self.is_production);
        Some(event)
    }

    fn is_within_limit(&self, kind: &str) -> bool {
        let Some(limiter) = &self.limiter else { return true };
        limiter.lock().unwrap_or_else(PoisonError::into_inner).admits(kind, Instant::now())
    }
}

/// What events of one kind have in common: of an error the type alone, as its message may differ each time.
fn kind_of<'a>(event: &'a Event<'_>) -> &'a str {
    match (event.exception.values.last(), &event.message) {
        (Some(exception), _) if exception.ty != PANIC => &exception.ty,
        (Some(exception), _) => exception.value.as_deref().unwrap_or_default(),
        (None, Some(message)) => message,
        (None, None) => "",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sentry::protocol::Exception;
    use serde_json::json;

    use super::*;

    fn error(kind: &str, value: &str) -> Exception {
        Exception { ty: kind.to_owned(), value: Some(value.to_owned()), ..Exception::default() }
    }

    fn event(exceptions: Vec<Exception>) -> Event<'static> {
        Event { exception: exceptions.into(), ..Event::default() }
    }

    fn config() -> ClientConfig {
        ClientConfig::new("http://key@127.0.0.1/1", "production")
    }

    #[test]
    fn known_errors_are_left_out_by_type_and_by_message() {
        let both = KnownError { kind: Some("Http*".to_owned()), message: Some("*404*".to_owned()) };
        let config = ClientConfig {
            known_errors: vec![
                KnownError::kind("ConnectionReset"),
                KnownError::message("*broken pipe*"),
                both,
                KnownError::default(),
            ],
            ..config()
        };
        let filter = Filter::new(&config);
        let is_sent = |event| filter.apply(event).is_some();
        assert!(!is_sent(event(vec![error("ConnectionReset", "by peer")])));
        assert!(!is_sent(event(vec![error("Io", "a broken pipe"), error("Send", "cannot send")])));
        assert!(!is_sent(Event { message: Some("a broken pipe, again".to_owned()), ..Event::default() }));
        assert!(!is_sent(event(vec![error("HttpError", "status 404")])));
        assert!(is_sent(event(vec![error("HttpError", "status 500")])));
        assert!(is_sent(event(vec![error("Other", "status 404")])));
        assert!(is_sent(Event { message: Some("all is well".to_owned()), ..Event::default() }));
    }

    #[test]
    fn context_is_added_and_what_the_event_says_itself_stays() {
        let config = ClientConfig {
            service: Some("lessons".to_owned()),
            region: Some("eu-central".to_owned()),
            context: [("tenant".to_owned(), json!("acme"))].into(),
            ..config()
        };
        let filter = Filter::new(&config);
        let mut sent = event(vec![error("E", "for ada@example.org")]);
        sent.tags.insert("region".to_owned(), "eu-west".to_owned());
        let sent = filter.apply(sent).unwrap();
        assert_eq!(sent.tags["service"], "lessons");
        assert_eq!(sent.tags["region"], "eu-west");
        assert_eq!(sent.exception.values[0].value.as_deref(), Some("for [email]"));
        let Context::Other(context) = &sent.contexts["service"] else { panic!("{:?}", sent.contexts) };
        assert_eq!(context["tenant"], "acme");
    }

    #[test]
    fn the_hook_changes_events_or_leaves_them_out_and_scrubbing_comes_last() {
        let hook = |mut event: Event<'static>| {
            event.message = Some(format!("{} by ada@example.org", event.message?));
            Some(event)
        };
        let filter = Filter::new(&ClientConfig { event_filter: Some(Arc::new(hook)), ..config() });
        let sent = filter.apply(Event { message: Some("seen".to_owned()), ..Event::default() }).unwrap();
        assert_eq!(sent.message.as_deref(), Some("seen by [email]"));
        assert!(filter.apply(event(vec![error("E", "x")])).is_none());
    }

    #[test]
    fn beyond_the_limit_events_of_the_same_kind_are_not_sent() {
        let filter = Filter::new(&ClientConfig { per_minute_max: Some(2), ..config() });
        let sent = (0..5)
            .filter(|number| filter.apply(event(vec![error("Io", &format!("file {number}"))])).is_some());
        assert_eq!(sent.count(), 2);
        assert!(filter.apply(event(vec![error("Parse", "x")])).is_some());
    }
}
