//! The statements of search.

mod condition;
mod events;
mod issues;
mod saved;
mod similar;
mod tags;

pub(crate) use events::search_events;
pub(crate) use issues::{EventsOf, IssueSearch, count_matching, find_tag_id, search_issues};
pub(crate) use saved::{
    clear_default_in, count_saved_in, delete_saved_in, find_saved_in, insert_saved_in, list_saved,
    update_saved_in,
};
pub(crate) use similar::{find_candidate, list_candidates};
pub(crate) use tags::{find_issue_tag, list_tag_keys, list_tag_values, summarise_tags};
