use std::path::Path;

use anyhow::{Context, Result};
use belvedere_accounts::{
    Accounts, ApiTokens, ClientInfo, NewApiToken, NewXapiKey, Principal, Scope, SignIn, XapiKeys, XapiScope,
};
use belvedere_kernel::ProjectId;
use belvedere_storage::PageRequest;
use serde::Serialize;
use serde_json::Value;

use crate::App;

/// The name of the API token that each start makes for whoever started it.
const TOKEN_LABEL: &str = "start";

/// Everything that somebody who just started Belvedere needs to know.
#[derive(Debug, Clone, Serialize)]
pub struct Ready {
    /// Where people go.
    pub address: String,
    /// What an SDK of the first project is given.
    pub dsn: String,
    /// What a product-event client of the first project is given: the key of the DSN.
    pub write_key: String,
    /// Signs the owner in, once, within 15 minutes.
    pub sign_in: String,
    /// For the API, with every scope, for 7 days or until the next start.
    pub api_token: String,
    /// The first organisation's short name.
    pub organisation: String,
    /// The first project's number.
    pub project: i64,
    /// Where learning tools find the first project's xAPI record store.
    pub xapi_endpoint: String,
    /// The user name of a key that may do everything there.
    pub xapi_key: String,
    /// Its password. The same as at the last start, as long as the key works.
    pub xapi_secret: String,
}

impl App {
    /// Makes the first organisation, project and owner where there are none, and new ways in for the owner. Also
    /// writes them to `ready.json` in the data directory, readable for its owner only.
    ///
    /// # Errors
    /// When the database or the file cannot be written.
    pub async fn first_steps(&self) -> Result<Ready> {
        let first = self.accounts.first_steps().await?;
        let principal = Principal::system("start", first.organisation.id);
        let client = ClientInfo::default();
        let mut page = Some(PageRequest::first(PageRequest::LIMIT_MAX));
        while let Some(request) = page {
            let tokens = self.accounts.list_api_tokens(&principal, request).await?;
            for token in
                tokens.items.iter().filter(|token| token.label == TOKEN_LABEL && token.revoked_at.is_none())
            {
                self.accounts.revoke_api_token(&principal, token.id, &client).await?;
            }
            page = tokens.next.map(|next| PageRequest::new(PageRequest::LIMIT_MAX, Some(next)));
        }
        let token = NewApiToken {
            label: TOKEN_LABEL.to_owned(),
            scopes: vec![Scope::Read, Scope::Write, Scope::Admin],
            expires_at: Some(self.clock.now().plus(std::time::Duration::from_secs(7 * 86_400))),
        };
        let (_, token) = self.accounts.create_api_token(&principal, token, &client).await?;
        let link = self.accounts.create_sign_in_link(first.owner).await?;
        let address = self.config.public_url();
        let (xapi_key, xapi_secret) = self.xapi_key(&principal, first.project.id).await?;
        let ready = Ready {
            dsn: dsn(&address, &first.key.public_key, first.project.id.0),
            write_key: first.key.public_key.clone(),
            sign_in: format!("{address}/sign-in/link/{}", link.0),
            api_token: token.0,
            organisation: first.organisation.slug,
            project: first.project.id.0,
            xapi_endpoint: format!("{address}/xapi/"),
            xapi_key,
            xapi_secret,
            address,
        };
        write_private(&self.config.data.directory.join("ready.json"), &serde_json::to_vec(&ready)?)?;
        Ok(ready)
    }

    /// The key and secret that the first start left in `xapi_key.json` of the data directory, as long as they work; else
    /// new ones.
    async fn xapi_key(&self, principal: &Principal, project: ProjectId) -> Result<(String, String)> {
        let file = self.config.data.directory.join("xapi_key.json");
        let last = std::fs::read(&file).ok().and_then(|json| serde_json::from_slice::<Value>(&json).ok());
        let word = |key: &str| last.as_ref().and_then(|last| last.get(key)?.as_str()).unwrap_or_default();
        let (key, secret) = (word("xapi_key"), word("xapi_secret"));
        if let Some(found) = self.accounts.authenticate_xapi_key(key, secret).await?
            && found.project == project
        {
            return Ok((key.to_owned(), secret.to_owned()));
        }
        let new = NewXapiKey { project, label: TOKEN_LABEL.to_owned(), scopes: vec![XapiScope::All] };
        let (key, secret) = self.accounts.create_xapi_key(principal, new, &ClientInfo::default()).await?;
        let kept = serde_json::json!({ "xapi_key": key.public_key, "xapi_secret": secret.0 });
        write_private(&file, &serde_json::to_vec(&kept)?)?;
        Ok((key.public_key, secret.0))
    }
}

/// The DSN by which an SDK sends to `project`: the address with the public key as its user.
pub(crate) fn dsn(address: &str, public_key: &str, project: i64) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{public_key}@{rest}/{project}"),
        None => format!("http://{public_key}@{address}/{project}"),
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let temporary = path.with_extension("new");
    let _ = std::fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    std::fs::rename(&temporary, path).with_context(|| format!("cannot write {}", path.display()))
}
