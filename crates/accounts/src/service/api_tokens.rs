use async_trait::async_trait;
use belvedere_kernel::{ApiToken, Entry};
use belvedere_storage::{Id, Page, PageRequest};
use serde_json::json;

use super::{AccountsService, entry, limit, target, user_of};
use crate::entity::api_token;
use crate::secret::{TOKEN_PREFIX, hash, random_secret};
use crate::store::{api_tokens, organisations};
use crate::{
    AccountsError, ApiTokenInfo, ApiTokens, ClientInfo, NewApiToken, Permission, Principal, Secret, fields,
};

/// The most working tokens of an organisation.
const TOKENS_MAX: u64 = 200;

/// How many characters of a secret are kept to recognise it by: 24 of its 256 bits.
const PREFIX_LEN: usize = TOKEN_PREFIX.len() + 4;

#[async_trait]
impl ApiTokens for AccountsService {
    async fn list_api_tokens(
        &self,
        principal: &Principal,
        page: PageRequest,
    ) -> Result<Page<ApiTokenInfo>, AccountsError> {
        principal.require(Permission::ManageTokens)?;
        api_tokens::list(self.db.read(), principal.organisation, &page).await
    }

    async fn create_api_token(
        &self,
        principal: &Principal,
        new: NewApiToken,
        client: &ClientInfo,
    ) -> Result<(ApiTokenInfo, Secret), AccountsError> {
        principal.require(Permission::ManageTokens)?;
        let label = fields::name("label", &new.label)?;
        let scopes = fields::scopes(&new.scopes)?;
        let now = self.clock.now();
        if new.expires_at.is_some_and(|at| at <= now) {
            return Err(AccountsError::invalid("expires_at", "must be in the future"));
        }
        let secret = random_secret(TOKEN_PREFIX);
        let row = api_token::Model {
            id: Id::generate(now),
            organisation_id: principal.organisation,
            secret_hash: hash(&secret.0),
            prefix: secret.0[..PREFIX_LEN].to_owned(),
            label,
            scopes: api_tokens::scopes_to_text(&scopes),
            created_by: user_of(principal),
            created_at: now,
            last_used_at: None,
            expires_at: new.expires_at,
            revoked_at: None,
        };
        let token = self
            .db
            .write(async |tx| {
                organisations::lock_in(tx, principal.organisation).await?;
                let count = api_tokens::count_working(tx, principal.organisation, now).await?;
                limit("API tokens", TOKENS_MAX, count)?;
                let token = api_tokens::insert_in(tx, row).await?;
                let detail =
                    json!({"label": token.label, "scopes": token.scopes, "expires_at": token.expires_at});
                let target = target("api_token", token.id);
                let entry = Entry { target, detail, ..entry(principal, client, "authn_token_created") };
                self.record_in(tx, entry).await?;
                Ok::<_, AccountsError>(token)
            })
            .await?;
        Ok((token, secret))
    }

    async fn revoke_api_token(
        &self,
        principal: &Principal,
        token: Id<ApiToken>,
        client: &ClientInfo,
    ) -> Result<(), AccountsError> {
        principal.require(Permission::ManageTokens)?;
        self.db
            .write(async |tx| {
                organisations::lock_in(tx, principal.organisation).await?;
                let Some(found) = api_tokens::find(tx, token, principal.organisation).await? else {
                    return Err(AccountsError::NotFound("API token"));
                };
                if found.revoked_at.is_some() {
                    return Ok(());
                }
                api_tokens::revoke_in(tx, token, self.clock.now()).await?;
                let (target, detail) = (target("api_token", token), json!({"label": found.label}));
                let entry = Entry { target, detail, ..entry(principal, client, "authn_token_revoked") };
                self.record_in(tx, entry).await
            })
            .await
    }
}
