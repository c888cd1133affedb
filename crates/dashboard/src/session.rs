//! Who visits: the session cookie, and the layer that turns it into a visitor.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use belvedere_accounts::{ClientInfo, NewSession, Principal};
use belvedere_storage::Timestamp;
use http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::refusal::{Denied, Refusal};
use crate::state::DashboardState;

/// The name of the cookie that holds a session's secret.
pub const SESSION_COOKIE: &str = "belvedere_session";

/// The most characters of a session's secret.
const SECRET_CHARS_MAX: usize = 200;

/// A signed-in person and the session by which they are.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) principal: Principal,
    pub(crate) secret: String,
    pub(crate) client: ClientInfo,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Refusal::SignIn(parts.uri.path().to_owned()))
    }
}

/// Where a request comes from; for those who are not signed in.
pub(crate) struct Client(pub(crate) ClientInfo);

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(client(parts.extensions.get::<ClientInfo>(), &parts.headers)))
    }
}

/// What the connection's side of the server knows of the client, with the browser's name filled in.
fn client(known: Option<&ClientInfo>, headers: &HeaderMap) -> ClientInfo {
    let mut client = known.cloned().unwrap_or_default();
    if client.user_agent.is_none() {
        let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        client.user_agent = agent.map(|agent| agent.chars().take(200).collect());
    }
    client
}

/// Lets only signed-in people pass, and writes down who was refused for want of a permission.
pub(crate) async fn require_visitor(
    State(state): State<Arc<DashboardState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(secret) = session_secret(request.headers()).map(str::to_owned) else {
        return ask_to_sign_in(&request);
    };
    let principal = match state.sign_in.authenticate_session(&secret).await {
        Ok(Some(principal)) => principal,
        Ok(None) => return ask_to_sign_in(&request),
        Err(error) => return Refusal::from(error).into_response(),
    };
    let client = client(request.extensions().get::<ClientInfo>(), request.headers());
    let visitor = Visitor { principal, secret, client };
    request.extensions_mut().insert(visitor.clone());
    let response = next.run(request).await;
    if let Some(Denied(permission)) = response.extensions().get::<Denied>().copied()
        && let Err(error) = state.sign_in.record_denied(&visitor.principal, permission, &visitor.client).await
    {
        tracing::error!(%error, "a refusal was not written into the audit log");
    }
    response
}

fn ask_to_sign_in(request: &Request) -> Response {
    let is_for_script = request.uri().path().starts_with("/live/")
        || request.uri().query().is_some_and(|query| query.contains("fragment="));
    if is_for_script {
        return (StatusCode::UNAUTHORIZED, "sign in first").into_response();
    }
    // What a form wanted to change is not done after signing in.
    let wanted = request.uri().path_and_query().filter(|_| request.method() == Method::GET);
    let wanted = wanted.map_or("/", |path| path.as_str());
    Refusal::SignIn(if wanted == "/" { String::new() } else { wanted.to_owned() }).into_response()
}

/// The session's secret out of the Cookie headers (RFC 6265, section 5.4).
pub(crate) fn session_secret(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == SESSION_COOKIE)
        .map(|(_, value)| value)
        .filter(|value| !value.is_empty() && value.len() <= SECRET_CHARS_MAX)
}

/// The answer with the cookie of a session that just began.
pub(crate) fn begin(
    session: &NewSession,
    now: Timestamp,
    is_secure: bool,
    mut response: Response,
) -> Response {
    let seconds = session.expires_at.since(now).as_secs();
    set_cookie(&mut response, &session.secret.0, seconds, is_secure);
    response
}

/// The answer with the cookie taken back.
pub(crate) fn end(is_secure: bool, mut response: Response) -> Response {
    set_cookie(&mut response, "", 0, is_secure);
    response
}

fn set_cookie(response: &mut Response, value: &str, seconds: u64, is_secure: bool) {
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie =
        format!("{SESSION_COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// `next` if it is an address of this site, else the start page: a sign-in must not send anybody elsewhere.
pub(crate) fn local_address(next: &str) -> &str {
    let is_local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(|c: char| c == '\\' || c.is_control())
        && next.len() <= 500;
    if is_local { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let find = |line: &str| {
            let headers = HeaderMap::from_iter([(COOKIE, line.parse().unwrap())]);
            session_secret(&headers).map(str::to_owned)
        };
        assert_eq!(find("a=b; belvedere_session=s3cret; c=d").as_deref(), Some("s3cret"));
        assert_eq!(find("xbelvedere_session=1"), None);
        assert_eq!(find("belvedere_session="), None);
        assert_eq!(find(&format!("belvedere_session={}", "x".repeat(201))), None);
    }

    #[test]
    fn only_addresses_of_this_site_are_followed_after_signing_in() {
        assert_eq!(local_address("/projects/1/issues?q=a"), "/projects/1/issues?q=a");
        for next in
            ["https://evil.example", "//evil.example", "/\\evil.example", "/a\r\nb", "", "javascript:1"]
        {
            assert_eq!(local_address(next), "/", "{next:?}");
        }
    }
}
