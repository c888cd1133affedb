//! Webhooks: where a project's notices go, and what became of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_accounts::Permission;
use belvedere_alerting::{
    ChangedBy, Delivery, DeliveryId, Endpoint, EndpointChange, EndpointId, NewEndpoint, SigningSecret,
};
use belvedere_kernel::{NoticeKind, ProjectId};
use belvedere_storage::Timestamp;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::List;
use super::input::{InProject, JsonBody, Parameters, PathPair, PathText, page, project};
use crate::problem::Problem;
use crate::routes::{Access, Caller, Routes};
use crate::state::Shared;

pub(super) fn routes(routes: Routes) -> Routes {
    let manage = Access::Needs(Permission::ManageProjects);
    routes
        .get("/api/v1/webhooks", manage, list_webhooks)
        .post("/api/v1/webhooks", manage, create_webhook)
        .get("/api/v1/webhooks/{id}", manage, find_webhook)
        .put("/api/v1/webhooks/{id}", manage, update_webhook)
        .delete("/api/v1/webhooks/{id}", manage, delete_webhook)
        .post("/api/v1/webhooks/{id}/secret", manage, rotate_secret)
        .post("/api/v1/webhooks/{id}/ping", manage, ping_webhook)
        .get("/api/v1/webhooks/{id}/deliveries", manage, list_deliveries)
        .post("/api/v1/webhooks/{id}/deliveries/{delivery}/resend", manage, resend_delivery)
}

/// An endpoint without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookAnswer {
    /// A ULID.
    #[schema(value_type = String)]
    id: EndpointId,
    /// The project whose notices go there.
    #[schema(value_type = i64)]
    project: ProjectId,
    /// Where it is.
    url: String,
    /// What it is told of: `learning.milestone`, `learning.struggling`, `issue.new`, `issue.regressed`.
    kinds: Vec<&'static str>,
    /// Whether it is told.
    is_enabled: bool,
    /// Deliveries that wait to be sent, or to be sent again.
    waiting: u64,
    /// Deliveries that were given up after their last attempt.
    dead: u64,
    /// Deliveries that were dropped because more than 10,000 waited, or because they were larger than 64 KiB.
    dropped: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Endpoint> for WebhookAnswer {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            id: endpoint.id,
            project: endpoint.project,
            url: endpoint.url,
            kinds: endpoint.kinds.iter().map(|kind| kind.as_str()).collect(),
            is_enabled: endpoint.is_enabled,
            waiting: endpoint.waiting,
            dead: endpoint.dead,
            dropped: endpoint.dropped,
            created_at: endpoint.created_at,
        }
    }
}

/// A new endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewWebhookAnswer {
    #[serde(flatten)]
    webhook: WebhookAnswer,
    /// What deliveries are verified with: `whsec_` and base64; shown this once.
    secret: String,
}

/// A new secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SecretAnswer {
    /// What deliveries are verified with: `whsec_` and base64; shown this once.
    secret: String,
}

impl From<SigningSecret> for SecretAnswer {
    fn from(secret: SigningSecret) -> Self {
        Self { secret: secret.reveal() }
    }
}

/// A delivery that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PingAnswer {
    /// The delivery.
    #[schema(value_type = String)]
    id: DeliveryId,
}

/// A delivery to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryAnswer {
    /// A ULID; behind `msg_`, the `webhook-id` of every attempt.
    #[schema(value_type = String)]
    id: DeliveryId,
    /// What it tells of: a kind of notice, or `ping`.
    kind: String,
    /// `pending`, `delivered` or `dead`.
    state: &'static str,
    /// How often it was tried.
    attempts: u32,
    /// The status of the last answer; null where there was none.
    last_status: Option<u16>,
    /// The beginning of the last answer, or why there was none; at most 500 characters.
    last_answer: Option<String>,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it is tried next, while it waits.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    /// When it was delivered or given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    settled_at: Option<Timestamp>,
}

impl From<Delivery> for DeliveryAnswer {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            kind: delivery.kind,
            state: delivery.state.as_str(),
            attempts: delivery.attempts,
            last_status: delivery.last_status,
            last_answer: delivery.last_answer,
            created_at: delivery.created_at,
            next_at: delivery.next_at,
            settled_at: delivery.settled_at,
        }
    }
}

/// An endpoint to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWebhookBody {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Where it is: https and a public address, unless the operator allows others; at most 2,000 bytes.
    url: String,
    /// What it is told of: `learning.milestone`, `learning.struggling`, `issue.new`, `issue.regressed`.
    kinds: Vec<String>,
}

/// What changes about an endpoint; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookChangeBody {
    /// Where it is.
    url: Option<String>,
    /// What it is told of.
    kinds: Option<Vec<String>>,
    /// Whether it is told.
    is_enabled: Option<bool>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveriesWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

fn changed_by(caller: &Caller) -> ChangedBy {
    ChangedBy { actor: caller.principal.actor, request_id: caller.client.request_id.clone() }
}

fn kinds(words: &[String]) -> Result<Vec<NoticeKind>, Problem> {
    let parsed = words.iter().map(|word| word.parse()).collect::<Result<_, _>>();
    parsed.map_err(|error| Problem::invalid("kinds", error))
}

/// List a project's webhooks, the oldest first
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks", params(InProject),
    responses((status = 200, description = "At most 20 webhooks", body = Vec<WebhookAnswer>)))]
pub(super) async fn list_webhooks(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
) -> Result<Json<Vec<WebhookAnswer>>, Problem> {
    let endpoints = shared.webhooks.list_endpoints(project.id).await?;
    Ok(Json(endpoints.into_iter().map(WebhookAnswer::from).collect()))
}

/// Make a webhook
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "webhooks", request_body = NewWebhookBody,
    responses((status = 201, description = "The new webhook with its secret", body = NewWebhookAnswer)))]
pub(super) async fn create_webhook(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    JsonBody(body): JsonBody<NewWebhookBody>,
) -> Result<(StatusCode, Json<NewWebhookAnswer>), Problem> {
    let project = project(&shared, &caller, body.project.as_deref()).await?;
    let new = NewEndpoint { url: body.url, kinds: kinds(&body.kinds)? };
    let (endpoint, secret) = shared.webhooks.create_endpoint(project.id, new, &changed_by(&caller)).await?;
    let answer = NewWebhookAnswer { webhook: endpoint.into(), secret: secret.reveal() };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Find a webhook
#[utoipa::path(get, path = "/api/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"), InProject),
    responses((status = 200, description = "The webhook", body = WebhookAnswer)))]
pub(super) async fn find_webhook(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<WebhookAnswer>, Problem> {
    let endpoint = shared.webhooks.find_endpoint(project.id, path.id("webhook")?).await?;
    endpoint.map(|endpoint| Json(endpoint.into())).ok_or_else(|| Problem::not_found("webhook"))
}

/// Change where a webhook is, what it is told of, or whether it is told
#[utoipa::path(put, path = "/api/v1/webhooks/{id}", tag = "webhooks", request_body = WebhookChangeBody,
    params(("id" = String, Path, description = "The webhook's id"), InProject),
    responses((status = 200, description = "The webhook as it is now", body = WebhookAnswer)))]
pub(super) async fn update_webhook(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
    JsonBody(body): JsonBody<WebhookChangeBody>,
) -> Result<Json<WebhookAnswer>, Problem> {
    let kinds = body.kinds.as_deref().map(kinds).transpose()?;
    let change = EndpointChange { url: body.url, kinds, is_enabled: body.is_enabled };
    let id = path.id("webhook")?;
    let endpoint = shared.webhooks.change_endpoint(project.id, id, change, &changed_by(&caller)).await?;
    Ok(Json(endpoint.into()))
}

/// Delete a webhook and its deliveries
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"), InProject),
    responses((status = 204, description = "Nothing is sent there any more")))]
pub(super) async fn delete_webhook(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    shared.webhooks.delete_endpoint(project.id, path.id("webhook")?, &changed_by(&caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a webhook a new secret; the one before signs for another 24 hours as well
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/secret", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"), InProject),
    responses((status = 200, description = "The new secret", body = SecretAnswer)))]
pub(super) async fn rotate_secret(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<SecretAnswer>, Problem> {
    let id = path.id("webhook")?;
    let secret = shared.webhooks.rotate_secret(project.id, id, &changed_by(&caller)).await?;
    Ok(Json(secret.into()))
}

/// Deliver a ping to a webhook, to try it
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/ping", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"), InProject),
    responses((status = 202, description = "The delivery, which follows", body = PingAnswer)))]
pub(super) async fn ping_webhook(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
) -> Result<(StatusCode, Json<PingAnswer>), Problem> {
    let id = shared.webhooks.ping(project.id, path.id("webhook")?, &changed_by(&caller)).await?;
    Ok((StatusCode::ACCEPTED, Json(PingAnswer { id })))
}

/// List the deliveries of a webhook, the latest first
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"), DeliveriesWanted),
    responses((status = 200, description = "A page of deliveries", body = List<DeliveryAnswer>)))]
pub(super) async fn list_deliveries(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    Parameters(wanted): Parameters<DeliveriesWanted>,
) -> Result<Json<List<DeliveryAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    let deliveries = shared.webhooks.list_deliveries(project.id, path.id("webhook")?, page).await?;
    Ok(List::of(deliveries, DeliveryAnswer::from))
}

/// Send a delivery again, under the same id and with all its attempts
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/deliveries/{delivery}/resend", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"),
        ("delivery" = String, Path, description = "The delivery's id"), InProject),
    responses((status = 202, description = "It is sent within moments")))]
pub(super) async fn resend_delivery(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathPair(webhook, delivery): PathPair,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    let webhook: EndpointId = webhook.parse().map_err(|_| Problem::not_found("webhook"))?;
    let delivery: DeliveryId = delivery.parse().map_err(|_| Problem::not_found("delivery"))?;
    shared.webhooks.resend(project.id, webhook, delivery, &changed_by(&caller)).await?;
    Ok(StatusCode::ACCEPTED)
}
