//! The only way to register a route: with a statement of who may use it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use belvedere_accounts::{ClientInfo, Permission, Principal};
use belvedere_kernel::error_chain;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::address::ClientAddress;
use crate::observe::RequestId;
use crate::ops;
use crate::problem::{Denied, Problem};
use crate::sentry_api;
use crate::state::Shared;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, for the stated reason.
    Public(&'static str),
    /// Who has a project's ingest key; the handler asks for it, as it may stand in the body.
    IngestKey,
    /// Who has a key of a project's xAPI record store, with a scope that the handler asks for.
    XapiKey,
    /// A principal with the permission.
    Needs(Permission),
    /// Whoever runs the installation: from this machine, or with the token for metrics.
    Operator,
}

/// A route as it was registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteInfo {
    /// Its method.
    pub method: Method,
    /// Its template, such as `/api/v1/issues/{id}`.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
}

/// Routes, and the list of them.
pub(crate) struct Routes {
    shared: Arc<Shared>,
    router: Router<Arc<Shared>>,
    registered: Vec<RouteInfo>,
}

impl Routes {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, router: Router::new(), registered: Vec::new() }
    }

    pub(crate) fn get<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, Arc<Shared>>,
        T: 'static,
    {
        self.on(Method::GET, MethodFilter::GET, path, access, handler)
    }

    pub(crate) fn post<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, Arc<Shared>>,
        T: 'static,
    {
        self.on(Method::POST, MethodFilter::POST, path, access, handler)
    }

    pub(crate) fn put<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, Arc<Shared>>,
        T: 'static,
    {
        self.on(Method::PUT, MethodFilter::PUT, path, access, handler)
    }

    pub(crate) fn delete<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, Arc<Shared>>,
        T: 'static,
    {
        self.on(Method::DELETE, MethodFilter::DELETE, path, access, handler)
    }

    pub(crate) fn options<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, Arc<Shared>>,
        T: 'static,
    {
        self.on(Method::OPTIONS, MethodFilter::OPTIONS, path, access, handler)
    }

    fn on<H, T>(
        mut self,
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        access: Access,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Arc<Shared>>,
        T: 'static,
    {
        let route = on(filter, handler);
        let route = match access {
            Access::Public(_) | Access::IngestKey | Access::XapiKey => route,
            Access::Needs(permission) => {
                route.route_layer(from_fn_with_state((Arc::clone(&self.shared), permission), guard))
            }
            Access::Operator => route.route_layer(from_fn_with_state(Arc::clone(&self.shared), ops::guard)),
        };
        self.registered.push(RouteInfo { method, path, access });
        Self { router: self.router.route(path, route), ..self }
    }

    pub(crate) fn finish(self) -> (Router, Vec<RouteInfo>) {
        (self.router.with_state(self.shared), self.registered)
    }
}

/// Who makes a request that [`guard`] let pass.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    pub(crate) client: ClientInfo,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::unauthorized("this address needs an API token"))
    }
}

/// Lets a request pass only with the token of a principal who has the permission.
async fn guard(
    State((shared, permission)): State<(Arc<Shared>, Permission)>,
    mut request: Request,
    next: Next,
) -> Response {
    let basic =
        if request.uri().path().starts_with(sentry_api::BASE) { basic_user(request.headers()) } else { None };
    let Some(token) = bearer(request.headers()).or(basic.as_deref()) else {
        return Problem::unauthorized("send an API token as Authorization: Bearer <token>").into_response();
    };
    let principal = match shared.sign_in.authenticate_token(token).await {
        Ok(Some(principal)) => principal,
        Ok(None) => {
            return Problem::unauthorized("the API token is unknown, revoked or expired").into_response();
        }
        Err(error) => return Problem::from(error).into_response(),
    };
    let client = client_of(&request);
    if !principal.rights.allows(permission) {
        record_denied(&shared, &principal, permission, &client).await;
        return Problem::forbidden(permission).into_response();
    }
    request.extensions_mut().insert(Caller { principal: principal.clone(), client: client.clone() });
    let response = next.run(request).await;
    // A slice can ask for more than its route does, as with owners.
    if let Some(Denied(permission)) = response.extensions().get::<Denied>().copied() {
        record_denied(&shared, &principal, permission, &client).await;
    }
    response
}

async fn record_denied(shared: &Shared, principal: &Principal, permission: Permission, client: &ClientInfo) {
    if let Err(error) = shared.sign_in.record_denied(principal, permission, client).await {
        tracing::error!(
            request_id = client.request_id,
            error = error_chain(&error),
            "a refusal was not written into the audit log"
        );
    }
}

/// The token of `Authorization: Bearer <token>` (RFC 6750).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

/// The user of `Authorization: Basic <base64 of user:password>` (RFC 7617), where old tools of Sentry put a token.
fn basic_user(headers: &HeaderMap) -> Option<String> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let decoded =
        BASE64_STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (user, _) = str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(user.to_owned()).filter(|user| !user.is_empty())
}

/// Tells the handlers of other routers where a request comes from.
pub(crate) async fn introduce_client(mut request: Request, next: Next) -> Response {
    let client = client_of(&request);
    request.extensions_mut().insert(client);
    next.run(request).await
}

fn client_of(request: &Request) -> ClientInfo {
    let extensions = request.extensions();
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    ClientInfo {
        address: extensions.get::<ClientAddress>().map(|client| client.0.to_string()),
        user_agent: agent.map(|agent| agent.chars().take(200).collect()),
        request_id: extensions.get::<RequestId>().map(|id| id.0.clone()),
    }
}
