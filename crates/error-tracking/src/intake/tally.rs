use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use belvedere_kernel::{ItemOutcome, ProjectId, Tally};

/// Item types that are known and not processed yet.
const KNOWN_TYPES: [&str; 14] = [
    "transaction",
    "span",
    "trace_metric",
    "replay_event",
    "replay_recording",
    "replay_video",
    "profile",
    "profile_chunk",
    "statsd",
    "metric_buckets",
    "nel",
    "form_data",
    "unreal_report",
    "otel_span",
];

/// How many names of unknown types are counted each on its own.
const UNKNOWN_TYPES_MAX: usize = 50;

/// Why clients discard items themselves (Sentry's client reports), as far as the reasons are known.
const DISCARD_REASONS: [&str; 17] = [
    "queue_overflow",
    "cache_overflow",
    "buffer_overflow",
    "ratelimit_backoff",
    "network_error",
    "send_error",
    "sample_rate",
    "before_send",
    "event_processor",
    "insufficient_data",
    "backpressure",
    "internal_sdk_error",
    "ignored",
    "invalid",
    "no_parent_span",
    "too_large",
    "feature_disabled",
];

/// The categories in which clients count what they discarded.
const CATEGORIES: [&str; 19] = [
    "default",
    "error",
    "transaction",
    "security",
    "attachment",
    "session",
    "profile",
    "profile_chunk",
    "profile_chunk_ui",
    "replay",
    "monitor",
    "span",
    "feedback",
    "log_item",
    "log_byte",
    "trace_metric",
    "attachment_item",
    "metric_bucket",
    "internal",
];

/// Counts by project, type, outcome and reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tallies(BTreeMap<(ProjectId, String, ItemOutcome, &'static str), u64>);

impl Tallies {
    pub(super) fn add(
        &mut self,
        project: ProjectId,
        item: &str,
        outcome: ItemOutcome,
        reason: &'static str,
        quantity: u64,
    ) {
        let count = self.0.entry((project, item.to_owned(), outcome, reason)).or_default();
        *count = count.saturating_add(quantity);
    }

    /// Counts what was to be written: stored, or dropped for the reason.
    pub(super) fn add_written(&mut self, project: ProjectId, item: &str, outcome: Result<(), &'static str>) {
        match outcome {
            Ok(()) => self.add(project, item, ItemOutcome::Stored, "", 1),
            Err(reason) => self.add(project, item, ItemOutcome::Dropped, reason, 1),
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        for ((project, item, outcome, reason), quantity) in other.0 {
            self.add(project, &item, outcome, reason, quantity);
        }
    }

    pub(super) fn into_vec(self) -> Vec<Tally> {
        self.0
            .into_iter()
            .map(|((project, item, outcome, reason), quantity)| Tally {
                project,
                item,
                outcome,
                reason,
                quantity,
            })
            .collect()
    }
}

/// Under which name and for which reason an item of a type that is not processed is counted.
pub(super) fn name_unprocessed(kind: &str, unknown: &UnknownTypes) -> (String, &'static str) {
    match KNOWN_TYPES.into_iter().find(|known| *known == kind) {
        Some(known) => (known.to_owned(), "not_yet_supported"),
        None => (unknown.name(kind), "unknown_type"),
    }
}

/// The reason of a client report as one of a few words.
pub(super) fn name_discard(reason: &str) -> &'static str {
    DISCARD_REASONS.into_iter().find(|known| *known == reason).unwrap_or("other")
}

/// The category of a client report as an item's name.
pub(super) fn name_category(category: &str) -> String {
    let known = CATEGORIES.into_iter().find(|known| *known == category).unwrap_or("other");
    format!("client:{known}")
}

/// The names of unknown types seen since the process started: anybody can invent names, so only the first 50 count.
#[derive(Debug, Default)]
pub(crate) struct UnknownTypes(Mutex<HashSet<String>>);

impl UnknownTypes {
    fn name(&self, kind: &str) -> String {
        let is_word = (1..=64).contains(&kind.len())
            && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_word && (seen.contains(kind) || seen.len() < UNKNOWN_TYPES_MAX) {
            seen.insert(kind.to_owned());
            return kind.to_owned();
        }
        "other".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_types_are_named_up_to_a_limit() {
        let unknown = UnknownTypes::default();
        for number in 0..50 {
            assert_eq!(
                name_unprocessed(&format!("new_{number}"), &unknown),
                (format!("new_{number}"), "unknown_type")
            );
        }
        assert_eq!(name_unprocessed("new_50", &unknown), ("other".to_owned(), "unknown_type"));
        assert_eq!(name_unprocessed("new_7", &unknown), ("new_7".to_owned(), "unknown_type"));
        assert_eq!(name_unprocessed("profile", &unknown), ("profile".to_owned(), "not_yet_supported"));
        assert_eq!(UnknownTypes::default().name("a b"), "other");
    }

    #[test]
    fn reports_of_clients_use_few_words() {
        assert_eq!(name_discard("before_send"), "before_send");
        assert_eq!(name_discard("whatever"), "other");
        assert_eq!(name_category("error"), "client:error");
        assert_eq!(name_category("x"), "client:other");
    }
}
