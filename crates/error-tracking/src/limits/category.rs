use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// In which of a few categories an item counts against quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Events.
    Error,
    /// Transactions and spans.
    Transaction,
    /// Sessions, one by one or as counts.
    Session,
    /// Attachments, counted in bytes.
    Attachment,
    /// Log records.
    Log,
    /// Check-ins of monitors.
    Monitor,
    /// What people say.
    Feedback,
    /// All else: replays, profiles, metrics, reports of browsers.
    Default,
}

impl Category {
    /// Every category, in the order of their numbers in the database.
    pub const ALL: [Self; 8] = [
        Self::Error,
        Self::Transaction,
        Self::Session,
        Self::Attachment,
        Self::Log,
        Self::Monitor,
        Self::Feedback,
        Self::Default,
    ];

    /// The category of items of a type; nothing for client reports, which are never limited.
    #[must_use]
    pub fn of_item(kind: &str) -> Option<Self> {
        Some(match kind {
            "event" => Self::Error,
            "transaction" | "span" | "otel_span" => Self::Transaction,
            "session" | "sessions" => Self::Session,
            "attachment" => Self::Attachment,
            "log" | "otel_log" => Self::Log,
            "check_in" => Self::Monitor,
            "feedback" | "user_report" => Self::Feedback,
            "client_report" => return None,
            _ => Self::Default,
        })
    }

    /// The category as a word, as it is written in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Transaction => "transaction",
            Self::Session => "session",
            Self::Attachment => "attachment",
            Self::Log => "log",
            Self::Monitor => "monitor",
            Self::Feedback => "feedback",
            Self::Default => "default",
        }
    }

    /// The data categories that SDKs know it by, separated as `X-Sentry-Rate-Limits` wants them.
    #[must_use]
    pub fn sdk_words(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Transaction => "transaction;span",
            Self::Session => "session",
            Self::Attachment => "attachment;attachment_item",
            Self::Log => "log_item;log_byte",
            Self::Monitor => "monitor",
            Self::Feedback => "feedback",
            Self::Default => {
                "default;security;profile;profile_chunk;profile_chunk_ui;replay;trace_metric;metric_bucket"
            }
        }
    }

    /// What is counted: `bytes` or `items`.
    #[must_use]
    pub fn unit(self) -> &'static str {
        if self == Self::Attachment { "bytes" } else { "items" }
    }

    pub(crate) fn to_number(self) -> i64 {
        self as i64
    }

    pub(crate) fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number)).copied()
    }
}

/// Text that names no category.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a category of items")]
pub struct ParseCategoryError;

impl FromStr for Category {
    type Err = ParseCategoryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|category| category.as_str() == text).ok_or(ParseCategoryError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_come_back() {
        for (number, category) in Category::ALL.into_iter().enumerate() {
            assert_eq!(category.to_number(), number as i64);
            assert_eq!(Category::from_number(number as i64), Some(category));
            assert_eq!(category.as_str().parse(), Ok(category));
        }
        assert_eq!(Category::from_number(8), None);
        assert_eq!("errors".parse::<Category>(), Err(ParseCategoryError));
    }

    #[test]
    fn every_item_but_the_client_report_has_a_category() {
        for (kind, category) in [
            ("event", Some(Category::Error)),
            ("span", Some(Category::Transaction)),
            ("sessions", Some(Category::Session)),
            ("user_report", Some(Category::Feedback)),
            ("check_in", Some(Category::Monitor)),
            ("replay_recording", Some(Category::Default)),
            ("hologram", Some(Category::Default)),
            ("client_report", None),
        ] {
            assert_eq!(Category::of_item(kind), category, "{kind}");
        }
    }
}
