//! Log lines of level error as events.

use sentry::Hub;
use sentry::integrations::tracing::ErrorLayer;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// The target of this crate's own lines, which are not reported: they tell of reports that fail.
const OWN_TARGET: &str = "belvedere_error_client";

/// A layer that captures every event of level error on the current hub: its message, its fields as a context, an `error`
/// field given as `&dyn Error` with its chain, its target as the logger.
pub fn tracing_layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let is_reported =
        filter_fn(|metadata| *metadata.level() == Level::ERROR && !metadata.target().starts_with(OWN_TARGET));
    // Without the hint every line of every level would be looked at.
    CurrentOrMain(ErrorLayer::new()).with_filter(is_reported.with_max_level_hint(LevelFilter::ERROR))
}

/// Captures on the current hub, or on the process's if the thread had one before the client was started.
struct CurrentOrMain(ErrorLayer);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for CurrentOrMain {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if Hub::current().client().is_some() {
            self.0.on_event(event, context);
        } else if Hub::main().client().is_some() {
            Hub::run(Hub::main(), || self.0.on_event(event, context));
        }
    }
}
