//! Each project's settings, checked, and remembered for a few seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Timestamp};
use sea_orm::ConnectionTrait;

use crate::key_rules::KeyRules;
use crate::{PrivacyError, PrivacySettings, store};

/// How old remembered settings may be: so long may a change by another process go unnoticed.
const MAX_AGE: Duration = Duration::from_secs(5);

/// How many projects are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// Settings in the form in which they are applied.
pub(crate) struct Loaded {
    pub(crate) settings: PrivacySettings,
    pub(crate) rules: Arc<KeyRules>,
    /// Whether anybody said what they consent to.
    pub(crate) has_consents: bool,
}

impl Loaded {
    fn new(settings: PrivacySettings, has_consents: bool) -> Self {
        let rules = if settings.scrub_keys.is_empty() && settings.safe_keys.is_empty() {
            KeyRules::built_in()
        } else {
            Arc::new(KeyRules::new(&settings.scrub_keys, &settings.safe_keys))
        };
        Self { settings, rules, has_consents }
    }
}

#[derive(Default)]
pub(crate) struct SettingsCache(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    projects: HashMap<ProjectId, (Arc<Loaded>, Timestamp)>,
    /// How often something was forgotten: what was read before that is not to be remembered.
    forgotten: u64,
}

impl SettingsCache {
    /// The settings of each of `projects`, at most [`MAX_AGE`] old; the default for those that have none.
    pub(crate) async fn load(
        &self,
        connection: &impl ConnectionTrait,
        projects: &[ProjectId],
        now: Timestamp,
    ) -> Result<HashMap<ProjectId, Arc<Loaded>>, StorageError> {
        let mut loaded = HashMap::with_capacity(projects.len());
        let mut missing = Vec::new();
        let forgotten = self.with(|remembered| {
            for project in projects {
                match remembered.projects.get(project) {
                    Some((settings, at)) if *at <= now && now.since(*at) < MAX_AGE => {
                        loaded.insert(*project, Arc::clone(settings));
                    }
                    _ => missing.push(*project),
                }
            }
            remembered.forgotten
        });
        if missing.is_empty() {
            return Ok(loaded);
        }
        let mut stored: HashMap<_, _> =
            store::list_settings(connection, &missing).await?.into_iter().collect();
        let with_consents = store::consent::list_projects(connection, &missing).await?;
        let mut fresh = Vec::with_capacity(missing.len());
        for project in missing {
            let settings = match stored.remove(&project) {
                None => PrivacySettings::default(),
                Some(json) => serde_json::from_str(&json).map_err(|error| {
                    StorageError::corrupt(format!("privacy_settings of project {project}: {error}"))
                })?,
            };
            fresh.push((project, Arc::new(Loaded::new(settings, with_consents.contains(&project)))));
        }
        loaded.extend(fresh.iter().cloned());
        self.with(|remembered| {
            if remembered.forgotten == forgotten {
                if remembered.projects.len() + fresh.len() > REMEMBERED_MAX {
                    remembered.projects.clear();
                }
                remembered
                    .projects
                    .extend(fresh.into_iter().map(|(project, settings)| (project, (settings, now))));
            }
        });
        Ok(loaded)
    }

    pub(crate) fn forget(&self, project: ProjectId) {
        self.with(|remembered| {
            remembered.forgotten += 1;
            remembered.projects.remove(&project);
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut Remembered) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The settings with their words in the spelling that counts, sorted, each once.
pub(crate) fn checked(settings: PrivacySettings) -> Result<PrivacySettings, PrivacyError> {
    Ok(PrivacySettings {
        scrub_keys: checked_keys("scrub_keys", &settings.scrub_keys)?,
        safe_keys: checked_keys("safe_keys", &settings.safe_keys)?,
        ..settings
    })
}

fn checked_keys(field: &'static str, keys: &[String]) -> Result<Vec<String>, PrivacyError> {
    let invalid = |why| Err(PrivacyError::Invalid { field, why });
    if keys.len() > PrivacySettings::KEYS_MAX {
        return invalid(format!("{} keys, more than {}", keys.len(), PrivacySettings::KEYS_MAX));
    }
    let mut words = Vec::with_capacity(keys.len());
    for (index, key) in keys.iter().enumerate() {
        let number = index + 1;
        if !key.is_ascii() {
            return invalid(format!("key {number} has characters beyond ASCII"));
        }
        let word: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
        if !(2..=PrivacySettings::KEY_LEN_MAX).contains(&word.len()) {
            let max = PrivacySettings::KEY_LEN_MAX;
            return invalid(format!("key {number} has {} letters and digits, not 2 to {max}", word.len()));
        }
        words.push(word.to_ascii_lowercase());
    }
    words.sort_unstable();
    words.dedup();
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[&str]) -> PrivacySettings {
        let scrub_keys = keys.iter().map(|key| (*key).to_owned()).collect();
        PrivacySettings { scrub_keys, ..PrivacySettings::default() }
    }

    #[test]
    fn words_are_brought_into_one_spelling() {
        let settings = checked(keys(&["X-Student_Number", "iban", "IBAN"])).unwrap();
        assert_eq!(settings.scrub_keys, ["iban", "xstudentnumber"]);
    }

    #[test]
    fn words_outside_the_limits_are_refused_with_the_place() {
        for (list, why) in [
            (keys(&["ok", "_"]), "scrub_keys: key 2 has 0 letters and digits, not 2 to 64"),
            (keys(&[&"a".repeat(65)]), "scrub_keys: key 1 has 65 letters and digits, not 2 to 64"),
            (keys(&["größe"]), "scrub_keys: key 1 has characters beyond ASCII"),
            (keys(&["ab"; 101]), "scrub_keys: 101 keys, more than 100"),
        ] {
            assert_eq!(checked(list).unwrap_err().to_string(), why);
        }
    }
}
