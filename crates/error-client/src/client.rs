use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sentry::integrations::backtrace::ProcessStacktraceIntegration;
use sentry::integrations::contexts::ContextIntegration;
use sentry::protocol::{Event, Map, Value};
use sentry::types::Uuid;
use sentry::{
    Breadcrumb, Client, ClientOptions, Envelope, Hub, Level, TracesSamplingStrategy, TransactionContext,
    Transport, TransportFactory, TransportOptions,
};

use crate::filter::Filter;
use crate::panics::Panics;
use crate::report::{Reportable, attach_stack};
use crate::transport::QueueTransport;
use crate::{ClientConfig, ClientError, Destination, sampling};

/// Stands for a DSN that is found later; nothing is sent to it.
const LATER: &str = "http://later@localhost/1";

/// Reports errors, messages and performance; clones share everything.
///
/// It acts on the current hub, so that what was set for a request belongs to that request alone; outside of any on a hub
/// of its own.
#[derive(Clone)]
pub struct ErrorClient {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    client: Arc<Client>,
    hub: Arc<Hub>,
    pub(crate) config: Arc<ClientConfig>,
}

/// Keeps a client alive; dropping it flushes for [`ClientConfig::shutdown_timeout`] and ends the client. What is still
/// undelivered then waits in the queue for the next start.
#[must_use = "when the guard is dropped, nothing is reported any more"]
pub struct ErrorGuard {
    client: ErrorClient,
}

/// Who uses the service at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// The service's own id.
    pub id: String,
    /// A name that is no e-mail address.
    pub username: Option<String>,
    /// What the person is, such as `learner`.
    pub role: Option<String>,
    /// Only sent outside production.
    pub email: Option<String>,
}

/// Where in the service an error happened.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ErrorContext {
    /// The feature, a tag.
    pub feature: Option<String>,
    /// What was being done, a tag.
    pub action: Option<String>,
    /// Anything else that helps; not searchable.
    pub extra: Map<String, Value>,
}

impl ErrorContext {
    /// In `feature`, while doing `action`.
    #[must_use]
    pub fn new(feature: impl Into<String>, action: impl Into<String>) -> Self {
        Self { feature: Some(feature.into()), action: Some(action.into()), extra: Map::new() }
    }

    /// With a further fact.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }
}

impl ErrorClient {
    /// Starts the client of the process: it captures panics and what is captured on any thread. Call it before other
    /// threads are started.
    ///
    /// # Errors
    /// A configuration that cannot be used.
    pub fn init(config: ClientConfig) -> Result<ErrorGuard, ClientError> {
        let guard = Self::detached(config)?;
        for hub in [Hub::main(), Hub::current()] {
            hub.bind_client(Some(Arc::clone(&guard.inner.client)));
        }
        Ok(guard)
    }

    /// Starts a client that only acts where its methods are called or its [`ErrorClient::hub`] is bound: for a process
    /// with several clients.
    ///
    /// # Errors
    /// A configuration that cannot be used.
    pub fn detached(config: ClientConfig) -> Result<ErrorGuard, ClientError> {
        config.check()?;
        let config = Arc::new(config);
        let factory = Factory { config: Arc::clone(&config), failure: Arc::default() };
        let failure = Arc::clone(&factory.failure);
        let client = Arc::new(Client::with_options(options(&config, factory)?));
        if let Some(error) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let hub = Arc::new(Hub::new(Some(Arc::clone(&client)), Arc::default()));
        Ok(ErrorGuard { client: Self { inner: Arc::new(Inner { client, hub, config }) } })
    }

    /// The hub to act on: the current one if it reports to this client, else the client's own.
    #[must_use]
    pub fn hub(&self) -> Arc<Hub> {
        let current = Hub::current();
        match current.client() {
            Some(client) if Arc::ptr_eq(&client, &self.inner.client) => current,
            _ => Arc::clone(&self.inner.hub),
        }
    }

    /// Says who uses the service, for what is captured on this hub from now on; `None` forgets.
    pub fn set_user(&self, user: Option<User>) {
        let keeps_email = !self.inner.config.is_production();
        let user = user.map(|user| sentry::User {
            id: Some(user.id),
            username: user.username,
            email: user.email.filter(|_| keeps_email),
            other: user.role.map(|role| ("role".to_owned(), Value::from(role))).into_iter().collect(),
            ..sentry::User::default()
        });
        self.hub().configure_scope(|scope| scope.set_user(user));
    }

    /// Captures an error with its chain of sources; the event's id, or `None` if it is not reported.
    ///
    /// Takes every [`std::error::Error`], `anyhow::Error` and boxed errors.
    pub fn capture_error<Kind>(
        &self,
        error: &(impl Reportable<Kind> + ?Sized),
        context: &ErrorContext,
    ) -> Option<Uuid> {
        let mut event = error.event();
        for (name, value) in [("feature", &context.feature), ("action", &context.action)] {
            if let Some(value) = value {
                event.tags.insert(name.to_owned(), value.clone());
            }
        }
        event.extra.extend(context.extra.clone());
        self.capture(&self.hub(), event)
    }

    /// Captures a message, of level info unless another is given; the event's id, or `None` if it is not reported.
    pub fn capture_message(
        &self,
        message: impl Into<String>,
        level: impl Into<Option<Level>>,
    ) -> Option<Uuid> {
        let level = level.into().unwrap_or(Level::Info);
        let event = Event { message: Some(message.into()), level, ..Event::default() };
        self.capture(&self.hub(), event)
    }

    /// Notes what happened before an error, for what is captured on this hub from now on.
    pub fn add_breadcrumb(&self, breadcrumb: Breadcrumb) {
        self.hub().add_breadcrumb(breadcrumb);
    }

    /// The headers by which a request to another service goes on with the current trace.
    #[must_use]
    pub fn trace_headers(&self) -> Vec<(&'static str, String)> {
        self.hub().configure_scope(|scope| scope.iter_trace_propagation_headers().collect())
    }

    /// Waits until everything is delivered, at most `timeout`; `false` if something is not.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
        self.inner.client.flush(Some(timeout))
    }

    pub(crate) fn capture(&self, hub: &Hub, mut event: Event<'static>) -> Option<Uuid> {
        if self.inner.config.stack_traces {
            attach_stack(&mut event);
        }
        Some(hub.capture_event(event)).filter(|id| !id.is_nil())
    }
}

impl ErrorGuard {
    /// The client, for wherever it is needed.
    #[must_use]
    pub fn client(&self) -> ErrorClient {
        self.client.clone()
    }

    /// Ends the client as dropping the guard does, without blocking the caller's thread; `false` if something is
    /// undelivered.
    pub async fn shutdown(self) -> bool {
        let timeout = self.client.inner.config.shutdown_timeout;
        tokio::task::spawn_blocking(move || self.close(timeout)).await.unwrap_or(false)
    }

    /// Ends the client and waits at most `timeout` for deliveries; `false` if something is undelivered.
    #[must_use]
    pub fn close(&self, timeout: Duration) -> bool {
        self.client.inner.client.close(Some(timeout))
    }
}

impl Deref for ErrorGuard {
    type Target = ErrorClient;

    fn deref(&self) -> &ErrorClient {
        &self.client
    }
}

impl Drop for ErrorGuard {
    fn drop(&mut self) {
        let _ = self.close(self.client.inner.config.shutdown_timeout);
    }
}

fn options(config: &Arc<ClientConfig>, factory: Factory) -> Result<ClientOptions, ClientError> {
    let dsn = match &config.destination {
        Destination::Dsn(dsn) => dsn.as_str(),
        Destination::Later(_) => LATER,
    };
    let filter = Filter::new(config);
    let before_send = move |event: Event<'static>| filter.apply(event);
    let (routes, otherwise) = (config.routes.clone(), config.traces_rate());
    let sampler = move |context: &TransactionContext| {
        sampling::rate_of(&routes, otherwise, context.name(), context.sampled())
    };
    let mut options = ClientOptions::default();
    options.dsn =
        Some(dsn.parse().map_err(|error: sentry::types::ParseDsnError| ClientError::Dsn(error.to_string()))?);
    options.release = config.release.clone().map(Into::into);
    options.environment = Some(config.environment.clone().into());
    options.max_breadcrumbs = config.breadcrumbs_max;
    options.in_app_include.clone_from(&config.in_app);
    options.shutdown_timeout = config.shutdown_timeout;
    options.default_integrations = false;
    options.integrations = vec![
        Arc::new(ContextIntegration::new()),
        Arc::new(ProcessStacktraceIntegration),
        Arc::new(Panics { is_durable: config.queue.is_some() }),
    ];
    options.before_send = Some(Arc::new(before_send));
    options.traces_sampling_strategy = TracesSamplingStrategy::Function(Arc::new(sampler));
    options.transport = Some(Arc::new(factory));
    Ok(options)
}

/// Makes the transport when the SDK asks for it.
struct Factory {
    config: Arc<ClientConfig>,
    failure: Arc<Mutex<Option<ClientError>>>,
}

/// A transport that could not be made; the client is not handed out.
struct Nowhere;

impl Transport for Nowhere {
    fn send_envelope(&self, _: Envelope) {}
}

impl TransportFactory for Factory {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        match QueueTransport::start(Arc::clone(&self.config), options.client_report_recorder) {
            Ok(transport) => Arc::new(transport),
            Err(error) => {
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Arc::new(Nowhere)
            }
        }
    }
}
