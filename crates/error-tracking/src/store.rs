//! Every statement of the slice.

mod read;
pub(crate) mod search;
mod sql;
mod tags;
mod text;
mod write;

pub(crate) use read::{
    count_events_by_hour, count_issues, find_event, find_issue, list_environments, list_events,
};
pub(crate) use sql::{Sql, bulk};
pub(crate) use write::{
    TouchedIssue, admit_in, find_issues_of_hashes, hour_of, level_of, set_status_in, store_events_in,
    store_events_with_in, take_numbers,
};
