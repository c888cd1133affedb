//! Every machine-facing route: the doors for what SDKs send, the API, and what operators ask.
//!
//! Invariants:
//! - An accepted request is on disk before it is answered.
//! - A route cannot be registered without a statement of who may use it ([`Access`]).
//! - Another organisation's project, issue, event or key is answered as if it did not exist.
//! - Memory for bodies has one limit for all requests together, decompression included.
//! - What failed inside is logged once, with the request's id, and never shown.

mod address;
mod api;
mod body;
mod decode;
mod ingest;
mod metrics;
mod multipart;
mod observe;
mod ops;
mod problem;
mod rate_limit;
mod routes;
mod sentry_api;
mod server;
mod stalling;
mod state;
#[cfg(test)]
mod tests;
mod xapi;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};

pub use address::{AddressRange, ClientAddress, ParseAddressRangeError, Peer, TrustedProxies};
pub use api::openapi;
pub use observe::RequestId;
pub use problem::Problem;
pub use routes::{Access, RouteInfo};
pub use server::{ServerLimits, serve};
pub use state::{HttpFeatures, HttpLimits, HttpState};

use routes::Routes;
use state::Shared;

/// The routes of this crate, to be merged with other routers before they are finished together.
pub struct Http {
    shared: Arc<Shared>,
    router: Router,
    routes: Vec<RouteInfo>,
}

impl Http {
    /// All routes that `state` allows.
    #[must_use]
    pub fn new(state: HttpState) -> Self {
        let features = state.features;
        let shared = Arc::new(Shared::new(state));
        let routes = ops::routes(ingest::routes(Routes::new(Arc::clone(&shared))));
        let routes = xapi::routes(sentry_api::routes(api::routes(routes, features), features));
        let (router, routes) = routes.finish();
        Self { shared, router, routes }
    }

    /// What was registered, for tests and for printing.
    #[must_use]
    pub fn routes(&self) -> &[RouteInfo] {
        &self.routes
    }

    /// These routes and those of `others` as one, with what every answer has: an `x-request-id`, metrics, a log line
    /// at level debug, safe headers, and a problem (RFC 9457) where the router itself refuses.
    ///
    /// Handlers find a [`RequestId`], and behind [`serve`] a [`Peer`] and a [`ClientAddress`], among the request's
    /// extensions; those of `others` also a [`belvedere_accounts::ClientInfo`] made of them.
    pub fn finish(self, others: Router) -> Router {
        let others = others.layer(from_fn(routes::introduce_client));
        self.router.merge(others).layer(from_fn_with_state(self.shared, observe::observe))
    }
}

/// This crate's routes alone, finished.
pub fn router(state: HttpState) -> Router {
    Http::new(state).finish(Router::new())
}
