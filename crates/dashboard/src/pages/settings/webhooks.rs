//! Where the project's notices go, and what became of them.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_alerting::{
    ChangedBy, Delivery, DeliveryState, Endpoint, EndpointChange, EndpointId, NewEndpoint, SigningSecret,
};
use belvedere_kernel::NoticeKind;

use super::{SettingsTab, tabs, with_status_of};
use crate::form::{CheckedForm, Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::{done, page_request};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::{Ago, At, Count};

const ROWS_PER_PAGE: u16 = 50;

/// An endpoint as pages show it.
struct EndpointRow {
    href: String,
    url: String,
    kinds: String,
    is_enabled: bool,
    waiting: Count,
    dead: Count,
    dropped: Count,
    created_at: At,
}

/// A kind of notice as forms offer it.
struct KindRow {
    name: &'static str,
    about: &'static str,
    is_ticked: bool,
}

/// A delivery as the page of its endpoint shows it.
struct DeliveryRow {
    id: String,
    kind: String,
    state: &'static str,
    tone: &'static str,
    attempts: u32,
    answer: String,
    created_at: Ago,
    next_at: Option<At>,
    may_resend: bool,
}

#[derive(Template)]
#[template(path = "settings/webhooks.html")]
struct WebhooksPage {
    layout: Layout,
    tabs: Vec<SettingsTab>,
    error: Option<String>,
    base: String,
    secret: Option<String>,
    endpoints: Vec<EndpointRow>,
    url: String,
    kinds: Vec<KindRow>,
}

#[derive(Template)]
#[template(path = "settings/webhook.html")]
struct WebhookPage {
    layout: Layout,
    tabs: Vec<SettingsTab>,
    error: Option<String>,
    base: String,
    secret: Option<String>,
    endpoint: EndpointRow,
    kinds: Vec<KindRow>,
    deliveries: Vec<DeliveryRow>,
    next_href: Option<String>,
}

fn about(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::MilestoneReached => "a learner reaches a milestone",
        NoticeKind::LearnerStruggling => "a learner begins to struggle with a skill",
        NoticeKind::IssueNew => "a new issue",
        NoticeKind::IssueRegressed => "a resolved issue that comes back",
    }
}

fn kind_rows(is_ticked: impl Fn(NoticeKind) -> bool) -> Vec<KindRow> {
    let row =
        |kind: NoticeKind| KindRow { name: kind.as_str(), about: about(kind), is_ticked: is_ticked(kind) };
    NoticeKind::ALL.map(row).into()
}

fn ticked_kinds(form: &Pairs) -> Vec<NoticeKind> {
    NoticeKind::ALL.into_iter().filter(|kind| form.is_ticked(kind.as_str())).collect()
}

fn by(scene: &Scene) -> ChangedBy {
    ChangedBy { actor: scene.principal().actor, request_id: scene.client().request_id.clone() }
}

fn path(scene: &Scene) -> String {
    format!("{}/settings/webhooks", scene.base())
}

async fn open(state: Arc<DashboardState>, visitor: Visitor, project: &str) -> Result<Scene, Refusal> {
    Scene::open(state, visitor, project, Permission::ManageProjects).await
}

fn parse(endpoint: &str) -> Result<EndpointId, Refusal> {
    endpoint.parse().map_err(|_| Refusal::NotFound)
}

/// `GET /projects/{project}/settings/webhooks`
pub(crate) async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    list_page(&scene, &pairs, &Pairs::default(), None, None).await
}

/// `POST /projects/{project}/settings/webhooks`: the answer shows the secret, this once.
pub(crate) async fn create(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let new = NewEndpoint { url: form.text("url").to_owned(), kinds: ticked_kinds(&form) };
    let none = Pairs::default();
    match scene.state.webhooks.create_endpoint(scene.id(), new, &by(&scene)).await {
        Ok((_, secret)) => list_page(&scene, &none, &none, Some(&secret), None).await,
        Err(error) => {
            let error = Refusal::from(error).into_form_error()?;
            list_page(&scene, &none, &form, None, Some(error)).await
        }
    }
}

/// `GET /projects/{project}/settings/webhooks/{endpoint}`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, endpoint)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    page(&scene, parse(&endpoint)?, &pairs, None, None).await
}

/// `POST /projects/{project}/settings/webhooks/{endpoint}`
pub(crate) async fn change(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, endpoint)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let id = parse(&endpoint)?;
    let change = EndpointChange {
        url: Some(form.text("url").to_owned()),
        kinds: Some(ticked_kinds(&form)),
        is_enabled: Some(form.is_ticked("is_enabled")),
    };
    match scene.state.webhooks.change_endpoint(scene.id(), id, change, &by(&scene)).await {
        Ok(_) => Ok(done(&format!("{}/{id}", path(&scene)), "saved")),
        Err(error) => {
            let error = Refusal::from(error).into_form_error()?;
            page(&scene, id, &Pairs::default(), None, Some(error)).await
        }
    }
}

/// `POST /projects/{project}/settings/webhooks/{endpoint}/secret`: the answer shows the new secret, this once.
pub(crate) async fn rotate(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, endpoint)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let id = parse(&endpoint)?;
    let secret = scene.state.webhooks.rotate_secret(scene.id(), id, &by(&scene)).await?;
    page(&scene, id, &Pairs::default(), Some(&secret), None).await
}

/// `POST /projects/{project}/settings/webhooks/{endpoint}/ping`
pub(crate) async fn ping(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, endpoint)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let id = parse(&endpoint)?;
    scene.state.webhooks.ping(scene.id(), id, &by(&scene)).await?;
    Ok(done(&format!("{}/{id}", path(&scene)), "pinged"))
}

/// `POST /projects/{project}/settings/webhooks/{endpoint}/delete`
pub(crate) async fn delete(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, endpoint)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    scene.state.webhooks.delete_endpoint(scene.id(), parse(&endpoint)?, &by(&scene)).await?;
    Ok(done(&path(&scene), "gone"))
}

/// `POST /projects/{project}/settings/webhooks/{endpoint}/deliveries/{delivery}/resend`
pub(crate) async fn resend(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, endpoint, delivery)): Path<(String, String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let (id, delivery) = (parse(&endpoint)?, delivery.parse().map_err(|_| Refusal::NotFound)?);
    scene.state.webhooks.resend(scene.id(), id, delivery, &by(&scene)).await?;
    Ok(done(&format!("{}/{id}", path(&scene)), "resent"))
}

/// The list; `form` is what was sent and could not be used.
async fn list_page(
    scene: &Scene,
    pairs: &Pairs,
    form: &Pairs,
    secret: Option<&SigningSecret>,
    error: Option<String>,
) -> Result<Response, Refusal> {
    let endpoints = scene.state.webhooks.list_endpoints(scene.id()).await?;
    let has_error = error.is_some();
    let page = WebhooksPage {
        layout: scene.layout(Section::Settings, pairs).await?,
        tabs: tabs(scene, "/webhooks"),
        error,
        base: scene.base(),
        secret: secret.map(SigningSecret::reveal),
        endpoints: endpoints.into_iter().map(|endpoint| row(scene, endpoint)).collect(),
        url: form.text("url").to_owned(),
        kinds: kind_rows(|kind| form.is_ticked(kind.as_str())),
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

async fn page(
    scene: &Scene,
    id: EndpointId,
    pairs: &Pairs,
    secret: Option<&SigningSecret>,
    error: Option<String>,
) -> Result<Response, Refusal> {
    let webhooks = &scene.state.webhooks;
    let endpoint = webhooks.find_endpoint(scene.id(), id).await?.ok_or(Refusal::NotFound)?;
    let listed = webhooks.list_deliveries(scene.id(), id, page_request(pairs, ROWS_PER_PAGE)).await?;
    let kinds = kind_rows(|kind| endpoint.kinds.contains(&kind));
    let endpoint = row(scene, endpoint);
    let has_error = error.is_some();
    let page = WebhookPage {
        layout: scene.layout(Section::Settings, pairs).await?,
        tabs: tabs(scene, "/webhooks"),
        error,
        base: scene.base(),
        secret: secret.map(SigningSecret::reveal),
        kinds,
        deliveries: listed.items.into_iter().map(|delivery| delivery_row(scene, delivery)).collect(),
        next_href: listed.next.map(|next| address(&endpoint.href, &[("after", next.as_str())])),
        endpoint,
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

fn row(scene: &Scene, endpoint: Endpoint) -> EndpointRow {
    let kinds: Vec<&str> = endpoint.kinds.iter().map(|kind| kind.as_str()).collect();
    EndpointRow {
        href: format!("{}/{}", path(scene), endpoint.id),
        kinds: kinds.join(", "),
        url: endpoint.url,
        is_enabled: endpoint.is_enabled,
        waiting: Count(endpoint.waiting),
        dead: Count(endpoint.dead),
        dropped: Count(endpoint.dropped),
        created_at: At(endpoint.created_at),
    }
}

fn delivery_row(scene: &Scene, delivery: Delivery) -> DeliveryRow {
    let status = delivery.last_status.map(|status| status.to_string());
    let answer: Vec<String> = status.into_iter().chain(delivery.last_answer).collect();
    DeliveryRow {
        id: delivery.id.to_string(),
        kind: delivery.kind,
        state: delivery.state.as_str(),
        tone: match delivery.state {
            DeliveryState::Pending => "warn",
            DeliveryState::Delivered => "on",
            DeliveryState::Dead => "bad",
        },
        attempts: delivery.attempts,
        answer: answer.join(" "),
        created_at: Ago { at: delivery.created_at, now: scene.now },
        next_at: delivery.next_at.map(At),
        // What waits for its first attempt is about to be sent.
        may_resend: delivery.state != DeliveryState::Pending || delivery.attempts > 0,
    }
}
