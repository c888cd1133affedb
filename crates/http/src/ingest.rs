//! The doors for what clients send; so far, the protocol of Sentry's SDKs.

mod answer;
mod credentials;
mod later;
mod limit;
mod sentry;

pub(crate) use limit::RateLimits;

use crate::routes::{Access, Routes};

/// Why OPTIONS asks for nothing.
const PREFLIGHT: Access = Access::Public("browsers send no credentials with a preflight request");

pub(crate) fn routes(mut routes: Routes) -> Routes {
    for path in ["/api/{project}/envelope/", "/api/{project}/envelope"] {
        routes = routes.post(path, Access::IngestKey, sentry::envelope).options(
            path,
            PREFLIGHT,
            answer::preflight,
        );
    }
    for path in ["/api/{project}/store/", "/api/{project}/store"] {
        routes =
            routes.post(path, Access::IngestKey, sentry::store).options(path, PREFLIGHT, answer::preflight);
    }
    for path in ["/api/store/", "/api/store"] {
        routes = routes.post(path, Access::IngestKey, sentry::store_by_key).options(
            path,
            PREFLIGHT,
            answer::preflight,
        );
    }
    for path in ["/tunnel", "/tunnel/"] {
        routes =
            routes.post(path, Access::IngestKey, sentry::tunnel).options(path, PREFLIGHT, answer::preflight);
    }
    later::routes(routes)
}
