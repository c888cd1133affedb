use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{Actor, Entry, Organisation, Outcome, User};
use belvedere_storage::{Id, StorageError, Timestamp, Tx};
use serde_json::json;

use super::proof::{is_same, password_detail};
use super::{AccountsService, door_entry, entry, target, user_of};
use crate::entity::{link, user};
use crate::secret::{SECRET_LEN, TOKEN_PREFIX, hash, random_secret};
use crate::store::{self, api_tokens, links, organisations, people, sessions};
use crate::{
    AcceptInvite, AccountsError, ClientInfo, InviteInfo, NewSession, PasswordChange, Permission, Principal,
    Rights, Secret, SignIn, fields,
};

const SIGN_IN_LINK_LIFETIME: Duration = Duration::from_mins(15);

/// Uses of a session or token are noted at most this often.
const TOUCH_AFTER: Duration = Duration::from_mins(1);

/// Stands for the user that an unknown e-mail address does not have, so that both cost the same queries.
const NOBODY: [u8; 16] = [0; 16];

#[async_trait]
impl SignIn for AccountsService {
    async fn create_sign_in_link(&self, user: Id<User>) -> Result<Secret, AccountsError> {
        let now = self.clock.now();
        let secret = random_secret("");
        let row = link::Model {
            id: Id::generate(now),
            secret_hash: hash(&secret.0),
            purpose: links::SIGN_IN.to_owned(),
            user_id: user,
            organisation_id: None,
            role: None,
            email_lookup: None,
            email_sealed: None,
            created_by: None,
            created_at: now,
            expires_at: now.plus(SIGN_IN_LINK_LIFETIME),
        };
        self.db
            .write(async |tx| {
                let organisation = people::find_first_organisation(tx, user).await?;
                if organisation.is_none() {
                    return Err(AccountsError::NotFound("member"));
                }
                links::insert_in(tx, row).await?;
                let actor = Actor::System("operator");
                let target = target("user", user);
                let entry = Entry { organisation, target, ..Entry::new(actor, "sign_in_link_created") };
                self.record_in(tx, entry).await
            })
            .await?;
        Ok(secret)
    }

    async fn sign_in_with_link(
        &self,
        secret: &str,
        client: &ClientInfo,
    ) -> Result<NewSession, AccountsError> {
        let now = self.clock.now();
        let signed_in = self
            .db
            .write(async |tx| {
                let Some(link) = links::find_by_hash(tx, links::SIGN_IN, &hash(secret), now).await? else {
                    return Ok(None);
                };
                let organisation = people::find_first_organisation(tx, link.user_id).await?;
                let Some(organisation) = organisation.filter(|_| is_same(&link.secret_hash, secret)) else {
                    return Ok(None);
                };
                if !links::take_in(tx, link.id).await? {
                    return Ok(None);
                }
                let session = self.begin_session_in(tx, link.user_id, organisation, None).await?;
                let detail = json!({"method": "link"});
                self.record_success_in(tx, link.user_id, organisation, client, detail).await?;
                Ok::<_, AccountsError>(Some(session))
            })
            .await?;
        match signed_in {
            Some(session) => Ok(session),
            None => Err(self.refuse_link(client).await),
        }
    }

    async fn sign_in_with_password(
        &self,
        email: &str,
        password: &str,
        client: &ClientInfo,
    ) -> Result<NewSession, AccountsError> {
        let lookup = self.lookup.email(email);
        let guess = self.begin_guess(Some(&lookup), client).await?;
        let user = people::find_user_by_email(self.db.read(), &lookup).await?;
        let stored = user.as_ref().and_then(|user| user.password_hash.as_deref());
        let is_right = self.passwords.verify(password, stored).await?;
        let user_id = user.as_ref().map_or(Id::from_bytes(NOBODY), |user| user.id);
        let signed_in = self
            .db
            .write(async |tx| {
                let organisation = people::find_first_organisation(tx, user_id).await?;
                if let (true, Some(user), Some(organisation)) = (is_right, &user, organisation)
                    && has_kept_password_in(tx, user).await?
                {
                    self.guess_was_right_in(tx, &guess).await?;
                    let session = self.begin_session_in(tx, user.id, organisation, None).await?;
                    let detail = password_detail(&guess);
                    self.record_success_in(tx, user.id, organisation, client, detail).await?;
                    return Ok(Some(session));
                }
                self.record_failure_in(tx, (user.as_ref(), organisation), client, password_detail(&guess))
                    .await?;
                Ok::<_, AccountsError>(None)
            })
            .await?;
        signed_in.ok_or(AccountsError::WrongCredentials)
    }

    async fn find_invite(&self, secret: &str) -> Result<Option<InviteInfo>, AccountsError> {
        match self.find_invite_link(secret).await? {
            Some(link) => self.invite_of(&link).await,
            None => Ok(None),
        }
    }

    async fn accept_invite(
        &self,
        accept: AcceptInvite,
        client: &ClientInfo,
    ) -> Result<NewSession, AccountsError> {
        let Some(link) = self.find_invite_link(&accept.secret.0).await? else {
            return Err(self.refuse_link(client).await);
        };
        let invite = self.invite_of(&link).await?.ok_or(AccountsError::LinkExpired)?;
        let lookup = self.lookup.email(&invite.email);
        let known = people::find_user_by_email(self.db.read(), &lookup).await?;
        let (user, newcomer) = match &known {
            Some(user) => {
                self.prove_password(user, ("password", Some(&accept.password)), client).await?;
                if user.password_hash.is_none() {
                    return Err(AccountsError::WrongCredentials);
                }
                (user.id, None)
            }
            None => {
                let name = fields::name("name", &accept.name)?;
                fields::password("password", &accept.password.0, &invite.email)?;
                (link.user_id, Some((name, self.passwords.hash(&accept.password.0).await?)))
            }
        };
        let organisation = invite.organisation.id;
        self.db
            .write(async |tx| {
                organisations::lock_in(tx, organisation).await?;
                if !links::take_in(tx, link.id).await? {
                    return Err(AccountsError::LinkExpired);
                }
                if let Some((name, hash)) = newcomer {
                    self.insert_user_in(tx, Some(user), &name, Some(&invite.email), Some(hash)).await?;
                }
                if people::find_role(tx, organisation, user).await?.is_none() {
                    self.add_member_in(tx, Actor::User(user), organisation, user, invite.role).await?;
                }
                let session = self.begin_session_in(tx, user, organisation, None).await?;
                self.record_success_in(tx, user, organisation, client, json!({"method": "invite"})).await?;
                Ok(session)
            })
            .await
    }

    async fn set_password(
        &self,
        principal: &Principal,
        change: PasswordChange,
        client: &ClientInfo,
    ) -> Result<NewSession, AccountsError> {
        let user = user_of(principal).ok_or(AccountsError::NotFound("person"))?;
        let row = people::find_user(self.db.read(), user).await?.ok_or(AccountsError::NotFound("person"))?;
        let Some(sealed) = &row.email_sealed else {
            return Err(AccountsError::invalid("email", "is wanted before a password, to sign in with"));
        };
        fields::password("new", &change.new.0, &self.open(user, sealed).await?)?;
        self.prove_password(&row, ("current", change.current.as_ref()), client).await?;
        let new = self.passwords.hash(&change.new.0).await?;
        self.db
            .write(async |tx| {
                if !has_kept_password_in(tx, &row).await? {
                    return Err(AccountsError::WrongCredentials);
                }
                people::set_password_hash_in(tx, user, new).await?;
                sessions::delete_of_user_in(tx, user, None).await?;
                links::delete_sign_in_links_in(tx, user).await?;
                let session = self.begin_session_in(tx, user, principal.organisation, None).await?;
                let entry = entry(principal, client, "authn_password_change");
                self.record_in(tx, Entry { target: target("user", user), ..entry }).await?;
                Ok(session)
            })
            .await
    }

    async fn switch_organisation(
        &self,
        secret: &str,
        organisation: Id<Organisation>,
        client: &ClientInfo,
    ) -> Result<NewSession, AccountsError> {
        let Some(session) = self.find_session(secret).await? else {
            return Err(AccountsError::NotFound("session"));
        };
        let user = session.user_id;
        self.db
            .write(async |tx| {
                if people::find_role(tx, organisation, user).await?.is_none() {
                    return Err(AccountsError::NotFound("organisation"));
                }
                if !sessions::delete_in(tx, session.id).await? {
                    return Err(AccountsError::NotFound("session"));
                }
                // Changing over proves nothing anew, hence does not lengthen the session.
                let new = self.begin_session_in(tx, user, organisation, Some(session.expires_at)).await?;
                self.record_success_in(tx, user, organisation, client, json!({"method": "switch"})).await?;
                Ok(new)
            })
            .await
    }

    async fn sign_out(&self, secret: &str, client: &ClientInfo) -> Result<(), AccountsError> {
        let Some(session) = self.find_session(secret).await? else { return Ok(()) };
        self.db
            .write(async |tx| {
                if !sessions::delete_in(tx, session.id).await? {
                    return Ok(());
                }
                let (actor, detail) = (Actor::User(session.user_id), json!({"reason": "sign_out"}));
                let entry =
                    door_entry(actor, Some(session.organisation_id), client, "session_expired", detail);
                self.record_in(tx, entry).await
            })
            .await
    }

    async fn sign_out_everywhere(
        &self,
        principal: &Principal,
        client: &ClientInfo,
    ) -> Result<(), AccountsError> {
        let user = user_of(principal).ok_or(AccountsError::NotFound("person"))?;
        self.db
            .write(async |tx| {
                let sessions = sessions::delete_of_user_in(tx, user, None).await?;
                let detail = json!({"reason": "sign_out_everywhere", "sessions": sessions});
                let actor = principal.actor;
                let entry =
                    door_entry(actor, Some(principal.organisation), client, "session_expired", detail);
                self.record_in(tx, entry).await
            })
            .await
    }

    async fn authenticate_session(&self, secret: &str) -> Result<Option<Principal>, AccountsError> {
        let Some(session) = self.find_session(secret).await? else { return Ok(None) };
        let (now, before) = self.now_and_touch_limit();
        if session.last_seen_at <= before {
            let noted = self.db.write(async |tx| sessions::touch_in(tx, session.id, now, before).await).await;
            warn_of_unnoted_use(noted);
        }
        Ok(Some(Principal {
            actor: Actor::User(session.user_id),
            organisation: session.organisation_id,
            name: self.open(session.user_id, &session.name_sealed).await?,
            rights: Rights::Role(store::role(&session.role)?),
            csrf: Some(self.lookup.csrf(secret)),
        }))
    }

    async fn authenticate_token(&self, token: &str) -> Result<Option<Principal>, AccountsError> {
        if token.len() != TOKEN_PREFIX.len() + SECRET_LEN || !token.starts_with(TOKEN_PREFIX) {
            return Ok(None);
        }
        let row = api_tokens::find_by_hash(self.db.read(), &hash(token)).await?;
        let Some(row) = row.filter(|row| is_same(&row.secret_hash, token)) else { return Ok(None) };
        let (now, before) = self.now_and_touch_limit();
        if row.revoked_at.is_some() || row.expires_at.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        if row.last_used_at.is_none_or(|at| at <= before) {
            let noted = self.db.write(async |tx| api_tokens::touch_in(tx, row.id, now, before).await).await;
            warn_of_unnoted_use(noted);
        }
        Ok(Some(Principal {
            actor: Actor::Token(row.id),
            organisation: row.organisation_id,
            rights: Rights::Scopes(api_tokens::scopes_of(&row)?),
            name: row.label,
            csrf: None,
        }))
    }

    async fn record_denied(
        &self,
        principal: &Principal,
        permission: Permission,
        client: &ClientInfo,
    ) -> Result<(), AccountsError> {
        let detail = json!({"permission": permission.as_str()});
        let entry = door_entry(principal.actor, Some(principal.organisation), client, "authz_fail", detail);
        let entry = Entry { outcome: Outcome::Denied, ..entry };
        self.db.write(async |tx| self.record_in(tx, entry).await).await
    }
}

impl AccountsService {
    async fn find_invite_link(&self, secret: &str) -> Result<Option<link::Model>, AccountsError> {
        let found =
            links::find_by_hash(self.db.read(), links::INVITE, &hash(secret), self.clock.now()).await?;
        Ok(found.filter(|link| is_same(&link.secret_hash, secret)))
    }

    fn now_and_touch_limit(&self) -> (Timestamp, Timestamp) {
        let now = self.clock.now();
        (now, now.minus(TOUCH_AFTER))
    }
}

/// Whether the password is still the one that was read before it was verified.
async fn has_kept_password_in(tx: &Tx, user: &user::Model) -> Result<bool, StorageError> {
    let now = people::find_user(tx, user.id).await?;
    Ok(now.is_some_and(|now| now.password_hash == user.password_hash))
}

/// A use that cannot be noted is no reason to turn somebody away.
fn warn_of_unnoted_use(noted: Result<(), StorageError>) {
    if let Err(error) = noted {
        tracing::warn!(%error, "could not note the use of a session or token");
    }
}
