//! The tokens by which programs use the API.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::{ApiTokenInfo, NewApiToken, Permission, Scope};

use super::{SettingsTab, tabs, with_status_of};
use crate::form::{CheckedForm, Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::{done, page_request};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::{Ago, At};

const ROWS_PER_PAGE: u16 = 50;

/// A token as the page shows it.
struct TokenRow {
    id: String,
    label: String,
    prefix: String,
    scopes: String,
    created_at: At,
    last_used_at: Option<Ago>,
    expires_at: Option<At>,
    /// Why it does not work any more.
    state: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "settings/tokens.html")]
struct TokensPage {
    layout: Layout,
    tabs: Vec<SettingsTab>,
    error: Option<String>,
    base: String,
    secret: Option<String>,
    tokens: Vec<TokenRow>,
    next_href: Option<String>,
}

/// `GET /projects/{project}/settings/tokens`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageTokens).await?;
    page(&scene, &pairs, None, None).await
}

/// `POST /projects/{project}/settings/tokens`: the answer shows the secret, this once.
pub(crate) async fn create(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageTokens).await?;
    let made = match lifetime(&form) {
        Ok(lifetime) => {
            let new = NewApiToken {
                label: form.text("label").to_owned(),
                scopes: Scope::ALL.into_iter().filter(|scope| form.is_ticked(scope.as_str())).collect(),
                expires_at: lifetime.map(|lifetime| scene.now.plus(lifetime)),
            };
            let made = scene.state.api_tokens.create_api_token(scene.principal(), new, scene.client()).await;
            made.map_err(Refusal::from)
        }
        Err(refusal) => Err(refusal),
    };
    match made {
        Ok((_, secret)) => page(&scene, &Pairs::default(), Some(secret.0), None).await,
        Err(refusal) => page(&scene, &Pairs::default(), None, Some(refusal.into_form_error()?)).await,
    }
}

/// How long the token is to work: for ever only if the form says nothing, never because it cannot be read.
fn lifetime(form: &Pairs) -> Result<Option<Duration>, Refusal> {
    let Some(days) = form.some("days") else { return Ok(None) };
    match days.parse::<u64>() {
        Ok(days @ 1..=3_650) => Ok(Some(Duration::from_secs(days * 86_400))),
        _ => Err(Refusal::Invalid("days must be a number from 1 to 3,650, or nothing".to_owned())),
    }
}

/// `POST /projects/{project}/settings/tokens/{token}/revoke`
pub(crate) async fn revoke(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, token)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageTokens).await?;
    let token = token.parse().map_err(|_| Refusal::NotFound)?;
    scene.state.api_tokens.revoke_api_token(scene.principal(), token, scene.client()).await?;
    Ok(done(&format!("{}/settings/tokens", scene.base()), "revoked"))
}

async fn page(
    scene: &Scene,
    pairs: &Pairs,
    secret: Option<String>,
    error: Option<String>,
) -> Result<Response, Refusal> {
    let tokens =
        scene.state.api_tokens.list_api_tokens(scene.principal(), page_request(pairs, ROWS_PER_PAGE)).await?;
    let path = format!("{}/settings/tokens", scene.base());
    let has_error = error.is_some();
    let page = TokensPage {
        layout: scene.layout(Section::Settings, pairs).await?,
        tabs: tabs(scene, "/tokens"),
        error,
        base: scene.base(),
        secret,
        tokens: tokens.items.iter().map(|token| row(scene, token)).collect(),
        next_href: tokens.next.map(|next| address(&path, &[("after", next.as_str())])),
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

fn row(scene: &Scene, token: &ApiTokenInfo) -> TokenRow {
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    TokenRow {
        id: token.id.to_string(),
        label: token.label.clone(),
        prefix: token.prefix.clone(),
        scopes: scopes.join(", "),
        created_at: At(token.created_at),
        last_used_at: token.last_used_at.map(|at| Ago { at, now: scene.now }),
        expires_at: token.expires_at.map(At),
        state: match (token.revoked_at, token.expires_at) {
            (Some(_), _) => Some("revoked"),
            (None, Some(at)) if at <= scene.now => Some("expired"),
            _ => None,
        },
    }
}
