use belvedere_error_client::tracing_layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::{LogFormat, LogSection};

/// Sends log lines to standard error for the rest of the process, and those of level error to wherever it reports to; a
/// second call changes nothing.
pub fn init(config: &LogSection) {
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        LogFormat::Text => Box::new(
            lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).with_filter(filter),
        ),
        LogFormat::Json => Box::new(lines.json().with_filter(filter)),
    };
    // An error only says that logging is already set up.
    let _ = tracing_subscriber::registry().with(lines).with(tracing_layer()).try_init();
}

/// Resolves when the process is told to end: Ctrl-C, or a terminate signal.
pub async fn until_interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use tracing::level_filters::LevelFilter;

    use super::*;

    #[test]
    fn reporting_errors_makes_no_line_below_the_configured_level_cost_anything() {
        init(&LogSection::default());
        assert_eq!(LevelFilter::current(), LevelFilter::INFO);
    }
}
