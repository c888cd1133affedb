//! Keys of the xAPI record store.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_accounts::{NewXapiKey, XapiKeyInfo};
use belvedere_kernel::{ProjectId, XapiKey};
use belvedere_storage::{Id, Timestamp};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::KeysWanted;
use super::answer::List;
use super::input::{JsonBody, Parameters, PathText, page, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// A key of the xAPI record store without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct XapiKeyAnswer {
    /// A ULID.
    #[schema(value_type = String)]
    id: Id<XapiKey>,
    /// The project whose store it opens.
    #[schema(value_type = i64)]
    project: ProjectId,
    /// 32 hexadecimal digits: the user name of Basic authentication.
    public_key: String,
    /// What people call it, and what the authority of its statements is called.
    label: String,
    /// What it may do.
    scopes: Vec<&'static str>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it stopped working.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
}

impl From<XapiKeyInfo> for XapiKeyAnswer {
    fn from(key: XapiKeyInfo) -> Self {
        Self {
            id: key.id,
            project: key.project,
            public_key: key.public_key,
            label: key.label,
            scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
            created_at: key.created_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// A new key of the xAPI record store.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewXapiKeyAnswer {
    #[serde(flatten)]
    key: XapiKeyAnswer,
    /// The password of Basic authentication; shown this once.
    secret: String,
    /// The address of the store.
    endpoint: String,
}

/// A key of the xAPI record store to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewXapiKeyBody {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// What people call it, 1 to 100 characters.
    label: String,
    /// What it may do: statements/write, statements/read/mine, statements/read, state, profile, all.
    scopes: Vec<String>,
}

/// List a project's keys of the xAPI record store, newest first
#[utoipa::path(get, path = "/api/v1/xapi_keys", tag = "keys", params(KeysWanted),
    responses((status = 200, description = "A page of keys, revoked ones included", body = List<XapiKeyAnswer>)))]
pub(super) async fn list_xapi_keys(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<KeysWanted>,
) -> Result<Json<List<XapiKeyAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    let keys = shared.xapi_keys.list_xapi_keys(&caller.principal, project.id, page).await?;
    Ok(List::of(keys, XapiKeyAnswer::from))
}

/// Make a key of the xAPI record store
#[utoipa::path(post, path = "/api/v1/xapi_keys", tag = "keys", request_body = NewXapiKeyBody,
    responses((status = 201, description = "The new key with its secret", body = NewXapiKeyAnswer)))]
pub(super) async fn create_xapi_key(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    JsonBody(body): JsonBody<NewXapiKeyBody>,
) -> Result<(StatusCode, Json<NewXapiKeyAnswer>), Problem> {
    let project = project(&shared, &caller, body.project.as_deref()).await?;
    let scopes = body.scopes.iter().map(|scope| scope.parse()).collect::<Result<Vec<_>, _>>()?;
    let new = NewXapiKey { project: project.id, label: body.label, scopes };
    let (key, secret) = shared.xapi_keys.create_xapi_key(&caller.principal, new, &caller.client).await?;
    let endpoint = format!("{}/xapi/", shared.public_url);
    Ok((StatusCode::CREATED, Json(NewXapiKeyAnswer { key: key.into(), secret: secret.0, endpoint })))
}

/// Make a key of the xAPI record store stop working for good
#[utoipa::path(delete, path = "/api/v1/xapi_keys/{id}", tag = "keys",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 204, description = "It does not work any more")))]
pub(super) async fn revoke_xapi_key(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
) -> Result<StatusCode, Problem> {
    let key = path.id("xAPI key")?;
    shared.xapi_keys.revoke_xapi_key(&caller.principal, key, &caller.client).await?;
    Ok(StatusCode::NO_CONTENT)
}
