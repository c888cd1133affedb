use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{PageRequest, Timestamp};
use serde_json::{Map, Value};

use super::filter::LogFilter;

/// How much a log record matters, in the words of OpenTelemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum LogLevel {
    /// The finest.
    Trace,
    /// For developers.
    Debug,
    /// Worth knowing; the default.
    #[default]
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something failed.
    Error,
    /// The program ended.
    Fatal,
}

impl LogLevel {
    /// Every level, the least first.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// The level as a word: `trace`, `debug`, `info`, `warn`, `error`, `fatal`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// The level that a word means, `warning` and `critical` included, without regard to case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "warning" => Some(Self::Warn),
            "critical" => Some(Self::Fatal),
            word => Self::ALL.into_iter().find(|level| level.as_str() == word),
        }
    }

    /// The level of a severity number of OpenTelemetry, 1 to 24.
    pub(crate) fn of_severity(number: u64) -> Option<Self> {
        Some(match number {
            1..=4 => Self::Trace,
            5..=8 => Self::Debug,
            9..=12 => Self::Info,
            13..=16 => Self::Warn,
            17..=20 => Self::Error,
            21..=24 => Self::Fatal,
            _ => return None,
        })
    }

    pub(crate) fn to_number(self) -> u8 {
        match self {
            Self::Trace => 1,
            Self::Debug => 2,
            Self::Info => 3,
            Self::Warn => 4,
            Self::Error => 5,
            Self::Fatal => 6,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.to_number() == number)
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRecord {
    /// When it was written, by the client's clock after correction.
    pub at: Timestamp,
    /// Tells it from others of the same instant.
    pub sequence: u64,
    /// How much it matters.
    pub level: LogLevel,
    /// What it says; at most 8,192 characters.
    pub body: String,
    /// The trace it belongs to, 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// The release that wrote it.
    pub release: Option<String>,
    /// `production`, `staging`, ..
    pub environment: Option<String>,
    /// The logger that wrote it.
    pub logger: Option<String>,
    /// Whom it is about.
    pub subject: Option<SubjectId>,
    /// Everything else; at most 100.
    pub attributes: Map<String, Value>,
}

/// Which records are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchLogs {
    /// The project to look in.
    pub project: ProjectId,
    /// From this instant on.
    pub from: Timestamp,
    /// Before this instant.
    pub to: Timestamp,
    /// Only those that match.
    pub filter: LogFilter,
    /// Which page; counts ignore it.
    pub page: PageRequest,
}

/// A page of records.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPage {
    /// The records, newest first.
    pub records: Vec<LogRecord>,
    /// The `after` of the next page; `None` on the last.
    pub next: Option<belvedere_storage::Cursor>,
    /// If the search reached its limit before it had a full page: the instant down to which everything was looked at. The
    /// next page goes on from there.
    pub searched_to: Option<Timestamp>,
}

/// Records of an hour by level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHour {
    /// Start of the UTC hour.
    pub hour: Timestamp,
    /// In the order of [`LogLevel::ALL`].
    pub levels: [u64; 6],
}

/// How many records match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogCounts {
    /// Hours with records, oldest first.
    pub hours: Vec<LogHour>,
    /// If counting reached its limit: the instant down to which the counts are complete.
    pub counted_to: Option<Timestamp>,
}

impl LogCounts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.hours.iter().flat_map(|hour| hour.levels).sum()
    }
}

/// How long logs are kept, and how much of them there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// For so many days.
    pub days: u32,
    /// At most so many bytes, compressed; the oldest go first.
    pub bytes_max: u64,
    /// Bytes now.
    pub bytes: u64,
    /// Records now.
    pub records: u64,
}

impl LogSettings {
    /// What holds until a project says otherwise: 30 days, 1 GiB.
    pub const DAYS: u32 = 30;
    /// See [`LogSettings::DAYS`].
    pub const BYTES_MAX: u64 = 1 << 30;
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SweptLogs {
    /// Rows joined with others.
    pub joined: u64,
    /// Rows deleted, too old or too many.
    pub deleted: u64,
}
