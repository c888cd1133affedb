//! Who owns what: the rules as people write them, and as they are stored.

use std::collections::HashMap;
use std::sync::Arc;

use belvedere_kernel::{Entry, Organisation, ProjectId, User};
use belvedere_storage::{Database, Id, StorageError};
use serde_json::json;

use super::ownership::{Line, Owner, OwnerRules, Rule, RuleError, parse_rules};
use super::{Ownership, SetOwnership, TriageService};
use crate::ErrorTrackingError;
use crate::digest::{DigestedEvent, unpack};
use crate::store;

impl TriageService {
    pub(super) async fn save_ownership(&self, set: SetOwnership) -> Result<Ownership, ErrorTrackingError> {
        let refuse = |error: RuleError| ErrorTrackingError::InvalidQuery(format!("rules: {error}"));
        let (act, now) = (&set.act, self.clock.now());
        let lines = parse_rules(&set.rules).map_err(refuse)?;
        // Owners are kept by their ids; nothing else in the rules may say who somebody is.
        let plain = lines.iter().map(|line| match line {
            Line::Rule(rule) => rule.source.as_str(),
            Line::Remark(text) => text,
        });
        let mut plain = json!({ "rules": plain.collect::<Vec<_>>().join("\n") });
        if let Some(removal) =
            self.scrubber.load(&[act.project]).await?.scrub(act.project, &mut plain).first()
        {
            let why = format!("rules: beside the owners they hold personal data ({})", removal.rule);
            return Err(ErrorTrackingError::InvalidQuery(why));
        }
        let mut owners: HashMap<&str, Id<User>> = HashMap::new();
        let mut rules = String::new();
        for line in &lines {
            match line {
                Line::Remark(text) => rules.push_str(text),
                Line::Rule(rule) => {
                    let owner = match owners.get(rule.owner.as_str()) {
                        Some(owner) => *owner,
                        None => self.find_owner(act.organisation, rule).await?.map_err(refuse)?,
                    };
                    owners.insert(&rule.owner, owner);
                    rules.push_str(&format!("{} {owner}", rule.source));
                }
            }
            rules.push('\n');
        }
        let ownership = Ownership { rules: rules.trim_end().to_owned(), assigns: set.assigns };
        self.db
            .write(async |tx| {
                store::set_ownership_in(tx, act.project, &ownership, now).await?;
                let detail = json!({ "rules": lines.len(), "assigns": ownership.assigns });
                let entry = Entry {
                    organisation: Some(act.organisation),
                    project: Some(act.project),
                    request_id: act.request_id.clone(),
                    detail,
                    ..Entry::new(act.actor, "ownership_changed")
                };
                self.audit.record(tx, entry).await?;
                Ok(ownership.clone())
            })
            .await
    }

    async fn find_owner(
        &self,
        organisation: Id<Organisation>,
        rule: &Rule,
    ) -> Result<Result<Id<User>, RuleError>, StorageError> {
        let found = match rule.owner.parse::<Id<User>>() {
            Ok(user) => self.members.is_member(organisation, user).await?.then_some(user),
            Err(_) => self.members.find_member(organisation, &rule.owner).await?,
        };
        let why = || "nobody of the organisation has this address".to_owned();
        Ok(found.ok_or_else(|| RuleError { line: rule.line, column: rule.column, why: why() }))
    }
}

/// The rules of the projects that have any.
///
/// # Errors
/// A storage error.
pub(crate) async fn load_owner_rules(
    db: &Database,
    projects: &[ProjectId],
) -> Result<HashMap<ProjectId, OwnerRules>, StorageError> {
    let ownership = store::find_ownership(db.read(), projects).await?;
    Ok(ownership.iter().map(|(project, ownership)| (*project, OwnerRules::new(ownership))).collect())
}

/// Gives each event whose project has rules the owner that its issue would have if it were new. Unpacks payloads.
pub(crate) fn find_owners(rules: &HashMap<ProjectId, OwnerRules>, events: &mut [DigestedEvent]) {
    // One of a kind speaks for all of it.
    let mut known: HashMap<(ProjectId, [u8; 16]), Option<Arc<Owner>>> = HashMap::new();
    for event in events {
        let Some(rules) = rules.get(&event.project) else { continue };
        let find = || {
            let unpacked = unpack(&event.payload).ok()?;
            rules.find(&unpacked.event).map(Arc::new)
        };
        event.owner = known.entry((event.project, event.grouping.hash)).or_insert_with(find).clone();
    }
}
