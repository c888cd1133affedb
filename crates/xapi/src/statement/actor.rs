//! Agents, groups, and what identifies them.

use super::check::{Checked, Invalid, Path, list, object, required, string, text};
use crate::json::Json;
use crate::value;

const AGENT: [&str; 6] = ["objectType", "name", "mbox", "mbox_sha1sum", "openid", "account"];
const GROUP: [&str; 7] = ["objectType", "name", "mbox", "mbox_sha1sum", "openid", "account", "member"];

/// The one thing that identifies an agent or a group (inverse functional identifier).
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Ifi {
    /// `mailto:` and an address.
    Mailbox(String),
    /// SHA-1 of such a mailbox, in lower case.
    MailboxSha1(String),
    /// An OpenID.
    OpenId(String),
    /// An account.
    Account {
        /// The system that it belongs to.
        home_page: String,
        /// Its name there.
        name: String,
    },
}

/// Shows what kind it is, never what it says.
impl std::fmt::Debug for Ifi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Mailbox(_) => "Mailbox(..)",
            Self::MailboxSha1(_) => "MailboxSha1(..)",
            Self::OpenId(_) => "OpenId(..)",
            Self::Account { .. } => "Account(..)",
        })
    }
}

/// What identifies an agent or group that follows the rules; none for an anonymous group.
#[must_use]
pub fn ifi_of(json: &Json) -> Option<Ifi> {
    if let Some(mailbox) = json.text_of("mbox") {
        return Some(Ifi::Mailbox(mailbox.to_owned()));
    }
    if let Some(sum) = json.text_of("mbox_sha1sum") {
        return Some(Ifi::MailboxSha1(sum.to_ascii_lowercase()));
    }
    if let Some(id) = json.text_of("openid") {
        return Some(Ifi::OpenId(id.to_owned()));
    }
    let account = json.get("account")?;
    let (home_page, name) = (account.text_of("homePage")?.to_owned(), account.text_of("name")?.to_owned());
    Some(Ifi::Account { home_page, name })
}

/// Checks an agent or identified group that stands alone, as in a parameter.
///
/// # Errors
/// [`Invalid`] with the rule that it breaks.
pub fn check_agent(json: &Json, path: &Path<'_>) -> Result<Ifi, Invalid> {
    actor(json, path)?;
    match ifi_of(json) {
        Some(ifi) => Ok(ifi),
        None => path.refuse("must have one of mbox, mbox_sha1sum, openid and account"),
    }
}

pub(super) fn actor(json: &Json, path: &Path<'_>) -> Checked {
    if json.members().is_none() {
        return path.refuse("must be an object");
    }
    match json.get("objectType").map(|kind| text(kind, &Path::Key(path, "objectType"))).transpose()? {
        None | Some("Agent") => agent(json, path),
        Some("Group") => group(json, path),
        Some(_) => Path::Key(path, "objectType").refuse("must be Agent or Group"),
    }
}

pub(super) fn agent(json: &Json, path: &Path<'_>) -> Checked {
    object(json, path, &AGENT)?;
    if json.get("objectType").is_some_and(|kind| kind.text() != Some("Agent")) {
        return Path::Key(path, "objectType").refuse("must be Agent");
    }
    if identifiers(json, path)? != 1 {
        return path.refuse("an agent must have exactly one of mbox, mbox_sha1sum, openid and account");
    }
    Ok(())
}

pub(super) fn group(json: &Json, path: &Path<'_>) -> Checked {
    object(json, path, &GROUP)?;
    if json.text_of("objectType") != Some("Group") {
        return Path::Key(path, "objectType").refuse("must be Group");
    }
    let count = identifiers(json, path)?;
    if count > 1 {
        return path.refuse("a group must have at most one of mbox, mbox_sha1sum, openid and account");
    }
    if count == 0 {
        required(json, path, "member")?;
    }
    if let Some(members) = json.get("member") {
        let path = Path::Key(path, "member");
        let members = list(members, &path)?;
        if count == 0 && members.is_empty() {
            return path.refuse("an anonymous group must have a member");
        }
        for (index, member) in members.iter().enumerate() {
            agent(member, &Path::Item(&path, index))?;
        }
    }
    Ok(())
}

/// Checks what identifies an actor; how many identifiers there are.
fn identifiers(json: &Json, path: &Path<'_>) -> Result<usize, Invalid> {
    let at = |key: &'static str| json.get(key).map(|value| (value, Path::Key(path, key)));
    if let Some((name, path)) = at("name") {
        string(name, &path)?;
    }
    let mut count = 0;
    if let Some((mailbox, path)) = at("mbox") {
        count += 1;
        if !value::is_mailbox(text(mailbox, &path)?) {
            return path.refuse("must be mailto: and an e-mail address");
        }
    }
    if let Some((sum, path)) = at("mbox_sha1sum") {
        count += 1;
        if !value::is_sha1(text(sum, &path)?) {
            return path.refuse("must be 40 hexadecimal digits");
        }
    }
    if let Some((id, path)) = at("openid") {
        count += 1;
        if !value::is_iri(text(id, &path)?) {
            return path.refuse("must be an absolute URI");
        }
    }
    if let Some((account, path)) = at("account") {
        count += 1;
        object(account, &path, &["homePage", "name"])?;
        let home_page = Path::Key(&path, "homePage");
        if !value::is_iri(text(required(account, &path, "homePage")?, &home_page)?) {
            return home_page.refuse("must be an absolute IRL");
        }
        string(required(account, &path, "name")?, &Path::Key(&path, "name"))?;
    }
    Ok(count)
}

/// An authority is an agent, or an anonymous group of two of whom one is the application (OAuth).
pub(super) fn authority(json: &Json, path: &Path<'_>) -> Checked {
    actor(json, path)?;
    let is_group = json.text_of("objectType") == Some("Group");
    let members = json.get("member").and_then(Json::items).map_or(0, <[Json]>::len);
    if is_group && (ifi_of(json).is_some() || members != 2) {
        return path.refuse("a group as authority must be anonymous and have two members");
    }
    Ok(())
}
