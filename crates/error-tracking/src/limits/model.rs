use std::collections::BTreeMap;

use belvedere_kernel::{Actor, Organisation, ProjectId};
use belvedere_storage::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use super::Category;
use crate::ErrorTrackingError;

/// The longest that events may be kept, in days.
const DAYS_MAX: u32 = 3_650;

/// The most events of an issue that may be kept in full.
const EVENTS_IN_FULL_MAX: u32 = 1_000_000;

/// The largest quota, and the most bytes of attachments.
const QUANTITY_MAX: u64 = 1 << 50;

/// By how much a spike may exceed the usual, at most.
const MULTIPLIER_MAX: u32 = 1_000;

/// What a project keeps and how much of it may arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectLimits {
    /// How long events, feedback and their attachments are kept after they happened, in days: 1 to 3,650.
    pub event_days: u32,
    /// How many of an issue's newest events are kept in full: 10 to 1,000,000. Of older ones the first of each hour
    /// (UTC) is kept.
    pub events_in_full: u32,
    /// How many bytes of attachments are kept, compressed; none with 0.
    pub attachment_bytes_max: u64,
    /// Whether text and JSON attachments of up to 1 MiB are scrubbed like events.
    pub scrubs_attachments: bool,
    /// Whether the name and the e-mail address that people give with their feedback are kept, sealed.
    pub keeps_contacts: bool,
    /// What happens when errors arrive in unusual numbers.
    pub spike_protection: SpikeProtection,
    /// The most that may arrive, by category; no limit where there is none.
    pub quotas: BTreeMap<Category, Quota>,
}

impl Default for ProjectLimits {
    fn default() -> Self {
        Self {
            event_days: 90,
            events_in_full: 1_000,
            attachment_bytes_max: 1 << 30,
            scrubs_attachments: true,
            keeps_contacts: true,
            spike_protection: SpikeProtection::default(),
            quotas: BTreeMap::new(),
        }
    }
}

/// Protection against errors in unusual numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpikeProtection {
    /// Whether it is on.
    pub is_on: bool,
    /// How many times a busy hour is unusual: 2 to 1,000.
    pub multiplier: u32,
}

impl Default for SpikeProtection {
    fn default() -> Self {
        Self { is_on: true, multiplier: 10 }
    }
}

/// The most of one category that may arrive: items, of attachments bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// In a minute, for each process that receives.
    pub per_minute: Option<u64>,
    /// In a month (UTC), of all processes together.
    pub per_month: Option<u64>,
}

impl ProjectLimits {
    /// The same without quotas that limit nothing.
    ///
    /// # Errors
    /// [`ErrorTrackingError::InvalidQuery`] naming the field that is out of bounds.
    pub fn checked(mut self) -> Result<Self, ErrorTrackingError> {
        let within = |field: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(ErrorTrackingError::InvalidQuery(format!("{field}: must be from {least} to {most}")))
        };
        within("event_days", self.event_days.into(), 1, DAYS_MAX.into())?;
        within("events_in_full", self.events_in_full.into(), 10, EVENTS_IN_FULL_MAX.into())?;
        within("attachment_bytes_max", self.attachment_bytes_max, 0, QUANTITY_MAX)?;
        let multiplier = self.spike_protection.multiplier;
        within("spike_protection.multiplier", multiplier.into(), 2, MULTIPLIER_MAX.into())?;
        for (category, quota) in &self.quotas {
            for (word, quantity) in [("per_minute", quota.per_minute), ("per_month", quota.per_month)] {
                let field = format!("quotas.{}.{word}", category.as_str());
                within(&field, quantity.unwrap_or(0), 0, QUANTITY_MAX)?;
            }
        }
        self.quotas.retain(|_, quota| *quota != Quota::default());
        Ok(self)
    }
}

/// Who sets what.
#[derive(Debug, Clone)]
pub struct ChangeLimits {
    /// Who sets it.
    pub actor: Actor,
    /// Whose audit log it is written to.
    pub organisation: Id<Organisation>,
    /// The project.
    pub project: ProjectId,
    /// What holds from now on.
    pub limits: ProjectLimits,
    /// The HTTP request, for the audit log.
    pub request_id: Option<String>,
}

/// What takes up storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredKind {
    /// Payloads of events.
    Event,
    /// Files.
    Attachment,
    /// Payloads of feedback.
    Feedback,
    /// Blocks of log records; the records are the items.
    Log,
}

impl StoredKind {
    const ALL: [Self; 4] = [Self::Event, Self::Attachment, Self::Feedback, Self::Log];

    /// The kind as a word: `event`, `attachment`, `feedback`, `log`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Attachment => "attachment",
            Self::Feedback => "feedback",
            Self::Log => "log",
        }
    }

    pub(super) fn to_number(self) -> i64 {
        self as i64
    }

    pub(super) fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number)).copied()
    }
}

/// What one kind takes up in one project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StorageSum {
    /// The project.
    pub project: ProjectId,
    /// What it is.
    pub kind: StoredKind,
    /// How many.
    pub items: u64,
    /// Bytes as stored.
    pub bytes: u64,
}

/// What one kind takes up of what was received on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StorageDay {
    /// The beginning of the day (UTC).
    pub day: Timestamp,
    /// What it is.
    pub kind: StoredKind,
    /// How many.
    pub items: u64,
    /// Bytes as stored.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_within_bounds_and_what_is_not_is_named() {
        assert_eq!(ProjectLimits::default().checked().unwrap(), ProjectLimits::default());
        let quotas = BTreeMap::from([
            (Category::Error, Quota { per_minute: Some(1 << 60), per_month: None }),
            (Category::Log, Quota::default()),
        ]);
        for (limits, why) in [
            (
                ProjectLimits { event_days: 0, ..ProjectLimits::default() },
                "event_days: must be from 1 to 3650",
            ),
            (
                ProjectLimits { events_in_full: 9, ..ProjectLimits::default() },
                "events_in_full: must be from 10 to 1000000",
            ),
            (
                ProjectLimits {
                    spike_protection: SpikeProtection { is_on: true, multiplier: 1 },
                    ..ProjectLimits::default()
                },
                "spike_protection.multiplier: must be from 2 to 1000",
            ),
            (
                ProjectLimits { quotas, ..ProjectLimits::default() },
                "quotas.error.per_minute: must be from 0 to 1125899906842624",
            ),
        ] {
            let error = limits.checked().unwrap_err().to_string();
            assert!(error.ends_with(why), "{error}");
        }
    }

    #[test]
    fn settings_of_older_versions_are_read_with_defaults() {
        let limits: ProjectLimits =
            serde_json::from_str("{\"event_days\":7,\"quotas\":{\"error\":{\"per_month\":5}}}").unwrap();
        assert_eq!((limits.event_days, limits.events_in_full), (7, 1_000));
        assert_eq!(
            limits.quotas.get(&Category::Error),
            Some(&Quota { per_minute: None, per_month: Some(5) })
        );
    }
}
