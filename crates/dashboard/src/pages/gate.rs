//! Coming and going: signing in and out, joining by invitation.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use belvedere_accounts::{AcceptInvite, AccountsError, InviteInfo, Secret};
use http::header::REFERRER_POLICY;
use http::{HeaderValue, StatusCode};

use crate::assets::{self, AssetPaths};
use crate::form::{CheckedForm, OpenForm, Pairs};
use crate::pages::settings::members::role_name;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::{self, Client, Visitor, local_address};
use crate::state::DashboardState;

/// The most characters of a one-time secret in an address.
const SECRET_CHARS_MAX: usize = 200;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    assets: &'static AssetPaths,
    error: Option<String>,
    next: &'a str,
    email: &'a str,
}

#[derive(Template)]
#[template(path = "sign_in_link.html")]
struct LinkPage {
    assets: &'static AssetPaths,
}

#[derive(Template)]
#[template(path = "join.html")]
struct JoinPage<'a> {
    assets: &'static AssetPaths,
    error: Option<String>,
    organisation: &'a str,
    role: &'a str,
    email: &'a str,
    name: &'a str,
}

/// `GET /sign-in`
pub(crate) async fn sign_in_form(pairs: Pairs) -> Response {
    let next = local_address(pairs.text("next"));
    respond::page(&SignInPage { assets: assets::paths(), error: None, next, email: "" })
}

/// `POST /sign-in`
pub(crate) async fn sign_in(
    State(state): State<Arc<DashboardState>>,
    Client(client): Client,
    OpenForm(form): OpenForm,
) -> Result<Response, Refusal> {
    let (email, next) = (form.text("email"), local_address(form.text("next")));
    let again = |status: StatusCode, text: &str| {
        let error = Some(text.to_owned());
        let mut response = respond::page(&SignInPage { assets: assets::paths(), error, next, email });
        *response.status_mut() = status;
        response
    };
    match state.sign_in.sign_in_with_password(email, form.raw("password"), &client).await {
        Ok(session) => {
            let response = Redirect::to(next).into_response();
            Ok(session::begin(&session, state.clock.now(), state.secure_cookies, response))
        }
        Err(AccountsError::Throttled { retry_after }) => {
            let text = format!("Too many attempts. Try again in {} s.", retry_after.as_secs().max(1));
            let mut response = again(StatusCode::TOO_MANY_REQUESTS, &text);
            response
                .headers_mut()
                .insert(http::header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
            Ok(response)
        }
        Err(AccountsError::WrongCredentials | AccountsError::Invalid { .. }) => {
            Ok(again(StatusCode::UNPROCESSABLE_ENTITY, "E-mail address or password is wrong."))
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /sign-in/link/{secret}`: asks for a click, so that a link preview does not use the link up.
pub(crate) async fn link_form() -> Response {
    without_referrer(respond::page(&LinkPage { assets: assets::paths() }))
}

/// `POST /sign-in/link/{secret}`
pub(crate) async fn sign_in_with_link(
    State(state): State<Arc<DashboardState>>,
    Client(client): Client,
    Path(secret): Path<String>,
    _: OpenForm,
) -> Result<Response, Refusal> {
    if secret.len() > SECRET_CHARS_MAX {
        return Err(expired());
    }
    let session = state.sign_in.sign_in_with_link(&secret, &client).await.map_err(link_refusal)?;
    let response = without_referrer(Redirect::to("/").into_response());
    Ok(session::begin(&session, state.clock.now(), state.secure_cookies, response))
}

/// `GET /join/{secret}`
pub(crate) async fn join_form(
    State(state): State<Arc<DashboardState>>,
    Path(secret): Path<String>,
) -> Result<Response, Refusal> {
    let invite = find_invite(&state, &secret).await?;
    Ok(without_referrer(join_page(&invite, "", None)))
}

/// `POST /join/{secret}`
pub(crate) async fn join(
    State(state): State<Arc<DashboardState>>,
    Client(client): Client,
    Path(secret): Path<String>,
    OpenForm(form): OpenForm,
) -> Result<Response, Refusal> {
    let invite = find_invite(&state, &secret).await?;
    let accept = AcceptInvite {
        secret: Secret(secret),
        name: form.text("name").to_owned(),
        password: Secret(form.raw("password").to_owned()),
    };
    match state.sign_in.accept_invite(accept, &client).await {
        Ok(session) => {
            let response = without_referrer(Redirect::to("/").into_response());
            Ok(session::begin(&session, state.clock.now(), state.secure_cookies, response))
        }
        Err(AccountsError::LinkExpired) => Err(expired()),
        Err(error) => {
            let text = Refusal::from(error).into_form_error()?;
            let mut response = without_referrer(join_page(&invite, form.text("name"), Some(text)));
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
    }
}

/// `POST /sign-out`
pub(crate) async fn sign_out(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    state.sign_in.sign_out(&visitor.secret, &visitor.client).await?;
    Ok(session::end(state.secure_cookies, Redirect::to("/sign-in").into_response()))
}

/// `POST /sign-out/everywhere`
pub(crate) async fn sign_out_everywhere(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    state.sign_in.sign_out_everywhere(&visitor.principal, &visitor.client).await?;
    Ok(session::end(state.secure_cookies, Redirect::to("/sign-in").into_response()))
}

/// `POST /organisations/{organisation}/switch`
pub(crate) async fn switch_organisation(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(organisation): Path<String>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let organisation = organisation.parse().map_err(|_| Refusal::NotFound)?;
    let session = state.sign_in.switch_organisation(&visitor.secret, organisation, &visitor.client).await?;
    let response = Redirect::to("/").into_response();
    Ok(session::begin(&session, state.clock.now(), state.secure_cookies, response))
}

async fn find_invite(state: &DashboardState, secret: &str) -> Result<InviteInfo, Refusal> {
    if secret.len() > SECRET_CHARS_MAX {
        return Err(expired());
    }
    state.sign_in.find_invite(secret).await?.ok_or_else(expired)
}

fn join_page(invite: &InviteInfo, name: &str, error: Option<String>) -> Response {
    respond::page(&JoinPage {
        assets: assets::paths(),
        error,
        organisation: &invite.organisation.name,
        role: role_name(invite.role),
        email: &invite.email,
        name,
    })
}

fn link_refusal(error: AccountsError) -> Refusal {
    if matches!(error, AccountsError::LinkExpired) { expired() } else { error.into() }
}

fn expired() -> Refusal {
    Refusal::Invalid("This link was used before or has expired. Ask for a new one.".to_owned())
}

/// The address of these pages is a secret: it goes nowhere else.
fn without_referrer(mut response: Response) -> Response {
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
