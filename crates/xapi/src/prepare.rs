//! From a statement to what is written of it: all computing that needs no transaction.

use std::collections::HashSet;

use belvedere_kernel::{Identity, ProjectId, RawPerson};

use crate::event::Draft;
use crate::json::Json;
use crate::packing::pack;
use crate::relate::keys_without_people;
use crate::secrets::Secrets;
use crate::statement::people::{Person, template};
use crate::statement::references::References;
use crate::statement::{Ifi, Path, Statement, activity, compare, ifi_of};
use crate::value;
use crate::{Limits, Version, XapiError};

/// A statement ready to be written.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) id: [u8; 16],
    /// Whether the client gave the id, so that the statement may be there already.
    pub(crate) is_given_id: bool,
    pub(crate) digest: [u8; 16],
    pub(crate) digest_without_time: [u8; 16],
    pub(crate) has_timestamp: bool,
    pub(crate) references: References,
    /// Under which it is found.
    pub(crate) keys_without_people: Vec<i64>,
    pub(crate) people: Vec<Person>,
    pub(crate) body: Vec<u8>,
    pub(crate) is_compressed: bool,
    /// The actor, if it is a person.
    pub(crate) actor: Option<Ifi>,
    /// What it says of activities.
    pub(crate) definitions: Vec<(String, Json)>,
    pub(crate) event: Option<Draft>,
    /// SHA-2 of files that it claims.
    pub(crate) files: Vec<String>,
}

/// Who somebody is for the privacy slice. An account of this installation is the learner whom the product's own events name
/// by that id.
pub(crate) fn raw_person(project: ProjectId, ifi: &Ifi, own_home: &str) -> RawPerson {
    let identity = match ifi {
        Ifi::Mailbox(mailbox) => {
            let email = mailbox.strip_prefix("mailto:").unwrap_or(mailbox).to_owned();
            Identity { email: Some(email), ..Identity::default() }
        }
        // None of these words can begin with one of the others: IRIs have no blanks.
        Ifi::MailboxSha1(sum) => Identity { id: Some(format!("mbox_sha1sum {sum}")), ..Identity::default() },
        Ifi::OpenId(id) => Identity { id: Some(format!("openid {id}")), ..Identity::default() },
        Ifi::Account { home_page, name } if home_page == own_home && !name.trim().is_empty() => {
            Identity { id: Some(name.clone()), ..Identity::default() }
        }
        Ifi::Account { home_page, name } => {
            Identity { id: Some(format!("{home_page} {name}")), ..Identity::default() }
        }
    };
    RawPerson::new(project, identity)
}

/// The statements of a body, checked.
pub(crate) fn check_all(body: Json, version: Version, limits: &Limits) -> Result<Vec<Statement>, XapiError> {
    let statements = match body {
        Json::List(items) => {
            if items.len() > limits.statements_max {
                return Err(XapiError::TooLarge { what: "statements", max: limits.statements_max });
            }
            let items = items.into_iter().enumerate();
            items
                .map(|(index, item)| Statement::check(item, version, &Path::Item(&Path::Root, index)))
                .collect::<Result<Vec<_>, _>>()?
        }
        one => vec![Statement::check(one, version, &Path::Root)?],
    };
    let mut ids = HashSet::new();
    for (index, statement) in statements.iter().enumerate() {
        if statement.id.is_some_and(|id| !ids.insert(id)) {
            return Ok(Path::Key(&Path::Item(&Path::Root, index), "id")
                .refuse("is the id of another statement here")?);
        }
    }
    Ok(statements)
}

/// Computes what is written of a statement.
pub(crate) fn prepare(statement: Statement, version: Version, secrets: &Secrets) -> Prepared {
    let files = statement.claims().into_iter().map(|claim| claim.sha2).collect();
    let Statement { mut json, id } = statement;
    let mut compared = compare::compared(&json);
    let digest = secrets.digest(&compare::text_of(&compared));
    let has_timestamp = json.get("timestamp").is_some();
    compared.remove("timestamp");
    let digest_without_time =
        if has_timestamp { secrets.digest(&compare::text_of(&compared)) } else { digest };
    json.remove("stored");
    json.remove("authority");
    let is_given_id = id.is_some();
    let id = id.unwrap_or_else(value::random_uuid);
    if !is_given_id && let Json::Object(members) = &mut json {
        members.insert(0, ("id".to_owned(), Json::of(value::uuid_text(&id))));
    }
    if json.get("version").is_none() {
        json.set("version", Json::of(version.of_statements()));
    }
    let mut definitions = Vec::new();
    activity::each(&json, &mut |activity| {
        if let (Some(id), Some(definition)) = (activity.text_of("id"), activity.get("definition")) {
            definitions.push((id.to_owned(), definition.clone()));
        }
    });
    let actor =
        json.get("actor").filter(|actor| actor.text_of("objectType") != Some("Group")).and_then(ifi_of);
    let references = References::of(&json);
    let template = template(&json);
    let (body, is_compressed) = pack(&template.text);
    Prepared {
        id,
        is_given_id,
        digest,
        digest_without_time,
        has_timestamp,
        actor,
        event: Draft::of(&json),
        keys_without_people: keys_without_people(&references),
        references,
        people: template.people,
        body,
        is_compressed,
        definitions,
        files,
    }
}
