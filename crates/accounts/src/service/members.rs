use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{Entry, Organisation, User};
use belvedere_storage::{Id, Page, PageRequest, StorageError, Tx};
use serde_json::json;

use super::{AccountsService, entry, limit, target, user_of};
use crate::entity::link;
use crate::secret::{hash, random_secret};
use crate::store::{self, api_tokens, links, organisations, people, sessions};
use crate::{
    AccountsError, ClientInfo, Conflict, InviteInfo, InviteLink, Member, Members, NewInvite,
    OrganisationInfo, Permission, Principal, ProfileChange, Rights, Role, RoleChange, fields,
};

const MEMBERS_MAX: u64 = 1_000;
const INVITES_MAX: u64 = 200;
const INVITE_LIFETIME: Duration = Duration::from_hours(7 * 24);

#[async_trait]
impl Members for AccountsService {
    async fn list_members(
        &self,
        principal: &Principal,
        page: PageRequest,
    ) -> Result<Page<Member>, AccountsError> {
        principal.require(Permission::ViewMembers)?;
        let rows = people::list_members(self.db.read(), principal.organisation, &page).await?;
        let mut items = Vec::with_capacity(rows.items.len());
        for (user, role) in &rows.items {
            items.push(self.member_of(user, *role).await?);
        }
        Ok(Page { items, next: rows.next })
    }

    async fn find_self(&self, principal: &Principal) -> Result<Option<Member>, AccountsError> {
        let Some(user) = user_of(principal) else { return Ok(None) };
        let role = people::find_role(self.db.read(), principal.organisation, user).await?;
        match (people::find_user(self.db.read(), user).await?, role) {
            (Some(row), Some(role)) => Ok(Some(self.member_of(&row, role).await?)),
            _ => Ok(None),
        }
    }

    async fn update_self(
        &self,
        principal: &Principal,
        change: ProfileChange,
        client: &ClientInfo,
    ) -> Result<Member, AccountsError> {
        let user = user_of(principal).ok_or(AccountsError::NotFound("person"))?;
        let name = change.name.map(|name| fields::name("name", &name)).transpose()?;
        let email = change.email.map(|email| fields::email("email", &email)).transpose()?;
        let row = people::find_user(self.db.read(), user).await?.ok_or(AccountsError::NotFound("person"))?;
        if email.is_some() {
            self.prove_password(&row, ("password", change.password.as_ref()), client).await?;
        }
        self.db
            .write(async |tx| {
                if let Some(name) = &name {
                    let sealed = self.seal_in(tx, user, name).await?;
                    people::set_name_in(tx, user, sealed).await?;
                }
                if let Some(email) = &email {
                    self.set_email_in(tx, user, email).await?;
                }
                let detail = json!({"name": name.is_some(), "email": email.is_some()});
                let target = target("user", user);
                let entry = Entry { target, detail, ..entry(principal, client, "user_updated") };
                self.record_in(tx, entry).await
            })
            .await?;
        self.find_self(principal).await?.ok_or(AccountsError::NotFound("person"))
    }

    async fn set_role(
        &self,
        principal: &Principal,
        change: RoleChange,
        client: &ClientInfo,
    ) -> Result<(), AccountsError> {
        principal.require(Permission::ManageMembers)?;
        let (organisation, user) = (principal.organisation, change.user);
        self.db
            .write(async |tx| {
                organisations::lock_in(tx, organisation).await?;
                let old = people::find_role(tx, organisation, user)
                    .await?
                    .ok_or(AccountsError::NotFound("member"))?;
                let is_self = user_of(principal) == Some(user);
                if is_self || old == Role::Owner || change.role == Role::Owner {
                    principal.require(Permission::TransferOrganisation)?;
                }
                if old == change.role {
                    return Ok(());
                }
                self.keep_an_owner_in(tx, organisation, old).await?;
                people::set_role_in(tx, organisation, user, change.role).await?;
                self.withdraw_in(tx, organisation, user, Some(change.role)).await?;
                let detail = json!({"from": old, "to": change.role});
                let target = target("user", user);
                let entry =
                    Entry { target, detail, ..entry(principal, client, "privilege_permissions_changed") };
                self.record_in(tx, entry).await
            })
            .await
    }

    async fn remove_member(
        &self,
        principal: &Principal,
        user: Id<User>,
        client: &ClientInfo,
    ) -> Result<(), AccountsError> {
        let organisation = principal.organisation;
        let is_self = user_of(principal) == Some(user);
        if !is_self {
            principal.require(Permission::ManageMembers)?;
        }
        self.db
            .write(async |tx| {
                organisations::lock_in(tx, organisation).await?;
                let role = people::find_role(tx, organisation, user)
                    .await?
                    .ok_or(AccountsError::NotFound("member"))?;
                if role == Role::Owner && !is_self {
                    principal.require(Permission::TransferOrganisation)?;
                }
                self.keep_an_owner_in(tx, organisation, role).await?;
                people::delete_member_in(tx, organisation, user).await?;
                self.withdraw_in(tx, organisation, user, None).await?;
                let (target, detail) = (target("user", user), json!({"role": role}));
                let entry = Entry { target, detail, ..entry(principal, client, "member_removed") };
                self.record_in(tx, entry).await
            })
            .await
    }

    async fn invite(
        &self,
        principal: &Principal,
        new: NewInvite,
        client: &ClientInfo,
    ) -> Result<InviteLink, AccountsError> {
        principal.require(Permission::ManageMembers)?;
        if new.role == Role::Owner {
            principal.require(Permission::TransferOrganisation)?;
        }
        let email = fields::email("email", &new.email)?;
        let lookup = self.lookup.email(&email);
        let now = self.clock.now();
        let secret = random_secret("");
        let organisation = principal.organisation;
        let row = self
            .db
            .write(async |tx| {
                organisations::lock_in(tx, organisation).await?;
                let user = people::find_user_by_email(tx, &lookup).await?.map(|user| user.id);
                if let Some(user) = user
                    && people::find_role(tx, organisation, user).await?.is_some()
                {
                    return Err(Conflict::AlreadyMember.into());
                }
                links::delete_invites_to_in(tx, organisation, &lookup).await?;
                limit("invitations", INVITES_MAX, links::count_invites(tx, organisation, now).await?)?;
                limit("members", MEMBERS_MAX, people::count_members(tx, organisation).await?)?;
                // The invited's own key seals the address from now on.
                let user = user.unwrap_or_else(|| Id::generate(now));
                let row = link::Model {
                    id: Id::generate(now),
                    secret_hash: hash(&secret.0),
                    purpose: links::INVITE.to_owned(),
                    user_id: user,
                    organisation_id: Some(organisation),
                    role: Some(new.role.as_str().to_owned()),
                    email_lookup: Some(lookup),
                    email_sealed: Some(self.seal_in(tx, user, &email).await?),
                    created_by: user_of(principal),
                    created_at: now,
                    expires_at: now.plus(INVITE_LIFETIME),
                };
                links::insert_in(tx, row.clone()).await?;
                let (target, detail) = (target("invite", row.id), json!({"role": new.role}));
                let entry = Entry { target, detail, ..entry(principal, client, "member_invited") };
                self.record_in(tx, entry).await?;
                Ok::<_, AccountsError>(row)
            })
            .await?;
        let invite = self.invite_of(&row).await?.ok_or(AccountsError::NotFound("organisation"))?;
        Ok(InviteLink { invite, secret })
    }

    async fn list_invites(
        &self,
        principal: &Principal,
        page: PageRequest,
    ) -> Result<Page<InviteInfo>, AccountsError> {
        principal.require(Permission::ManageMembers)?;
        let now = self.clock.now();
        let rows = links::list_invites(self.db.read(), principal.organisation, &page, now).await?;
        let organisation = organisations::find(self.db.read(), principal.organisation).await?;
        let organisation = organisation.ok_or(AccountsError::NotFound("organisation"))?;
        let mut items = Vec::with_capacity(rows.items.len());
        for row in &rows.items {
            items.push(self.invite_to(row, organisation.clone()).await?);
        }
        Ok(Page { items, next: rows.next })
    }

    async fn revoke_invite(
        &self,
        principal: &Principal,
        invite: Id<InviteInfo>,
        client: &ClientInfo,
    ) -> Result<(), AccountsError> {
        principal.require(Permission::ManageMembers)?;
        self.db
            .write(async |tx| {
                let found = links::find_invite(tx, invite, principal.organisation).await?;
                if found.is_none() || !links::take_in(tx, invite).await? {
                    return Err(AccountsError::NotFound("invitation"));
                }
                let entry = entry(principal, client, "member_invite_revoked");
                self.record_in(tx, Entry { target: target("invite", invite), ..entry }).await
            })
            .await
    }
}

impl AccountsService {
    async fn set_email_in(&self, tx: &Tx, user: Id<User>, email: &str) -> Result<(), AccountsError> {
        let lookup = self.lookup.email(email);
        if people::find_user_by_email(tx, &lookup).await?.is_some_and(|other| other.id != user) {
            return Err(Conflict::EmailTaken.into());
        }
        let sealed = self.seal_in(tx, user, email).await?;
        Ok(people::set_email_in(tx, user, lookup, sealed).await?)
    }

    /// Refuses to let go of the last owner. The caller holds the organisation's lock.
    async fn keep_an_owner_in(
        &self,
        tx: &Tx,
        organisation: Id<Organisation>,
        old: Role,
    ) -> Result<(), AccountsError> {
        if old == Role::Owner && people::count_owners(tx, organisation).await? <= 1 {
            return Err(Conflict::LastOwner.into());
        }
        Ok(())
    }

    /// Ends a member's sessions after a change of role, and takes back what the new role could not have given out.
    async fn withdraw_in(
        &self,
        tx: &Tx,
        organisation: Id<Organisation>,
        user: Id<User>,
        role: Option<Role>,
    ) -> Result<(), StorageError> {
        let may_still = |permission| role.is_some_and(|role| Rights::Role(role).allows(permission));
        sessions::delete_of_user_in(tx, user, Some(organisation)).await?;
        if !may_still(Permission::ManageTokens) {
            api_tokens::revoke_made_by_in(tx, organisation, user, self.clock.now()).await?;
        }
        if !may_still(Permission::ManageMembers) {
            links::delete_invites_by_in(tx, organisation, user).await?;
        }
        Ok(())
    }

    /// The invitation of a row, if its organisation is still there.
    pub(super) async fn invite_of(&self, row: &link::Model) -> Result<Option<InviteInfo>, AccountsError> {
        let Some(organisation) = row.organisation_id else { return Ok(None) };
        match organisations::find(self.db.read(), organisation).await? {
            Some(organisation) => Ok(Some(self.invite_to(row, organisation).await?)),
            None => Ok(None),
        }
    }

    async fn invite_to(
        &self,
        row: &link::Model,
        organisation: OrganisationInfo,
    ) -> Result<InviteInfo, AccountsError> {
        let (Some(sealed), Some(role)) = (&row.email_sealed, &row.role) else {
            return Err(
                StorageError::corrupt(format!("invitation {} lacks its address or role", row.id)).into()
            );
        };
        Ok(InviteInfo {
            id: row.id,
            organisation,
            email: self.open(row.user_id, sealed).await?,
            role: store::role(role)?,
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}
