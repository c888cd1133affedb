//! Who a subject is, for those who may know; each look is an entry in the audit log.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_kernel::{Identity, SubjectId};
use belvedere_privacy::RevealSubject;

use crate::form::{CheckedForm, Pairs};
use crate::layout::{Layout, Scene, Section};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::issues::event_href;

#[derive(Template)]
#[template(path = "reveal.html")]
struct RevealPage {
    layout: Layout,
    base: String,
    subject: SubjectId,
    fields: Vec<(&'static str, String)>,
    back_href: Option<String>,
}

/// `POST /projects/{project}/subjects/{subject}/reveal`: a form, so that nobody is revealed by following a link.
pub(crate) async fn reveal(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, subject)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::RevealSubjects).await?;
    let subject = SubjectId(subject.parse().map_err(|_| Refusal::NotFound)?);
    let reveal = RevealSubject {
        actor: scene.principal().actor,
        organisation: scene.principal().organisation,
        project: scene.id(),
        subject,
        request_id: scene.client().request_id.clone(),
    };
    let identity = scene.state.privacy.reveal_subject(reveal).await?;
    let event =
        form.some("event").filter(|event| event.len() <= 36 && event.chars().all(|c| c.is_ascii_hexdigit()));
    Ok(respond::page(&RevealPage {
        layout: scene.layout(Section::Elsewhere, &Pairs::default()).await?,
        base: scene.base(),
        subject,
        fields: identity.map(fields).unwrap_or_default(),
        back_href: event.map(|event| event_href(scene.id(), &event)),
    }))
}

fn fields(identity: Identity) -> Vec<(&'static str, String)> {
    let named = [
        ("Name", identity.name),
        ("User id", identity.id),
        ("User name", identity.username),
        ("E-mail", identity.email),
        ("Anonymous id", identity.anonymous_id),
        ("IP address", identity.ip_address),
    ];
    named.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect()
}
