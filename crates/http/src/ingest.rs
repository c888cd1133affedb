//! The doors for what clients send: the protocol of Sentry's SDKs, learning events, and product events.

mod amplitude;
mod answer;
mod attached;
mod by_address;
mod credentials;
mod cron;
mod flags;
mod later;
mod learning;
mod multipart;
mod otlp;
mod posthog;
mod sentry;
mod snippet;
mod track;

use crate::routes::{Access, Routes};

/// Why OPTIONS asks for nothing.
const PREFLIGHT: Access = Access::Public("browsers send no credentials with a preflight request");

pub(crate) fn routes(mut routes: Routes) -> Routes {
    for path in ["/api/{project}/envelope/", "/api/{project}/envelope", "/tunnel", "/tunnel/"] {
        routes = routes.post(path, Access::IngestKey, sentry::envelope);
        routes = routes.options(path, PREFLIGHT, answer::preflight);
    }
    for path in ["/api/{project}/store/", "/api/{project}/store", "/api/store/", "/api/store"] {
        routes = routes.post(path, Access::IngestKey, sentry::store);
        routes = routes.options(path, PREFLIGHT, answer::preflight);
    }
    for path in [
        "/api/{project}/security/",
        "/api/{project}/security",
        "/api/{project}/csp-report/",
        "/api/{project}/csp-report",
    ] {
        routes = routes.post(path, Access::IngestKey, sentry::report);
        routes = routes.options(path, PREFLIGHT, answer::preflight);
    }
    let routes = by_address::routes(amplitude::routes(snippet::routes(flags::routes(posthog::routes(
        track::routes(routes),
    )))));
    attached::routes(later::routes(learning::routes(otlp::routes(cron::routes(routes)))))
}
