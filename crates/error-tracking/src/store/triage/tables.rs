/// A table in which events of an issue are counted, one row for each of some keys.
#[derive(Debug)]
pub(super) struct CountTable {
    pub(super) name: &'static str,
    /// The columns of its primary key beside `project_id` and `issue_id`.
    pub(super) keys: &'static [&'static str],
    /// The other columns, and how two rows of the same keys become one.
    pub(super) values: &'static [(&'static str, Join)],
}

/// How two numbers become one when issues do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// They add up.
    Sum,
    /// The smaller one counts.
    Least,
    /// The larger one counts.
    Most,
}

impl Join {
    /// The number of a group of rows.
    pub(super) fn of_group(self, column: &str) -> String {
        match self {
            Self::Sum => format!("CAST(SUM({column}) AS bigint)"),
            Self::Least => format!("MIN({column})"),
            Self::Most => format!("MAX({column})"),
        }
    }

    /// The number of a row of `table` that meets another one.
    pub(super) fn of_conflict(self, table: &str, column: &str) -> String {
        let sign = match self {
            Self::Sum => return format!("{column} = {table}.{column} + excluded.{column}"),
            Self::Least => '<',
            Self::Most => '>',
        };
        format!(
            "{column} = CASE WHEN excluded.{column} {sign} {table}.{column} THEN excluded.{column} \
             ELSE {table}.{column} END"
        )
    }
}

/// The tables of counts that are kept for as long as the issue.
pub(super) const COUNT_TABLES: [CountTable; 5] = [
    CountTable {
        name: "error_issue_hour",
        keys: &["hour", "environment"],
        values: &[("event_count", Join::Sum)],
    },
    CountTable {
        name: "error_issue_environment",
        keys: &["environment"],
        values: &[("event_count", Join::Sum)],
    },
    CountTable { name: "error_issue_release", keys: &["version"], values: &[("event_count", Join::Sum)] },
    CountTable {
        name: "error_issue_tag",
        keys: &["key_id", "tag_id"],
        values: &[("event_count", Join::Sum), ("first_seen", Join::Least), ("last_seen", Join::Most)],
    },
    CountTable { name: "error_issue_subject", keys: &["subject_id"], values: &[] },
];

/// What else there is of an issue, beside its events and hashes.
pub(super) const OTHER_TABLES: [CountTable; 2] = [
    CountTable { name: "error_issue_watch", keys: &["key"], values: &[] },
    CountTable { name: "error_activity", keys: &["id"], values: &[] },
];
