use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sentry::protocol::{Event, Value};
use sentry::types::Dsn;

use crate::{KnownError, QueueConfig, RetryConfig, RouteRate, sampling};

/// Where reports go.
#[derive(Clone)]
pub enum Destination {
    /// To this DSN.
    Dsn(String),
    /// To the DSN that the function finds, asked before every delivery on the client's own thread, where it may block.
    /// While it fails, reports wait. For services that learn their DSN only while they run.
    Later(Arc<dyn Fn() -> Result<String, String> + Send + Sync>),
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dsn(_) => "Dsn(..)",
            Self::Later(_) => "Later(..)",
        })
    }
}

/// Changes an event, or leaves it out with `None`.
pub type EventFilter = Arc<dyn Fn(Event<'static>) -> Option<Event<'static>> + Send + Sync>;

/// How a service reports. [`ClientConfig::new`] has the defaults; the fields that matter are changed in place.
#[derive(Clone)]
pub struct ClientConfig {
    /// Where reports go.
    pub destination: Destination,
    /// Such as `production` or `staging`; shown with every event. E-mail addresses of users leave only others than
    /// `production`.
    pub environment: String,
    /// The version that runs, such as `lessons@4.12.0`.
    pub release: Option<String>,
    /// The service's name, a tag of every event.
    pub service: Option<String>,
    /// Where it runs, a tag of every event.
    pub region: Option<String>,
    /// Further facts about the service, a context of every event.
    pub context: BTreeMap<String, Value>,
    /// Errors that are not reported.
    pub known_errors: Vec<KnownError>,
    /// A word about each event that [`ClientConfig::known_errors`] let pass; scrubbing follows.
    pub event_filter: Option<EventFilter>,
    /// The most events of one kind (type of the error, or message) a minute; `None` is no limit.
    pub per_minute_max: Option<u32>,
    /// The share of transactions that are sent, 0.0 to 1.0; `None`: 0.1 in production, 1.0 elsewhere.
    pub traces_sample_rate: Option<f32>,
    /// Shares of routes that matter more or less; the first that matches counts.
    pub routes: Vec<RouteRate>,
    /// The share of sent transactions that are profiled, 0.0 to 1.0; `None`: 0.1 in production, 1.0 elsewhere. A
    /// profile says for how long the transaction had a processor, how often it was resumed and its longest turn.
    pub profiles_sample_rate: Option<f32>,
    /// Whether captured errors say where they were captured. Finding the names of functions takes up to a millisecond.
    pub stack_traces: bool,
    /// Modules that are the service's own, such as `lessons::`; empty: all but well-known libraries.
    pub in_app: Vec<&'static str>,
    /// The most breadcrumbs of an event.
    pub breadcrumbs_max: usize,
    /// Where undelivered reports wait for the next start, apart for each server and project; `None`: in memory only.
    pub queue: Option<QueueConfig>,
    /// The pauses between tries.
    pub retry: RetryConfig,
    /// How long one delivery may take.
    pub timeout: Duration,
    /// How long dropping the guard waits for deliveries.
    pub shutdown_timeout: Duration,
    /// A PEM file of the authorities that the server's certificate may come from, instead of the public ones.
    pub root_certificates: Option<PathBuf>,
    /// A proxy, such as `http://proxy:3128`; the environment is not asked.
    pub proxy: Option<String>,
}

impl ClientConfig {
    /// Reports to `dsn` from `environment`, everything else at its default: no queue directory, no filters.
    #[must_use]
    pub fn new(dsn: impl Into<String>, environment: impl Into<String>) -> Self {
        Self::with_destination(Destination::Dsn(dsn.into()), environment)
    }

    /// Reports to `destination` from `environment`.
    #[must_use]
    pub fn with_destination(destination: Destination, environment: impl Into<String>) -> Self {
        Self {
            destination,
            environment: environment.into(),
            release: None,
            service: None,
            region: None,
            context: BTreeMap::new(),
            known_errors: Vec::new(),
            event_filter: None,
            per_minute_max: None,
            traces_sample_rate: None,
            routes: Vec::new(),
            profiles_sample_rate: None,
            stack_traces: true,
            in_app: Vec::new(),
            breadcrumbs_max: 100,
            queue: None,
            retry: RetryConfig::default(),
            timeout: Duration::from_secs(15),
            shutdown_timeout: Duration::from_secs(2),
            root_certificates: None,
            proxy: None,
        }
    }

    pub(crate) fn is_production(&self) -> bool {
        self.environment.eq_ignore_ascii_case("production")
    }

    /// The queue of the destination: reports to one project never reach another.
    pub(crate) fn queue_of_destination(&self) -> Option<QueueConfig> {
        let name = match &self.destination {
            Destination::Dsn(dsn) => {
                let dsn = dsn.parse::<Dsn>().ok()?;
                // Without the key, which may change.
                let address = format!("{}:{}{}{}", dsn.host(), dsn.port(), dsn.path(), dsn.project_id());
                format!("{:08x}", crc32fast::hash(address.as_bytes()))
            }
            Destination::Later(_) => "later".to_owned(),
        };
        let queue = self.queue.clone()?;
        Some(QueueConfig { directory: queue.directory.join(name), ..queue })
    }

    pub(crate) fn traces_rate(&self) -> f32 {
        self.traces_sample_rate.unwrap_or_else(|| sampling::default_rate(self.is_production()))
    }

    pub(crate) fn profiles_rate(&self) -> f32 {
        self.profiles_sample_rate.unwrap_or_else(|| sampling::default_rate(self.is_production()))
    }

    /// Looks for values that cannot be used, as starting a client does.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self) -> Result<(), ClientError> {
        if let Destination::Dsn(dsn) = &self.destination {
            dsn.parse::<Dsn>().map_err(|error| ClientError::Dsn(error.to_string()))?;
        }
        let rates = [
            ("traces_sample_rate", self.traces_sample_rate),
            ("profiles_sample_rate", self.profiles_sample_rate),
        ];
        let rates = rates.into_iter().filter_map(|(field, rate)| Some((field, rate?)));
        for (field, rate) in rates.chain(self.routes.iter().map(|route| ("routes", route.rate))) {
            if !(0.0..=1.0).contains(&rate) {
                return Err(ClientError::Rate { field, rate });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("destination", &self.destination)
            .field("environment", &self.environment)
            .field("release", &self.release)
            .finish_non_exhaustive()
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The DSN is no DSN.
    #[error("destination: {0}")]
    Dsn(String),
    /// A share is not between 0 and 1.
    #[error("{field}: {rate} is not from 0.0 to 1.0")]
    Rate {
        /// The field of [`ClientConfig`].
        field: &'static str,
        /// Its value.
        rate: f32,
    },
    /// The proxy's address is none.
    #[error("proxy: {0}")]
    Proxy(String),
    /// The certificates cannot be used.
    #[error("root_certificates: {}: {why}", .path.display())]
    RootCertificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The thread for deliveries could not be started.
    #[error("the thread for deliveries cannot be started")]
    Thread(#[source] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_named() {
        let config = ClientConfig::new("http://key@127.0.0.1/1", "production");
        let cases = [
            (ClientConfig::new("not a dsn", "production"), "destination: "),
            (
                ClientConfig { traces_sample_rate: Some(1.5), ..config.clone() },
                "traces_sample_rate: 1.5 is not",
            ),
            (
                ClientConfig { profiles_sample_rate: Some(f32::NAN), ..config.clone() },
                "profiles_sample_rate: NaN",
            ),
            (ClientConfig { routes: vec![RouteRate::new("/", -1.0)], ..config.clone() }, "routes: -1 is not"),
        ];
        for (config, expected) in cases {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        config.check().unwrap();
    }

    #[test]
    fn rates_depend_on_the_environment() {
        for (environment, expected) in [("production", 0.1), ("Production", 0.1), ("staging", 1.0), ("", 1.0)]
        {
            let config = ClientConfig::new("http://key@127.0.0.1/1", environment);
            assert!((config.traces_rate() - expected).abs() < f32::EPSILON, "{environment}");
            assert!((config.profiles_rate() - expected).abs() < f32::EPSILON, "{environment}");
        }
    }
}
