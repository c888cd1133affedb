use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Timestamp};
use sea_orm::ConnectionTrait;

use super::parse::parse;
use super::{RuleSet, store};
use crate::grouping::KnownHashes;

/// How old remembered rules may be: so long may a change by another process go unnoticed.
const MAX_AGE: Duration = Duration::from_secs(5);

/// How many projects are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// What the digest knows of grouping beside the events.
#[derive(Debug, Default)]
pub(crate) struct GroupingContext {
    pub(crate) known_hashes: Arc<KnownHashes>,
    /// The rules of those projects that have some.
    pub(crate) rules: HashMap<ProjectId, Arc<RuleSet>>,
}

/// The rules of projects, remembered for a few seconds, and the hashes that this process has seen.
#[derive(Default)]
pub(crate) struct GroupingBook {
    remembered: Mutex<HashMap<ProjectId, (Arc<RuleSet>, Timestamp)>>,
    pub(crate) known_hashes: Arc<KnownHashes>,
}

impl GroupingBook {
    /// What holds for `projects`, at most 5 s old.
    pub(crate) async fn load(
        &self,
        connection: &impl ConnectionTrait,
        projects: &[ProjectId],
        now: Timestamp,
    ) -> Result<GroupingContext, StorageError> {
        let mut context =
            GroupingContext { known_hashes: Arc::clone(&self.known_hashes), rules: HashMap::new() };
        let mut missing = Vec::new();
        {
            let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            for project in projects {
                match remembered.get(project) {
                    Some((rules, at)) if *at <= now && now.since(*at) < MAX_AGE => {
                        context.add(*project, rules);
                    }
                    _ => missing.push(*project),
                }
            }
        }
        if missing.is_empty() {
            return Ok(context);
        }
        let mut stored = store::find_rules(connection, &missing).await?;
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() + missing.len() > REMEMBERED_MAX {
            remembered.clear();
        }
        for project in missing {
            let text = stored.remove(&project).unwrap_or_default().rules;
            // They were checked when they were set; a later version may know less than an earlier one did.
            let rules = parse(&text).unwrap_or_else(|error| {
                tracing::warn!(%project, %error, "the project's grouping rules are not applied");
                RuleSet::default()
            });
            let rules = Arc::new(rules);
            context.add(project, &rules);
            remembered.insert(project, (rules, now));
        }
        Ok(context)
    }

    /// Forgets a project whose rules have changed.
    pub(super) fn forget(&self, project: ProjectId) {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).remove(&project);
    }
}

impl GroupingContext {
    fn add(&mut self, project: ProjectId, rules: &Arc<RuleSet>) {
        if !rules.is_empty() {
            self.rules.insert(project, Arc::clone(rules));
        }
    }
}
