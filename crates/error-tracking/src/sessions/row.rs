use belvedere_kernel::SubjectId;
use belvedere_storage::Timestamp;

/// The worst that happened in a session, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SessionState {
    /// Nothing went wrong.
    Healthy,
    /// An error was caught and reported.
    Errored,
    /// The program ended in an unusual way: it hung, or was killed.
    Abnormal,
    /// An error was not caught, and the program went on. From here on a session is not free of crashes.
    Unhandled,
    /// The program crashed.
    Crashed,
}

impl SessionState {
    /// Every state, from good to bad.
    pub(crate) const ALL: [Self; 5] =
        [Self::Healthy, Self::Errored, Self::Abnormal, Self::Unhandled, Self::Crashed];

    /// The state that an update's status means.
    pub(crate) fn of_status(status: &str, has_errors: bool) -> Self {
        match status {
            "crashed" => Self::Crashed,
            "abnormal" => Self::Abnormal,
            "unhandled" => Self::Unhandled,
            "errored" => Self::Errored,
            _ if has_errors => Self::Errored,
            _ => Self::Healthy,
        }
    }

    pub(crate) fn to_number(self) -> i64 {
        self as i64
    }

    pub(crate) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.to_number() == number)
    }
}

/// What is remembered of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) version: String,
    pub(crate) environment: String,
    /// The hour since 1970 in which it started.
    pub(crate) hour: i64,
    /// Its start as exactly as it is known here; only the hour is stored.
    pub(crate) started: Timestamp,
    pub(crate) state: SessionState,
    /// Who used it, as soon as an update says so; the first one stays.
    pub(crate) subject: Option<SubjectId>,
}

impl SessionRow {
    /// Takes over what a later update, or an earlier one that comes late, adds; whether that is anything.
    pub(crate) fn merge(&mut self, news: &Self) -> bool {
        let before = (self.state, self.subject);
        self.started = news.started;
        self.state = self.state.max(news.state);
        self.subject = self.subject.or(news.subject);
        before != (self.state, self.subject)
    }
}
