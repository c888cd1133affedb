//! Performance of functions: a span around them, their errors reported and passed on, a warning when they take too long.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::task::Poll;
use std::time::{Duration, Instant};

use sentry::protocol::{Event, SpanStatus};
use sentry::{Hub, Level, SentryFutureExt, TransactionContext, TransactionOrSpan};

use crate::profile::{Profile, milliseconds};
use crate::{ErrorClient, Reportable};

/// The operation of a monitored function's span.
const OPERATION: &str = "function";

/// A function that runs.
struct Run {
    client: ErrorClient,
    name: String,
    timeout: Option<Duration>,
    hub: Arc<Hub>,
    span: TransactionOrSpan,
    /// Only of a function that is a transaction of its own.
    profile: Option<Profile>,
    started: Instant,
}

impl ErrorClient {
    /// Runs a future within a span of its own, or within a transaction if nothing surrounds it.
    ///
    /// Its error is reported and passed on. If it takes longer than `timeout`, a warning is reported while it goes on to
    /// its end, and then how long it took; both are one issue. A panic is reported and goes on. The future has a hub of
    /// its own: what it sets for the user or adds as breadcrumbs ends with it.
    ///
    /// A timeout needs tokio's timer.
    pub async fn with_performance_monitoring<T, E: Reportable<Kind>, Kind>(
        &self,
        name: &str,
        timeout: Option<Duration>,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut run = Run::begin(self, name, timeout);
        let mut profile = run.profile.take();
        let mut future = pin!(future.bind_hub(Arc::clone(&run.hub)));
        let mut future = pin!(poll_fn(|context| {
            let turn = || Profile::turn(&mut profile, || future.as_mut().poll(context));
            match catch_unwind(AssertUnwindSafe(turn)) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
                Err(panic) => Poll::Ready(Err(panic)),
            }
        }));
        let result = match timeout {
            None => future.await,
            Some(limit) => tokio::select! {
                biased;
                result = &mut future => result,
                () = tokio::time::sleep(limit) => {
                    run.warn(limit);
                    future.await
                }
            },
        };
        run.profile = profile;
        run.end(result)
    }

    /// Runs a function as [`ErrorClient::with_performance_monitoring`] runs a future. A timeout is watched by a thread
    /// of its own.
    pub fn with_performance_monitoring_sync<T, E: Reportable<Kind>, Kind>(
        &self,
        name: &str,
        timeout: Option<Duration>,
        function: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut run = Run::begin(self, name, timeout);
        let mut profile = run.profile.take();
        let hub = Arc::clone(&run.hub);
        let call = || Hub::run(hub, || catch_unwind(AssertUnwindSafe(function)));
        let result = std::thread::scope(|scope| {
            let (done, is_done) = channel::<()>();
            if let Some(limit) = timeout {
                let run = &run;
                let watch = move || {
                    if is_done.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                        run.warn(limit);
                    }
                };
                if let Err(error) =
                    std::thread::Builder::new().name("timeout".to_owned()).spawn_scoped(scope, watch)
                {
                    tracing::warn!(%error, "the timeout of a function is not watched");
                }
            }
            let result = Profile::turn(&mut profile, call);
            drop(done);
            result
        });
        run.profile = profile;
        run.end(result)
    }
}

impl Run {
    fn begin(client: &ErrorClient, name: &str, timeout: Option<Duration>) -> Self {
        let hub = Arc::new(Hub::new_from_top(client.hub()));
        let parent = hub.configure_scope(|scope| scope.get_span());
        let span: TransactionOrSpan = match &parent {
            Some(parent) => parent.start_child(OPERATION, name).into(),
            None => hub.start_transaction(TransactionContext::new(name, OPERATION)).into(),
        };
        let profile = match parent {
            Some(_) => None,
            None => Profile::of(&span, client.inner.config.profiles_rate()),
        };
        hub.configure_scope(|scope| {
            scope.set_span(Some(span.clone()));
            scope.set_tag("monitored", name);
        });
        Self {
            client: client.clone(),
            name: name.to_owned(),
            timeout,
            hub,
            span,
            profile,
            started: Instant::now(),
        }
    }

    /// Reports that the function takes longer than `limit`.
    fn warn(&self, limit: Duration) {
        let message = format!("{} takes longer than {limit:?} and goes on", self.name);
        self.report_time(message, Level::Warning);
    }

    fn report_time(&self, message: String, level: Level) {
        let fingerprint = vec!["performance-timeout".into(), self.name.clone().into()];
        let event =
            Event { message: Some(message), level, fingerprint: fingerprint.into(), ..Event::default() };
        self.client.capture(&self.hub, event);
    }

    /// Ends the span, reports what there is to report, and hands the result or the panic on.
    fn end<T, E: Reportable<Kind>, Kind>(
        self,
        result: Result<Result<T, E>, Box<dyn Any + Send>>,
    ) -> Result<T, E> {
        let took = self.started.elapsed();
        if let Ok(Err(error)) = &result {
            self.client.capture(&self.hub, error.event());
        }
        let is_late = self.timeout.filter(|limit| took > *limit);
        if let Some(limit) = is_late {
            self.report_time(format!("{} took {took:.1?}, longer than {limit:?}", self.name), Level::Info);
        }
        self.span.set_data("took_ms", milliseconds(took).into());
        self.span.set_status(match &result {
            Ok(Ok(_)) if is_late.is_some() => SpanStatus::DeadlineExceeded,
            Ok(Ok(_)) => SpanStatus::Ok,
            Ok(Err(_)) => SpanStatus::UnknownError,
            Err(_) => SpanStatus::InternalError,
        });
        if let Some(profile) = self.profile {
            profile.write(&self.span);
        }
        let span = self.span;
        Hub::run(self.hub, || span.finish());
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }
}
