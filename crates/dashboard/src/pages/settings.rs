//! What can be set: the project, its keys and its privacy; the organisation's members and tokens; oneself.

pub(crate) mod account;
pub(crate) mod grouping;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod members;
pub(crate) mod ownership;
pub(crate) mod privacy;
pub(crate) mod project;
pub(crate) mod source_maps;
pub(crate) mod tokens;
pub(crate) mod webhooks;
pub(crate) mod xapi_keys;

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use belvedere_accounts::Permission;
use http::StatusCode;

use crate::layout::Scene;
use crate::state::DashboardState;

/// A tab of the settings.
pub(crate) struct SettingsTab {
    pub(crate) label: &'static str,
    pub(crate) href: String,
    pub(crate) is_current: bool,
}

/// The routes below `/projects/{project}`.
pub(crate) fn routes() -> Router<Arc<DashboardState>> {
    Router::new()
        .route("/settings", get(project::show).post(project::change))
        .route("/settings/keys", get(keys::show).post(keys::create))
        .route("/settings/keys/{key}", post(keys::change))
        .route("/settings/keys/{key}/revoke", post(keys::revoke))
        .route("/settings/xapi-keys", get(xapi_keys::show).post(xapi_keys::create))
        .route("/settings/xapi-keys/{key}/revoke", post(xapi_keys::revoke))
        .route("/settings/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/settings/webhooks/{endpoint}", get(webhooks::show).post(webhooks::change))
        .route("/settings/webhooks/{endpoint}/secret", post(webhooks::rotate))
        .route("/settings/webhooks/{endpoint}/ping", post(webhooks::ping))
        .route("/settings/webhooks/{endpoint}/delete", post(webhooks::delete))
        .route("/settings/webhooks/{endpoint}/deliveries/{delivery}/resend", post(webhooks::resend))
        .route("/settings/tokens", get(tokens::show).post(tokens::create))
        .route("/settings/tokens/{token}/revoke", post(tokens::revoke))
        .route("/settings/members", get(members::show).post(members::invite))
        .route("/settings/members/{user}/role", post(members::set_role))
        .route("/settings/members/{user}/remove", post(members::remove))
        .route("/settings/invites/{invite}/revoke", post(members::revoke_invite))
        .route("/settings/ownership", get(ownership::show).post(ownership::change))
        .route("/settings/discards/{discard}/lift", post(ownership::lift))
        .route("/settings/limits", get(limits::show).post(limits::change))
        .route("/settings/privacy", get(privacy::show).post(privacy::change))
        .route("/settings/source-maps", get(source_maps::show))
        .route("/settings/source-maps/{bundle}", get(source_maps::show_bundle))
        .route("/settings/source-maps/{bundle}/delete", post(source_maps::delete))
        .route("/settings/grouping", get(grouping::show).post(grouping::change))
        .route("/settings/account", get(account::show).post(account::change))
        .route("/settings/password", post(account::set_password))
}

/// The tabs that the visitor may open.
fn tabs(scene: &Scene, current: &str) -> Vec<SettingsTab> {
    let all = [
        ("Project", "", Some(Permission::ViewProjects)),
        ("Ingest keys", "/keys", Some(Permission::ViewKeys)),
        ("xAPI keys", "/xapi-keys", Some(Permission::ViewKeys)),
        ("Webhooks", "/webhooks", Some(Permission::ManageProjects)),
        ("Source maps", "/source-maps", Some(Permission::ViewIssues)),
        ("Retention and quotas", "/limits", Some(Permission::ViewProjects)),
        ("Grouping", "/grouping", Some(Permission::ViewIssues)),
        ("Privacy", "/privacy", Some(Permission::ViewProjects)),
        ("Ownership", "/ownership", Some(Permission::ViewIssues)),
        ("Members", "/members", Some(Permission::ViewMembers)),
        ("API tokens", "/tokens", Some(Permission::ManageTokens)),
        ("Account", "/account", None),
    ];
    all.into_iter()
        .filter(|(_, path, _)| *path != "/source-maps" || scene.state.source_maps.is_some())
        .filter(|(_, path, _)| *path != "/xapi-keys" || scene.state.xapi_keys.is_some())
        .filter(|(_, _, permission)| permission.is_none_or(|permission| scene.may(permission)))
        .filter(|(_, path, _)| *path != "/grouping" || scene.state.errors.is_some())
        .map(|(label, path, _)| SettingsTab {
            label,
            href: format!("{}/settings{path}", scene.base()),
            is_current: path == current,
        })
        .collect()
}

/// A page that says what was wrong with the form that was sent.
pub(crate) fn with_status_of(error: bool, mut response: Response) -> Response {
    if error {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    response
}
