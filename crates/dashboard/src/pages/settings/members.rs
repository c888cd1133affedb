//! The people of the organisation and their invitations.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use belvedere_accounts::{Member, NewInvite, Permission, Role, RoleChange};
use belvedere_kernel::{Actor, User};
use belvedere_storage::{Id, PageRequest};

use super::{SettingsTab, tabs, with_status_of};
use crate::form::{CheckedForm, Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::issue_list::Choice;
use crate::pages::{done, page_request};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::At;

const ROWS_PER_PAGE: u16 = 100;

/// A member as the page shows them.
struct MemberRow {
    id: String,
    name: String,
    email: String,
    role: &'static str,
    roles: Vec<Choice>,
    is_self: bool,
    may_change: bool,
    may_remove: bool,
}

/// An invitation that can still be accepted.
struct InviteRow {
    id: String,
    email: String,
    role: &'static str,
    created_at: At,
    expires_at: At,
}

#[derive(Template)]
#[template(path = "settings/members.html")]
struct MembersPage {
    layout: Layout,
    tabs: Vec<SettingsTab>,
    error: Option<String>,
    base: String,
    organisation: String,
    link: Option<String>,
    link_email: String,
    members: Vec<MemberRow>,
    invites: Vec<InviteRow>,
    roles: Vec<Choice>,
    may_manage: bool,
    next_href: Option<String>,
}

/// A role in words.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "Owner",
        Role::Admin => "Admin",
        Role::Member => "Member",
        Role::Analyst => "Analyst",
        Role::Auditor => "Auditor",
        Role::PrivacyOfficer => "Privacy officer",
    }
}

/// `GET /projects/{project}/settings/members`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewMembers).await?;
    page(&scene, &pairs, None, None).await
}

/// `POST /projects/{project}/settings/members`: the answer shows the link, this once.
pub(crate) async fn invite(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageMembers).await?;
    let invited = async {
        let new = NewInvite { email: form.text("email").to_owned(), role: form.text("role").parse()? };
        scene.state.members.invite(scene.principal(), new, scene.client()).await
    };
    match invited.await {
        Ok(invite) => {
            let link = format!("{}/join/{}", scene.state.public_url, invite.secret.0);
            page(&scene, &Pairs::default(), Some((link, invite.invite.email)), None).await
        }
        Err(error) => {
            let error = Refusal::from(error).into_form_error()?;
            page(&scene, &Pairs::default(), None, Some(error)).await
        }
    }
}

/// `POST /projects/{project}/settings/members/{user}/role`
pub(crate) async fn set_role(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, user)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageMembers).await?;
    let change = RoleChange { user: parse(&user)?, role: form.text("role").parse()? };
    let outcome = scene.state.members.set_role(scene.principal(), change, scene.client()).await;
    finish(&scene, outcome.map_err(Refusal::from), "role").await
}

/// `POST /projects/{project}/settings/members/{user}/remove`; everybody may remove themselves.
pub(crate) async fn remove(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, user)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewMembers).await?;
    let user = parse(&user)?;
    let outcome = scene.state.members.remove_member(scene.principal(), user, scene.client()).await;
    if outcome.is_ok() && scene.principal().actor == Actor::User(user) {
        return Ok(Redirect::to("/sign-in").into_response());
    }
    finish(&scene, outcome.map_err(Refusal::from), "removed").await
}

/// `POST /projects/{project}/settings/invites/{invite}/revoke`
pub(crate) async fn revoke_invite(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, invite)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageMembers).await?;
    let invite = invite.parse().map_err(|_| Refusal::NotFound)?;
    let outcome = scene.state.members.revoke_invite(scene.principal(), invite, scene.client()).await;
    finish(&scene, outcome.map_err(Refusal::from), "withdrawn").await
}

async fn finish(scene: &Scene, outcome: Result<(), Refusal>, word: &str) -> Result<Response, Refusal> {
    match outcome {
        Ok(()) => Ok(done(&format!("{}/settings/members", scene.base()), word)),
        Err(refusal) => page(scene, &Pairs::default(), None, Some(refusal.into_form_error()?)).await,
    }
}

fn parse(user: &str) -> Result<Id<User>, Refusal> {
    user.parse().map_err(|_| Refusal::NotFound)
}

async fn page(
    scene: &Scene,
    pairs: &Pairs,
    link: Option<(String, String)>,
    error: Option<String>,
) -> Result<Response, Refusal> {
    let (principal, people) = (scene.principal(), &scene.state.members);
    let members = people.list_members(principal, page_request(pairs, ROWS_PER_PAGE)).await?;
    let may_manage = scene.may(Permission::ManageMembers);
    let invites = if may_manage {
        people.list_invites(principal, PageRequest::first(ROWS_PER_PAGE)).await?.items
    } else {
        Vec::new()
    };
    let organisation = scene.state.accounts.find_organisation(principal).await?;
    let path = format!("{}/settings/members", scene.base());
    let (link, link_email) = link.map_or((None, String::new()), |(link, email)| (Some(link), email));
    let has_error = error.is_some();
    let page = MembersPage {
        layout: scene.layout(Section::Settings, pairs).await?,
        tabs: tabs(scene, "/members"),
        error,
        base: scene.base(),
        organisation: organisation.map(|organisation| organisation.name).unwrap_or_default(),
        link,
        link_email,
        members: members.items.into_iter().map(|member| row(scene, member)).collect(),
        invites: invites
            .into_iter()
            .map(|invite| InviteRow {
                id: invite.id.to_string(),
                email: invite.email,
                role: role_name(invite.role),
                created_at: At(invite.created_at),
                expires_at: At(invite.expires_at),
            })
            .collect(),
        roles: roles(scene, Role::Member),
        may_manage,
        next_href: members.next.map(|next| address(&path, &[("after", next.as_str())])),
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

fn row(scene: &Scene, member: Member) -> MemberRow {
    let is_self = scene.principal().actor == Actor::User(member.user);
    let may_transfer = scene.may(Permission::TransferOrganisation);
    let may_change =
        scene.may(Permission::ManageMembers) && (may_transfer || (member.role != Role::Owner && !is_self));
    MemberRow {
        id: member.user.to_string(),
        role: role_name(member.role),
        roles: roles(scene, member.role),
        name: member.name,
        email: member.email,
        is_self,
        may_change,
        may_remove: may_change || is_self,
    }
}

/// The roles that the visitor may give.
fn roles(scene: &Scene, chosen: Role) -> Vec<Choice> {
    let may_transfer = scene.may(Permission::TransferOrganisation);
    let may_give = Role::ALL.into_iter().filter(|role| may_transfer || *role != Role::Owner);
    may_give
        .map(|role| Choice {
            value: role.as_str(),
            name: role_name(role).to_owned(),
            is_chosen: role == chosen,
        })
        .collect()
}
