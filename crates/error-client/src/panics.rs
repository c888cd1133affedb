//! Panics become fatal events.

use std::panic::{self, PanicHookInfo};
use std::sync::Once;
use std::time::Duration;

use sentry::protocol::{Event, Exception, Mechanism};
use sentry::{ClientOptions, Hub, Integration, Level};

/// The type that a panic has as an error.
pub(crate) const PANIC: &str = "panic";
/// How long a panic waits for its delivery when nothing but memory keeps it.
const DELIVERY: Duration = Duration::from_secs(2);

/// Captures panics on hubs whose client has it.
pub(crate) struct Panics {
    /// Whether a captured panic is safe in a file, so that nobody needs to wait for its delivery.
    pub(crate) is_durable: bool,
}

impl Integration for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn setup(&self, _: &mut ClientOptions) {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let next = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                capture(info);
                next(info);
            }));
        });
    }
}

fn capture(info: &PanicHookInfo<'_>) {
    let current = Hub::current();
    // A thread whose hub is older than the client reports to the process's.
    let hub = if current.client().is_some() { current } else { Hub::main() };
    hub.with_integration(|panics: &Panics| {
        hub.capture_event(event(info));
        if !panics.is_durable
            && let Some(client) = hub.client()
        {
            client.flush(Some(DELIVERY));
        }
    });
}

fn event(info: &PanicHookInfo<'_>) -> Event<'static> {
    let exception = Exception {
        ty: PANIC.to_owned(),
        value: Some(info.payload_as_str().unwrap_or("a value that is no text").to_owned()),
        mechanism: Some(Mechanism { ty: PANIC.to_owned(), handled: Some(false), ..Mechanism::default() }),
        stacktrace: sentry::integrations::backtrace::current_stacktrace(),
        ..Exception::default()
    };
    let mut event = Event { exception: vec![exception].into(), level: Level::Fatal, ..Event::default() };
    if let Some(place) = info.location() {
        event.extra.insert("location".to_owned(), place.to_string().into());
    }
    event
}
